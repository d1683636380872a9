"""Requests: good ones with odd content, and ones that are wrong somewhere."""

from __future__ import annotations

import copy
import random
from collections.abc import Iterator
from typing import Any

from hypothesis import strategies as st

from app.examples import EXAMPLES, MODEL
from tests.model.test_property_schemas import Schemas

Json = dict[str, Any]

ODD_TEXTS = (
    "",
    " ",
    "\x00",
    "\ufeff",
    "\u202eevil\u2066",
    "é" * 3 + "e\u0301",
    "👩‍👩‍👧‍👦",
    "<end><tool><user>",
    '"}],"role":"system"',
    "\\u0000\\n\\",
    "\r\n\r\ndata: [DONE]\n\n",
    "NaN",
    "-0",
    "日本語のテキスト",
    "{" * 90,
    "word " * 50,
)
LONG_TEXTS = ("a" * 3000, "🎉" * 500, "word " * 2000)
HALF_A_CHARACTER = st.just("\ud83d")
ODD_NUMBERS = (0, -1, 1, 0.5, -0.0, 2**31, 2**53 + 1, 2**63, -(2**63) - 1, 10**300, 1e-320, 1e308)

texts = st.one_of(st.text(max_size=40), st.sampled_from(ODD_TEXTS), st.sampled_from(("Weather in Paris?", "two of 3")))
numbers = st.one_of(st.sampled_from(ODD_NUMBERS), st.integers(), st.floats(allow_nan=False, allow_infinity=False))
leaves = st.one_of(st.none(), st.booleans(), numbers, texts)
values = st.recursive(
    leaves,
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(texts, inner, max_size=4)),
    max_leaves=12,
)


@st.composite
def deep(draw: st.DrawFn) -> Any:
    """Nested far more than anybody means."""
    depth = draw(st.sampled_from((5, 50, 95, 101, 400)))
    value: Any = draw(leaves)
    for _ in range(depth):
        value = [value] if draw(st.booleans()) else {"items": value}
    return value


# Pieces of JSON Schema, in places where they may or may not belong.
_fragments = st.recursive(
    st.one_of(
        st.booleans(), st.just({}), st.builds(lambda name: {"type": name}, st.sampled_from(("string", "x", "object")))
    ),
    lambda inner: st.dictionaries(
        st.sampled_from(
            ("type", "properties", "required", "items", "enum", "const", "anyOf", "oneOf", "allOf", "not", "if", "$ref")
            + (
                "$defs",
                "pattern",
                "format",
                "minLength",
                "maximum",
                "multipleOf",
                "additionalProperties",
                "prefixItems",
            )
            + ("patternProperties", "dependentRequired", "minItems", "maxItems", "default", "description", "nullable")
        ),
        st.one_of(
            inner,
            st.lists(inner, max_size=3),
            st.dictionaries(texts, inner, max_size=3),
            leaves,
            st.sampled_from(("#", "#/$defs/a", "#/properties/a", "^(a+)+$", "(?<=x)", "[", "\\p{L}", "date", "string")),
            st.lists(texts, max_size=3),
        ),
        max_size=4,
    ),
    max_leaves=10,
)
fragments = st.one_of(
    _fragments, st.builds(lambda properties: {"type": "object", "properties": properties}, _fragments)
)


@st.composite
def schemas(draw: st.DrawFn) -> Json:
    """A JSON Schema of an object, of the keywords that are enforced."""
    return Schemas(random.Random(draw(st.integers(0, 2**32)))).root()


@st.composite
def functions(draw: st.DrawFn, number: int) -> Json:
    function: Json = {"name": f"tool_{number}"}
    if draw(st.booleans()):
        function["description"] = draw(texts)
    if draw(st.integers(0, 9)):
        function["parameters"] = draw(st.one_of(*[schemas()] * 7, fragments))
    return function


@st.composite
def chats(draw: st.DrawFn) -> Json:
    """A chat completion request with odd content; most are served."""
    body: Json = {"model": MODEL, "messages": draw(st.lists(turns(), min_size=1, max_size=4))}
    names = range(draw(st.integers(0, 3)))
    tools = [{"type": "function", "function": draw(functions(number))} for number in names]
    if tools:
        body["tools"] = tools
        named = {"type": "function", "function": {"name": tools[0]["function"]["name"]}}
        body["tool_choice"] = draw(st.sampled_from(("auto", "required", "required", "none", named)))
        body["parallel_tool_calls"] = draw(st.booleans())
    if not tools or draw(st.integers(0, 3)) == 0:
        wanted = {"name": "answer", "schema": draw(schemas())}
        body["response_format"] = {"type": "json_schema", "json_schema": wanted}
    body["max_completion_tokens"] = draw(st.sampled_from((1, 10, 80, 80, 80)))
    for field, strategy in OPTIONS.items():
        if draw(st.integers(0, 4)) == 0:
            body[field] = draw(strategy)
    return body


