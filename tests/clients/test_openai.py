"""openai-python: the loop by hand, `.parse()`, `.stream()`, async; chat completions and responses."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Literal

import openai
import pytest
from openai import AsyncOpenAI, OpenAI, pydantic_function_tool
from pydantic import BaseModel, Field

MODEL = "bodkin-26m"
QUESTION: list[Any] = [{"role": "user", "content": "What is the weather in Paris?"}]


class GetWeather(BaseModel):
    """Get the current weather of a city."""

    city: str = Field(description="Name of the city")


class Person(BaseModel):
    """A person that the text speaks of."""

    name: str
    age: int
    kind: Literal["adult", "child"] | None


WEATHER = pydantic_function_tool(GetWeather, name="get_weather")
# The Responses API has the same declaration, flat.
WEATHER_FLAT: Any = {"type": "function", **WEATHER["function"]}


def weather(city: str) -> str:
    return f"18 degrees in {city}"


@pytest.fixture
def client(base_url: str) -> Iterator[OpenAI]:
    with OpenAI(base_url=base_url, api_key="unused", max_retries=0) as client:
        yield client


def test_a_tool_loop(client: OpenAI) -> None:
    messages, rounds = list(QUESTION), 0
    while True:
        completion = client.chat.completions.create(model=MODEL, messages=messages, tools=[WEATHER])
        assert 0 < completion.bodkin["confidence"] < 1  # the extension, which other clients ignore
        message = completion.choices[0].message
        if not message.tool_calls:
            break
        rounds += 1
        messages.append(message)
        for call in message.tool_calls:
            assert call.function.name == "get_weather"
            result = weather(**json.loads(call.function.arguments))
            messages.append({"role": "tool", "tool_call_id": call.id, "content": result})
    assert (rounds, message.content) == (1, "18 degrees in Paris")


def test_streaming(client: OpenAI) -> None:
    options: Any = {"stream_options": {"include_usage": True}}
    with client.chat.completions.stream(model=MODEL, messages=QUESTION, tools=[WEATHER], **options) as stream:
        kinds = {event.type for event in stream}
        completion = stream.get_final_completion()
    assert {"tool_calls.function.arguments.delta", "tool_calls.function.arguments.done"} <= kinds
    (call,) = completion.choices[0].message.tool_calls or []
    assert call.function.parsed_arguments == GetWeather(city="Paris")
    assert completion.usage is not None and completion.usage.total_tokens > 0


def test_structured_output(client: OpenAI) -> None:
    messages: Any = [{"role": "user", "content": "John Smith is 42 years old."}]
    completion = client.chat.completions.parse(model=MODEL, messages=messages, response_format=Person)
    person = completion.choices[0].message.parsed
    assert person is not None and (person.name, person.age) == ("John Smith", 42)


def test_structured_output_in_a_stream(client: OpenAI) -> None:
    messages: Any = [{"role": "user", "content": "John Smith is 42 years old."}]
    with client.chat.completions.stream(model=MODEL, messages=messages, response_format=Person) as stream:
        text = "".join(event.delta for event in stream if event.type == "content.delta")
        person = stream.get_final_completion().choices[0].message.parsed
    assert person == Person.model_validate_json(text)
    assert person.age == 42


def test_responses_loop(client: OpenAI) -> None:
    response = client.responses.create(model=MODEL, input="What is the weather in Paris?", tools=[WEATHER_FLAT])
    (call,) = response.output
    assert call.type == "function_call" and json.loads(call.arguments) == {"city": "Paris"}
    answer = {"type": "function_call_output", "call_id": call.call_id, "output": weather("Paris")}
    items: Any = [*QUESTION, *response.output, answer]
    response = client.responses.create(model=MODEL, input=items, tools=[WEATHER_FLAT])
    assert response.output_text == "18 degrees in Paris"


def test_responses_stream_and_parse(client: OpenAI) -> None:
    text = "John Smith is 42 years old."
    parsed = client.responses.parse(model=MODEL, input=text, text_format=Person).output_parsed
    assert parsed is not None and (parsed.name, parsed.age) == ("John Smith", 42)
    with client.responses.stream(model=MODEL, input=text, text_format=Person) as stream:
        kinds = [event.type for event in stream]
        assert stream.get_final_response().output_parsed == parsed
    assert kinds[0] == "response.created" and kinds[-1] == "response.completed"
    assert "response.output_text.delta" in kinds


async def test_async(base_url: str) -> None:
    async with AsyncOpenAI(base_url=base_url, api_key="unused", max_retries=0) as client:
        names = []
        async for chunk in await client.chat.completions.create(
            model=MODEL, messages=QUESTION, tools=[WEATHER], stream=True
        ):
            for call in chunk.choices[0].delta.tool_calls or []:
                names += [call.function.name] if call.function and call.function.name else []
    assert names == ["get_weather"]


def test_a_refusal_is_the_exception_that_openai_raises(client: OpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        client.chat.completions.create(model=MODEL, messages=QUESTION, tools=[])
    assert (caught.value.param, caught.value.code) == ("tools", "empty_array")
