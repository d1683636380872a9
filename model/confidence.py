"""From what the model's probabilities were to how likely its answer is right.

The raw score of an answer is the probability that the model itself gave it. A `Calibration`, fitted by
`training.calibrate` on requests that were held out, maps it to how often such answers were right. It holds for the
weights it was fitted on and for no others, so it names their checksums.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from model.errors import ArtifactError
from model.leaves import leaves
from model.manifest import Manifest
from model.types import CallTrace, FinishReason, Message, ToolCall, Trace

VERSION = 1  # of the features: raise it when one changes its meaning
Kind = Literal["calls", "no_call", "call"]
"""What is right or wrong: a whole answer with calls, a whole answer without one, one call."""

FEATURES: dict[Kind, tuple[str, ...]] = {
    "calls": ("raw", "end", "least_certain_token", "unsupported", "count"),
    "no_call": ("raw",),
    "call": ("raw",),
}
"""Per kind the features there are; "raw" is first and in all of them. A fitted model may use fewer."""

LARGEST_LOGIT = 14.0  # one in a million either way; beyond it, float32 probabilities are rounding


def call_features(call: CallTrace) -> dict[str, float]:
    """Features of one call: "raw" is the log odds of the product of its probabilities."""
    return {"raw": _logit(_log_probability(call))}


def answer_features(messages: Sequence[Message], calls: Sequence[ToolCall], trace: Trace) -> dict[str, float]:
    """Features of a whole answer, by `FEATURES["calls"]` or, when there is no call, `FEATURES["no_call"]`.

    An answer without calls must have been the model's choice: `trace.none` is not None.
    """
    if not calls:
        assert trace.none is not None
        return {"raw": _logit(trace.none)}
    tokens = [token for call in trace.calls for token in call.tokens]
    return {
        "raw": _logit(sum(_log_probability(call) for call in trace.calls)),
        "end": trace.none or 0.0,
        "least_certain_token": math.exp(min(tokens, default=0.0)),
        "unsupported": float(not _supported(messages, calls)),
        "count": float(len(calls)),
    }


@dataclass(frozen=True)
class Logistic:
    """A logistic regression over named features: the log odds are `bias` + Σ weight · feature."""

    weights: dict[str, float]
    bias: float

    def probability(self, features: Mapping[str, float]) -> float:
        """In (0, 1). Raises `KeyError` when a feature is missing."""
        odds = self.bias + sum(weight * features[name] for name, weight in self.weights.items())
        return 1.0 / (1.0 + math.exp(-max(-50.0, min(50.0, odds))))


@dataclass(frozen=True)
class Calibration:
    """One fitted model per kind of answer. A kind without one has no confidence: None."""

    models: dict[Kind, Logistic]

    def of_call(self, call: CallTrace) -> float | None:
        """The probability that this call is right: its tool and all of its arguments."""
        return self._apply("call", call_features(call))

    def of_answer(
        self, messages: Sequence[Message], calls: Sequence[ToolCall], trace: Trace, reason: FinishReason
    ) -> float | None:
        """The probability that these are the right calls, all of them and no other, or that the text is right."""
        if not self.models:
            return None
        if reason == "length":
            return 0.0  # a cut answer is not one
        if trace.text is not None:
            return self._of_text(trace.text, trace.none)
        if not calls and trace.none is None:
            return 1.0  # no call was allowed: there was nothing to get wrong
        return self._apply("calls" if calls else "no_call", answer_features(messages, calls, trace))

    def _of_text(self, text: CallTrace, none: float | None) -> float | None:
        """The probability that a JSON text is right, and that no call was, where one was possible.

        There is no model for texts. A text is filled as a call's arguments are, so the model for calls judges it, its
        slot included: NONE's probability there tells whether the conversation has what is asked for. On 808 held-out
        requests whose only call was asked for as a text, that had an expected calibration error of 0.045; without the
        slot it was 0.061, and too sure of itself at the top (0.93 said, 0.82 right).
        """
        right = self.of_call(text)
        if none is None or right is None:
            return right
        no_call = self._apply("no_call", {"raw": _logit(none)})
        return None if no_call is None else no_call * right

    def _apply(self, kind: Kind, features: Mapping[str, float]) -> float | None:
        model = self.models.get(kind)
        return None if model is None else model.probability(features)


def read_calibration(manifest: Manifest) -> Calibration:
    """The manifest's calibration; an empty one without it, or when it is of other weights or other features.

    Raises `ArtifactError` when it is there but cannot be read.
    """
    stored = manifest.calibration
    if stored is None:
        return Calibration({})
    try:
        if stored["version"] != VERSION or stored["files"] != manifest.files:
            return Calibration({})
        models = stored["models"]
        return Calibration({kind: _read_model(kind, models[kind]) for kind in FEATURES if kind in models})
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ArtifactError(f"manifest.json has a calibration that cannot be read: {error!r}") from error


def _read_model(kind: Kind, stored: Any) -> Logistic:
    model = Logistic({str(name): float(weight) for name, weight in stored["weights"].items()}, float(stored["bias"]))
    if unknown := model.weights.keys() - set(FEATURES[kind]):
        raise ValueError(f"unknown features {sorted(unknown)}")
    if not all(map(math.isfinite, (*model.weights.values(), model.bias))):
        raise ValueError("a weight is not finite")
    return model


def _log_probability(call: CallTrace) -> float:
    return call.route + sum(call.tokens)


def _logit(log_probability: float) -> float:
    """Log odds of a probability given by its logarithm, within ±`LARGEST_LOGIT`."""
    if log_probability > -1e-7:
        return LARGEST_LOGIT
    odds = log_probability - math.log(-math.expm1(log_probability))
    return max(-LARGEST_LOGIT, min(LARGEST_LOGIT, odds))


def _supported(messages: Sequence[Message], calls: Sequence[ToolCall]) -> bool:
    """Whether every string among the arguments occurs in the conversation, upper or lower case."""
    said = "\n".join(
        text for message in messages for text in (message.text, *(c.arguments for c in message.tool_calls))
    ).casefold()
    values = (leaf.value for call in calls for leaf in leaves(call.arguments))
    return all(value.casefold() in said for value in values if isinstance(value, str))
