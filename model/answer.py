"""An answer while it grows: its calls or its text, with all that is said about them in the end."""

from __future__ import annotations

from model.confidence import Calibration
from model.evidence import Witness
from model.tokenizer import Tokenizer
from model.types import (
    CallTrace,
    Evidence,
    FinishReason,
    GenerationRequest,
    GenerationResult,
    TokenLogprob,
    ToolCall,
    Trace,
    Usage,
)
from model.writing import Writing, log


class Answer:
    """Collects what the engine decides and writes; `result` is the whole.

    Args:
        request: what is answered.
        witness: of its conversation.
        tokenizer: the engine's.
    """

    def __init__(self, request: GenerationRequest, witness: Witness, tokenizer: Tokenizer) -> None:
        self._request = request
        self._witness = witness
        self._tokenizer = tokenizer
        self._traces: list[CallTrace] = []
        self._evidence: list[tuple[Evidence, ...]] = []
        self._logprobs: list[TokenLogprob] = []
        self._none: float | None = None
        self._text: Writing | None = None
        self._text_trace: CallTrace | None = None
        self.calls: list[ToolCall] = []
        self.cut = False

    def writing(self, before: bytes = b"") -> Writing:
        """What the next call's arguments are written into, or the text; `before` is `Prepared.before`."""
        return Writing(self._tokenizer, self._request.top_logprobs, before)

    def add_none(self, probability: float) -> None:
        """The model chose to call no tool, or no more."""
        self._none = log(probability)

    def add_call(self, name: str, probability: float, writing: Writing) -> None:
        """A call was written, or cut, to a tool that the model chose with this probability."""
        self._add(writing)
        if not writing.cut:
            self.calls.append(ToolCall(name, writing.text))
            self._traces.append(CallTrace(log(probability), tuple(writing.logs)))
            self._evidence.append(self._evidence_of(writing))

    def add_text(self, probability: float, writing: Writing) -> None:
        """The answer is a text, whole or cut, whose schema the model preferred to NONE with this probability."""
        self._add(writing)
        self._text = writing
        if not writing.cut:
            self._text_trace = CallTrace(log(probability), tuple(writing.logs))

    def _add(self, writing: Writing) -> None:
        self._logprobs += writing.logprobs
        self.cut = writing.cut

    def _evidence_of(self, writing: Writing) -> tuple[Evidence, ...]:
        return self._witness.evidence(writing.text, writing.sizes, writing.copied, writing.cut)

    def result(self, calibration: Calibration, usage: Usage) -> GenerationResult:
        text = self._text
        reason: FinishReason = "length" if self.cut else "tool_calls" if self.calls else "stop"
        trace = Trace(tuple(self._traces), self._none, self._text_trace)
        return GenerationResult(
            calls=tuple(self.calls),
            confidences=tuple(calibration.of_call(trace) for trace in self._traces),
            confidence=calibration.of_answer(self._request.messages, self.calls, trace, reason),
            finish_reason=reason,
            usage=usage,
            trace=trace,
            text=None if text is None else text.text,
            evidence=tuple(self._evidence),
            text_evidence=() if text is None else self._evidence_of(text),
            logprobs=None if self._request.top_logprobs is None else tuple(self._logprobs),
        )
