"""Pydantic AI: an `Agent` with tools, with `output_type` in its three modes, and streams; chat and responses."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import BaseModel, Field
from pydantic_ai import Agent, NativeOutput, PromptedOutput, ToolOutput
from pydantic_ai.messages import FunctionToolCallEvent, ToolCallPart
from pydantic_ai.models.openai import OpenAIChatModel, OpenAIResponsesModel
from pydantic_ai.providers.openai import OpenAIProvider

QUESTION = "What is the weather in Paris?"
Model = OpenAIChatModel | OpenAIResponsesModel


class Person(BaseModel):
    """A person that the text speaks of."""

    name: str = Field(description="The person's name")
    age: int = Field(description="The person's age in years")


def get_weather(city: str) -> str:
    """Get the current weather of a city.

    Args:
        city: Name of the city
    """
    return f"18 degrees in {city}"


@pytest.fixture(params=[OpenAIChatModel, OpenAIResponsesModel])
def model(base_url: str, request: pytest.FixtureRequest) -> Model:
    return request.param("bodkin-26m", provider=OpenAIProvider(base_url=base_url, api_key="unused"))


async def test_an_agent(model: Model) -> None:
    result = await Agent(model, tools=[get_weather], instructions="You are a helpful assistant.").run(QUESTION)
    calls = [part for m in result.all_messages() for part in m.parts if isinstance(part, ToolCallPart)]
    assert [(call.tool_name, call.args_as_dict()) for call in calls] == [("get_weather", {"city": "Paris"})]
    assert result.output == "18 degrees in Paris"
    assert result.usage.input_tokens > 0 and result.usage.requests == 2


@pytest.mark.parametrize(
    "output_type",
    [
        ToolOutput(Person),
        NativeOutput(Person),
        # The standard template has more words than a small model ignores.
        PromptedOutput(Person, template="Answer as JSON by this schema: {schema}"),
    ],
    ids=lambda mode: type(mode).__name__,
)
async def test_output_type(model: Model, output_type: Any) -> None:
    agent = Agent(model, output_type=output_type)
    assert (await agent.run("John Smith is 42 years old.")).output == Person(name="John Smith", age=42)


async def test_output_type_behind_a_tool(model: Model) -> None:
    class Weather(BaseModel):
        """The weather in a city."""

        city: str
        degrees: int

    agent = Agent(model, tools=[get_weather], output_type=ToolOutput(Weather))
    result = await agent.run(QUESTION)
    calls = [part.tool_name for m in result.all_messages() for part in m.parts if isinstance(part, ToolCallPart)]
    assert calls == ["get_weather", "final_result"]
    assert result.output == Weather(city="Paris", degrees=18)


async def test_streaming(model: Model) -> None:
    events = []

    async def handle(_: object, stream: object) -> None:
        async for event in stream:
            events.append(event)

    agent = Agent(model, tools=[get_weather])
    async with agent.run_stream(QUESTION, event_stream_handler=handle) as stream:
        text = [piece async for piece in stream.stream_text(delta=True)]
    assert "".join(text) == "18 degrees in Paris"
    (call,) = [event.part for event in events if isinstance(event, FunctionToolCallEvent)]
    assert (call.tool_name, call.args_as_dict()) == ("get_weather", {"city": "Paris"})


async def test_streamed_output(model: Model) -> None:
    agent = Agent(model, output_type=Person)
    async with agent.run_stream("John Smith is 42 years old.") as stream:
        outputs = [output async for output in stream.stream_output(debounce_by=None)]
    assert outputs[-1] == Person(name="John Smith", age=42)
