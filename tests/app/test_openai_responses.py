"""The official client's Responses API against the application on a real socket."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import openai
import pydantic
import pytest
from openai.types.responses import Response, ResponseFunctionToolCall, ResponseOutputMessage

from tests.app.responses import FLAT_WEATHER, FORMAT, QUESTION, ask
from tests.conftest import PARIS, ROME, FakeEngine


class Place(pydantic.BaseModel):
    city: str


def calls(response: Response) -> list[tuple[str, dict[str, Any]]]:
    found = []
    for item in response.output:
        assert isinstance(item, ResponseFunctionToolCall)
        found.append((item.name, json.loads(item.arguments)))
    return found


BOTH = [("get_weather", {"city": "Paris"}), ("get_time", {"city": "Rome"})]


def test_create(sdk: openai.OpenAI, engine: FakeEngine) -> None:
    engine.answer(PARIS, ROME)
    response = sdk.responses.create(**ask())
    assert calls(response) == BOTH
    assert (response.status, response.output_text) == ("completed", "")
    assert response.usage is not None and response.usage.input_tokens_details.cached_tokens == 30
    assert response._request_id is not None
    assert response.bodkin == {"confidence": 0.93, "calls": [0.95, 0.94], "evidence": []}


def test_stream_helper_builds_the_same_response(sdk: openai.OpenAI, engine: FakeEngine) -> None:
    engine.answer(PARIS, ROME)
    with sdk.responses.stream(**ask()) as stream:
        kinds = [event.type for event in stream]
        streamed = stream.get_final_response()
    assert kinds[0] == "response.created" and kinds[-1] == "response.completed"
    whole = sdk.responses.create(**ask())
    differ = {"id", "created_at", "completed_at", "output"}
    assert streamed.model_dump(exclude=differ) == whole.model_dump(exclude=differ)
    assert calls(streamed) == calls(whole) == BOTH


def test_stream_helper_accumulates_what_is_sent(sdk: openai.OpenAI, engine: FakeEngine) -> None:
    engine.answer(PARIS)
    with sdk.responses.stream(**ask()) as stream:
        snapshots = [e.snapshot for e in stream if e.type == "response.function_call_arguments.delta"]
    assert snapshots[-1] == PARIS.arguments and len(snapshots) == 2


def test_raw_stream(sdk: openai.OpenAI, engine: FakeEngine) -> None:
    engine.answer(PARIS)
    events = list(sdk.responses.create(**ask(stream=True)))
    pieces = [event.delta for event in events if event.type == "response.function_call_arguments.delta"]
    assert "".join(pieces) == PARIS.arguments
    last = events[-1]
    assert last.type == "response.completed" and calls(last.response) == BOTH[:1]


def test_parse_calls(sdk: openai.OpenAI, engine: FakeEngine) -> None:
    engine.answer(PARIS)
    tool = openai.pydantic_function_tool(Place, name="get_weather")["function"]
    response = sdk.responses.parse(**ask(tools=[{"type": "function", **tool}]))
    (call,) = response.output
    assert call.type == "function_call" and call.parsed_arguments == {"city": "Paris"}


def test_parse_text(sdk: openai.OpenAI, engine: FakeEngine) -> None:
    response = sdk.responses.parse(**ask(tools=[]), text_format=Place)
    assert response.output_parsed == Place(city="Paris")
    asked = engine.requests[-1].response
    assert asked is not None and asked.name == "Place" and asked.parameters["required"] == ["city"]


def test_stream_helper_parses_text(sdk: openai.OpenAI) -> None:
    with sdk.responses.stream(**ask(tools=[]), text_format=Place) as stream:
        parsed = [event.parsed for event in stream if event.type == "response.output_text.done"]
        final = stream.get_final_response()
    assert parsed == [Place(city="Paris")] == [final.output_parsed]


async def test_async(async_sdk: openai.AsyncOpenAI, engine: FakeEngine) -> None:
    engine.answer(PARIS, ROME)
    assert calls(await async_sdk.responses.create(**ask())) == BOTH
    async with async_sdk.responses.stream(**ask()) as stream:
        assert calls(await stream.get_final_response()) == BOTH


async def test_many_at_once(async_sdk: openai.AsyncOpenAI, engine: FakeEngine) -> None:
    names = [f"tool_{i}" for i in range(40)]

    async def once(name: str, stream: bool) -> str:
        body = ask(tools=[{"type": "function", "name": name, "parameters": None, "strict": None}])
        if not stream:
            return calls(await async_sdk.responses.create(**body))[0][0]
        events = [event async for event in await async_sdk.responses.create(**body, stream=True)]
        assert events[-1].type == "response.completed"
        return calls(events[-1].response)[0][0]

    assert await asyncio.gather(*(once(name, i % 2 == 0) for i, name in enumerate(names))) == names
    assert engine.running == 0


@pytest.mark.parametrize("reference", [False, True])
def test_an_agent_loop_ends_with_the_tools_answer(sdk: openai.OpenAI, engine: FakeEngine, reference: bool) -> None:
    engine.answer(PARIS)
    (call,) = sdk.responses.create(**ask(input=[QUESTION])).output
    assert isinstance(call, ResponseFunctionToolCall)
    item = {"type": "item_reference", "id": call.id} if reference else call.model_dump()
    output = {"type": "function_call_output", "call_id": call.call_id, "output": "18 °C and sunny"}
    engine.answer()
    last = sdk.responses.create(**ask(input=[QUESTION, item, output]))
    assert last.output_text == "18 °C and sunny"
    (message,) = last.output
    assert isinstance(message, ResponseOutputMessage)
    turns = [QUESTION, item, output, message.model_dump(), {"role": "user", "content": "And Rome?"}]
    assert sdk.responses.create(**ask(input=turns)).status == "completed"


@pytest.mark.parametrize(
    ("fields", "error", "param", "code"),
    [
        ({"temperature": 3}, openai.BadRequestError, "temperature", "decimal_above_max_value"),
        ({"previous_response_id": "resp_1"}, openai.BadRequestError, "previous_response_id", "unsupported_parameter"),
        ({"tools": [{"type": "web_search"}]}, openai.BadRequestError, "tools[0].type", "unsupported_value"),
        ({"model": "gpt-9"}, openai.NotFoundError, "model", "model_not_found"),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
def test_errors_become_the_clients_exceptions(
    sdk: openai.OpenAI, fields: dict[str, Any], error: type[openai.APIStatusError], param: str, code: str, stream: bool
) -> None:
    with pytest.raises(error) as caught:
        sdk.responses.create(**ask(stream=stream, **fields))
    assert (caught.value.param, caught.value.code, caught.value.type) == (param, code, "invalid_request_error")
    assert caught.value.request_id


def test_a_failure_in_the_middle_of_a_stream_is_raised(sdk: openai.OpenAI, engine: FakeEngine) -> None:
    def script(request: Any) -> Any:
        yield from list(FakeEngine.obey(request))[:-1]
        raise ValueError

    engine.script = script
    with pytest.raises(openai.APIError, match="The server had an error while processing your request"):
        list(sdk.responses.create(**ask(stream=True)))
    with pytest.raises(openai.APIError), sdk.responses.stream(**ask()) as stream:
        stream.get_final_response()


def test_length_is_reported(sdk: openai.OpenAI, engine: FakeEngine) -> None:
    engine.answer(text='{"ci', finish="length")
    body = ask(tools=[], text={"format": FORMAT}, max_output_tokens=2)
    response = sdk.responses.create(**body)
    assert response.status == "incomplete" and response.output_text == '{"ci'
    assert response.incomplete_details is not None and response.incomplete_details.reason == "max_output_tokens"
    with sdk.responses.stream(**body) as stream:
        last = list(stream)[-1]
    assert last.type == "response.incomplete" and last.response.output_text == '{"ci'


def test_responses_are_not_kept(sdk: openai.OpenAI) -> None:
    made = sdk.responses.create(**ask(tools=[FLAT_WEATHER], store=True))
    for attempt in (
        lambda: sdk.responses.retrieve(made.id),
        lambda: sdk.responses.delete(made.id),
        lambda: sdk.responses.cancel(made.id),
        lambda: sdk.responses.input_items.list(made.id),
    ):
        with pytest.raises(openai.NotFoundError, match="keeps no responses"):
            attempt()
