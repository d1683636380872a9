"""The teacher that a command line names, with its price: `gemini`, `gemini:MODEL`, or `recorded:FILE`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from model.types import Tool
from training.distil.generate import GenerateConfig
from training.distil.ledger import Asked
from training.distil.sampling import Sampling
from training.teacher.base import Teacher, Tokens
from training.teacher.prices import Price, cost, price
from training.teacher.recorded import load_recorded


@dataclass(frozen=True)
class Hired:
    """A teacher and the terms on which it works.

    `price` and `batch_price` are dollars of a call that used so many tokens. `losses` say what of the tools it is not
    told. `questions` are those that it has answered already; None for a teacher that invents its own. `sampling` is how
    often each is asked, None as the user wants. `close` ends the connection.
    """

    name: str
    teacher: Teacher
    price: Callable[[Tokens], float]
    batch_price: Callable[[Tokens], float]
    losses: tuple[str, ...] = ()
    questions: tuple[Asked, ...] | None = None
    sampling: Sampling | None = None
    close: Callable[[], None] = lambda: None

    def config(self, wanted: GenerateConfig) -> GenerateConfig:
        """What the user wants, as far as this teacher can do it."""
        return wanted if self.sampling is None else replace(wanted, sampling=self.sampling)


def hire(
    named: str,
    tools: Sequence[Tool],
    *,
    base_url: str | None = None,
    requests_per_minute: float | None = None,
    override: Price | None = None,
    api_key: str | None = None,
) -> Hired:
    """Raises ValueError for a name that is none or a model without a price, TeacherError without a key.

    Args:
        base_url: of Gemini's API, if not Google's own.
        override: dollars per million tokens, for a model whose price is not known here.
        api_key: Gemini's, if not that of the environment.
    """
    vendor, _, what = named.partition(":")
    if vendor == "recorded" and what:
        return _recorded(Path(what), tools)
    if vendor == "gemini":
        return _gemini(what, tools, base_url, requests_per_minute, override, api_key)
    raise ValueError(f"no teacher {named!r}: there are gemini, gemini:MODEL and recorded:FILE")


def _recorded(path: Path, tools: Sequence[Tool]) -> Hired:
    teacher = load_recorded(path, tools)
    skipped = tuple(f"{path}, line {s.line}: {s.reason}" for s in teacher.skipped)

    def free(_: Tokens) -> float:
        return 0.0

    # A second call would get the first samples again: all of them at once.
    sampling = Sampling(teacher.most, teacher.most)
    return Hired(f"recorded:{path.name}", teacher, free, free, skipped, teacher.questions, sampling)


def _gemini(
    model: str,
    tools: Sequence[Tool],
    base_url: str | None,
    requests_per_minute: float | None,
    override: Price | None,
    api_key: str | None,
) -> Hired:
    from training.teacher.declarations import losses
    from training.teacher.gemini import DEFAULT_MODEL, GeminiTeacher

    model = model or DEFAULT_MODEL
    price(model, override)  # an unknown one is an error before anything is asked
    teacher = GeminiTeacher(model, api_key=api_key, base_url=base_url, requests_per_minute=requests_per_minute)
    return Hired(
        model,
        teacher,
        partial(cost, model=model, override=override),
        partial(cost, model=model, override=override, batch=True),
        tuple(map(str, losses(tools))),
        close=teacher.close,
    )
