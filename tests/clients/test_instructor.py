"""instructor: a typed answer in tool mode, JSON mode and JSON-schema mode; in a stream; one of several types."""

from __future__ import annotations

from collections.abc import Iterable

import instructor
import pytest
from openai import OpenAI
from pydantic import BaseModel, Field

Mode = instructor.Mode


class Person(BaseModel):
    """A person that the text speaks of."""

    name: str = Field(description="The person's name")
    age: int = Field(description="The person's age in years")


class GetWeather(BaseModel):
    """Get the current weather of a city."""

    city: str = Field(description="Name of the city")


class CreateReminder(BaseModel):
    """Create a reminder."""

    text: str = Field(description="What to be reminded of")
    time: str = Field(description="When, for example 17:00")


MESSAGES = [{"role": "user", "content": "John Smith is 42 years old."}]


@pytest.fixture
def client(base_url: str) -> OpenAI:
    return OpenAI(base_url=base_url, api_key="unused", max_retries=0)


# JSON asks by `json_object` with the schema in the prompt, JSON_SCHEMA by `json_schema`.
@pytest.mark.parametrize("mode", [Mode.TOOLS, Mode.TOOLS_STRICT, Mode.JSON, Mode.JSON_SCHEMA, Mode.RESPONSES_TOOLS])
def test_structured_output(client: OpenAI, mode: Mode) -> None:
    extract = instructor.from_openai(client, mode=mode)
    person, answer = extract.create_with_completion(
        model="bodkin-26m", messages=MESSAGES, response_model=Person, max_retries=0
    )
    assert (person.name, person.age) == ("John Smith", 42)
    assert 0 < answer.bodkin["confidence"] < 1


@pytest.mark.parametrize("mode", [Mode.TOOLS, Mode.JSON_SCHEMA])
def test_streaming(client: OpenAI, mode: Mode) -> None:
    extract = instructor.from_openai(client, mode=mode)
    states = list(extract.create_partial(model="bodkin-26m", messages=MESSAGES, response_model=Person, max_retries=0))
    assert states[0].age is None
    assert (states[-1].name, states[-1].age) == ("John Smith", 42)


def test_a_choice_of_types(client: OpenAI) -> None:
    extract = instructor.from_openai(client, mode=Mode.PARALLEL_TOOLS)
    calls = extract.create(
        model="bodkin-26m",
        messages=[{"role": "user", "content": "What is the weather in Paris?"}],
        response_model=Iterable[GetWeather | CreateReminder],
        max_retries=0,
    )
    assert list(calls) == [GetWeather(city="Paris")]
