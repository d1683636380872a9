"""Gemini's Batch API: many questions as one job, which a restart finds again."""

from __future__ import annotations

import pytest

from model.types import ToolCall
from tests.training.gemini_server import (
    JSON,
    LOST,
    Model,
    Refusal,
    call,
    candidate,
    prompt_blocked,
    rate_limited,
    response,
    unavailable,
)
from tests.training.local_gemini import at_gemini, question
from training.teacher import gemini_batch
from training.teacher.base import BatchError, BatchTeacher, Question, TeacherError, Tokens

pytestmark = pytest.mark.integration

CITIES = ("Oslo", "Rome", "Lima")
QUESTIONS = [question(f"Weather in {city}?") for city in CITIES]
SEVERAL = {"gemini-2.5-flash-lite": Model(candidates=1, logprobs=False, budget=0)}


def weather(body: JSON) -> JSON:
    """The city that is asked about, in as many candidates as are wanted."""
    city = body["contents"][-1]["parts"][0]["text"].removeprefix("Weather in ").removesuffix("?")
    wanted = body["generationConfig"].get("candidateCount", 1)
    return response(*[candidate(call("get_weather", city=city), logprob=-0.1)] * wanted)


def test_a_batch_runs_and_answers_in_order() -> None:
    with at_gemini(weather) as (teacher, server, _):
        server.polls = 2
        name = teacher.submit_batch(QUESTIONS, 3, "first")
        assert teacher.collect_batch(name, QUESTIONS) is None
        assert teacher.collect_batch(name, QUESTIONS) is None
        answers = teacher.collect_batch(name, QUESTIONS)
        assert answers is not None
        assert teacher.collect_batch(name, QUESTIONS) == answers
    assert [[reply.calls for reply in replies] for replies in answers] == [
        [(ToolCall("get_weather", f'{{"city":"{city}"}}'),)] * 3 for city in CITIES
    ]
    assert answers[0][0].logprob == -0.1
    assert all(sum((r.tokens for r in replies), Tokens()).input > 0 for replies in answers)
    # Each question once, and the first one alone beforehand, to find out what the model accepts.
    assert len(server.answered) == 4
    assert server.answered[0]["generationConfig"]["maxOutputTokens"] == 1


def test_what_the_model_refuses_is_learnt_before_the_batch_is_sent() -> None:
    with at_gemini(weather, models=SEVERAL) as (teacher, server, _):
        name = teacher.submit_batch(QUESTIONS, 2, "first")
        teacher.collect_batch(name, QUESTIONS)
        answers = teacher.collect_batch(name, QUESTIONS)
    assert answers is not None
    assert [[reply.calls[0].arguments for reply in replies] for replies in answers] == [
        [f'{{"city":"{city}"}}'] * 2 for city in CITIES
    ]
    (sent,) = server.sent("batchGenerateContent")
    requests = sent["batch"]["inputConfig"]["requests"]["requests"]
    assert len(requests) == 6
    assert "candidateCount" not in requests[0]["request"]["generationConfig"]
    assert requests[0]["request"]["tools"][0]["functionDeclarations"]


def test_a_question_that_fails_leaves_the_others() -> None:
    def brain(body: JSON) -> JSON:
        if "Rome" in str(body["contents"]):
            raise Refusal(500, "Internal error.", "INTERNAL")
        return prompt_blocked() if "Lima" in str(body["contents"]) else weather(body)

    with at_gemini(brain) as (teacher, server, _):
        server.polls = 0
        answers = teacher.collect_batch(teacher.submit_batch(QUESTIONS, 2, "first"), QUESTIONS)
        assert answers is not None
        assert [[reply.finish for reply in replies] for replies in answers] == [["stop", "stop"], [], ["blocked"]]
        # What is left goes by another job.
        server.brain = weather
        rest = QUESTIONS[1:2]
        again = teacher.collect_batch(teacher.submit_batch(rest, 2, "second"), rest)
    assert again is not None
    assert [reply.calls[0].arguments for reply in again[0]] == ['{"city":"Rome"}'] * 2


def test_a_job_that_is_there_already_is_not_sent_again() -> None:
    with at_gemini(weather) as (teacher, server, _):
        name = teacher.submit_batch(QUESTIONS, 2, "first")
        assert teacher.submit_batch(QUESTIONS, 2, "first") == name
        teacher.collect_batch(name, QUESTIONS)
        teacher.collect_batch(name, QUESTIONS)
        assert teacher.submit_batch(QUESTIONS, 2, "first") == name
        assert len(server.sent("batchGenerateContent")) == 1
        assert len(server.sent("generateContent")) == 1  # nor anything asked live
        others = {
            teacher.submit_batch(QUESTIONS, 2, "second"),
            teacher.submit_batch(QUESTIONS[:2], 2, "first"),
            teacher.submit_batch(QUESTIONS, 3, "first"),
        }
    assert len(others - {name}) == 3


