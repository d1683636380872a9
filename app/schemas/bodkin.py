"""Bodkin's own part of an answer: how sure it is, and where each value comes from."""

from __future__ import annotations

from app.schemas.base import ResponseModel


class EvidenceSource(ResponseModel):
    """A piece of the request's text.

    Where a message's content is a list of parts, positions refer to the texts of the parts joined by line feeds.
    """

    message: int
    """Index of the message in the request; for `/v1/responses`, of the item in `input`."""
    start: int
    """Position of its first character in the message's text, counted in Unicode code points."""
    end: int
    """Position behind its last character."""
    text: str


class ValueEvidence(ResponseModel):
    path: str
    """JSON pointer (RFC 6901) of the value in the arguments, or in the JSON text."""
    found: bool
    """Whether the value occurs in the request at all. False marks what the model may have made up."""
    source: EvidenceSource | None
    """What the model copied the value from; null when it wrote the value itself, or copied it from `instructions`."""


class BodkinExtension(ResponseModel):
    """Bodkin's extension. Confidences are calibrated probabilities of being right; null without a calibration."""

    confidence: float | None
    """Of the whole answer: all calls, or the JSON text, or that there should be neither."""
    calls: list[float | None]
    """Of each call, in order."""
    evidence: list[list[ValueEvidence]]
    """Of each call, in order: where the values of its arguments come from."""
    content_evidence: list[ValueEvidence] | None = None
    """Where the values of a JSON text come from. Absent without one, and when a `stop` sequence cut it."""
