"""The training subcommands of `bodkin`: one function each, from options to a call."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from training.data.cli import ARTIFACT, RUNS, SHARDS, data


def train(argv: Sequence[str]) -> int:
    """`bodkin train`: the training loop; resumes a run that was stopped."""
    from training.config import TrainConfig

    defaults = TrainConfig()
    parser = argparse.ArgumentParser(
        prog="bodkin train", description="Train on prepared shards; resumes a stopped run."
    )
    parser.add_argument("--shards", type=Path, default=SHARDS)
    parser.add_argument("--run", type=Path, default=RUNS / "base", help="folder of checkpoint, history and plot")
    parser.add_argument("--init", default="minilm", help="minilm, random, or a safetensors file")
    for name in ("steps", "rows", "candidates", "warmup", "eval_every", "seed"):
        parser.add_argument(f"--{name.replace('_', '-')}", type=int, default=getattr(defaults, name))
    for name in ("decoder_lr", "encoder_lr", "decay", "checkpoint_minutes"):
        parser.add_argument(f"--{name.replace('_', '-')}", type=float, default=getattr(defaults, name))
    options = vars(parser.parse_args(argv))

    from training.train import train as run

    shards, folder, init = options.pop("shards"), options.pop("run"), options.pop("init")
    return _explained("train", lambda: run(shards, folder, TrainConfig(**options), init=init))


def init(argv: Sequence[str]) -> int:
    """`bodkin init`: the warm start as a file, for a machine that has only torch."""
    parser = argparse.ArgumentParser(
        prog="bodkin init", description="Write the MiniLM warm start to a safetensors file."
    )
    parser.add_argument("--out", type=Path, default=RUNS / "init.safetensors")
    parser.add_argument("--tokenizer", type=Path, default=ARTIFACT / "tokenizer.json")
    options = parser.parse_args(argv)

    from model.tokenizer import Tokenizer
    from training.config import ModelConfig
    from training.warm_start import save_warm_start

    def run() -> None:
        options.out.parent.mkdir(parents=True, exist_ok=True)
        tokenizer = Tokenizer.load(options.tokenizer)
        size = save_warm_start(options.out, tokenizer, ModelConfig(vocab_size=tokenizer.vocab_size))
        print(f"{options.out}: {size / 1e6:.1f} MB")

    return _explained("init", run)


def export(argv: Sequence[str]) -> int:
    """`bodkin export`: a checkpoint to the artifact that is served."""
    parser = argparse.ArgumentParser(prog="bodkin export", description="Export a checkpoint to an artifact folder.")
    parser.add_argument("--run", type=Path, default=RUNS / "base")
    parser.add_argument("--shards", type=Path, default=SHARDS, help="the run's shards: tokenizer and data digest")
    parser.add_argument("--out", type=Path, required=True, help="artifact folder to write or replace")
    parser.add_argument("--fp32", action="store_true", help="full precision instead of int8")
    options = parser.parse_args(argv)

    from model.tokenizer import Tokenizer
    from training.checkpoint import load_checkpoint, load_network
    from training.data.shards import load_description
    from training.export import export as write

    def run() -> None:
        checkpoint = options.run / "checkpoint.pt"
        state = load_checkpoint(checkpoint)
        info = {
            "trained": {"steps": state["step"], "examples": state["step"] * state["train_config"]["rows"]},
            "data_sha256": load_description(options.shards)["sha256"],
        }
        tokenizer = Tokenizer.load(options.shards / "tokenizer.json")
        manifest = write(load_network(checkpoint), tokenizer, options.out, int8=not options.fp32, info=info)
        size = sum(f.stat().st_size for f in options.out.iterdir())
        print(f"{options.out}: {manifest.parameters:,} parameters, {manifest.precision}, {size / 1e6:.1f} MB")

    return _explained("export", run)


def evaluate(argv: Sequence[str]) -> int:
    """`bodkin eval`: score an artifact on held-out requests and BFCL."""
    from training.bfcl import CATEGORIES

    parser = argparse.ArgumentParser(prog="bodkin eval", description="Score an artifact through the serving engine.")
    parser.add_argument("--artifact", type=Path, default=ARTIFACT)
    parser.add_argument(
        "--requests", type=Path, nargs="+", default=[], help=f"held-out requests, such as {SHARDS / 'heldout.jsonl.gz'}"
    )
    parser.add_argument("--bfcl", type=Path, help="folder with BFCL_v4_*.json")
    parser.add_argument("--categories", nargs="+", choices=CATEGORIES, default=list(CATEGORIES), metavar="CATEGORY")
    parser.add_argument("--report", type=Path, help="write scores and failures to this JSON file")
    parser.add_argument("--record", action="store_true", help="write the scores into the artifact's manifest")
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args(argv)
    if not options.requests and not options.bfcl:
        parser.error("nothing to score: give --requests, --bfcl or both")

    from model import load_engine
    from model.manifest import add_info
    from training.data.prepare import read_requests
    from training.evaluate import Score, evaluate_bfcl, evaluate_requests, table, write_report

    def run() -> None:
        engine = load_engine(options.artifact, options.threads)
        scores: dict[str, Score] = {}
        for path in options.requests:
            found = evaluate_requests(engine, read_requests(path))
            scores |= {f"{path.name.split('.')[0]}/{name}": score for name, score in found.items()}
        if options.bfcl:
            scores |= {f"bfcl/{k}": v for k, v in evaluate_bfcl(engine, options.bfcl, options.categories).items()}
        print(table(scores))
        if options.report:
            write_report(options.report, scores)
        if options.record:
            add_info(options.artifact, {"scores": {name: score.summary() for name, score in scores.items()}})

    return _explained("eval", run)


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
    "init": init,
    "export": export,
    "eval": evaluate,
    "params": params,
}


def main(argv: Sequence[str]) -> int:
    """`python -m training COMMAND`: the same commands where the project is copied but not installed."""
    parser = argparse.ArgumentParser(prog="python -m training", description="Bodkin's training commands.")
    parser.add_argument("command", choices=COMMANDS)
    parser.add_argument("arguments", nargs=argparse.REMAINDER)
    options = parser.parse_args(argv)
    return COMMANDS[options.command](options.arguments)


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
