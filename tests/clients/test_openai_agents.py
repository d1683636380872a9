"""OpenAI Agents SDK: runs to their ends, streamed too, and `output_type`; over responses (the default) and chat."""

from __future__ import annotations

import pytest
from agents import (
    Agent,
    ModelSettings,
    OpenAIChatCompletionsModel,
    OpenAIResponsesModel,
    Runner,
    ToolCallItem,
    function_tool,
    set_default_openai_client,
    set_tracing_disabled,
)
from openai import AsyncOpenAI
from openai.types.responses import ResponseTextDeltaEvent
from pydantic import BaseModel, Field

QUESTION = "What is the weather in Paris?"
Model = OpenAIResponsesModel | OpenAIChatCompletionsModel

set_tracing_disabled(True)  # it would send every run to OpenAI


class Person(BaseModel):
    """A person that the text speaks of."""

    name: str = Field(description="The person's name")
    age: int = Field(description="The person's age in years")


@function_tool
def get_weather(city: str) -> str:
    """Get the current weather of a city.

    Args:
        city: Name of the city
    """
    return f"18 degrees in {city}"


@pytest.fixture(params=[OpenAIResponsesModel, OpenAIChatCompletionsModel])
def model(base_url: str, request: pytest.FixtureRequest) -> Model:
    return request.param("bodkin-26m", openai_client=AsyncOpenAI(base_url=base_url, api_key="unused", max_retries=0))


def calls(items: list) -> list[tuple[str, str]]:
    return [(item.raw_item.name, item.raw_item.arguments) for item in items if isinstance(item, ToolCallItem)]


async def test_a_run(model: Model) -> None:
    agent = Agent("assistant", instructions="You are a helpful assistant.", model=model, tools=[get_weather])
    result = await Runner.run(agent, QUESTION)
    assert calls(result.new_items) == [("get_weather", '{"city":"Paris"}')]
    assert result.final_output == "18 degrees in Paris"


async def test_a_run_by_the_name_of_the_model(base_url: str) -> None:
    set_default_openai_client(AsyncOpenAI(base_url=base_url, api_key="unused"), use_for_tracing=False)
    result = await Runner.run(Agent("assistant", model="bodkin-26m", tools=[get_weather]), QUESTION)
    assert result.final_output == "18 degrees in Paris"


async def test_required_ends_too(model: Model) -> None:
    # The SDK itself sets the choice back to "auto" once a tool has run.
    agent = Agent("assistant", model=model, tools=[get_weather], model_settings=ModelSettings(tool_choice="required"))
    assert (await Runner.run(agent, QUESTION)).final_output == "18 degrees in Paris"


async def test_a_handoff(model: Model) -> None:
    required = ModelSettings(tool_choice="required")
    expert = Agent("weather", model=model, tools=[get_weather], model_settings=required)
    desk = Agent("desk", model=model, handoffs=[expert], model_settings=required)
    result = await Runner.run(desk, QUESTION)
    assert result.last_agent is expert and result.final_output == "18 degrees in Paris"


async def test_a_streamed_run(model: Model) -> None:
    result = Runner.run_streamed(Agent("assistant", model=model, tools=[get_weather]), QUESTION)
    text = ""
    async for event in result.stream_events():
        if event.type == "raw_response_event" and isinstance(event.data, ResponseTextDeltaEvent):
            text += event.data.delta
    assert calls(result.new_items) == [("get_weather", '{"city":"Paris"}')]
    assert text == result.final_output == "18 degrees in Paris"


async def test_output_type(model: Model) -> None:
    result = await Runner.run(Agent("reader", model=model, output_type=Person), "John Smith is 42 years old.")
    assert result.final_output == Person(name="John Smith", age=42)
