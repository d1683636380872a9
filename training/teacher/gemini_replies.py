"""Gemini's responses as replies: what is an answer to learn from, and why the rest is none."""

from __future__ import annotations

from collections.abc import Mapping
from statistics import fmean
from typing import Literal

from google.genai import types

from model.types import ToolCall
from training.teacher.base import Finish, Reply, Tokens
from training.teacher.calls import CallReader

_Reason = types.FinishReason
_STOPPED = frozenset({_Reason.STOP, _Reason.FINISH_REASON_UNSPECIFIED})
_FINISHES: Mapping[types.FinishReason, Finish] = {
    _Reason.MAX_TOKENS: "length",
    _Reason.CONTINUATION: "length",
    _Reason.SAFETY: "blocked",
    _Reason.RECITATION: "blocked",
    _Reason.LANGUAGE: "blocked",
    _Reason.BLOCKLIST: "blocked",
    _Reason.PROHIBITED_CONTENT: "blocked",
    _Reason.SPII: "blocked",
    _Reason.ESCALATION: "blocked",
    _Reason.PUP_LIMITED_DISABLED: "blocked",
    _Reason.MODEL_ARMOR: "blocked",
    _Reason.OTHER: "blocked",
}


def replies(response: types.GenerateContentResponse, reader: CallReader, mode: Literal["auto", "any"]) -> list[Reply]:
    """One per candidate, at least one. The tokens of the whole response are the first one's.

    The text of a reply that is no answer says why.
    """
    used = tokens(response)
    if not response.candidates:
        reason = prompt_block(response)
        finish: Finish = "malformed" if reason is None else "blocked"
        return [Reply((), reason or "no candidates", finish=finish, tokens=used)]
    first, *others = (_reply(candidate, reader, mode) for candidate in response.candidates)
    return [Reply(first.calls, first.text, first.logprob, first.finish, used), *others]


def prompt_block(response: types.GenerateContentResponse) -> str | None:
    """Why the request itself was blocked; None when it was not."""
    reason = response.prompt_feedback.block_reason if response.prompt_feedback else None
    return None if reason is None else f"prompt: {reason.value}"


def tokens(response: types.GenerateContentResponse) -> Tokens:
    """What the response is billed for. Cached input is counted in full, though it costs less."""
    usage = response.usage_metadata
    if usage is None:
        return Tokens()
    return Tokens(
        (usage.prompt_token_count or 0) + (usage.tool_use_prompt_token_count or 0),
        (usage.candidates_token_count or 0) + (usage.thoughts_token_count or 0),
    )


def _reply(candidate: types.Candidate, reader: CallReader, mode: Literal["auto", "any"]) -> Reply:
    reason = candidate.finish_reason
    if reason is not None and reason not in _STOPPED:
        return Reply((), str(reason.value), _logprob(candidate), _FINISHES.get(reason, "malformed"))
    parts = [part for part in (candidate.content and candidate.content.parts) or [] if not part.thought]
    text = "".join(part.text or "" for part in parts)
    calls: list[ToolCall] = []
    try:
        for part in parts:
            if part.function_call is not None:
                calls.append(reader.read(part.function_call.name or "", part.function_call.args or {}))
        if not calls and mode == "any":
            raise ValueError("no call, though one is required")
        if not calls and not text.strip():
            raise ValueError("neither calls nor text")
    except ValueError as error:
        return Reply((), str(error), _logprob(candidate), "malformed")
    return Reply(tuple(calls), text, _logprob(candidate))


def _logprob(candidate: types.Candidate) -> float | None:
    if candidate.avg_logprobs is not None:
        return candidate.avg_logprobs
    chosen = candidate.logprobs_result.chosen_candidates if candidate.logprobs_result else None
    values = [token.log_probability for token in chosen or [] if token.log_probability is not None]
    return fmean(values) if values else None
