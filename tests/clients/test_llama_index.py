"""LlamaIndex: a `FunctionAgent`, `predict_and_call`, structured prediction in both its ways, streams, and responses."""

from __future__ import annotations

import pytest
from llama_index.core.agent.workflow import FunctionAgent, ToolCallResult
from llama_index.core.llms import ChatMessage
from llama_index.core.prompts import PromptTemplate
from llama_index.core.tools import FunctionTool
from llama_index.llms.openai_like import OpenAILike, OpenAILikeResponses
from pydantic import BaseModel, Field

LLM = OpenAILike | OpenAILikeResponses
QUESTION = "What is the weather in Paris?"


class Person(BaseModel):
    """A person that the text speaks of."""

    name: str = Field(description="The person's name")
    age: int = Field(description="The person's age in years")


def get_weather(city: str) -> str:
    """Get the current weather of a city."""
    return f"18 degrees in {city}"


TOOL = FunctionTool.from_defaults(get_weather)


@pytest.fixture(params=[OpenAILike, OpenAILikeResponses])
def llm(base_url: str, request: pytest.FixtureRequest) -> LLM:
    return request.param(
        model="bodkin-26m",
        api_base=base_url,
        api_key="unused",
        is_chat_model=True,
        is_function_calling_model=True,
        temperature=0,  # the default here is 0.1
        max_retries=0,
    )


async def test_an_agent(llm: LLM) -> None:
    run = FunctionAgent(tools=[TOOL], llm=llm).run(QUESTION)  # streams, as agents here do by default
    results = [event async for event in run.stream_events() if isinstance(event, ToolCallResult)]
    assert [(r.tool_name, r.tool_kwargs) for r in results] == [("get_weather", {"city": "Paris"})]
    assert (await run).response.content == "18 degrees in Paris"


def test_predict_and_call(llm: LLM) -> None:
    assert llm.predict_and_call([TOOL], QUESTION).response == "18 degrees in Paris"


def test_streaming(llm: LLM) -> None:
    pieces = list(llm.stream_chat_with_tools([TOOL], QUESTION))
    (call,) = llm.get_tool_calls_from_response(pieces[-1])
    assert (call.tool_name, call.tool_kwargs) == ("get_weather", {"city": "Paris"})
    assert len(pieces) > 2


def test_structured_predict(llm: LLM) -> None:  # by a tool
    person = llm.structured_predict(Person, PromptTemplate("{who} is 42 years old."), who="John Smith")
    assert person == Person(name="John Smith", age=42)


def test_structured_predict_by_response_format(base_url: str) -> None:
    llm = OpenAILike(
        model="bodkin-26m",
        api_base=base_url,
        api_key="unused",
        is_chat_model=True,
        is_function_calling_model=True,
        temperature=0,
        should_use_structured_outputs=True,
    )
    person = llm.structured_predict(Person, PromptTemplate("{who} is 42 years old."), who="John Smith")
    assert person == Person(name="John Smith", age=42)


def test_a_structured_llm(llm: LLM) -> None:
    answer = llm.as_structured_llm(Person).chat([ChatMessage(content="John Smith is 42 years old.")])
    assert answer.raw == Person(name="John Smith", age=42)
