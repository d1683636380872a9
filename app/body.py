"""Reading a JSON body from somebody we do not trust: its size, its encoding, its depth, its numbers.

What passes is plain data that may be handed on without a second thought: no NaN or infinity, no unpaired surrogates, no
nesting that a recursive function could choke on.
"""

from __future__ import annotations

import json
import math
import re
import sys
from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Request, Response
from fastapi.routing import APIRoute

from app.errors import BodyTooLargeError, InvalidRequestError

MAX_DEPTH = 100
# Of a body that is too large, this many times the limit is still read and thrown away: closing on a client that is
# still sending resets the connection, and it would never see the answer.
_DRAIN = 64
_SURROGATE_ESCAPE = re.compile(rb"\\u[dD][89a-fA-F]")


async def read_body(request: Request, limit: int) -> bytes:
    """The whole body, counted as it arrives: a chunked body declares no length, and a declared one may be a lie."""
    chunks: list[bytes] = []
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
        if size <= limit:
            chunks.append(chunk)
        else:
            chunks.clear()
            if size > limit * _DRAIN:
                break
    if size > limit:
        raise BodyTooLargeError(f"The request body is larger than this server's limit of {limit} bytes.")
    return b"".join(chunks)


def parse_json(body: bytes) -> Any:
    """Parse strictly; every failure is an `InvalidRequestError` that says what is wrong."""
    if not body.strip():
        raise InvalidRequestError("The request body is empty; expected a JSON object.", code="invalid_json")
    try:
        value = json.loads(body.decode("utf-8"), parse_constant=_refuse_constant, parse_float=_float, parse_int=_int)
    except UnicodeDecodeError as error:
        raise InvalidRequestError(
            f"The request body is not valid UTF-8 (byte {error.start}).", code="invalid_json"
        ) from None
    except json.JSONDecodeError as error:
        raise InvalidRequestError(
            f"The request body is not valid JSON: {error.msg} (line {error.lineno}, column {error.colno}).",
            code="invalid_json",
        ) from None
    except ValueError as error:
        raise InvalidRequestError(f"The request body is not valid JSON: {error}.", code="invalid_json") from None
    except RecursionError:
        raise _too_deep() from None
    _check_depth(value)
    if _SURROGATE_ESCAPE.search(body):
        try:
            json.dumps(value, ensure_ascii=False).encode("utf-8")
        except UnicodeEncodeError:
            raise InvalidRequestError(
                "The request body contains an unpaired surrogate (\\ud800 to \\udfff), which is not text.",
                code="invalid_json",
            ) from None
    return value


def _refuse_constant(name: str) -> float:
    raise ValueError(f"{name} is not a JSON number")


def _float(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise _too_large(text)
    return number


def _int(text: str) -> int:
    # Whatever is let through can still become a float.
    if len(text) > sys.float_info.max_10_exp:
        raise _too_large(text)
    return int(text)


def _too_large(number: str) -> ValueError:
    return ValueError(f"the number {number[:40]} is too large")


def _check_depth(value: Any) -> None:
    """Level by level rather than by recursion, which is what is being guarded against."""
    level = [value] if isinstance(value, dict | list) else []
    depth = 0
    while level:
        depth += 1
        if depth > MAX_DEPTH:
            raise _too_deep()
        level = [
            child
            for container in level
            for child in (container.values() if type(container) is dict else container)
            if type(child) is dict or type(child) is list
        ]


def _too_deep() -> InvalidRequestError:
    return InvalidRequestError(f"The request body is nested more than {MAX_DEPTH} levels deep.", code="invalid_json")


class JSONRoute(APIRoute):
    """A route whose body comes through the functions above, and after that through FastAPI's typed parameter."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def checked(request: Request) -> Response:
            body = await read_body(request, request.app.state.settings.max_body_bytes)
            # Clients that forget the header (`curl -d`) mean JSON; FastAPI would not look at the body without it.
            headers = [(name, value) for name, value in request.scope["headers"] if name != b"content-type"]
            scope = {**request.scope, "headers": [*headers, (b"content-type", b"application/json")]}
            parsed = ParsedRequest(scope, request.receive)
            parsed.set_body(body, parse_json(body))
            return await handle(parsed)

        return checked


class ParsedRequest(Request):
    """A request whose body has been read and parsed already."""

    def set_body(self, body: bytes, value: Any) -> None:
        self._body = body
        self._value = value

    async def json(self) -> Any:
        return self._value
