"""Every error that leaves the server, in OpenAI's shape.

APIError                       status, type, code; `param` says where in the request
├── InvalidRequestError        400  the request cannot be served as it stands
│   ├── UnsupportedError       400  it asks for something that this version does not do
│   ├── AuthenticationError    401  no key, or a wrong one
│   ├── NotFoundError          404  unknown model or address
│   ├── MethodError            405  known address, wrong method
│   └── BodyTooLargeError      413
├── QueueFullError             429  come back later
├── NotReadyError              503  the model is not loaded (yet)
└── InternalError              500  a fault of ours: the client learns the request id, the log the traceback

`install_handlers` maps these, `model.errors.RequestError`, validation errors and the router's own onto one body.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException

from app.addresses import advice
from app.schemas.errors import ErrorBody, ErrorEnvelope
from model.errors import ContextLengthError, RequestError, SchemaError

MAX_MESSAGE = 1000  # characters


class APIError(Exception):
    """Base: what to tell the client. Subclasses fix the status; `code` may be made more precise per instance."""

    status = 500
    type = "server_error"
    code: str | None = None
    headers: Mapping[str, str] = {}

    def __init__(self, message: str, *, param: str | None = None, code: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.param = param
        self.code = code or self.code

    def body(self) -> ErrorEnvelope:
        # They may quote the request, which may be long.
        message = self.message if len(self.message) <= MAX_MESSAGE else f"{self.message[: MAX_MESSAGE - 3]}..."
        param = self.param and self.param[:MAX_MESSAGE]
        return ErrorEnvelope(error=ErrorBody(message=message, type=self.type, param=param, code=self.code))


class InvalidRequestError(APIError):
    status = 400
    type = "invalid_request_error"


class UnsupportedError(InvalidRequestError):
    code = "unsupported_parameter"


class AuthenticationError(InvalidRequestError):
    status = 401
    code = "invalid_api_key"
    headers = {"www-authenticate": "Bearer"}


class NotFoundError(InvalidRequestError):
    status = 404


class MethodError(InvalidRequestError):
    status = 405
    code = "method_not_supported"

    def __init__(self, message: str, allow: str | None) -> None:
        super().__init__(message)
        self.headers = {"allow": allow} if allow else {}


class BodyTooLargeError(InvalidRequestError):
    status = 413
    code = "request_too_large"


class QueueFullError(APIError):
    status = 429
    type = "requests"
    code = "rate_limit_exceeded"
    headers = {"retry-after": "1"}


class NotReadyError(APIError):
    status = 503
    code = "model_not_ready"
    headers = {"retry-after": "1"}


class InternalError(APIError):
    def __init__(self, request_id: str) -> None:
        super().__init__(f"The server had an error while processing your request (request id {request_id}).")


def error_response(error: APIError) -> JSONResponse:
    return JSONResponse(error.body().model_dump(), status_code=error.status, headers=dict(error.headers))


def from_request_error(error: RequestError) -> InvalidRequestError:
    """The engine's refusal as an HTTP error."""
    code = None
    if isinstance(error, SchemaError):
        of_a_tool = error.param is None or error.param.startswith(("tools", "functions"))
        code = "invalid_function_parameters" if of_a_tool else "invalid_json_schema"
    elif isinstance(error, ContextLengthError):
        code = "context_length_exceeded"
    return InvalidRequestError(error.message, param=error.param, code=code)


def from_http_exception(error: HTTPException, method: str, path: str, served: Mapping[str, str]) -> APIError:
    """The router's own errors: unknown address, wrong method. `served` as `advice` wants it."""
    method, path = method[:20], path[:200]
    if error.status_code == 404:
        return NotFoundError(f"Invalid URL ({method} {path}). {advice(path, served)}", code="unknown_url")
    if error.status_code == 405:
        allow = Headers(error.headers).get("allow")
        return MethodError(f"Not allowed to {method} on {path}: use {allow or 'another method'}.", allow)
    known = InvalidRequestError(str(error.detail)) if error.status_code < 500 else APIError(str(error.detail))
    known.status = error.status_code
    return known


_EXPECTED = {
    "string_type": "a string",
    "int_type": "an integer",
    "int_from_float": "an integer",
    "float_type": "a number",
    "bool_type": "a boolean",
    "list_type": "an array",
    "dict_type": "an object",
    "model_type": "an object",
    "model_attributes_type": "an object",
}
_JSON_TYPES: Mapping[type, str] = {
    type(None): "null",
    bool: "a boolean",
    int: "an integer",
    float: "a number",
    str: "a string",
    list: "an array",
    dict: "an object",
}


