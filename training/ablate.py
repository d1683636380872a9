"""Ablations of equal budget: the recipe as it is, then each of its choices undone, one at a time.

Every variant trains in a folder of its own, from the same seed and on the same batches, and is measured on the same
held-out batches after the same numbers of examples. The budget counts examples, not time: what a choice costs is in the
table, as examples a second.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from statistics import median
from typing import Any

import torch

from training.ablation_plot import plot_ablations
from training.config import ModelConfig, TrainConfig
from training.data.shards import load_description, load_sources
from training.network import Network
from training.train import train

Row = dict[str, float]  # of a run's history


@dataclass(frozen=True)
class Variant:
    """What a run does otherwise than the baseline: fields of its configurations, its start, or its sources."""

    name: str  # also its folder's
    differs: str
    model: Mapping[str, Any] = field(default_factory=dict)
    train: Mapping[str, Any] = field(default_factory=dict)
    init: str | None = None
    without: tuple[str, ...] = ()  # sources left out; shards that lack one have it left out already
    only: tuple[str, ...] = ()  # or the sources kept


BASELINE = Variant("baseline", "the recipe")
VARIANTS = (
    BASELINE,
    # Not a choice but a ruler: what differs no more than this differs by chance.
    Variant("another-seed", "other first weights, other order of examples", train={"seed": 1_000_000}),
    Variant("random-start", "encoder starts at random, not from MiniLM", init="random"),
    Variant("anchor", "encoder held near what it starts from", train={"anchor_weight": 1.0}),
    Variant("dropout", "a tenth of what layers add is dropped", train={"dropout": 0.1}),
    Variant("word-dropout", "a tenth of the texts' tokens is dropped", train={"word_dropout": 0.1}),
    Variant("no-contrast", "no contrastive term", train={"contrastive_weight": 0.0}),
    Variant("pooled-routing", "routed by pooled vectors alone, blind to earlier calls", model={"rerank": False}),
    Variant("no-copy", "no copy head", model={"copy": False}),
    Variant("no-induction", "no bonus for continuing a copied span", model={"induction": False}),
    Variant(
        "no-routed-coverage",
        "slots do not see what calls before them have copied",
        model={"routed_coverage": False},
    ),
    Variant("no-coverage", "no account of what was copied before", model={"coverage": False}),
    Variant("no-links", "no bonus for words that parameter and conversation share", model={"links": False}),
    Variant("no-overlap", "words that tool and conversation share left out of routing", model={"overlap": False}),
    Variant(
        "late-interaction",
        "best-matching tokens of conversation and tool in the route score, too",
        model={"late": True},
    ),
    Variant("no-parameters", "decoder not told which parameter it writes", model={"parameters": False}),
    Variant("all-tokens", "fill loss on tokens that the grammar forces, too", train={"free_only": False}),
    Variant("three-layers", "3 decoder layers", model={"decoder_layers": 3}),
    Variant("muon-4", "Muon's rates four times as high", train={"muon_scale": 4.0}),
    Variant("muon-10", "Muon's rates ten times as high", train={"muon_scale": 10.0}),
    Variant("adamw", "AdamW for all parameters", train={"optimizer": "adamw"}),
    Variant("no-scenarios", "scenario library left out", without=("scenarios",)),
    Variant("no-synthesis", "synthesis over real schemas left out", without=("synthesis",)),
    Variant("scenarios-only", "nothing but the scenario library", only=("scenarios",)),
)


@dataclass(frozen=True)
class Setup:
    """All that decides a run's weights, but for the shards."""

    model: ModelConfig
    train: TrainConfig
    init: str = "minilm"

    def undoing(self, variant: Variant, sources: Sequence[str]) -> Setup:
        """This setup as `variant` has it, on shards with these `sources`; ValueError where it leaves none of them."""
        dropped = tuple(s for s in sources if s in variant.without or (variant.only and s not in variant.only))
        if len(dropped) == len(sources):
            raise ValueError(f"{variant.name} leaves no source of the shards to train on")
        return Setup(
            replace(self.model, **variant.model),
            replace(self.train, **variant.train, without=self.train.without + dropped),
            variant.init or self.init,
        )


@dataclass(frozen=True)
class Run:
    """One variant's run in its folder. `data` is the digest of the shards."""

    variant: Variant
    setup: Setup
    folder: Path
    data: str

    def begin(self) -> None:
        """Say in the folder what is trained there. ValueError if that was something else."""
        if self._begun(default=self._settings()) != self._settings():
            raise ValueError(f"{self.folder} was trained with another budget, or on other shards: choose another --out")
        self.folder.mkdir(parents=True, exist_ok=True)
        self._file.write_text(json.dumps(self._settings(), indent=1) + "\n", encoding="utf-8")

    def results(self) -> list[Row]:
        """The rows of the history with held-out values; none unless the run, with this setup, has come to its end."""
        history = self.folder / "history.jsonl"
        if self._begun() != self._settings() or not history.exists():
            return []
        rows = [json.loads(line) for line in history.read_text(encoding="utf-8").splitlines()]
        ended = bool(rows) and rows[-1]["step"] >= self.setup.train.steps
        return [row for row in rows if "heldout_fill" in row] if ended else []

    @property
    def _file(self) -> Path:
        return self.folder / "settings.json"

    def _begun(self, default: Any = None) -> Any:
        return json.loads(self._file.read_text(encoding="utf-8")) if self._file.exists() else default

    def _settings(self) -> Any:
        settings = json.loads(json.dumps({**asdict(self.setup), "data_sha256": self.data}))  # as it is read back
        del settings["train"]["workers"]  # makes no difference to what is trained
        return settings


