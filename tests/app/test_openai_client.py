"""The official client against the application on a real socket."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from typing import Any

import openai
import pytest
from openai.types.chat import ChatCompletion
from openai.types.chat.chat_completion_message_function_tool_call import ChatCompletionMessageFunctionToolCall

from app.main import create_app
from app.settings import Settings
from tests.conftest import PARIS, ROME, FakeEngine, chat, serve


@pytest.fixture
def sdk(url: str) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{url}/v1", api_key="unused", max_retries=0) as client:
        yield client


@pytest.fixture
async def async_sdk(url: str) -> AsyncIterator[openai.AsyncOpenAI]:
    async with openai.AsyncOpenAI(base_url=f"{url}/v1", api_key="unused", max_retries=0) as client:
        yield client


def calls(completion: ChatCompletion) -> list[tuple[str, dict[str, Any]]]:
    found = []
    for call in completion.choices[0].message.tool_calls or []:
        assert isinstance(call, ChatCompletionMessageFunctionToolCall)
        found.append((call.function.name, json.loads(call.function.arguments)))
    return found


BOTH = [("get_weather", {"city": "Paris"}), ("get_time", {"city": "Rome"})]


def test_create(sdk: openai.OpenAI, engine: FakeEngine) -> None:
    engine.answer(PARIS, ROME)
    completion = sdk.chat.completions.create(**chat())
    assert calls(completion) == BOTH
    assert completion.choices[0].finish_reason == "tool_calls"
    assert completion.usage is not None and completion.usage.prompt_tokens_details is not None
    assert completion.usage.prompt_tokens_details.cached_tokens == 30
    assert completion._request_id is not None
    assert completion.bodkin == {"confidence": 0.93, "calls": [0.95, 0.94]}


def test_stream_helper_builds_the_same_completion(sdk: openai.OpenAI, engine: FakeEngine) -> None:
    engine.answer(PARIS, ROME)
    body = chat(stream_options={"include_usage": True})
    with sdk.chat.completions.stream(**body) as stream:
        for _ in stream:
            pass
        streamed = stream.get_final_completion()
    whole = sdk.chat.completions.create(**chat())
    assert [
        call.model_dump(include={"function": {"name", "arguments"}})
        for call in whole.choices[0].message.tool_calls or []
    ] == [
        call.model_dump(include={"function": {"name", "arguments"}})
        for call in streamed.choices[0].message.tool_calls or []
    ]
    assert streamed.choices[0].finish_reason == whole.choices[0].finish_reason
    assert streamed.usage == whole.usage


def test_raw_stream(sdk: openai.OpenAI, engine: FakeEngine) -> None:
    engine.answer(PARIS)
    chunks = list(sdk.chat.completions.create(**chat(stream=True)))
    pieces = [c for chunk in chunks for c in chunk.choices[0].delta.tool_calls or []]
    assert [piece.id is not None for piece in pieces] == [True, False, False]
    assert "".join(p.function.arguments or "" for p in pieces if p.function) == PARIS.arguments


async def test_async(async_sdk: openai.AsyncOpenAI, engine: FakeEngine) -> None:
    engine.answer(PARIS, ROME)
    assert calls(await async_sdk.chat.completions.create(**chat())) == BOTH
    stream = await async_sdk.chat.completions.create(**chat(stream=True))
    names = [
        call.function.name
        async for chunk in stream
        for call in chunk.choices[0].delta.tool_calls or []
        if call.function and call.function.name
    ]
    assert names == ["get_weather", "get_time"]


async def test_many_at_once(async_sdk: openai.AsyncOpenAI, engine: FakeEngine) -> None:
    names = [f"tool_{i}" for i in range(40)]

    async def ask(name: str, stream: bool) -> Any:
        tools = [{"type": "function", "function": {"name": name}}]
        if not stream:
            return calls(await async_sdk.chat.completions.create(**chat(tools=tools)))[0][0]
        chunks = [chunk async for chunk in await async_sdk.chat.completions.create(**chat(tools=tools, stream=True))]
        return next(c.function.name for chunk in chunks for c in chunk.choices[0].delta.tool_calls or [] if c.function)

    answers = await asyncio.gather(*(ask(name, i % 2 == 0) for i, name in enumerate(names)))
    assert answers == names, "everyone gets their own answer"
    assert engine.running == 0


def test_an_agent_loop_ends_with_the_tools_answer(sdk: openai.OpenAI, engine: FakeEngine) -> None:
    engine.answer(PARIS)
    first = sdk.chat.completions.create(**chat()).choices[0].message
    assert first.tool_calls
    messages = [
        *chat()["messages"],
        first.model_dump(exclude_none=True),
        {"role": "tool", "tool_call_id": first.tool_calls[0].id, "content": "18 °C and sunny"},
    ]
    engine.answer()
    last = sdk.chat.completions.create(**chat(messages=messages)).choices[0]
    assert (last.message.content, last.finish_reason) == ("18 °C and sunny", "stop")


def test_parse(sdk: openai.OpenAI, engine: FakeEngine) -> None:
    engine.answer(PARIS)
    function = {**chat()["tools"][0]["function"], "strict": True}
    completion = sdk.chat.completions.parse(**chat(tools=[{"type": "function", "function": function}]))
    (call,) = completion.choices[0].message.tool_calls or []
    assert call.function.parsed_arguments == {"city": "Paris"}


@pytest.mark.parametrize(
    ("fields", "error", "param", "code"),
    [
        ({"temperature": 3}, openai.BadRequestError, "temperature", "decimal_above_max_value"),
        ({"tools": []}, openai.BadRequestError, "tools", "empty_array"),
        ({"n": 2}, openai.BadRequestError, "n", "unsupported_parameter"),
        ({"model": "gpt-9"}, openai.NotFoundError, "model", "model_not_found"),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
def test_errors_become_the_clients_exceptions(
    sdk: openai.OpenAI, fields: dict[str, Any], error: type[openai.APIStatusError], param: str, code: str, stream: bool
) -> None:
    with pytest.raises(error) as caught:
        sdk.chat.completions.create(**chat(stream=stream, **fields))
    assert (caught.value.param, caught.value.code, caught.value.type) == (param, code, "invalid_request_error")
    assert caught.value.request_id
    assert sdk.chat.completions.create(**chat()).choices


def test_a_failure_in_the_middle_of_a_stream_is_raised(sdk: openai.OpenAI, engine: FakeEngine) -> None:
    def script(request: Any) -> Any:
        yield from list(FakeEngine.obey(request))[:-1]
        raise ValueError

    engine.script = script
    with pytest.raises(openai.APIError, match="The server had an error while processing your request"):
        list(sdk.chat.completions.create(**chat(stream=True)))


def test_retries_follow_the_servers_word(url: str, engine: FakeEngine) -> None:
    asked = 0

    def script(request: Any) -> Any:
        nonlocal asked
        asked += 1
        if asked == 1:
            raise ValueError
        return FakeEngine.obey(request)

    engine.script = script
    with openai.OpenAI(base_url=f"{url}/v1", api_key="unused", max_retries=1) as client:
        assert client.chat.completions.create(**chat()).choices
    assert asked == 2


def test_models(sdk: openai.OpenAI) -> None:
    assert [model.id for model in sdk.models.list()] == ["bodkin-26m"]
    assert sdk.models.retrieve("bodkin-26m").owned_by == "bodkin"
    with pytest.raises(openai.NotFoundError):
        sdk.models.retrieve("gpt-9")


def test_keys(engine: FakeEngine) -> None:
    with serve(create_app(Settings(api_keys=("right",)), engine)) as url:
        for key, good in (("right", True), ("wrong", False)):
            with openai.OpenAI(base_url=f"{url}/v1", api_key=key) as client:
                if good:
                    assert client.chat.completions.create(**chat()).choices
                else:
                    with pytest.raises(openai.AuthenticationError) as caught:
                        client.chat.completions.create(**chat())
                    assert caught.value.code == "invalid_api_key"


def test_length_is_reported(sdk: openai.OpenAI, engine: FakeEngine) -> None:
    engine.answer(finish="length")
    assert sdk.chat.completions.create(**chat()).choices[0].finish_reason == "length"
