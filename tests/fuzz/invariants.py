"""What has to hold of every answer, whatever was asked."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import httpx
from jsonschema import Draft202012Validator

from tests.model.test_property_schemas import format_checker

Json = dict[str, Any]
_ERROR_TYPES = {400: "invalid_request_error", 401: "invalid_request_error", 404: "invalid_request_error"}


def check(document: Json, path: str, body: Any, response: httpx.Response) -> None:
    """An answer to `POST path`, streamed or not. `body` is None if it was no JSON."""
    assert "Traceback" not in response.text and ".py" not in response.text
    assert response.headers["x-request-id"].startswith("req_")
    assert int(response.headers["openai-processing-ms"]) >= 0
    assert response.headers["openai-version"] == "2020-10-01"
    if response.status_code >= 400:
        check_error(document, path, response)
        return
    assert response.status_code == 200
    assert "x-should-retry" not in response.headers
    if response.headers["content-type"].startswith("text/event-stream"):
        assert body["stream"] is True
        frames = list(check_stream(document, path, response.text))
        answer = whole(path, frames)
    else:
        assert response.headers["content-type"] == "application/json"
        answer = response.json()
        validate(document, path, "200", answer)
    check_calls(body, answer)
    check_text(body, answer)


def check_error(document: Json, path: str, response: httpx.Response) -> None:
    assert response.status_code in _ERROR_TYPES, f"{response.status_code}: {response.text}"
    assert response.headers["content-type"] == "application/json"
    assert response.headers["x-should-retry"] == "false"
    validate(document, path, str(response.status_code), response.json())
    assert response.json().keys() == {"error"}
    error = response.json()["error"]
    assert error.keys() == {"message", "type", "param", "code"}
    assert error["type"] == _ERROR_TYPES[response.status_code]
    assert 10 < len(error["message"]) <= 1000
    assert error["param"] is None or (error["param"] and len(error["param"]) <= 1000)


def check_stream(document: Json, path: str, text: str) -> Iterator[Json]:
    """Well-formed frames, and an end; yields what is in them."""
    assert text.endswith("\n\n")
    frames = text.removesuffix("\n\n").split("\n\n")
    for number, frame in enumerate(frames):
        lines = frame.split("\n")
        name = lines.pop(0).removeprefix("event: ") if lines[0].startswith("event: ") else None
        (line,) = lines
        assert line.startswith("data: ")
        if line == "data: [DONE]":
            assert number == len(frames) - 1
            return
        value = json.loads(line.removeprefix("data: "))
        assert "error" not in value or value["error"] is None, value
        assert name is None or name == value["type"]
        validate(document, path, "200", value, frame=True)
        yield value
    assert value.get("type") in ("response.completed", "response.incomplete"), f"the stream breaks off: {text[-200:]}"


def whole(path: str, frames: list[Json]) -> Json:
    """The answer that the frames add up to, as far as the checks below want it."""
    if path == "/v1/responses":
        final: Json = frames[-1]["response"]
        return final
    choices: dict[int, Json] = {}
    for chunk in frames:
        assert chunk["id"] == frames[0]["id"] and chunk["model"] == frames[0]["model"]
        for piece in chunk["choices"]:
            delta = piece["delta"]
            if piece["index"] not in choices:
                assert delta["role"] == "assistant"
                choices[piece["index"]] = {"message": {"content": None, "tool_calls": []}, "finish_reason": None}
            choice = choices[piece["index"]]
            assert choice["finish_reason"] is None, "nothing behind the end"
            message = choice["message"]
            if delta.get("content"):
                message["content"] = (message["content"] or "") + delta["content"]
            for call in delta.get("tool_calls") or []:
                if call["index"] == len(message["tool_calls"]):
                    assert call["id"] and call["type"] == "function" and call["function"]["name"]
                    message["tool_calls"].append({"function": dict(call["function"])})
                else:
                    assert call["index"] == len(message["tool_calls"]) - 1
                    assert "id" not in call and "name" not in call["function"]
                    message["tool_calls"][-1]["function"]["arguments"] += call["function"]["arguments"]
            if call := delta.get("function_call"):
                held = message.setdefault("function_call", {"name": call.get("name"), "arguments": ""})
                held["arguments"] += call["arguments"]
            choice["finish_reason"] = piece["finish_reason"]
    assert all(choice["finish_reason"] for choice in choices.values())
    for choice in choices.values():
        if choice["finish_reason"] == "length":  # the last call may have been cut: it is no call
            choice["message"]["tool_calls"] = choice["message"]["tool_calls"][:-1]
            choice["message"].pop("function_call", None)
    return {"choices": [choices[i] for i in sorted(choices)]}


def validate(document: Json, path: str, status: str, value: Any, *, frame: bool = False) -> None:
    """By the schema that the document promises for this status."""
    content = document["paths"][path]["post"]["responses"][status]["content"]
    if frame:
        data = content["text/event-stream"]["itemSchema"]["properties"]["data"]
        schema = data.get("anyOf", [data])[0]["contentSchema"]
    else:
        schema = content["application/json"]["schema"]
    Draft202012Validator({**schema, "components": document["components"]}).validate(value)


def check_calls(body: Json, answer: Json) -> None:
    """Every call is of a declared function, and its arguments are valid by the schema that was declared."""
    found = list(calls(answer))
    if not found:
        return
    functions = [tool.get("function", tool) for tool in body.get("tools") or []] or body["functions"]
    declared = {function["name"]: function for function in functions}
    for name, arguments in found:
        schema = declared[name].get("parameters") or {"type": "object"}
        value = json.loads(arguments)
        assert isinstance(value, dict)
        valid(schema, value)


def calls(answer: Json) -> Iterator[tuple[str, str]]:
    for choice in answer.get("choices", []):
        for call in choice["message"].get("tool_calls") or []:
            yield call["function"]["name"], call["function"]["arguments"]
        if call := choice["message"].get("function_call"):
            yield call["name"], call["arguments"]
    for item in answer.get("output", []):
        if item["type"] == "function_call" and item["status"] == "completed":
            yield item["name"], item["arguments"]


def check_text(body: Json, answer: Json) -> None:
    """JSON that was asked for is valid, unless the budget cut it."""
    wanted = body.get("response_format") or (body.get("text") or {}).get("format") or {}
    if wanted.get("type") != "json_schema" or body.get("stop"):
        return
    schema = (wanted.get("json_schema") or wanted).get("schema") or {"type": "object"}
    for choice in answer.get("choices", []):
        if choice["finish_reason"] == "stop" and choice["message"]["content"]:
            valid(schema, json.loads(choice["message"]["content"]))
    for item in answer.get("output", []):
        if item["type"] == "message" and item["status"] == "completed" and item["content"][0]["text"]:
            valid(schema, json.loads(item["content"][0]["text"]))


def valid(schema: Any, value: Any) -> None:
    validator = Draft202012Validator(standard(schema), format_checker=format_checker())
    errors = [error.message for error in validator.iter_errors(value)]
    assert not errors, f"{json.dumps(value)} by {json.dumps(schema)}: {errors}"


def standard(schema: Any) -> Any:
    """The same in standard JSON Schema: Bodkin also takes nulls for absent, `any`, `nullable` and draft 4's `items`."""
    if not isinstance(schema, dict):
        return schema
    plain = {key: value for key, value in schema.items() if value is not None or key == "const"}
    if isinstance(plain.get("items"), list):
        plain["prefixItems"] = plain.pop("items")
        if "additionalItems" in plain:
            plain["items"] = plain["additionalItems"]
    for key, value in plain.items():
        if key in ("items", "additionalProperties", "propertyNames"):
            plain[key] = standard(value)
        elif key in ("anyOf", "oneOf", "allOf", "prefixItems") and isinstance(value, list):
            plain[key] = [standard(option) for option in value]
        elif key in ("properties", "patternProperties", "$defs", "definitions") and isinstance(value, dict):
            plain[key] = {name: standard(inner) for name, inner in value.items()}
    if not isinstance(plain.get("format"), str):
        plain.pop("format", None)
    if plain.get("type") == "any":
        del plain["type"]
    if plain.get("nullable") is True and "type" in plain:
        plain["type"] = [*([plain["type"]] if isinstance(plain["type"], str) else plain["type"]), "null"]
    return plain


def posts(document: Json) -> list[str]:
    """The addresses that take a body."""
    return [path for path, methods in document["paths"].items() if "post" in methods and not re.search("{", path)]
