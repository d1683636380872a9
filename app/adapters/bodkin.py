"""Bodkin's own part of an answer: confidence and evidence, in the client's terms."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from app.schemas.bodkin import BodkinExtension, EvidenceSource, ValueEvidence
from model.types import Evidence, GenerationResult, Span

Locate = Callable[[Span], Span | None]
"""From a piece of what the model read to the same piece of what the client sent; None when there is no such piece."""


def rounded(confidence: float | None) -> float | None:
    """To the four decimals that clients and logs get; null stays null."""
    return None if confidence is None else round(confidence, 4)


def extension(result: GenerationResult, locate: Locate) -> BodkinExtension:
    made = BodkinExtension(
        confidence=rounded(result.confidence),
        calls=[rounded(confidence) for confidence in result.confidences],
        evidence=[_values(values, locate) for values in result.evidence],
    )
    if result.text_evidence:
        made.content_evidence = _values(result.text_evidence, locate)
    return made


def _values(evidence: Sequence[Evidence], locate: Locate) -> list[ValueEvidence]:
    return [
        ValueEvidence(path=value.path, found=value.found, source=_source(value.source, locate)) for value in evidence
    ]


def _source(span: Span | None, locate: Locate) -> EvidenceSource | None:
    span = span and locate(span)
    if span is None:
        return None
    return EvidenceSource(message=span.message, start=span.start, end=span.end, text=span.text)
