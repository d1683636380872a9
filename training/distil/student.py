"""The student: an artifact fine-tuned on a teacher's labels, recalibrated on those kept back, compared to its start.

`learn`, `finish` and `measure`, in this order, are all of it. Each goes on where it was stopped: shards are there whole
or not at all, training resumes from its checkpoint as if it had never stopped, and what comes after takes minutes and
is done again.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from model import load_engine
from model.manifest import Manifest, add_info, read_manifest
from model.prompt import dumps
from model.tokenizer import Tokenizer
from training.artifact import artifact_network
from training.calibrate import FEWEST, calibrate, record
from training.checkpoint import Progress, load_checkpoint
from training.config import ModelConfig, TrainConfig
from training.data.example import Example
from training.data.requests import read_requests
from training.data.scenarios.library import FOLDER
from training.data.shards import load_description
from training.distil.batches import held_out_batches, mixed_batches, replay_rows
from training.distil.blend import blend, held_out_loss
from training.distil.comparison import Row, compare_artifacts, table, write_comparison
from training.distil.dataset import start_digest, write_dataset
from training.distil.general import general_requests
from training.distil.labels import Label
from training.export import export
from training.network import Network
from training.teacher.base import digest
from training.train import train

FEWEST_REPLAYED = 2_000  # distinct examples, however few labels there are
GENERAL_REQUESTS = 400


@dataclass(frozen=True)
class DistilConfig:
    """What a distillation does, in proportion to its labels. `training.steps` follows from `epochs`."""

    name: str = "bodkin-26m:tuned"  # of the model, as requests choose it
    teacher: str = "recorded"  # who labelled, for the manifest
    epochs: float = 8.0  # passes over the labels, unless the time limit or early stopping ends them
    fewest_steps: int = 100  # however few labels there are
    replay: float = 0.25  # share of the rows that are general examples, against forgetting
    replayed: int = 4  # distinct general examples for each label
    training: TrainConfig = field(
        default=TrainConfig(
            time_limit=60.0,
            rows=64,
            decoder_lr=1e-3,
            encoder_lr=2e-4,
            warmup=20,
            decay=0.4,
            patience=15,  # measurements are noisy while the rate is high
            eval_every=20,
            dropout=0.1,
            word_dropout=0.1,  # the user's tools are asked for in other words, too
            anchor_weight=1.0,  # other tools than the user's are not to be forgotten
            checkpoint_minutes=2.0,
        )
    )


@dataclass(frozen=True)
class Student:
    """What came of it. `uncalibrated` says why there is no confidence; `rows` are the comparison with the start."""

    artifact: Path
    steps: int
    best_step: int
    uncalibrated: str | None
    rows: dict[str, Row]


def distil(
    labels: Sequence[Label],
    heldout: Sequence[Label],
    start: Path,
    out: Path,
    config: DistilConfig,
    *,
    replay_shards: Path | None = None,
    general: Sequence[Path] = (),
    library: Path = FOLDER,
    threads: int = 2,
) -> Student:
    """`learn`, `finish` and `measure`, with their arguments."""
    learn(labels, heldout, start, out, config, replay_shards=replay_shards, library=library, threads=threads)
    uncalibrated = finish(labels, heldout, start, out, config, threads=threads)
    rows = measure(heldout, start, out, general=general, library=library, threads=threads)
    progress = Progress.of(load_checkpoint(out / "checkpoint.pt"))
    return Student(out / "artifact", progress.step, best_step(progress), uncalibrated, rows)


def learn(
    labels: Sequence[Label],
    heldout: Sequence[Label],
    start: Path,
    out: Path,
    config: DistilConfig,
    *,
    replay_shards: Path | None = None,
    library: Path = FOLDER,
    threads: int = 2,
) -> Network:
    """Teach the artifact `start` what `labels` say; `out` gets `shards`, `checkpoint.pt`, `history.jsonl`, `loss.png`.

    Args:
        labels, heldout: to learn from; to stop, calibrate and measure on. No request should be in both.
        start: an artifact folder, for instance the shipped one.
        replay_shards: prepared shards to replay from; else examples are composed of `library`.
        threads: of ONNX Runtime.

    ValueError when the labels cannot be learnt, or `out` was begun with other ones.
    """
    replayed = max(FEWEST_REPLAYED, config.replayed * len(labels)) if config.replay else 0
    write_dataset(
        out / "shards",
        labels,
        heldout,
        start,
        replay=replayed,
        replay_shards=replay_shards,
        library=library,
        seed=config.training.seed,
        threads=threads,
    )
    return fine_tune(out / "shards", start, out, config)


def finish(
    labels: Sequence[Label], heldout: Sequence[Label], start: Path, out: Path, config: DistilConfig, *, threads: int = 2
) -> str | None:
    """Blend what `learn` left in `out` with its start, export it to `out`/artifact, and calibrate it.

    Returns why it was not calibrated.
    """
    network = fine_tune(out / "shards", start, out, config).cpu()
    share = blend(network, artifact_network(start), held_out_loss(out / "shards", config.training))
    export_student(network, out / "artifact", start, manifest_info(labels, start, out, config, share))
    return recalibrate(out / "artifact", heldout, threads)


def measure(
    heldout: Sequence[Label],
    start: Path,
    out: Path,
    *,
    general: Sequence[Path] = (),
    library: Path = FOLDER,
    threads: int = 2,
) -> dict[str, Row]:
    """Compare `out`/artifact with `start`: printed, in `comparison.json` and `comparison.md`, and in its manifest.

    `general` are files of held-out requests that say what was forgotten; else conversations are composed of `library`.
    """
    artifact = out / "artifact"
    sets = {path.name.split(".")[0]: read_requests(path) for path in general}
    sets = sets or {"scenarios": general_requests(GENERAL_REQUESTS, library=library)}
    rows = compare_artifacts(start, artifact, heldout, sets, threads)
    write_comparison(out, rows)
    add_info(artifact, {"scores": {name: row.after.summary() for name, row in rows.items()}})
    print(table(rows).text())
    return rows


def fine_tune(shards: Path, start: Path, run: Path, config: DistilConfig) -> Network:
    """Train from `start` on what `write_dataset` wrote; resumes a stopped run. The network with the best weights."""
    answers = load_description(shards)["answers"]
    sizes: dict[str, Any] = dict(read_manifest(start).sizes)
    training = config.training
    labels_a_step = (training.rows - replay_rows(training.rows, config.replay)) * training.accumulate
    steps = max(config.fewest_steps, math.ceil(config.epochs * answers / labels_a_step))
    return train(
        shards,
        run,
        replace(training, steps=steps),
        ModelConfig(**sizes),
        init=str(start),
        draw_batches=partial(mixed_batches, replay=config.replay),
        draw_validation=held_out_batches,
    )


def export_student(network: Network, artifact: Path, start: Path, info: Mapping[str, Any]) -> Manifest:
    """Write the artifact with the start's tokenizer and precision, whole or not at all, and not calibrated yet."""
    int8 = read_manifest(start).precision == "int8"
    return export(network, Tokenizer.load(start / "tokenizer.json"), artifact, int8=int8, info=dict(info))


