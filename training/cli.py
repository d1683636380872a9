"""The training subcommands of `bodkin`: one function each, from options to a call."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal

from training.data.cli import ARTIFACT, RUNS, SHARDS, data
from training.distil.cli import distil

# Of options that are numbers of `TrainConfig`, what they mean.
_NUMBERS = {
    "rows": "examples per micro-batch",
    "accumulate": "micro-batches per step",
    "candidates": "tools among which an example is routed",
    "warmup": "steps over which the rates rise",
    "eval_every": "steps between two measurements of held-out losses",
    "seed": "of the order of examples and of what is dropped",
    "decoder_lr": "highest rate of what starts at random",
    "encoder_lr": "highest rate of the warm-started encoder",
    "muon_scale": "Muon's rates as a multiple of these two; from MiniLM 4 or more, from trained weights 1",
    "decay": "last share of the run, over which the rates fall to zero",
    "dropout": "share of numbers set to zero in what each layer adds",
    "word_dropout": "share of tokens whose embedding is hidden",
    "anchor_weight": "of the hold on the encoder as it was",
    "checkpoint_minutes": "between two checkpoints",
}


def train(argv: Sequence[str]) -> int:
    """`bodkin train`: the training loop; resumes a run that was stopped."""
    from training.config import ModelConfig, TrainConfig

    defaults = TrainConfig()
    parser = argparse.ArgumentParser(
        prog="bodkin train",
        description="Train on prepared shards; resumes a stopped run. On N GPUs: "
        "torchrun --nproc-per-node N -m -- training train --accumulate N ... "
        "(behind --, because torchrun would take --run for an option of its own)",
    )
    parser.add_argument(
        "--shards",
        type=Path,
        nargs="+",
        default=[SHARDS],
        help="folders of shards to learn from in turn; held-out losses are of the first",
    )
    parser.add_argument("--run", type=Path, default=RUNS / "base", help="folder of checkpoint, history and plot")
    parser.add_argument(
        "--init", default="minilm", help="minilm, random, an artifact folder, a checkpoint.pt or a safetensors file"
    )
    parser.add_argument("--size", choices=("base", "tiny"), default="base", help="tiny: to try things out in seconds")
    end = parser.add_mutually_exclusive_group()
    end.add_argument("--steps", type=int, default=defaults.steps, help="how many to train (default %(default)s)")
    end.add_argument(
        "--time-limit", type=float, default=defaults.time_limit, metavar="MINUTES", help="train so long instead"
    )
    _add_numbers(parser, int, "rows", "accumulate", "candidates", "warmup", "eval_every", "seed")
    _add_numbers(
        parser,
        float,
        "decoder_lr",
        "encoder_lr",
        "muon_scale",
        "decay",
        "dropout",
        "word_dropout",
        "anchor_weight",
        "checkpoint_minutes",
    )
    parser.add_argument(
        "--optimizer", choices=("adamw", "muon"), default=defaults.optimizer, help="muon: for matrices inside layers"
    )
    parser.add_argument("--precision", choices=("bf16", "fp32"), default=defaults.precision, help="of matrix products")
    parser.add_argument("--workers", type=int, default=defaults.workers, help="processes that build batches (GPU: 4)")
    options = vars(parser.parse_args(argv))

    from model.tokenizer import Tokenizer
    from training.train import train as run

    (shards, *more), folder, init, size = (options.pop(name) for name in ("shards", "run", "init", "size"))
    if options["time_limit"]:
        options["steps"] = 0

    def start() -> None:
        config = TrainConfig(**options)
        vocab_size = Tokenizer.load(shards / "tokenizer.json").vocab_size
        model = ModelConfig.tiny(vocab_size) if size == "tiny" else ModelConfig(vocab_size)
        run(shards, folder, config, model, init=init, more=more)

    return _explained("train", start)


def ablate(argv: Sequence[str]) -> int:
    """`bodkin ablate`: train variants of the recipe with equal budgets, and compare them."""
    from training.config import ModelConfig, TrainConfig

    defaults = TrainConfig()
    parser = argparse.ArgumentParser(
        prog="bodkin ablate",
        description="Train the recipe, and variants of it with one choice undone, each on the same budget; write "
        "ablations.md and ablations.png. Goes on where it was stopped.",
    )
    parser.add_argument("--list", action="store_true", help="say what variants there are, and end")
    parser.add_argument("--variants", nargs="+", default=[], metavar="NAME", help="beside the baseline (default: all)")
    parser.add_argument("--shards", type=Path, default=SHARDS, help="folder of shards to learn from and to measure on")
    parser.add_argument("--out", type=Path, default=RUNS / "ablations", help="folder of the report, and of each run's")
    parser.add_argument("--init", default="minilm", help="what all but random-start start from, as of bodkin train")
    parser.add_argument("--size", choices=("base", "tiny"), default="base", help="tiny: to try things out in seconds")
    parser.add_argument("--steps", type=int, default=2000, help="of each variant (default %(default)s)")
    _add_numbers(parser, int, "rows", "accumulate", "candidates", "seed")
    parser.add_argument("--warmup", type=int, help="steps (default: a tenth of them, at most 200)")
    parser.add_argument("--eval-every", type=int, help="steps between two points of the curves (default: a tenth)")
    _add_numbers(parser, float, "decoder_lr", "encoder_lr", "muon_scale", "decay")
    parser.add_argument("--precision", choices=("bf16", "fp32"), default=defaults.precision, help="of matrix products")
    parser.add_argument("--workers", type=int, default=defaults.workers, help="processes that build batches (GPU: 4)")
    options = vars(parser.parse_args(argv))

    import torch

    from model.tokenizer import Tokenizer
    from training.ablate import VARIANTS, Setup
    from training.ablate import ablate as run

    if options.pop("list"):
        for variant in VARIANTS:
            print(f"{variant.name:20}{variant.differs}")
        return 0
    names, shards, out, init, size = (options.pop(name) for name in ("variants", "shards", "out", "init", "size"))
    tenth = max(1, options["steps"] // 10)
    options["warmup"] = options["warmup"] or min(defaults.warmup, tenth)
    options["eval_every"] = options["eval_every"] or tenth

    def start() -> None:
        optimizer: Literal["muon", "adamw"] = "muon" if hasattr(torch.optim, "Muon") else "adamw"
        config = TrainConfig(**options, optimizer=optimizer)
        vocab_size = Tokenizer.load(shards / "tokenizer.json").vocab_size
        model = ModelConfig.tiny(vocab_size) if size == "tiny" else ModelConfig(vocab_size)
        run(shards, out, Setup(model, config, init), names)

    return _explained("ablate", start)


def init(argv: Sequence[str]) -> int:
    """`bodkin init`: the warm start, adapted to the tokenizer if asked, as a file for a machine that has only torch."""
    parser = argparse.ArgumentParser(
        prog="bodkin init", description="Write the MiniLM warm start to a safetensors file."
    )
    parser.add_argument("--out", type=Path, default=RUNS / "init.safetensors")
    parser.add_argument("--tokenizer", type=Path, default=ARTIFACT / "tokenizer.json")
    parser.add_argument(
        "--adapt", type=int, default=0, metavar="STEPS", help="first match the states of MiniLM with its own tokenizer"
    )
    parser.add_argument("--shards", type=Path, default=SHARDS, help="whose texts to adapt on")
    parser.add_argument("--rows", type=int, default=64, help="texts a step of adaptation")
    parser.add_argument("--lr", type=float, default=1e-4, help="highest learning rate of adaptation")
    parser.add_argument("--seed", type=int, default=0, help="of the order of texts")
    options = parser.parse_args(argv)

    from model.tokenizer import Tokenizer
    from training.adapt import adapt_on
    from training.config import ModelConfig
    from training.network import Network
    from training.warm_start import save_warm_start, warm_start

    def run() -> None:
        tokenizer = Tokenizer.load(options.tokenizer)
        network = Network(ModelConfig(vocab_size=tokenizer.vocab_size))
        warm_start(network, tokenizer)
        if options.adapt:
            before, after = adapt_on(
                options.shards, network, tokenizer, options.adapt, options.rows, options.lr, options.seed
            )
            print(
                f"mean cosine to MiniLM on texts not trained on: of pooled vectors {before.texts:.4f} before and "
                f"{after.texts:.4f} after, of tokens {before.tokens:.4f} and {after.tokens:.4f}"
            )
        options.out.parent.mkdir(parents=True, exist_ok=True)
        size = save_warm_start(options.out, network)
        print(f"{options.out}: {size / 1e6:.1f} MB")

    return _explained("init", run)


def export(argv: Sequence[str]) -> int:
    """`bodkin export`: a checkpoint to the artifact that is served."""
    parser = argparse.ArgumentParser(prog="bodkin export", description="Export a checkpoint to an artifact folder.")
    parser.add_argument("--run", type=Path, nargs="+", default=[RUNS / "base"], help="of several, their mean")
    parser.add_argument(
        "--shards", type=Path, nargs="+", default=[SHARDS], help="the run's shards: tokenizer and data digests"
    )
    parser.add_argument("--out", type=Path, required=True, help="artifact folder to write or replace")
    parser.add_argument("--fp32", action="store_true", help="full precision instead of int8")
    parser.add_argument(
        "--mean-with",
        type=Path,
        metavar="ARTIFACT",
        help="the mean with these weights, too: the start of the runs",
    )
    options = parser.parse_args(argv)

    from model.tokenizer import Tokenizer
    from training.artifact import artifact_network, average
    from training.checkpoint import load_checkpoint, network_of
    from training.data.shards import load_description
    from training.export import export as write

    def run() -> None:
        states = [load_checkpoint(run / "checkpoint.pt") for run in options.run]
        info = {
            "trained": {
                "steps": sum(state["step"] for state in states),
                "examples": sum(state["history"][-1]["examples"] for state in states),
            },
            "data_sha256": [load_description(shards)["sha256"] for shards in options.shards],
        }
        tokenizer = Tokenizer.load(options.shards[0] / "tokenizer.json")
        network, *others = map(network_of, states)
        if options.mean_with:
            others.append(artifact_network(options.mean_with))
        average(network, others)
        manifest = write(network, tokenizer, options.out, int8=not options.fp32, info=info)
        size = sum(f.stat().st_size for f in options.out.iterdir())
        print(f"{options.out}: {manifest.parameters:,} parameters, {manifest.precision}, {size / 1e6:.1f} MB")

    return _explained("export", run)


def evaluate(argv: Sequence[str]) -> int:
    """`bodkin eval`: score an artifact on held-out requests and BFCL."""
    from training.bfcl import CATEGORIES

    prepared = [path for name in ("heldout", "scenarios") if (path := SHARDS / f"{name}.jsonl.gz").exists()]
    parser = argparse.ArgumentParser(prog="bodkin eval", description="Score an artifact through the serving engine.")
    parser.add_argument("--artifact", type=Path, default=ARTIFACT)
    parser.add_argument(
        "--requests", type=Path, nargs="*", default=prepared, help=f"held-out requests (default: those in {SHARDS})"
    )
    parser.add_argument(
        "--bfcl",
        type=Path,
        default=os.environ.get("BODKIN_EVAL_DIR"),
        help="folder with BFCL_v4_*.json (default $BODKIN_EVAL_DIR)",
    )
    parser.add_argument("--categories", nargs="+", choices=CATEGORIES, default=list(CATEGORIES), metavar="CATEGORY")
    parser.add_argument("--compare", type=Path, metavar="ARTIFACT", help="answer with this one too, and compare")
    parser.add_argument("--markdown", type=Path, help="write the tables to this Markdown file")
    parser.add_argument("--failures", type=Path, help="write the failures to this HTML page")
    parser.add_argument("--report", type=Path, help="write scores and failures to this JSON file")
    parser.add_argument("--record", action="store_true", help="write the scores into the artifact's manifest")
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args(argv)
    if not options.requests and not options.bfcl:
        parser.error("nothing to score: give --requests, --bfcl or both")

    from training.evaluate import evaluate as run

    bfcl = Path(options.bfcl) if options.bfcl else None
    return _explained(
        "eval",
        lambda: run(
            options.artifact,
            requests=options.requests,
            bfcl=bfcl,
            categories=options.categories,
            other=options.compare,
            threads=options.threads,
            markdown=options.markdown,
            failures=options.failures,
            report=options.report,
            record=options.record,
        ),
    )


def calibrate(argv: Sequence[str]) -> int:
    """`bodkin calibrate`: fit an artifact's confidence on held-out requests, into its manifest."""
    parser = argparse.ArgumentParser(
        prog="bodkin calibrate", description="Fit the confidence of an artifact on requests it was not trained on."
    )
    parser.add_argument("--artifact", type=Path, default=ARTIFACT, help="its manifest gets the calibration")
    parser.add_argument(
        "--requests",
        type=Path,
        nargs="+",
        default=[SHARDS / "heldout.jsonl.gz", SHARDS / "scenarios.jsonl.gz"],
        help="held-out requests; by default those of `bodkin data prepare`",
    )
    parser.add_argument("--out", type=Path, required=True, help="folder for reliability.png and risk_coverage.png")
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args(argv)

    from model import load_engine
    from training.calibrate import calibrate as fit
    from training.calibrate import record, table
    from training.calibration_plot import plot_calibration
    from training.data.requests import read_requests

    def run() -> None:
        engine = load_engine(options.artifact, options.threads)
        report = fit(engine, [example for path in options.requests for example in read_requests(path)])
        print(table(report))
        options.out.mkdir(parents=True, exist_ok=True)
        plot_calibration(options.out, report)
        record(options.artifact, report, engine.manifest.files)
        print(f"\n{options.artifact / 'manifest.json'}: calibrated; pictures in {options.out}")

    return _explained("calibrate", run)


