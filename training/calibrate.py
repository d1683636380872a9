"""Fits an artifact's confidence on requests that it was not trained on, and measures it on folds it was not fitted on.

The raw score is the probability the model gave its own answer. For each kind of answer a temperature and a bias on its
log odds are fitted, drawn towards leaving it as it is; a regression on more features takes their place when it is
clearly better in cross-validation. Folds never cut through a family of tools.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from model.confidence import FEATURES, VERSION, Kind, Logistic, answer_features, call_features
from model.errors import RequestError
from model.manifest import read_manifest, set_calibration
from model.types import Engine, GenerationRequest
from training.data.example import Example
from training.logistic import Array, fit_logistic, sigmoid
from training.reliability import Quality, log_losses, quality, risk_coverage, threshold_for
from training.scoring import matched, same_value

FOLDS = 5
FEWEST = 20  # examples of a kind, below which it gets no model
RAW_STRENGTH = 1.0  # of the prior "the raw score is right as it is"
FEATURE_STRENGTH = 10.0  # of the prior "other features say nothing", per standard deviation
RISKS = (0.05, 0.1, 0.2)
COVERAGES = (0.5, 0.8, 1.0)
TITLES: dict[Kind, str] = {"calls": "answers with calls", "no_call": "answers without", "call": "each call"}


@dataclass(frozen=True)
class Observed:
    """An answer or a call: its features, whether it was right, and the family of tools the request was about."""

    features: dict[str, float]
    right: bool
    family: str


@dataclass(frozen=True)
class Fitted:
    """The model of one kind, fitted on all N examples, and what measures it.

    `raw` [N] is the model's own probability; `held_out` [N] per candidate what a model gives that was fitted on the
    other folds. `chosen` is the candidate that `model` is.
    """

    model: Logistic
    chosen: str
    right: Array
    raw: Array
    held_out: dict[str, Array]

    @property
    def calibrated(self) -> Array:
        return self.held_out[self.chosen]


@dataclass(frozen=True)
class Report:
    """What was fitted, per kind; `skipped` counts requests without an answer to judge, by reason."""

    fitted: dict[Kind, Fitted]
    requests: int
    families: int
    skipped: Counter[str]

    def answers(self) -> tuple[Array, Array, Array]:
        """(right, raw, calibrated), [N] each, of whole answers with and without calls."""
        whole = [f for kind, f in self.fitted.items() if kind != "call"]
        return (
            np.concatenate([f.right for f in whole]),
            np.concatenate([f.raw for f in whole]),
            np.concatenate([f.calibrated for f in whole]),
        )


def calibrate(engine: Engine, examples: Sequence[Example]) -> Report:
    """Answer the requests and fit. Raises `ValueError` when they are too few or of too few families."""
    observed, skipped = observe(engine, examples)
    fitted = {kind: fit(kind, observed[kind]) for kind in FEATURES if enough(observed[kind])}
    if not fitted.keys() - {"call"}:
        raise ValueError(
            f"too few answers to calibrate on: give requests of at least {FOLDS} families of tools, such that at least "
            f"{FEWEST} are answered with a call, or without one"
        )
    return Report(fitted, len(examples), len({e.family for e in examples}), skipped)


def observe(engine: Engine, examples: Sequence[Example]) -> tuple[dict[Kind, list[Observed]], Counter[str]]:
    """Features and outcomes of all answers and calls, and counts of the requests that leave nothing to judge."""
    observed: dict[Kind, list[Observed]] = defaultdict(list)
    skipped: Counter[str] = Counter()
    for e in tqdm(examples, desc="answers", unit="request"):
        try:
            result = engine.generate(GenerationRequest(e.messages, e.tools))
        except RequestError:
            skipped["refused"] += 1
            continue
        trace = result.trace
        assert trace is not None, "an engine without traces cannot be calibrated"
        if result.finish_reason == "length":
            skipped["cut"] += 1
            continue
        if not result.calls and trace.none is None:
            skipped["without tools"] += 1
            continue
        gold = [(c.name, c.arguments) for c in e.calls]
        calls = [(c.name, json.loads(c.arguments)) for c in result.calls]
        whole: Kind = "calls" if calls else "no_call"
        features = answer_features(e.messages, result.calls, trace)
        observed[whole].append(Observed(features, matched(gold, calls, _same_call), e.family))
        for call, call_trace in zip(calls, trace.calls, strict=True):
            right = any(_same_call(g, call) for g in gold)
            observed["call"].append(Observed(call_features(call_trace), right, e.family))
    return observed, skipped


def enough(rows: Sequence[Observed]) -> bool:
    """Whether a model can be fitted and tested on `rows`."""
    return len(rows) >= FEWEST and len({row.family for row in rows}) >= FOLDS


def fit(kind: Kind, rows: Sequence[Observed]) -> Fitted:
    """Cross-validate the candidates, choose, and fit the chosen one on everything."""
    names = FEATURES[kind]
    x = np.array([[row.features[name] for name in names] for row in rows])
    right = np.array([float(row.right) for row in rows])
    families = np.unique([row.family for row in rows], return_inverse=True)[1]
    candidates = {"scaled": names[:1]} | ({"features": names} if len(names) > 1 else {})
    folds = split(families)
    held_out = {}
    for candidate, used in candidates.items():
        held_out[candidate] = p = np.zeros(len(rows))
        for fold in range(FOLDS):
            inside = folds == fold
            model = _train(used, x[~inside, : len(used)], right[~inside])
            p[inside] = _predict(model, x[inside, : len(used)])
    chosen = "scaled"
    if "features" in held_out and clearly_better(held_out["features"], held_out["scaled"], right, families):
        chosen = "features"
    used = candidates[chosen]
    return Fitted(_train(used, x[:, : len(used)], right), chosen, right, sigmoid(x[:, 0]), held_out)


def split(families: np.ndarray) -> np.ndarray:
    """The fold [N] of each example, given its family's number [N]. Families stay whole, largest first."""
    counts = np.bincount(families)
    fold_of = np.zeros(len(counts), np.int64)
    load = np.zeros(FOLDS)
    for family in np.argsort(-counts, kind="stable"):
        fold_of[family] = load.argmin()
        load[load.argmin()] += counts[family]
    return fold_of[families]