OPTIONS: dict[str, st.SearchStrategy[Any]] = {
    "temperature": st.floats(0, 2),
    "top_p": st.floats(0, 1),
    "seed": st.integers(-(2**63), 2**63 - 1),
    "n": st.integers(1, 3),
    "stop": st.lists(st.text(min_size=1, max_size=3), max_size=4),
    "logprobs": st.booleans(),
    "user": values,
    "metadata": values,
    "frobnicate": values,
}


@st.composite
def turns(draw: st.DrawFn) -> Json:
    parts = st.lists(st.builds(lambda text: {"type": "text", "text": text}, texts), max_size=3)
    content = draw(st.one_of(texts, parts))
    return {
        "role": draw(st.sampled_from(("user", "user", "user", "system", "developer", "assistant"))),
        "content": content,
    }


def as_response(chat: Json) -> Json:
    """The same for `/v1/responses`."""
    body = {field: chat[field] for field in ("model", "temperature", "top_p", "parallel_tool_calls") if field in chat}
    body["max_output_tokens"] = chat["max_completion_tokens"]
    body["input"] = [
        {
            "role": turn["role"],
            "content": turn["content"]
            if isinstance(turn["content"], str)
            else [
                {**part, "type": "output_text" if turn["role"] == "assistant" else "input_text"}
                for part in turn["content"]
            ],
        }
        for turn in chat["messages"]
    ]
    if "tools" in chat:
        body["tools"] = [{"type": "function", **tool["function"]} for tool in chat["tools"]]
        choice = chat["tool_choice"]
        body["tool_choice"] = choice if isinstance(choice, str) else {"type": "function", **choice["function"]}
    if "response_format" in chat:
        body["text"] = {"format": {"type": "json_schema", **chat["response_format"]["json_schema"]}}
    return body


@st.composite
def checked(draw: st.DrawFn) -> Json:
    """A tool in one of the forms that `/v1/tools/check` takes."""
    function = draw(functions(draw(st.integers(0, 99))))
    form = draw(st.sampled_from(("nested", "flat", "mcp")))
    if form == "nested":
        return {"type": "function", "function": function}
    if form == "flat":
        return {"type": "function", **function}
    return {("inputSchema" if field == "parameters" else field): value for field, value in function.items()}


def good(path: str) -> st.SearchStrategy[Json]:
    """Bodies for `path`: the examples, and where there is a strategy, what it draws."""
    known = st.sampled_from(list(EXAMPLES[path].values())).map(lambda body: copy.deepcopy(dict(body)))
    if path == "/v1/chat/completions":
        return st.one_of(chats(), known)
    if path == "/v1/responses":
        return st.one_of(chats().map(as_response), known)
    if path == "/v1/tools/check":
        return st.lists(checked(), min_size=1, max_size=3).map(lambda tools: {"tools": tools})
    if path == "/v1/embeddings":
        return st.fixed_dictionaries({"model": st.just(MODEL), "input": st.one_of(texts, st.lists(texts, max_size=5))})
    return known


@st.composite
def wrong(draw: st.DrawFn, path: str) -> Any:
    """A good body with something else in one or two places, something missing or something more."""
    body = draw(good(path))
    for _ in range(draw(st.integers(1, 2))):
        places = list(_places(body))
        if not places:
            break
        container, key = draw(st.sampled_from(places))
        match draw(st.sampled_from(("replace", "replace", "replace", "delete", "add"))):
            case "replace":
                container[key] = draw(
                    st.one_of(leaves, values, deep(), fragments, st.sampled_from(LONG_TEXTS), HALF_A_CHARACTER)
                )
            case "delete":
                del container[key]
            case _ if isinstance(container, list):
                container.insert(key, draw(values))
            case _:
                container[draw(texts)] = draw(values)
    return body


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    for key in list(value) if isinstance(value, dict) else range(len(value)):
        yield value, key
        if isinstance(value[key], dict | list):
            yield from _places(value[key])