def manifest_info(
    labels: Sequence[Label], start: Path, run: Path, config: DistilConfig, share: float
) -> dict[str, Any]:
    """What the student's manifest says about where it comes from; `share` as of `blend`."""
    progress = Progress.of(load_checkpoint(run / "checkpoint.pt"))
    description = load_description(run / "shards")
    tools = {dumps([t.name, t.description, t.parameters]) for label in labels for t in label.example.tools}
    return {
        "name": config.name,
        "teacher": config.teacher,
        "labels": {name: description.get(name, 0) for name in ("labels", "answers", "heldout", "replay")},
        "tools": {"count": len(tools), "digest": digest(sorted(tools))},
        "base": {"name": read_manifest(start).info.get("name", "bodkin-26m"), "digest": start_digest(start)},
        "trained": {
            "steps": progress.step,
            "examples": progress.step * config.training.rows * config.training.accumulate,
            "best_step": best_step(progress),
            "share": share,
            "minutes": round(progress.seconds / 60, 1),
        },
        "data_sha256": description["sha256"],
    }


def recalibrate(artifact: Path, heldout: Sequence[Label], threads: int = 2) -> str | None:
    """Fit the confidence on held-out labels, into the manifest; returns why it stays null when they are too few.

    The tools that will be served are those that were learnt, so folds need not keep tools apart, only requests.
    """
    engine = load_engine(artifact, threads)
    requests: list[Example] = [replace(label.example, group=f"request {k}") for k, label in enumerate(heldout)]
    try:
        report = calibrate(engine, requests)
    except ValueError:
        return (
            f"{len(heldout)} held-out labels are too few to calibrate confidence on, so it stays null: "
            f"keep back so many that {FEWEST} are answered with a call, or without one"
        )
    record(artifact, report, engine.manifest.files)
    return None


def best_step(progress: Progress) -> int:
    """The step whose weights were kept; 0 when training made nothing better."""
    measured = [row for row in progress.history if "heldout_fill" in row]
    best = (row["step"] for row in measured if row["heldout_fill"] + row["heldout_route"] == progress.lowest)
    return int(next(best, 0))