def clearly_better(new: Array, old: Array, right: Array, families: np.ndarray) -> bool:
    """Whether the mean log loss falls by more than two standard errors. A family's examples count as dependent."""
    gain = log_losses(old, right) - log_losses(new, right)
    deviation = np.bincount(families, weights=gain - gain.mean())
    return bool(gain.mean() > 2.0 * np.sqrt((deviation**2).sum()) / len(gain))


def to_manifest(report: Report, files: dict[str, str]) -> dict[str, Any]:
    """The manifest's `calibration`, for the artifact whose files have these checksums."""
    right, raw, calibrated = report.answers()
    held_out = {"answer": _before_after(right, raw, calibrated)}
    held_out |= {kind: _before_after(f.right, f.raw, f.calibrated) for kind, f in report.fitted.items()}
    thresholds = {str(risk): threshold_for(calibrated, right, risk) for risk in RISKS}
    return {
        "version": VERSION,
        "files": files,
        "models": {kind: asdict(f.model) for kind, f in report.fitted.items()},
        "fitted_on": {
            "requests": report.requests,
            "families": report.families,
            **{kind: len(f.right) for kind, f in report.fitted.items()},
        },
        "held_out": held_out,
        "threshold_for": {risk: None if t is None else asdict(t) for risk, t in thresholds.items()},
    }


def record(folder: Path, report: Report, files: dict[str, str]) -> None:
    """Write the calibration into the manifest. Raises `ValueError` when the artifact is not the one that answered."""
    if read_manifest(folder).files != files:
        raise ValueError(f"{folder} was replaced while its answers were scored: calibrate again")
    set_calibration(folder, to_manifest(report, files))


