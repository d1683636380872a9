"""smolagents: a `ToolCallingAgent` to its final answer, streamed too, and structured output by `response_format`."""

from __future__ import annotations

import json

import pytest
from smolagents import ChatMessageStreamDelta, FinalAnswerStep, OpenAIModel, ToolCallingAgent, tool
from smolagents.agents import ToolOutput

QUESTION = "What is the weather in Paris?"
PERSON = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "age": {"type": "integer"}},
    "required": ["name", "age"],
    "additionalProperties": False,
}


@tool
def get_weather(city: str) -> str:
    """Get the current weather of a city.

    Args:
        city: Name of the city
    """
    return f"18 degrees in {city}"


@pytest.fixture
def model(base_url: str) -> OpenAIModel:
    return OpenAIModel(model_id="bodkin-26m", api_base=base_url, api_key="unused")


@pytest.mark.parametrize("stream_outputs", [False, True])
def test_an_agent(model: OpenAIModel, stream_outputs: bool) -> None:
    agent = ToolCallingAgent(
        tools=[get_weather], model=model, max_steps=4, verbosity_level=0, stream_outputs=stream_outputs
    )
    # The standard one has some 1,100 tokens, twice as many as Bodkin reads.
    agent.prompt_templates["system_prompt"] = "You are a helpful assistant."
    steps = list(agent.run(QUESTION, stream=True))
    results = [(step.tool_call.name, step.output) for step in steps if isinstance(step, ToolOutput)]
    # Every step has to call something. Whether the model asks again, as long as it may, or answers, and in which words,
    # is another matter.
    assert results[0] == ("get_weather", "18 degrees in Paris")
    names = [name for name, _ in results]
    assert set(names) <= {"get_weather", "final_answer"} and "final_answer" not in names[:-1]
    assert isinstance(steps[-1], FinalAnswerStep)
    deltas = [step for step in steps if isinstance(step, ChatMessageStreamDelta)]
    assert (len(deltas) > 4) == stream_outputs


def test_structured_output(model: OpenAIModel) -> None:
    schema = {"type": "json_schema", "json_schema": {"name": "person", "schema": PERSON, "strict": True}}
    message = [{"role": "user", "content": [{"type": "text", "text": "John Smith is 42 years old."}]}]
    answer = model.generate(message, response_format=schema)
    assert json.loads(answer.content) == {"name": "John Smith", "age": 42}