def from_validation(details: Sequence[Any]) -> InvalidRequestError:
    """The first of pydantic's complaints, said the way OpenAI says it."""
    detail = details[0]
    param = _path(detail["loc"])
    kind, value, context = detail["type"], detail.get("input"), detail.get("ctx", {})
    if param is None:
        return InvalidRequestError("The request body must be a JSON object.", code="invalid_type")
    if kind == "missing":
        return InvalidRequestError(
            f"Missing required parameter: '{param}'.", param=param, code="missing_required_parameter"
        )
    if kind in _EXPECTED:
        got = _JSON_TYPES.get(type(value), "something else")
        return InvalidRequestError(
            f"Invalid type for '{param}': expected {_EXPECTED[kind]}, but got {got} instead.",
            param=param,
            code="invalid_type",
        )
    if kind == "wire_type":
        got = _JSON_TYPES.get(type(value), "something else")
        return InvalidRequestError(
            f"Invalid type for '{param}': {detail['msg']}, but got {got} instead.", param=param, code="invalid_type"
        )
    if kind == "union_tag_not_found":  # of an object that says what it is in `type`
        if isinstance(value, dict):
            return from_validation([{"type": "missing", "loc": (*detail["loc"], "type")}])
        return from_validation([{**detail, "type": "dict_type"}])
    if kind == "union_tag_invalid":
        wrong = {"type": "literal_error", "loc": (*detail["loc"], "type"), "input": value["type"]}
        return from_validation([{**wrong, "ctx": {"expected": context["expected_tags"].replace("#", "")}}])
    if kind == "literal_error":
        return InvalidRequestError(
            f"Invalid value for '{param}': {_shown(value)}. Supported values are: {context['expected']}.",
            param=param,
            code="invalid_value",
        )
    if kind in ("less_than_equal", "greater_than_equal"):
        sign, side = ("<=", "above_max") if kind == "less_than_equal" else (">=", "below_min")
        limit = context.get("le", context.get("ge"))
        number = "integer" if isinstance(limit, int) else "decimal"
        shown_limit = str(limit) if isinstance(limit, int) else f"{limit:g}"
        return InvalidRequestError(
            f"Invalid '{param}': expected a value {sign} {shown_limit}, but got {_shown(value)} instead.",
            param=param,
            code=f"{number}_{side}_value",
        )
    if kind == "too_short":
        return InvalidRequestError(
            f"Invalid '{param}': empty array. Expected an array with minimum length {context['min_length']}, "
            f"but got an empty array instead.",
            param=param,
            code="empty_array",
        )
    if kind == "too_long":
        return InvalidRequestError(
            f"Invalid '{param}': array too long. Expected an array with maximum length {context['max_length']}, "
            f"but got an array with length {context['actual_length']} instead.",
            param=param,
            code="array_above_max_length",
        )
    if kind == "string_too_short":
        return InvalidRequestError(
            f"Invalid '{param}': empty string. Expected a string with minimum length {context['min_length']}, "
            f"but got an empty string instead.",
            param=param,
            code="empty_string",
        )
    if kind == "string_pattern_mismatch":
        return InvalidRequestError(
            f"Invalid '{param}': {_shown(value)} does not match the pattern '{context['pattern']}'.",
            param=param,
            code="invalid_value",
        )
    return InvalidRequestError(f"Invalid '{param}': {detail['msg']}.", param=param, code="invalid_value")


def _path(location: Sequence[int | str]) -> str | None:
    """`("body", "messages", 0, "content", "#array", 1)` as `messages[0].content[1]`; None for the whole body."""
    path = ""
    for part in location[1:]:
        if isinstance(part, int):
            path += f"[{part}]"
        elif not part.startswith("#"):
            path += f".{part}" if path else part
    return path or None


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 100 else f"{text[:97]}..."


def served_addresses(app: FastAPI) -> dict[str, str]:
    """The addresses under `/v1`, each with its methods."""
    paths = app.openapi()["paths"]  # made once, and kept by FastAPI
    return {path: "/".join(paths[path]).upper() for path in paths if path.startswith("/v1/")}


def install_handlers(app: FastAPI) -> None:
    def reply(request: Request, error: APIError) -> JSONResponse:
        request.state.log["error"] = error.code or error.type
        return error_response(error)

    async def on_api_error(request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, APIError)
        return reply(request, error)

    async def on_request_error(request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, RequestError)
        return reply(request, from_request_error(error))

    async def on_validation_error(request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, RequestValidationError)
        return reply(request, from_validation(error.errors()))

    async def on_http_exception(request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, HTTPException)
        return reply(request, from_http_exception(error, request.method, request.scope["path"], served_addresses(app)))

    app.add_exception_handler(APIError, on_api_error)
    app.add_exception_handler(RequestError, on_request_error)
    app.add_exception_handler(RequestValidationError, on_validation_error)
    app.add_exception_handler(HTTPException, on_http_exception)