def table(report: Report) -> str:
    """Raw against calibrated, on held-out folds, as aligned text."""
    right, raw, calibrated = report.answers()
    lines = [f"{'':32}{'n':>6}{'right %':>9}{'Brier':>9}{'log loss':>10}{'ECE':>8}{'AUROC':>8}{'AURC':>8}"]
    lines += [_row("all answers: raw", raw, right), _row("all answers: calibrated", calibrated, right)]
    for kind, title in TITLES.items():
        if (f := report.fitted.get(kind)) is None:
            lines.append(f"{title}: too few, no confidence")
            continue
        lines.append(_row(f"{title}: raw", f.raw, f.right))
        lines += [_row(f"  {name}{' *' * (name == f.chosen)}", p, f.right) for name, p in f.held_out.items()]
    lines += ["(* chosen)", "", "coverage % at" + "".join(f"{f'≤ {100 * r:.0f} % wrong':>19}" for r in RISKS)]
    for name, p in (("raw", raw), ("calibrated", calibrated)):
        found = [threshold_for(p, right, risk) for risk in RISKS]
        cells = ["never" if t is None else f"{100 * t.coverage:.1f} (p ≥ {t.threshold:.3f})" for t in found]
        lines.append(f"{name:13}" + "".join(f"{c:>19}" for c in cells))
    lines += ["", "wrong % at   " + "".join(f"{f'{100 * c:.0f} % answered':>19}" for c in COVERAGES)]
    for name, p in (("raw", raw), ("calibrated", calibrated)):
        _, risk = risk_coverage(p, right)
        cells = [f"{100 * risk[max(0, round(c * len(risk)) - 1)]:.1f}" for c in COVERAGES]
        lines.append(f"{name:13}" + "".join(f"{c:>19}" for c in cells))
    if report.skipped:
        lines += ["", "not scored: " + ", ".join(f"{count} {reason}" for reason, count in report.skipped.items())]
    return "\n".join(lines)


def _train(names: Sequence[str], x: Array, right: Array) -> Logistic:
    """A model of `names`, whose values are the columns of x [N, F]; the first is the raw score's log odds."""
    centre, scale = x.mean(axis=0), x.std(axis=0)
    scale[scale < 1e-9] = 1.0
    centre[0], scale[0] = 0.0, 1.0  # its unit means something: weight 1 and bias 0 leave it as it is
    prior = np.zeros(len(names) + 1)
    prior[0] = 1.0
    strength = np.full(len(names) + 1, FEATURE_STRENGTH)
    strength[[0, -1]] = RAW_STRENGTH
    solution = fit_logistic((x - centre) / scale, right, prior, strength)
    if solution[0] < 0.0:
        # Surer must never mean less confident: then the raw score says nothing.
        prior[0], strength[0] = 0.0, 1e9
        solution = fit_logistic((x - centre) / scale, right, prior, strength)
        solution[0] = 0.0
    weights = solution[:-1] / scale
    return Logistic(dict(zip(names, weights.tolist(), strict=True)), float(solution[-1] - weights @ centre))


def _predict(model: Logistic, x: Array) -> Array:
    return sigmoid(x @ np.array(list(model.weights.values())) + model.bias)


def _same_call(gold: tuple[str, Any], call: tuple[str, Any]) -> bool:
    return gold[0] == call[0] and same_value(gold[1], call[1])


def _before_after(right: Array, raw: Array, calibrated: Array) -> dict[str, Any]:
    before, after = asdict(quality(raw, right)), asdict(quality(calibrated, right))
    return {
        "n": len(right),
        "right": round(float(right.mean()), 4),
        **{name: {"raw": _rounded(before[name]), "calibrated": _rounded(after[name])} for name in before},
    }


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)


def _row(title: str, p: Array, right: Array) -> str:
    q: Quality = quality(p, right)
    ranking = "–" if q.auroc is None else f"{q.auroc:.3f}"
    numbers = f"{q.brier:9.4f}{q.log_loss:10.4f}{q.ece:8.4f}{ranking:>8}{q.aurc:8.4f}"
    return f"{title:32}{len(right):6}{100 * right.mean():9.1f}{numbers}"
