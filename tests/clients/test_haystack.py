"""Haystack: an `Agent`, a generator with a tool and streaming, and structured output."""

from __future__ import annotations

from typing import Annotated

import pytest
from haystack.components.agents import Agent
from haystack.components.generators.chat import OpenAIChatGenerator
from haystack.dataclasses import ChatMessage, StreamingChunk
from haystack.tools import tool
from haystack.utils import Secret
from pydantic import BaseModel

QUESTION = [ChatMessage.from_user("What is the weather in Paris?")]


class Person(BaseModel):
    name: str
    age: int


@tool
def get_weather(city: Annotated[str, "Name of the city"]) -> str:
    """Get the current weather of a city."""
    return f"18 degrees in {city}"


@pytest.fixture
def generator(base_url: str) -> OpenAIChatGenerator:
    return OpenAIChatGenerator(
        model="bodkin-26m", api_base_url=base_url, api_key=Secret.from_token("unused"), max_retries=0
    )


def test_an_agent(generator: OpenAIChatGenerator) -> None:
    agent = Agent(chat_generator=generator, tools=[get_weather], max_agent_steps=4)
    messages = agent.run(messages=QUESTION)["messages"]
    assert [message.role.value for message in messages] == ["user", "assistant", "tool", "assistant"]
    assert messages[-1].text == "18 degrees in Paris"


def test_streaming(generator: OpenAIChatGenerator) -> None:
    chunks: list[StreamingChunk] = []
    (reply,) = generator.run(QUESTION, tools=[get_weather], streaming_callback=chunks.append)["replies"]
    (call,) = reply.tool_calls
    assert (call.tool_name, call.arguments) == ("get_weather", {"city": "Paris"})
    assert len(chunks) > 2 and chunks[-1].finish_reason == "tool_calls"


def test_structured_output(generator: OpenAIChatGenerator) -> None:
    message = ChatMessage.from_user("John Smith is 42 years old.")
    (reply,) = generator.run([message], generation_kwargs={"response_format": Person})["replies"]
    assert Person.model_validate_json(reply.text) == Person(name="John Smith", age=42)
