"""Requests that work, by address: in the OpenAPI document, in the API reference, and posted by the tests."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

MODEL = "bodkin-26m"
WEATHER: Mapping[str, Any] = {
    "type": "object",
    "properties": {
        "city": {"type": "string", "description": "Name of the city"},
        "unit": {"type": "string", "enum": ["celsius", "fahrenheit"]},
    },
    "required": ["city"],
    "additionalProperties": False,
}
GET_WEATHER: Mapping[str, Any] = {
    "name": "get_weather",
    "description": "Get the current weather of a city.",
    "parameters": WEATHER,
}
ASK = {"role": "user", "content": "What is the weather in Paris?"}
PERSON: Mapping[str, Any] = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "age": {"type": "integer"}},
    "required": ["name", "age"],
    "additionalProperties": False,
}

# By address, then by a summary of what each one shows.
EXAMPLES: Mapping[str, Mapping[str, Mapping[str, Any]]] = {
    "/v1/chat/completions": {
        "A call": {
            "model": MODEL,
            "messages": [ASK],
            "tools": [{"type": "function", "function": GET_WEATHER}],
        },
        "A stream": {
            "model": MODEL,
            "messages": [ASK],
            "tools": [{"type": "function", "function": GET_WEATHER}],
            "stream": True,
            "stream_options": {"include_usage": True},
        },
        "A forced call": {
            "model": MODEL,
            "messages": [ASK],
            "tools": [{"type": "function", "function": GET_WEATHER}],
            "tool_choice": {"type": "function", "function": {"name": "get_weather"}},
        },
        "The tool's result": {
            "model": MODEL,
            "messages": [
                ASK,
                {
                    "role": "assistant",
                    "tool_calls": [
                        {
                            "id": "call_1",
                            "type": "function",
                            "function": {"name": "get_weather", "arguments": '{"city":"Paris"}'},
                        }
                    ],
                },
                {"role": "tool", "tool_call_id": "call_1", "content": "18 °C and sunny"},
            ],
            "tools": [{"type": "function", "function": GET_WEATHER}],
        },
        "Structured output": {
            "model": MODEL,
            "messages": [{"role": "user", "content": "Ada Lovelace is 36 years old."}],
            "response_format": {"type": "json_schema", "json_schema": {"name": "person", "schema": PERSON}},
        },
    },
    "/v1/responses": {
        "A call": {
            "model": MODEL,
            "input": "What is the weather in Paris?",
            "tools": [{"type": "function", **GET_WEATHER}],
        },
        "A stream": {
            "model": MODEL,
            "input": [ASK],
            "tools": [{"type": "function", **GET_WEATHER}],
            "stream": True,
        },
        "The tool's result": {
            "model": MODEL,
            "input": [
                ASK,
                {"type": "function_call", "call_id": "call_1", "name": "get_weather", "arguments": '{"city":"Paris"}'},
                {"type": "function_call_output", "call_id": "call_1", "output": "18 °C and sunny"},
            ],
            "tools": [{"type": "function", **GET_WEATHER}],
        },
        "Structured output": {
            "model": MODEL,
            "input": "Ada Lovelace is 36 years old.",
            "text": {"format": {"type": "json_schema", "name": "person", "schema": PERSON}},
        },
    },
    "/v1/tools/check": {
        "A tool that is served": {"tools": [{"type": "function", "function": GET_WEATHER}]},
        "An MCP server's, of which a keyword is refused": {
            "tools": [
                {
                    "name": "book_flight",
                    "inputSchema": {
                        "type": "object",
                        "properties": {
                            "from": {"type": "string", "pattern": "^[A-Z]{3}$"},
                            "cabin": {"type": "string", "not": {"const": "first"}},
                        },
                    },
                }
            ]
        },
    },
    "/v1/embeddings": {
        "Two texts": {"model": MODEL, "input": ["Turn off the lights", "Switch off the lamps"]},
    },
}
