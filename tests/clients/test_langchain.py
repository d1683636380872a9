"""LangChain: `bind_tools`, `create_agent`, `with_structured_output` in its three methods, streams; chat, responses."""

from __future__ import annotations

import json
from typing import Any, Literal

import pytest
from langchain.agents import create_agent
from langchain.agents.structured_output import ProviderStrategy, ToolStrategy
from langchain_core.messages import AIMessageChunk
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI, OpenAIEmbeddings
from pydantic import BaseModel, Field

QUESTION = "What is the weather in Paris?"


class Person(BaseModel):
    """A person that the text speaks of."""

    name: str = Field(description="The person's name")
    age: int = Field(description="The person's age in years")


class Weather(BaseModel):
    """The weather in a city."""

    city: str
    degrees: int


@tool
def get_weather(city: str) -> str:
    """Get the current weather of a city."""
    return f"18 degrees in {city}"


@pytest.fixture(params=[False, True], ids=["chat", "responses"])
def model(base_url: str, request: pytest.FixtureRequest) -> ChatOpenAI:
    return ChatOpenAI(
        base_url=base_url, api_key="unused", model="bodkin-26m", max_retries=0, use_responses_api=request.param
    )


def test_bind_tools(model: ChatOpenAI) -> None:
    message = model.bind_tools([get_weather]).invoke(QUESTION)
    (call,) = message.tool_calls
    assert (call["name"], call["args"]) == ("get_weather", {"city": "Paris"})
    assert message.usage_metadata is not None and message.usage_metadata["total_tokens"] > 0


def test_bind_tools_with_a_choice(model: ChatOpenAI) -> None:
    message = model.bind_tools([get_weather], tool_choice="get_weather", parallel_tool_calls=False).invoke("Rome")
    assert [call["name"] for call in message.tool_calls] == ["get_weather"]


def test_an_agent(model: ChatOpenAI) -> None:
    agent = create_agent(model, tools=[get_weather], system_prompt="You are a helpful assistant.")
    messages = agent.invoke({"messages": [{"role": "user", "content": QUESTION}]})["messages"]
    assert [message.type for message in messages] == ["human", "ai", "tool", "ai"]
    assert messages[-1].text == "18 degrees in Paris"


@pytest.mark.parametrize("strategy", [ToolStrategy, ProviderStrategy])
def test_an_agent_with_a_typed_answer(model: ChatOpenAI, strategy: Any) -> None:
    agent = create_agent(model, tools=[get_weather], response_format=strategy(Weather))
    answer = agent.invoke({"messages": [{"role": "user", "content": QUESTION}]})
    assert answer["structured_response"] == Weather(city="Paris", degrees=18)
    assert [message.type for message in answer["messages"]][:3] == ["human", "ai", "tool"]


@pytest.mark.parametrize("method", ["function_calling", "json_schema"])
def test_structured_output(model: ChatOpenAI, method: Literal["function_calling", "json_schema"]) -> None:
    answer: Any = model.with_structured_output(Person, method=method).invoke("John Smith is 42 years old.")
    assert (answer.name, answer.age) == ("John Smith", 42)


def test_structured_output_in_json_mode(model: ChatOpenAI) -> None:
    # JSON mode sends no schema: it has to be in the prompt. Bodkin finds it there, and enforces it.
    # Not PydanticOutputParser's instructions: the small model takes values from the example that they contain.
    messages = [
        ("system", f"Answer as JSON by this schema: {json.dumps(Person.model_json_schema())}"),
        ("human", "John Smith is 42 years old."),
    ]
    answer: Any = model.with_structured_output(Person, method="json_mode").invoke(messages)
    assert (answer.name, answer.age) == ("John Smith", 42)


def test_streaming(model: ChatOpenAI) -> None:
    whole: AIMessageChunk | None = None
    pieces = 0
    for chunk in model.bind_tools([get_weather]).stream(QUESTION):
        assert isinstance(chunk, AIMessageChunk)
        whole, pieces = chunk if whole is None else whole + chunk, pieces + 1
    assert whole is not None and pieces > 2
    assert [(call["name"], call["args"]) for call in whole.tool_calls] == [("get_weather", {"city": "Paris"})]


def test_an_agent_that_streams(model: ChatOpenAI) -> None:
    agent = create_agent(model, tools=[get_weather])
    question: Any = {"messages": [{"role": "user", "content": QUESTION}]}
    text = ""
    for message, _ in agent.stream(question, stream_mode="messages"):
        text += message.text if isinstance(message, AIMessageChunk) else ""
    assert text == "18 degrees in Paris"


def test_embeddings(base_url: str) -> None:
    # The check would count tokens with OpenAI's tokenizer, and download it for that.
    embeddings = OpenAIEmbeddings(
        base_url=base_url, api_key="unused", model="bodkin-26m", check_embedding_ctx_length=False
    )
    cat, kitten, tax = embeddings.embed_documents(["a cat", "a kitten", "the income tax return"])
    assert sum(a * b for a, b in zip(cat, kitten, strict=True)) > sum(a * b for a, b in zip(cat, tax, strict=True))
