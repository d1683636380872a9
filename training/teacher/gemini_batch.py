"""Gemini's Batch API: many questions as one job, answered within a day, at half the price.

A job is found again by its label, so that a crash between sending it and writing down its name costs nothing.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import partial

from google.genai import types
from google.genai.errors import APIError

from training.teacher.base import BatchError, Question, Reply, TeacherError, digest
from training.teacher.calls import CallReader
from training.teacher.contents import contents
from training.teacher.gemini_config import answer_config
from training.teacher.gemini_errors import explained
from training.teacher.gemini_replies import replies
from training.teacher.gemini_session import Session

# Gemini takes 20 MB at once.
MAX_BYTES = 16 * 2**20

_State = types.JobState
_FAILED = frozenset({_State.JOB_STATE_FAILED, _State.JOB_STATE_CANCELLED, _State.JOB_STATE_EXPIRED})
_ENDED = _FAILED | {_State.JOB_STATE_SUCCEEDED, _State.JOB_STATE_PARTIALLY_SUCCEEDED}


def split(session: Session, questions: Sequence[Question], samples: int) -> list[list[Question]]:
    """`questions` in runs that each fit into a job."""
    runs: list[list[Question]] = [[]]
    size = 0
    for question in questions:
        # At worst the model gives one sample per request.
        bytes_ = samples * _size(_requests(session, question, 1)[0])
        if runs[-1] and size + bytes_ > MAX_BYTES:
            runs.append([])
            size = 0
        runs[-1].append(question)
        size += bytes_
    return runs if questions else []


def submit(session: Session, questions: Sequence[Question], samples: int, label: str) -> str:
    """The name of a job that answers each question `samples` times.

    Where a job for the same questions has this label already, and has not failed, it is that one. Otherwise the first
    question is asked live beforehand, for a single token of an answer: what the model refuses is learnt by that rather
    than by a job that fails hours later.

    Raises `TeacherError`, also for more than a job takes (see `split`).
    """
    display_name = f"{label}-{samples}-{_ids(questions)}"
    found = session.call(partial(_find, session, display_name))
    if found:
        return found
    first = questions[0]
    session.generate(
        contents(first.messages),
        lambda options: answer_config(first, options, samples, samples).model_copy(update={"max_output_tokens": 1}),
        [tool.name for tool in first.tools],
    )
    requests = [request for question in questions for request in _requests(session, question, samples)]
    if sum(map(_size, requests)) > MAX_BYTES:
        raise TeacherError(f"{len(questions)} questions are more than Gemini takes as one batch: send fewer at once.")

    def find_or_create() -> str:
        # Once more, for a request whose answer was lost on the way.
        return _find(session, display_name) or _create(session, requests, display_name)

    return session.call(find_or_create)


def collect(session: Session, name: str, questions: Sequence[Question]) -> list[list[Reply]] | None:
    """The replies to each of the `questions` that the job was submitted with, in order; None while it runs.

    A question that failed by itself has fewer replies than samples, or none. Raises `BatchError` where the whole job
    came to nothing.
    """
    try:
        job = session.retried(partial(session.client.batches.get, name=name))
    except APIError as error:
        if error.code == 404:
            raise BatchError(f"Gemini has no batch {name} any more.") from error
        raise explained(error, session.model) from error
    if job.state not in _ENDED:
        return None
    responses = (job.dest and job.dest.inlined_responses) or []
    if job.state in _FAILED or not responses:
        state = job.state.value.removeprefix("JOB_STATE_").lower() if job.state else "unknown"
        raise BatchError(f"The batch {name} ended without answers: {state}.")
    each, rest = divmod(len(responses), len(questions))
    if rest or not (job.display_name or "").endswith(_ids(questions)):
        raise TeacherError(f"The batch {name} has {len(responses)} answers, to other questions than these.")
    # Responses come in the order of the requests. Metadata sent along with those does not always come back.
    options = session.options
    for message in {response.error.message or "" for response in responses if response.error}:
        session.refused(options, message)
    return [_replies(question, responses[i * each : (i + 1) * each]) for i, question in enumerate(questions)]


def _ids(questions: Sequence[Question]) -> str:
    return digest([question.id for question in questions])


def _find(session: Session, display_name: str) -> str | None:
    for job in session.client.batches.list(config=types.ListBatchJobsConfig(page_size=100)):
        if job.display_name == display_name and job.state not in _FAILED:
            return job.name
    return None


def _create(session: Session, requests: list[types.InlinedRequest], display_name: str) -> str:
    config = types.CreateBatchJobConfig(display_name=display_name)
    job = session.client.batches.create(model=session.model, src=requests, config=config)
    if not job.name:
        raise TeacherError("Gemini took the batch and gave it no name: look for it before you send it again.")
    return job.name


def _requests(session: Session, question: Question, samples: int) -> list[types.InlinedRequest]:
    """As few as the model allows."""
    turns = contents(question.messages)
    found: list[types.InlinedRequest] = []
    wanted = samples
    while wanted > 0:
        config = answer_config(question, session.options, samples, wanted)
        found.append(types.InlinedRequest(contents=turns, config=config))
        wanted -= config.candidate_count or 1
    return found


def _size(request: types.InlinedRequest) -> int:
    """Bytes on the wire, near enough."""
    return len(json.dumps(request.model_dump(mode="json", exclude_none=True)))


def _replies(question: Question, responses: Sequence[types.InlinedResponse]) -> list[Reply]:
    reader = CallReader(question.tools)
    answered = (response.response for response in responses if response.response is not None)
    return [reply for response in answered for reply in replies(response, reader, question.mode)]