def test_a_submission_whose_answer_was_lost_is_found_and_not_sent_twice() -> None:
    with at_gemini(weather) as (teacher, server, _):

        def lose_the_creation(body: JSON) -> JSON:
            # The live question comes just before the job's listing and creation.
            server.faults = [unavailable(), None, LOST]
            server.brain = weather
            return weather(body)

        server.brain = lose_the_creation
        name = teacher.submit_batch(QUESTIONS, 2, "first")
        assert name
    methods = [sent.method for sent in server.requests]
    assert methods[:2] == ["batches.list", "generateContent"]
    # An outage, then a creation that is lost: the listing after it finds the job.
    assert methods[2:] == ["batches.list", "batches.list", "batchGenerateContent", "batches.list"]


@pytest.mark.parametrize("state", ["BATCH_STATE_FAILED", "BATCH_STATE_CANCELLED", "BATCH_STATE_EXPIRED"])
def test_a_job_that_comes_to_nothing_says_so_and_may_be_sent_again(state: str) -> None:
    with at_gemini(weather) as (teacher, server, _):
        server.polls, server.batch_state = 0, state
        name = teacher.submit_batch(QUESTIONS, 1, "first")
        with pytest.raises(BatchError, match=f"ended without answers: {state.rpartition('_')[2].lower()}"):
            teacher.collect_batch(name, QUESTIONS)
        server.batch_state = "BATCH_STATE_SUCCEEDED"
        second = teacher.submit_batch(QUESTIONS, 1, "first")
        assert second != name
        assert teacher.collect_batch(second, QUESTIONS)


def test_a_job_that_is_gone() -> None:
    with at_gemini(weather) as (teacher, _, _):
        with pytest.raises(BatchError, match="no batch batches/job9 any more"):
            teacher.collect_batch("batches/job9", QUESTIONS)


def test_a_job_in_part() -> None:
    with at_gemini(weather) as (teacher, server, _):
        server.polls, server.batch_state = 0, "JOB_STATE_PARTIALLY_SUCCEEDED"
        name = teacher.submit_batch(QUESTIONS, 1, "first")
        answers = teacher.collect_batch(name, QUESTIONS)
    assert answers is not None and len(answers) == 3


def test_a_job_of_other_questions_is_no_answer_to_these() -> None:
    with at_gemini(weather) as (teacher, server, _):
        server.polls = 0
        name = teacher.submit_batch(QUESTIONS, 1, "first")
        with pytest.raises(TeacherError, match="to other questions than these"):
            teacher.collect_batch(name, QUESTIONS[::-1])


def test_waiting_and_errors_are_those_of_any_request() -> None:
    with at_gemini(weather) as (teacher, server, sleeper):
        server.faults = [rate_limited("5s")]
        name = teacher.submit_batch(QUESTIONS, 1, "first")
        assert 5 <= sleeper.slept[0] <= 6
        server.faults = [unavailable()]
        assert teacher.collect_batch(name, QUESTIONS) is None
        server.faults = [Refusal(403, "No.", "PERMISSION_DENIED")]
        with pytest.raises(TeacherError, match="does not let this key in"):
            teacher.collect_batch(name, QUESTIONS)


def test_many_questions_are_split(monkeypatch: pytest.MonkeyPatch) -> None:
    with at_gemini(weather) as (teacher, server, _):
        many = [question(f"Weather in {i}?") for i in range(40)]
        assert teacher.split_batch(many, 2) == [many]
        assert teacher.split_batch([], 2) == []
        monkeypatch.setattr(gemini_batch, "MAX_BYTES", 10_000)
        runs = teacher.split_batch(many, 2)
        assert 4 < len(runs) < 40
        assert [q for run in runs for q in run] == many
        teacher.submit_batch(runs[0], 2, "first")
        assert len(str(server.sent("batchGenerateContent")[0])) < 10_000
        with pytest.raises(TeacherError, match="40 questions are more than Gemini takes as one batch"):
            teacher.submit_batch(many, 2, "second")


def test_gemini_is_a_teacher_with_batches() -> None:
    with at_gemini(weather) as (teacher, _, _):
        assert isinstance(teacher, BatchTeacher)


def test_ids_tell_questions_apart() -> None:
    """The premise of finding jobs again: the same question has the same id, another has another."""
    again = [Question(q.messages, q.tools) for q in QUESTIONS]
    assert [q.id for q in again] == [q.id for q in QUESTIONS]
    assert len({q.id for q in QUESTIONS}) == 3