def params(argv: Sequence[str]) -> int:
    """`bodkin params`: where the network's parameters are."""
    argparse.ArgumentParser(prog="bodkin params", description="Count the network's parameters.").parse_args(argv)

    from training.config import ModelConfig
    from training.network import Network

    network = Network(ModelConfig())
    parts = {
        "token embedding (shared)": network.encoder.embedding,
        "encoder layers": network.encoder.layers,
        "decoder layers": network.decoder.layers,
    }
    counts = {name: sum(p.numel() for p in part.parameters()) for name, part in parts.items()}
    total = network.parameter_count()
    counts["positions, heads, projections"] = total - sum(counts.values())
    for name, count in (*counts.items(), ("total", total)):
        print(f"{name:32}{count:12,}")
    return 0


COMMANDS: dict[str, Callable[[Sequence[str]], int]] = {
    "data": data,
    "train": train,
    "ablate": ablate,
    "init": init,
    "export": export,
    "eval": evaluate,
    "calibrate": calibrate,
    "distil": distil,
    "params": params,
}


def main(argv: Sequence[str]) -> int:
    """`python -m training COMMAND`: the same commands where the project is copied but not installed."""
    parser = argparse.ArgumentParser(prog="python -m training", description="Bodkin's training commands.")
    parser.add_argument("command", choices=COMMANDS)
    parser.add_argument("arguments", nargs=argparse.REMAINDER)
    options = parser.parse_args(argv)
    return COMMANDS[options.command](options.arguments)


def _add_numbers(parser: argparse.ArgumentParser, kind: type[int] | type[float], *names: str) -> None:
    """Options for settings of `TrainConfig`, with its defaults."""
    from training.config import TrainConfig

    defaults = TrainConfig()
    for name in names:
        parser.add_argument(
            f"--{name.replace('_', '-')}",
            type=kind,
            default=getattr(defaults, name),
            help=f"{_NUMBERS[name]} (default %(default)s)",
        )


def _explained(command: str, run: Callable[[], object]) -> int:
    """Run; what a user can mend becomes one sentence, anything else stays a traceback."""
    from model.errors import ModelError

    try:
        run()
    except (FileNotFoundError, ModelError, ValueError) as error:
        print(f"bodkin {command}: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"bodkin {command}: stopped", file=sys.stderr)
        return 130
    return 0
