"""The Gemini teacher: the real google-genai client against a local server that speaks its protocol."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from model.types import Message, Tool, ToolCall
from tests.training.gemini_server import (
    JSON,
    Model,
    Refusal,
    call,
    candidate,
    day_used_up,
    prompt_blocked,
    response,
    text,
)
from tests.training.local_gemini import TIMER, WEATHER, at_gemini, question
from tests.training.toy_teacher import TOOLS, ToyTeacher
from training.teacher.base import Brief, Question, QuotaError, Tokens
from training.teacher.declarations import accepted_name

pytestmark = pytest.mark.integration

OSLO = ToolCall("get_weather", '{"city":"Oslo"}')


def config(body: JSON) -> JSON:
    sent: JSON = body["generationConfig"]
    return sent


def oslo(body: JSON) -> JSON:
    """As many candidates as asked for, all the same."""
    return response(*[candidate(call("get_weather", city="Oslo"))] * config(body).get("candidateCount", 1))


# Answers --------------------------------------------------------------------------------------------------------------


def test_an_answer_by_native_function_calling() -> None:
    usage = {"promptTokenCount": 90, "toolUsePromptTokenCount": 1, "candidatesTokenCount": 12, "thoughtsTokenCount": 30}
    parts = [{"text": "Hm.", "thought": True}, text("Let me see."), call("get_weather", city="Oslo", days=3.0)]
    with at_gemini(lambda body: response(candidate(*parts, logprob=-0.25), usageMetadata=usage)) as (
        teacher,
        server,
        _,
    ):
        (reply,) = teacher.answer(question(), 1)
    assert reply.calls == (ToolCall("get_weather", '{"city":"Oslo","days":3}'),)
    assert (reply.text, reply.logprob, reply.finish) == ("Let me see.", -0.25, "stop")
    assert reply.tokens == Tokens(input=91, output=42)

    (body,) = server.sent("generateContent")
    functions = body["tools"][0]["functionDeclarations"]
    assert [f["name"] for f in functions] == ["get_weather", accepted_name("set timer")]
    assert functions[0]["parameters_json_schema"] == WEATHER.parameters
    assert body["toolConfig"] == {"functionCallingConfig": {"mode": "AUTO"}}
    assert config(body)["temperature"] == 0
    assert config(body)["thinkingConfig"] == {"thinking_budget": 0}
    assert config(body)["maxOutputTokens"] > 0


def test_the_conversation_is_sent_as_turns() -> None:
    calls = (ToolCall("set timer", '{"minutes":3}'),)
    messages = (
        Message("system", "Be brief."),
        Message("user", "Eggs!"),
        Message("assistant", "", calls),
        Message("tool", '{"ok":true}', name="set timer"),
        Message("user", "Weather in Oslo?"),
    )
    with at_gemini(oslo, "gemini-3.5-flash-lite") as (teacher, server, _):
        assert teacher.answer(Question(messages, (WEATHER, TIMER)), 1)[0].calls == (OSLO,)
    (body,) = server.answered
    assert body["systemInstruction"]["parts"] == [{"text": "Be brief."}]
    assert [turn["role"] for turn in body["contents"]] == ["user", "model", "user", "user"]
    assert body["contents"][2]["parts"][0]["functionResponse"]["response"] == {"ok": True}


def test_a_mapped_name_comes_back_as_ours() -> None:
    with at_gemini(lambda body: response(candidate(call(accepted_name("set timer"), minutes=4.0)))) as (teacher, _, _):
        assert teacher.answer(question(), 1)[0].calls == (ToolCall("set timer", '{"minutes":4}'),)


def test_parallel_calls_and_text_alone() -> None:
    both = [call("get_weather", city="Oslo"), call(accepted_name("set timer"), minutes=1)]
    answers = iter([candidate(*both), candidate(text("I cannot."))])
    with at_gemini(lambda body: response(next(answers))) as (teacher, _, _):
        assert len(teacher.answer(question(), 1)[0].calls) == 2
        (reply,) = teacher.answer(question(), 1)
    assert (reply.calls, reply.text, reply.finish) == ((), "I cannot.", "stop")


def test_mode_any_forces_a_call_and_an_answer_without_one_is_malformed() -> None:
    answers = iter([candidate(call("get_weather", city="Oslo")), candidate(text("No."))])
    with at_gemini(lambda body: response(next(answers))) as (teacher, server, _):
        assert teacher.answer(question(mode="any"), 1)[0].calls == (OSLO,)
        assert teacher.answer(question(mode="any"), 1)[0].finish == "malformed"
    assert server.answered[0]["toolConfig"] == {"functionCallingConfig": {"mode": "ANY"}}


def test_a_question_without_tools() -> None:
    with at_gemini(lambda body: response(candidate(text("Hello.")))) as (teacher, server, _):
        assert teacher.answer(Question((Message("user", "Hi"),), ()), 1)[0].text == "Hello."
    assert "tools" not in server.answered[0] and "toolConfig" not in server.answered[0]


@pytest.mark.parametrize(
    ("answer", "finish"),
    [
        (candidate(call("get_weather", city="Oslo"), finish="MAX_TOKENS"), "length"),
        (candidate(finish="SAFETY"), "blocked"),
        (candidate(finish="RECITATION"), "blocked"),
        (candidate(finish="BLOCKLIST"), "blocked"),
        (candidate(finish="PROHIBITED_CONTENT"), "blocked"),
        (candidate(finish="SPII"), "blocked"),
        (candidate(finish="MALFORMED_FUNCTION_CALL"), "malformed"),
        (candidate(finish="UNEXPECTED_TOOL_CALL"), "malformed"),
        (candidate(), "malformed"),
        ({"finishReason": "STOP"}, "malformed"),
        (candidate(text("  ")), "malformed"),
        (candidate(call("get_climate", city="Oslo")), "malformed"),
        (candidate(call("get_weather", town="Oslo")), "malformed"),
        (candidate(call("get_weather", city="Oslo"), call("get_weather", city=3)), "malformed"),
    ],
)
def test_what_is_no_answer_is_a_reply_without_calls(answer: JSON, finish: str) -> None:
    with at_gemini(lambda body: response(answer)) as (teacher, server, _):
        (reply,) = teacher.answer(question(), 1)
    assert (reply.finish, reply.calls) == (finish, ())
    assert reply.tokens.input > 0
    assert len(server.requests) == 1


def test_a_malformed_reply_says_what_is_wrong() -> None:
    with at_gemini(lambda body: response(candidate(call("get_weather", town="Oslo")))) as (teacher, _, _):
        assert teacher.answer(question(), 1)[0].text.startswith("get_weather: ")


def test_a_finish_reason_of_tomorrow_is_malformed() -> None:
    with at_gemini(lambda body: response(candidate(text("x"), finish="MOON_PHASE"))) as (teacher, _, _):
        with pytest.warns(UserWarning, match="MOON_PHASE"):
            assert teacher.answer(question(), 1)[0].finish == "malformed"


# Samples --------------------------------------------------------------------------------------------------------------


def test_samples_are_candidates_of_one_request_and_its_tokens_count_once() -> None:
    def brain(body: JSON) -> JSON:
        cities = ["Oslo", "Oslo", "Bergen"]
        return response(
            *(candidate(call("get_weather", city=city), logprob=-0.1 * i) for i, city in enumerate(cities)),
            usageMetadata={"promptTokenCount": 100, "candidatesTokenCount": 30},
        )

    with at_gemini(brain) as (teacher, server, _):
        replies = teacher.answer(question(), 3)
    assert [reply.calls[0].arguments for reply in replies] == ['{"city":"Oslo"}'] * 2 + ['{"city":"Bergen"}']
    assert [reply.logprob for reply in replies] == pytest.approx([0, -0.1, -0.2])
    assert sum((reply.tokens for reply in replies), Tokens()) == Tokens(100, 30)
    (body,) = server.requests
    assert config(body.body)["candidateCount"] == 3
    assert config(body.body)["temperature"] > 0


def test_more_samples_than_candidates_and_candidates_that_are_missing_are_asked_for() -> None:
    def brain(body: JSON) -> JSON:
        asked = config(body).get("candidateCount", 1)
        return response(*[candidate(call("get_weather", city="Oslo"))] * max(1, asked - 1))

    with at_gemini(brain) as (teacher, server, _):
        assert len(teacher.answer(question(), 10)) == 10
    assert [config(body).get("candidateCount", 1) for body in server.answered] == [8, 3, 1]


def test_a_model_without_candidates_is_asked_several_times_and_refuses_only_once() -> None:
    models = {"gemini-2.5-flash-lite": Model(candidates=1, budget=0)}
    with at_gemini(oslo, models=models) as (teacher, server, _):
        assert len(teacher.answer(question(), 3)) == 3
        assert len(teacher.answer(question(), 2)) == 2
    assert len(server.requests) == 6
    assert len(server.answered) == 5


def test_a_blocked_prompt_blocks_all_samples_and_is_not_sent_again() -> None:
    models = {"gemini-2.5-flash-lite": Model(candidates=1, budget=0)}
    with at_gemini(lambda body: prompt_blocked("SAFETY"), models=models) as (teacher, server, _):
        replies = teacher.answer(question(), 4)
    assert [reply.finish for reply in replies] == ["blocked"] * 4
    assert replies[0].text == "prompt: SAFETY"
    assert len(server.answered) == 1
    assert sum((reply.tokens for reply in replies), Tokens()) == replies[0].tokens != Tokens()


def test_no_candidates_is_malformed() -> None:
    with at_gemini(lambda body: response()) as (teacher, server, _):
        assert [reply.finish for reply in teacher.answer(question(), 2)] == ["malformed"] * 2
    assert len(server.answered) == 2


def test_what_was_paid_for_before_an_error_is_kept() -> None:
    models = {"gemini-2.5-flash-lite": Model(candidates=1, budget=0)}
    with at_gemini(oslo, models=models) as (teacher, server, _):
        teacher.answer(question(), 2)  # the model refuses candidates, which is remembered
        paid = len(server.answered)

        def brain(body: JSON) -> JSON:
            if len(server.answered) == paid + 2:
                raise day_used_up()
            return oslo(body)

        server.brain = brain
        assert len(teacher.answer(question(), 5)) == 2
        with pytest.raises(QuotaError):
            teacher.answer(question(), 5)


# What models do not accept --------------------------------------------------------------------------------------------


def test_log_probabilities_are_asked_for_until_they_are_refused() -> None:
    models = {"gemini-2.5-flash-lite": Model(logprobs=False, budget=0)}
    with at_gemini(oslo, models=models) as (teacher, server, _):
        assert teacher.answer(question(), 1)[0].logprob is None
        teacher.answer(question(), 1)
    assert [config(body).get("responseLogprobs") for body in server.sent("generateContent")] == [True, None, None]


def test_the_mean_of_the_tokens_log_probabilities_serves_where_there_is_no_average() -> None:
    chosen = [{"token": "a", "logProbability": -0.5}, {"token": "b", "logProbability": -0.1}]
    answer = {**candidate(call("get_weather", city="Oslo")), "logprobsResult": {"chosenCandidates": chosen}}
    with at_gemini(lambda body: response(answer)) as (teacher, _, _):
        assert teacher.answer(question(), 1)[0].logprob == pytest.approx(-0.3)


@pytest.mark.parametrize(
    ("model", "refused", "settled"),
    [
        ("gemini-2.0-flash", [], None),
        ("gemini-2.5-flash-lite", [], {"thinking_budget": 0}),
        ("gemini-2.5-pro", [{"thinking_budget": 0}], {"thinking_budget": 128}),
        ("gemini-3.5-flash-lite", [], {"thinking_level": "MINIMAL"}),
        ("gemini-3.8-flash", [{"thinking_level": "MINIMAL"}], {"thinking_level": "LOW"}),
    ],
)
def test_thinking_is_as_little_as_the_model_accepts(model: str, refused: list[JSON], settled: JSON | None) -> None:
    models = {
        "gemini-2.0-flash": Model(),
        "gemini-2.5-flash-lite": Model(budget=0),
        "gemini-2.5-pro": Model(budget=128),
        "gemini-3.5-flash-lite": Model(levels=frozenset({"MINIMAL", "LOW"})),
        "gemini-3.8-flash": Model(levels=frozenset({"LOW", "HIGH"})),
    }
    with at_gemini(oslo, model, models=models) as (teacher, server, _):
        teacher.answer(question(), 1)
        teacher.answer(question(), 1)
    sent = [config(body).get("thinkingConfig") for body in server.sent("generateContent")]
    assert sent == [*refused, settled, settled]


def test_a_model_that_accepts_nothing_special_is_found_out_once_by_many_threads() -> None:
    with at_gemini(oslo, "gemini-3.8-flash") as (teacher, server, _), ThreadPoolExecutor(8) as pool:
        assert all(len(replies) == 2 for replies in pool.map(lambda _: teacher.answer(question(), 2), range(24)))
        refused = len(server.requests) - len(server.answered)
        teacher.answer(question(), 1)
    assert refused <= 3 * 8  # three options, and at worst every thread tries each
    assert len(server.requests) == refused + 49
    assert "temperature" not in config(server.answered[0])


def test_a_refusal_that_names_nothing_leaves_all_options_off() -> None:
    def brain(body: JSON) -> JSON:
        if "thinkingConfig" in config(body):
            raise Refusal(400, "Request contains an invalid argument.")
        return oslo(body)

    with at_gemini(brain) as (teacher, server, _):
        assert len(teacher.answer(question(), 2)) == 2
    assert set(config(server.answered[-1])) == {"maxOutputTokens"}


# Inventions -----------------------------------------------------------------------------------------------------------

BRIEF = Brief("call", "Write 3 requests about the weather.", 3)


def invented(*requests: Any) -> JSON:
    return response(candidate(text(json.dumps(list(requests)))))


def test_requests_are_made_up_as_structured_output() -> None:
    with at_gemini(lambda body: invented({"text": " Oslo? "}, {"text": "Rome?", "earlier": []})) as (
        teacher,
        server,
        _,
    ):
        invention = teacher.invent(BRIEF, (WEATHER,))
    assert invention.requests == ((Message("user", "Oslo?"),), (Message("user", "Rome?"),))
    (body,) = server.answered
    assert invention.tokens.input == len(json.dumps(body)) // 4
    assert body["contents"] == [{"role": "user", "parts": [{"text": BRIEF.text}]}]
    assert config(body)["responseMimeType"] == "application/json"
    assert config(body)["responseSchema"]["type"] == "ARRAY"
    assert config(body)["temperature"] > 1
    assert "tools" not in body


def test_conversations_keep_their_earlier_turns() -> None:
    earlier = [
        {"role": "user", "text": "A timer, 3 minutes"},
        {"role": "assistant", "calls": [{"name": "set timer", "arguments": '{"minutes": 3.0}'}]},
        {"role": "tool", "name": "set timer", "text": '{"ok": true}'},
    ]
    with at_gemini(lambda body: invented({"text": "And one of 5", "earlier": earlier})) as (teacher, _, _):
        (messages,) = teacher.invent(BRIEF, (WEATHER, TIMER)).requests
    assert messages == (
        Message("user", "A timer, 3 minutes"),
        Message("assistant", "", (ToolCall("set timer", '{"minutes":3}'),)),
        Message("tool", '{"ok": true}', name="set timer"),
        Message("user", "And one of 5"),
    )


def test_unusable_output_is_asked_for_again_and_paid_for() -> None:
    answers = iter([response(), response(candidate(text("Sure!"))), invented({"text": "Oslo?"})])
    with at_gemini(lambda body: next(answers)) as (teacher, server, _):
        invention = teacher.invent(BRIEF, (WEATHER,))
    assert len(invention.requests) == 1
    assert len(server.answered) == 3
    assert invention.tokens.input == 3 * (len(json.dumps(server.answered[0])) // 4)


def test_it_gives_up_after_a_few_attempts_and_at_once_when_the_prompt_is_blocked() -> None:
    with at_gemini(lambda body: response()) as (teacher, server, _):
        invention = teacher.invent(BRIEF, (WEATHER,))
        assert (invention.requests, len(server.answered)) == ((), 3)
        assert invention.tokens.input > 0
        server.brain = lambda body: prompt_blocked()
        assert teacher.invent(BRIEF, (WEATHER,)).requests == ()
        assert len(server.answered) == 4


# The whole ------------------------------------------------------------------------------------------------------------


def test_a_toy_teacher_end_to_end() -> None:
    """Noise comes in about its shares, the same for the same seed, and integers are integers."""
    noise = {"wrong": 0.2, "blocked": 0.1, "malformed": 0.1, "empty": 0.1}
    runs = []
    for _ in range(2):
        with at_gemini(ToyTeacher(seed=3, **noise)) as (teacher, server, _), ThreadPoolExecutor(4) as pool:
            about = [json.dumps({"name": tool.name}) for tool in TOOLS]
            asked = [Brief("call", f"{name}\nWrite 4 requests.", 4) for name in about]
            said = {messages for brief in asked for messages in teacher.invent(brief, TOOLS).requests}
            questions = [Question(messages, TOOLS) for messages in sorted(said, key=str)]
            replies = list(pool.map(lambda q: teacher.answer(q, 8), questions))
            runs.append(replies)
            assert len(server.sent("generateContent")) == len(server.answered)
    assert runs[0] == runs[1]
    flat = [reply for replies in runs[0] for reply in replies]
    assert len(flat) >= 96
    shares = {finish: sum(r.finish == finish for r in flat) / len(flat) for finish in ("stop", "blocked", "malformed")}
    assert shares == pytest.approx({"stop": 0.7, "blocked": 0.1, "malformed": 0.2}, abs=0.1)
    assert all("." not in call.arguments for reply in flat for call in reply.calls)
    assert all(reply.logprob is not None and reply.logprob <= 0 for reply in flat if reply.finish == "stop")


def test_a_tool_that_takes_any_object() -> None:
    free = Tool("note", "", {"type": "object", "additionalProperties": {"type": "integer"}})
    with at_gemini(lambda body: response(candidate(call("note", a=1.0)))) as (teacher, server, _):
        assert teacher.answer(question("Note", free), 1)[0].calls == (ToolCall("note", '{"a":1}'),)
    assert server.answered[0]["tools"][0]["functionDeclarations"][0]["parameters_json_schema"] == free.parameters
