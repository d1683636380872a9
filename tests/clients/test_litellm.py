"""LiteLLM: `completion` with a tool loop, streaming, structured output, embeddings and `responses`."""

from __future__ import annotations

import json
from typing import Any

import litellm
import pytest
from pydantic import BaseModel

WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "Get the current weather of a city.",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string", "description": "Name of the city"}},
            "required": ["city"],
        },
    },
}
QUESTION: dict[str, Any] = {"role": "user", "content": "What is the weather in Paris?"}


class Person(BaseModel):
    name: str
    age: int


@pytest.fixture
def where(base_url: str) -> dict[str, Any]:
    """`openai/` says which API the server speaks; the rest is the model's name."""
    return {"model": "openai/bodkin-26m", "api_base": base_url, "api_key": "unused", "max_retries": 0}


def test_a_tool_loop(where: dict[str, Any]) -> None:
    answer = litellm.completion(**where, messages=[QUESTION], tools=[WEATHER])
    choice = answer.choices[0]
    assert choice.finish_reason == "tool_calls"
    assert 0 < answer.bodkin["confidence"] < 1
    (call,) = choice.message.tool_calls
    result = f"18 degrees in {json.loads(call.function.arguments)['city']}"
    messages = [QUESTION, choice.message, {"role": "tool", "tool_call_id": call.id, "content": result}]
    answer = litellm.completion(**where, messages=messages, tools=[WEATHER])
    assert answer.choices[0].message.content == "18 degrees in Paris"


def test_streaming(where: dict[str, Any]) -> None:
    chunks = list(litellm.completion(**where, messages=[QUESTION], tools=[WEATHER], stream=True))
    answer = litellm.stream_chunk_builder(chunks)
    (call,) = answer.choices[0].message.tool_calls
    assert (call.function.name, json.loads(call.function.arguments)) == ("get_weather", {"city": "Paris"})
    assert answer.choices[0].finish_reason == "tool_calls"


async def test_structured_output(where: dict[str, Any]) -> None:
    messages = [{"role": "user", "content": "John Smith is 42 years old."}]
    answer = await litellm.acompletion(**where, messages=messages, response_format=Person)
    assert Person.model_validate_json(answer.choices[0].message.content) == Person(name="John Smith", age=42)


def test_responses(where: dict[str, Any]) -> None:
    tool = {"type": "function", **WEATHER["function"]}
    answer = litellm.responses(**where, input=QUESTION["content"], tools=[tool])
    (call,) = answer.output
    assert (call.name, json.loads(call.arguments)) == ("get_weather", {"city": "Paris"})


def test_embeddings(where: dict[str, Any]) -> None:
    answer = litellm.embedding(**where, input=["a cat", "a kitten"])
    assert len(answer.data) == 2
