"""Which errors there are, for the OpenAPI document and the API reference. A test holds the table to the code."""

from __future__ import annotations

from dataclasses import dataclass

STATUSES = {
    400: "The request cannot be served as it stands.",
    401: "No key, or a wrong one.",
    404: "Unknown model or address.",
    405: "Known address, wrong method.",
    413: "The body is too large.",
    429: "Too many requests are waiting. `retry-after` says how many seconds to wait.",
    500: "A fault of the server; its log has the request id of the answer.",
    503: "The model cannot answer now. `retry-after` says how many seconds to wait.",
}


@dataclass(frozen=True)
class Code:
    """One kind of error. `code` is None where OpenAI sends null."""

    status: int
    code: str | None
    when: str

    @property
    def type(self) -> str:
        if self.status == 429:
            return "requests"
        return "server_error" if self.status >= 500 else "invalid_request_error"


CODES = (
    Code(400, "invalid_json", "The body is not JSON: not UTF-8, NaN, a number out of range, nested over 100 levels"),
    Code(400, "invalid_type", "A field has another JSON type than it should"),
    Code(400, "invalid_value", "A field has a value that is not allowed here, such as a function that is not declared"),
    Code(400, "missing_required_parameter", "A field is missing"),
    Code(400, "empty_array", "An array needs at least one item"),
    Code(400, "array_above_max_length", "An array has too many items"),
    Code(400, "empty_string", "A text needs at least one character"),
    Code(400, "integer_below_min_value", "A number is too small; `decimal_below_min_value` for decimals"),
    Code(400, "integer_above_max_value", "A number is too large; `decimal_above_max_value` for decimals"),
    Code(400, "unsupported_parameter", "The field asks for something that Bodkin does not do"),
    Code(400, "unsupported_value", "The same of a field's value: images, audio, files, another vector width"),
    Code(400, "invalid_function_parameters", "A tool's JSON Schema is invalid, or cannot be enforced"),
    Code(400, "invalid_json_schema", "The same of the schema of a JSON answer"),
    Code(400, "context_length_exceeded", "The messages, one tool or one text are too long for the model"),
    Code(400, None, "Other rules, such as a tool's result without its call"),
    Code(401, "invalid_api_key", "The server was started with keys, and the request carries none of them"),
    Code(404, "model_not_found", "No model of this name is served; the message lists those that are"),
    Code(404, "item_not_found", "The server does not remember an item that `input` refers to; send the item itself"),
    Code(404, "response_not_found", "Responses are asked for by their ids, but none is kept"),
    Code(404, "unknown_url", "There is no such address; the message says which one is meant"),
    Code(405, "method_not_supported", "The address is right, the method is not"),
    Code(413, "request_too_large", "The body is larger than BODKIN_MAX_BODY_BYTES"),
    Code(429, "rate_limit_exceeded", "The queue is full; nothing was computed"),
    Code(500, None, "A bug; the answer has nothing but the request id"),
    Code(503, "model_not_ready", "The model is being loaded, or could not be"),
)
