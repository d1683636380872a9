"""What Gemini's errors mean: wait and try again, or what the user is to do.

The body is `{"error": {"code", "message", "status", "details"}}`, where the details are google.rpc messages:
`ErrorInfo` has a reason, `RetryInfo` how long to wait, `QuotaFailure` which limits were exceeded.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Mapping, Sequence
from email.utils import parsedate_to_datetime
from typing import Any

from google.genai.errors import APIError

from training.teacher.base import QuotaError, TeacherError

LONGEST_WAIT = 600.0  # seconds
RETRIED = frozenset({408, 429, 500, 502, 503, 504})
KEY_VARIABLES = ("GEMINI_API_KEY", "GOOGLE_API_KEY")

_KEYS = "https://aistudio.google.com/apikey"
_MODELS = "https://ai.google.dev/gemini-api/docs/models"
_LIMITS = "https://ai.google.dev/gemini-api/docs/rate-limits"
_PER_DAY = re.compile(r"per ?day", re.IGNORECASE)
_UNPAID = re.compile(r"credits|spend(ing)? cap|billing (account|is)", re.IGNORECASE)
_DECLARATION = re.compile(r"function_declarations\[(\d+)\]")

NO_KEY = f"There is no key for Gemini: set {KEY_VARIABLES[0]} to one from {_KEYS}."


def retry_delay(error: APIError) -> float | None:
    """Seconds that the server asks to wait; None when it does not say."""
    for detail in _details(error, "RetryInfo"):
        match = re.fullmatch(r"([\d.]+)s", str(detail.get("retryDelay")))
        if match:
            return float(match.group(1))
    header = error.response.headers.get("retry-after") if error.response is not None else None
    if not header:
        return None
    if header.strip().isdecimal():
        return float(header)
    try:
        return max(0.0, parsedate_to_datetime(header).timestamp() - time.time())
    except ValueError:
        return None


def used_up(error: APIError, model: str) -> QuotaError | None:
    """The error to end with where waiting for minutes does not help: a day's quota, a plan without any, no money."""
    if error.code == 402 or (error.code == 429 and _UNPAID.search(_message(error))):
        return QuotaError(f"Gemini is not paid for any more: {_message(error)}")
    if error.code != 429:
        return None
    if (retry_delay(error) or 0) > LONGEST_WAIT:
        return QuotaError(f"Gemini asks to wait for {(retry_delay(error) or 0) / 60:.0f} minutes: {_message(error)}")
    for limit, value in _limits(error):
        if value == "0":
            return QuotaError(
                f"The plan of this key has no quota for {model} ({limit}): enable billing for its project, or take "
                f"another model. See {_LIMITS}."
            )
        if _PER_DAY.search(limit):
            return QuotaError(
                f"Today's quota for {model} is used up ({limit}{f', {value}' if value else ''}): go on after midnight "
                f"Pacific time, or raise it. See {_LIMITS}."
            )
    return None


def explained(error: APIError, model: str, tools: Sequence[str] = ()) -> TeacherError:
    """The error for the user. `tools` are the names of those that were declared, in order."""
    message = _message(error)
    reasons = {str(detail.get("reason")) for detail in _details(error, "ErrorInfo")}
    if "API_KEY_INVALID" in reasons or error.code == 401 or "API key not valid" in message:
        return TeacherError(f"Gemini does not accept the key in {' or '.join(KEY_VARIABLES)}: {message} See {_KEYS}.")
    if error.code == 403:
        return TeacherError(f"Gemini does not let this key in: {message} See {_KEYS}.")
    if error.code == 404:
        return TeacherError(f"Gemini has no model {model!r} for this key: {message} See {_MODELS}.")
    if error.status == "FAILED_PRECONDITION":
        return TeacherError(f"Gemini is not available in this region or with this plan: {message}")
    if error.code == 429:
        return QuotaError(
            f"Gemini still limits the rate after many tries: go on later, or with fewer requests a minute. ({message})"
        )
    if error.code in RETRIED:
        return TeacherError(f"Gemini does not answer ({error.code} after many tries: {message}): go on later.")
    declaration = _DECLARATION.search(message)
    if declaration and int(declaration.group(1)) < len(tools):
        return TeacherError(f"Gemini refuses the tool {tools[int(declaration.group(1))]!r}: {message}")
    return TeacherError(f"Gemini refuses the request ({error.code}): {message}")


def _limits(error: APIError) -> Iterator[tuple[str, str]]:
    """(name, value) of each quota that was exceeded."""
    for detail in _details(error, "QuotaFailure"):
        for violation in detail.get("violations", ()):
            name = violation.get("quotaId") or violation.get("description") or violation.get("quotaMetric") or ""
            yield str(name), str(violation.get("quotaValue", ""))
    for detail in _details(error, "ErrorInfo"):
        metadata = detail.get("metadata", {})
        if "quota_limit" in metadata:
            yield str(metadata["quota_limit"]), str(metadata.get("quota_limit_value", ""))


def _details(error: APIError, kind: str) -> Iterator[Mapping[str, Any]]:
    body = error.details if isinstance(error.details, Mapping) else {}
    inner = body.get("error", body)
    for detail in inner.get("details", ()) if isinstance(inner, Mapping) else ():
        if isinstance(detail, Mapping) and str(detail.get("@type", "")).endswith(f"google.rpc.{kind}"):
            yield detail


def _message(error: APIError) -> str:
    """The server's own words, in one line."""
    return " ".join(str(error.message or error.status or "no reason given").split())[:500]
