"""The official client against the application on a real socket."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import openai
import pytest
from openai.types.chat import ChatCompletion
from openai.types.chat.chat_completion_message_function_tool_call import ChatCompletionMessageFunctionToolCall
from pydantic import BaseModel

from app.main import create_app
from app.settings import Settings
from model.types import ArgumentsDelta, CallStarted, Event, Finished, GenerationRequest, TokenLogprob, ToolCall
from tests.conftest import PARIS, ROME, FakeEngine, chat, result, serve
from tests.conftest import events as answer_events


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
    assert completion.bodkin == {"confidence": 0.93, "calls": [0.95, 0.94], "evidence": []}


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


class Place(BaseModel):
    """Where somebody is."""

    city: str


class Journey(BaseModel):
    title: str
    places: list[Place]


JOURNEY = Journey(title="South", places=[Place(city="Rome"), Place(city="Bari")])


def asked(**fields: Any) -> dict[str, Any]:
    """Without tools."""
    body = chat(**fields)
    del body["tools"]
    return body


def test_parse_into_a_model(sdk: openai.OpenAI, engine: FakeEngine) -> None:
    engine.answer(text=JOURNEY.model_dump_json())
    completion = sdk.chat.completions.parse(**asked(), response_format=Journey)
    assert completion.choices[0].message.parsed == JOURNEY
    (request,) = engine.requests
    assert request.response is not None
    assert request.response.name == "Journey"
    assert request.response.parameters["$defs"]["Place"]["properties"].keys() == {"city"}


def test_parse_refuses_what_was_cut(sdk: openai.OpenAI, engine: FakeEngine) -> None:
    engine.answer(text='{"title":"So', finish="length")
    with pytest.raises(openai.LengthFinishReasonError):
        sdk.chat.completions.parse(**asked(), response_format=Journey)


def test_parse_calls_of_pydantic_tools(sdk: openai.OpenAI, engine: FakeEngine) -> None:
    tools = [openai.pydantic_function_tool(Place, name="go"), openai.pydantic_function_tool(Journey)]
    engine.answer(ToolCall("go", '{"city":"Rome"}'), ToolCall("Journey", JOURNEY.model_dump_json()))
    completion = sdk.chat.completions.parse(**chat(tools=tools), response_format=Journey)
    message = completion.choices[0].message
    assert [call.function.parsed_arguments for call in message.tool_calls or []] == [Place(city="Rome"), JOURNEY]
    assert message.parsed is None
    (request,) = engine.requests
    assert [tool.name for tool in request.tools] == ["go", "Journey"]
    assert request.response is not None


def test_stream_helper_parses_a_text(sdk: openai.OpenAI, engine: FakeEngine) -> None:
    engine.answer(text=JOURNEY.model_dump_json())
    with sdk.chat.completions.stream(**asked(), response_format=Journey) as stream:
        kinds = [event.type for event in stream]
        completion = stream.get_final_completion()
    assert completion.choices[0].message.parsed == JOURNEY
    assert [kind for kind in dict.fromkeys(kinds) if kind != "chunk"] == ["content.delta", "content.done"]


def test_stream_helper_parses_arguments_and_collects_logprobs(sdk: openai.OpenAI, engine: FakeEngine) -> None:
    pieces = ['{"', "city", '":"Paris"}']
    tokens = tuple(TokenLogprob(piece.encode(), -0.5) for piece in pieces)

    def script(request: GenerationRequest) -> Iterator[Event]:
        yield CallStarted(0, "Place")
        for piece, token in zip(pieces, tokens, strict=True):
            yield ArgumentsDelta(0, piece, (token,))
        yield Finished(result(ToolCall("Place", "".join(pieces)), logprobs=tokens))

    engine.script = script
    body = chat(tools=[openai.pydantic_function_tool(Place)])
    with sdk.chat.completions.stream(**body, logprobs=True) as stream:
        events = list(stream)
        completion = stream.get_final_completion()
    (call,) = completion.choices[0].message.tool_calls or []
    assert call.function.parsed_arguments == Place(city="Paris")
    done = [event for event in events if event.type == "tool_calls.function.arguments.done"]
    assert [(event.name, event.parsed_arguments) for event in done] == [("Place", Place(city="Paris"))]
    assert completion.choices[0].logprobs is not None
    assert [token.token for token in completion.choices[0].logprobs.content or []] == pieces


def test_choices(sdk: openai.OpenAI, engine: FakeEngine) -> None:
    def script(request: GenerationRequest) -> Iterator[Event]:
        return answer_events(result(ToolCall("get_weather", f'{{"city":"{request.seed}"}}')))

    engine.script = script
    body = chat(n=3, seed=5, temperature=1)
    whole = sdk.chat.completions.create(**body)
    with sdk.chat.completions.stream(**body, stream_options={"include_usage": True}) as stream:
        for _ in stream:
            pass
        streamed = stream.get_final_completion()
    for completion in (whole, streamed):
        assert [choice.index for choice in completion.choices] == [0, 1, 2]
        arguments = [
            call.function.arguments
            for choice in completion.choices
            for call in choice.message.tool_calls or []
            if call.type == "function"
        ]
        assert arguments == ['{"city":"5"}', '{"city":"6"}', '{"city":"7"}']
    assert streamed.usage == whole.usage
    assert whole.usage is not None and whole.usage.completion_tokens == 21


def test_logprobs(sdk: openai.OpenAI, engine: FakeEngine) -> None:
    tokens = (TokenLogprob(b'{"city":"', 0.0), TokenLogprob(b'Zo"}', -1.5, ((b'Zo"}', -1.5), (b"A", -2.0))))
    engine.answer(text='{"city":"Zo"}', logprobs=tokens)
    completion = sdk.chat.completions.create(**asked(), response_format=ANY_JSON, logprobs=True, top_logprobs=2)
    logprobs = completion.choices[0].logprobs
    assert logprobs is not None and logprobs.content is not None
    assert [(token.token, token.logprob) for token in logprobs.content] == [('{"city":"', 0.0), ('Zo"}', -1.5)]
    assert [other.token for other in logprobs.content[1].top_logprobs] == ['Zo"}', "A"]
    assert engine.requests[0].top_logprobs == 2
    engine.answer(PARIS)
    assert sdk.chat.completions.create(**chat()).choices[0].logprobs is None


ANY_JSON: Any = {"type": "json_schema", "json_schema": {"name": "any"}}


def test_json_mode(sdk: openai.OpenAI, engine: FakeEngine) -> None:
    schema = json.dumps(Place.model_json_schema(), indent=2)
    turns: Any = [
        {"role": "system", "content": f"Answer in JSON by this schema:\n{schema}"},
        {"role": "user", "content": "I am in Paris."},
    ]
    completion = sdk.chat.completions.create(**asked(messages=turns), response_format={"type": "json_object"})
    assert completion.choices[0].message.content == '{"city":"Paris"}'
    (request,) = engine.requests
    assert request.response is not None
    assert (request.response.name, request.response.description) == ("Place", "Where somebody is.")
    assert request.messages[0].text == "Answer in JSON by this schema:\n"


def test_allowed_tools(sdk: openai.OpenAI, engine: FakeEngine) -> None:
    choice: Any = {
        "type": "allowed_tools",
        "allowed_tools": {"mode": "required", "tools": [{"type": "function", "function": {"name": "get_time"}}]},
    }
    completion = sdk.chat.completions.create(**chat(tool_choice=choice))
    assert calls(completion) == [("get_time", {"city": "Paris"})]
    assert completion.choices[0].finish_reason == "tool_calls"


def test_legacy_functions(sdk: openai.OpenAI) -> None:
    functions: Any = [tool["function"] for tool in chat()["tools"]]
    completion = sdk.chat.completions.create(**asked(), functions=functions, function_call={"name": "get_time"})
    call = completion.choices[0].message.function_call
    assert call is not None
    assert (call.name, call.arguments) == ("get_time", '{"city":"Paris"}')
    chunks = list(sdk.chat.completions.create(**asked(), functions=functions, stream=True))
    deltas = [chunk.choices[0].delta.function_call for chunk in chunks if chunk.choices[0].delta.function_call]
    assert [delta.name for delta in deltas] == ["get_weather", None, None]
    assert "".join(delta.arguments or "" for delta in deltas) == '{"city":"Paris"}'
    assert chunks[-1].choices[0].finish_reason == "function_call"


async def test_async_parse_and_stream(async_sdk: openai.AsyncOpenAI, engine: FakeEngine) -> None:
    engine.answer(text=JOURNEY.model_dump_json())
    completion = await async_sdk.chat.completions.parse(**asked(), response_format=Journey)
    assert completion.choices[0].message.parsed == JOURNEY
    async with async_sdk.chat.completions.stream(**asked(), response_format=Journey) as stream:
        deltas = [event.delta async for event in stream if event.type == "content.delta"]
        final = await stream.get_final_completion()
    assert final.choices[0].message.parsed == JOURNEY
    assert "".join(deltas) == JOURNEY.model_dump_json()


@pytest.mark.parametrize(
    ("fields", "error", "param", "code"),
    [
        ({"temperature": 3}, openai.BadRequestError, "temperature", "decimal_above_max_value"),
        ({"tools": []}, openai.BadRequestError, "tools", "empty_array"),
        ({"n": 200}, openai.BadRequestError, "n", "integer_above_max_value"),
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
