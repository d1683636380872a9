"""The OpenAPI document: FastAPI's, completed by what types alone do not say.

That is: the errors that each address answers with, keys, the frames of streams, and examples.
"""

from __future__ import annotations

import re
from typing import Any

from fastapi import FastAPI
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from app.codes import CODES, STATUSES
from app.examples import EXAMPLES
from app.schemas import response_events as events
from app.schemas.chat import ChatCompletionChunk
from app.schemas.errors import ErrorEnvelope

DESCRIPTION = """\
OpenAI's wire formats for function calls, JSON answers and embeddings, answered by a small model on this machine.
Point an OpenAI client's `base_url` at this server, with `/v1`.

Fields that are not listed are accepted and ignored; null means absent."""

# What the frames of a stream carry, by address; and where the last one is `[DONE]`.
FRAMES: dict[str, tuple[type[BaseModel], ...]] = {
    "/v1/chat/completions": (ChatCompletionChunk, ErrorEnvelope),
    "/v1/responses": (
        events.LifecycleEvent,
        events.ItemEvent,
        events.ArgumentsDeltaEvent,
        events.ArgumentsDoneEvent,
        events.ContentPartEvent,
        events.TextDeltaEvent,
        events.TextDoneEvent,
        events.ErrorEvent,
    ),
}
DONE = {"/v1/chat/completions"}
_REF = "#/components/schemas/{model}"
_AS_ARE = re.compile(r", as are (the fields below|`[^.]*`)")

Json = dict[str, Any]


def install_openapi(app: FastAPI) -> None:
    """Let `app` describe itself in full. The document is made when it is first asked for."""

    def openapi() -> Json:
        if app.openapi_schema is None:
            app.openapi_schema = _complete(FastAPI.openapi(app))
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign] # FastAPI's documented way


def _complete(document: Json) -> Json:
    components = document["components"]
    key = {"type": "http", "scheme": "bearer", "description": "If the server was started with keys: one of them."}
    components["securitySchemes"] = {"key": key}
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            if path.startswith("/v1/"):
                operation["security"] = [{}, {"key": []}]
                _describe_errors(operation, path, method)
            if "requestBody" in operation:
                content = operation["requestBody"]["content"]["application/json"]
                content["examples"] = {name: {"value": value} for name, value in EXAMPLES.get(path, {}).items()}
            if path in FRAMES:
                operation["responses"]["200"]["content"]["text/event-stream"] = {"itemSchema": _frame(path, components)}
    for schema in components["schemas"].values():
        _repeat_descriptions(schema)
    return document


def _describe_errors(operation: Json, path: str, method: str) -> None:
    """One entry per status, in place of the one for all."""
    operation["responses"].pop("default", None)
    body = {"application/json": {"schema": {"$ref": _REF.format(model="ErrorEnvelope")}}}
    statuses = {401, 500}
    if method == "post":
        statuses |= {400, 404, 413, 429, 503}
    if "{" in path:
        statuses |= {404, 503}
    for status in sorted(statuses):
        codes = ", ".join(f"`{code.code}`" for code in CODES if code.status == status and code.code)
        description = STATUSES[status] + (f" Codes: {codes}." if codes else "")
        operation["responses"][str(status)] = {"description": description, "content": body}


def _frame(path: str, components: Json) -> Json:
    """The schema of a server-sent event, as OpenAPI 3.2 has it; what it refers to goes into `components`."""
    models = FRAMES[path]
    _, definitions = models_json_schema([(model, "serialization") for model in models], ref_template=_REF)
    components["schemas"] |= definitions["$defs"]
    carried = {"oneOf": [{"$ref": _REF.format(model=model.__name__)} for model in models]}
    data: Json = {"contentMediaType": "application/json", "contentSchema": carried}
    if path in DONE:
        data = {"anyOf": [data, {"const": "[DONE]"}]}
    return {
        "type": "object",
        "required": ["data"],
        "properties": {"event": {"type": "string"}, "data": {"type": "string", **data}},
    }


def _repeat_descriptions(schema: Json) -> None:
    """A docstring that ends in "as are the fields below" also speaks of them."""
    said: str | None = None
    for field in schema.get("properties", {}).values():
        if "description" in field:
            plain = _AS_ARE.sub("", field["description"])
            said = plain if plain != field["description"] else None
            field["description"] = plain
        elif said:
            field["description"] = said