def choose(names: Sequence[str]) -> list[Variant]:
    """The baseline and the variants of these names, in the order of the table; all of them for no names.

    ValueError, with a list of all, for a name that is none.
    """
    known = {variant.name: variant for variant in VARIANTS}
    if unknown := [name for name in names if name not in known]:
        raise ValueError(f"no variant {', '.join(unknown)}; there are {', '.join(known)}")
    return [variant for variant in VARIANTS if not names or variant is BASELINE or variant.name in names]


def ablate(shards: Path, out: Path, budget: Setup, names: Sequence[str] = ()) -> None:
    """Train the named variants (all for none) and write `ablations.md` and `ablations.png` into `out`.

    A variant that was finished before is not trained again, an interrupted one goes on. The report is written anew
    after each, and covers all that were ever finished in `out` with this budget on these shards.
    """
    chosen = choose(names)
    data, sources = load_description(shards)["sha256"], load_sources(shards, "train")
    runs = {v.name: Run(v, budget.undoing(v, sources), out / v.name, data) for v in chosen}
    for run in list(runs.values()):
        if run.setup == budget and run.variant is not BASELINE:
            print(f"{run.variant.name}: left out, here it is what the baseline is")
            del runs[run.variant.name]
    for run in runs.values():  # all of them, before the first one takes its time
        run.begin()
    for name, run in runs.items():
        if run.results():
            print(f"{name}: finished before")
        else:
            print(f"{name}: {run.variant.differs}", flush=True)
            train(shards, run.folder, run.setup.train, run.setup.model, run.setup.init)
        write_report(out, budget, data, sources)


def write_report(out: Path, budget: Setup, data: str, sources: Sequence[str]) -> None:
    """The table and the picture of the runs in `out` that were finished with `budget`."""
    finished: list[tuple[Run, list[Row]]] = []
    for variant in VARIANTS:
        if not (out / variant.name).exists():
            continue
        run = Run(variant, budget.undoing(variant, sources), out / variant.name, data)
        if rows := run.results():
            finished.append((run, rows))
    (out / "ablations.md").write_text(report(budget, finished), encoding="utf-8")
    plot_ablations(out / "ablations.png", {run.variant.name: rows for run, rows in finished})


def report(budget: Setup, finished: Sequence[tuple[Run, list[Row]]]) -> str:
    """The Markdown page of finished runs and their held-out rows, the baseline first."""
    c = budget.train
    baseline = finished[0][1][-1]
    lines = [
        "# Ablations",
        "",
        f"Each variant is the recipe with one choice undone, trained on {c.steps * c.rows * c.accumulate:,} examples "
        f"({c.steps:,} steps of {c.rows * c.accumulate}) with {c.optimizer}, {c.precision}, warm start {budget.init}, "
        f"seed {c.seed}. Losses (nats) and accuracies are of the last step, on the same held-out batches for all, over "
        "the tokens that the grammar leaves free and over the slots; in parentheses the difference to the baseline. "
        "`another-seed` says how large a difference is chance. Parameters that a variant does not use are counted.",
        "",
        "| variant | what differs | parameters | fill loss | fill accuracy, % | route loss | route accuracy, % "
        "| examples/s |",
        "|-|-|-|-|-|-|-|-|",
    ]
    for run, rows in finished:
        last = rows[-1]
        cells = [f"`{run.variant.name}`", run.variant.differs, f"{_parameters(run.setup.model):,}"]
        for name, scale, digits in (
            ("heldout_fill", 1, 3),
            ("heldout_fill_accuracy", 100, 1),
            ("heldout_route", 1, 3),
            ("heldout_route_accuracy", 100, 1),
        ):
            value, difference = scale * last[name], scale * (last[name] - baseline[name])
            aside = "" if run.variant is BASELINE else f" ({difference:+.{digits}f})"
            cells.append(f"{value:.{digits}f}{aside}")
        # The middle one of all measurements, which a pause or other work on the machine does not move.
        speed = median(row["examples_per_second"] for row in rows)
        cells.append(f"{speed:,.{0 if speed >= 100 else 1}f}")
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join([*lines, "", "![held-out fill loss and route accuracy over examples](ablations.png)", ""])


def _parameters(config: ModelConfig) -> int:
    with torch.device("meta"):
        return Network(config).parameter_count()
