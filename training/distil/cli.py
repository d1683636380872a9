"""`bodkin distil`: from options to a `training.distil.pipeline.Pipeline`."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from model.names import check_name, default_store
from training.data.cli import ARTIFACT, RUNS

if TYPE_CHECKING:
    from training.distil.pipeline import Settings

STEPS = ("generate", "filter", "train", "export", "eval", "publish")
EPILOG = """\
steps, in this order when none is named:
  generate  the teacher invents requests and answers them: the step that costs money
  filter    its answers become labels, one of ten held out
  train     the student learns them, at most --time-limit minutes
  export    the artifact, with calibrated confidence
  eval      own tools and general requests, before and after
  publish   into the folder that a server watches, unless it is no better

What is stopped, by Ctrl-C, the budget, a quota or a crash, goes on with the same command, and nothing is paid twice.

example:
  export GEMINI_API_KEY=...
  bodkin distil --tools tools.json --name mytools --examples 5000 --budget 20 --dry-run
  bodkin distil --tools tools.json --name mytools --examples 5000 --budget 20
  bodkin serve    # and ask for the model "bodkin-26m:mytools"
"""


def distil(argv: Sequence[str]) -> int:
    """`bodkin distil`: the model learns the user's own tools from a teacher."""
    parser = _parser()
    options = parser.parse_args(argv)
    if unknown := [step for step in options.steps if step not in STEPS]:
        parser.error(f"no step {', '.join(unknown)}; there are {', '.join(STEPS)}")

    from model.errors import ModelError
    from training.distil.hire import hire
    from training.distil.pipeline import Pipeline
    from training.teacher.base import TeacherError
    from training.teacher.prices import Price

    try:
        teacher = partial(
            hire,
            options.teacher,
            base_url=options.base_url,
            requests_per_minute=options.requests_per_minute,
            override=Price(*options.price) if options.price else None,
            api_key="not needed" if options.dry_run else None,  # nothing is asked
        )
        with closing(Pipeline(_settings(options), teacher)) as pipeline:
            if options.dry_run:
                pipeline.dry_run()
                return 0
            return 0 if pipeline.run(options.steps or STEPS) else 3
    except (FileNotFoundError, ModelError, TeacherError, ValueError) as error:
        print(f"bodkin distil: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("bodkin distil: stopped; the same command goes on", file=sys.stderr)
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="bodkin distil",
        description="Teach the model your own tools: a teacher's calls become a fine-tuned model with its own name.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("steps", nargs="*", metavar="STEP", help="only these (default: all)")
    parser.add_argument("--tools", type=Path, required=True, help="JSON: OpenAI tools, or an MCP tools/list result")
    parser.add_argument("--name", help="the model will be bodkin-26m:NAME (default: the tools file's name)")
    parser.add_argument("--run", type=Path, help=f"folder for everything (default {RUNS}/distil/NAME)")
    parser.add_argument("--dry-run", action="store_true", help="say what would be asked and what it costs, and end")

    teacher = parser.add_argument_group("teacher")
    teacher.add_argument(
        "--teacher",
        default="gemini",
        help="gemini, gemini:MODEL, or recorded:FILE with a ledger, OpenAI's fine-tuning lines or logged traffic "
        "(default gemini; its key is taken from GEMINI_API_KEY or GOOGLE_API_KEY)",
    )
    teacher.add_argument("--examples", type=_count, default=5_000, help="requests to be answered (default 5000)")
    teacher.add_argument("--budget", type=_dollars, default=20.0, help="dollars that may be spent (default 20)")
    teacher.add_argument("--samples", type=_count, default=5, help="answers to a request whose first two differ")
    teacher.add_argument("--batch", action="store_true", help="answers by batch jobs: half the price, hours to wait")
    teacher.add_argument("--concurrency", type=_count, default=8, help="requests at a time (default 8)")
    teacher.add_argument("--requests-per-minute", type=float, metavar="N", help="the limit of your plan")
    teacher.add_argument(
        "--price", type=float, nargs=2, metavar=("IN", "OUT"), help="dollars per million tokens, of an unlisted model"
    )
    teacher.add_argument(
        "--base-url", default=os.environ.get("GOOGLE_GEMINI_BASE_URL"), help="of Gemini's API (default: Google's)"
    )

    student = parser.add_argument_group("student")
    student.add_argument("--start", type=Path, default=ARTIFACT, help="artifact to begin with (default: as shipped)")
    student.add_argument("--agreement", type=float, default=0.5, help="share of the samples that a label needs")
    student.add_argument("--time-limit", type=float, default=60.0, metavar="MINUTES", help="of training (default 60)")
    student.add_argument("--epochs", type=float, help="passes over the labels, at most")
    student.add_argument("--replay", type=Path, metavar="SHARDS", help="general examples (default: a built-in library)")
    student.add_argument("--general", type=Path, nargs="*", default=[], help="requests to measure forgetting on")
    student.add_argument("--threads", type=_count, default=2, help="of evaluation")
    student.add_argument("--seed", type=int, default=0)

    store = parser.add_argument_group("publishing")
    store.add_argument(
        "--store", type=Path, default=os.environ.get("BODKIN_STORE") or default_store(), help="default $BODKIN_STORE"
    )
    store.add_argument("--force", action="store_true", help="publish it even if it is no better")
    return parser


def _settings(options: argparse.Namespace) -> Settings:
    """The options as settings. Imports what takes time, which `--help` can do without."""
    from training.distil.filter import FilterConfig
    from training.distil.generate import GenerateConfig
    from training.distil.pipeline import Settings
    from training.distil.sampling import Sampling
    from training.distil.student import DistilConfig

    name = check_name(options.name or options.tools.stem.lower())
    student = DistilConfig()
    training = replace(student.training, time_limit=options.time_limit, seed=options.seed)
    return Settings(
        tools=options.tools,
        name=name,
        run=options.run or RUNS / "distil" / name,
        start=options.start,
        store=Path(options.store),
        generate=GenerateConfig(
            examples=options.examples,
            budget=options.budget,
            sampling=Sampling(min(2, options.samples), options.samples),
            concurrency=options.concurrency,
            batch=options.batch,
            seed=options.seed,
        ),
        filter=FilterConfig(agreement=options.agreement),
        student=replace(student, training=training, epochs=options.epochs or student.epochs),
        replay_shards=options.replay,
        general=tuple(options.general),
        threads=options.threads,
        force=options.force,
    )


def _count(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return number


def _dollars(text: str) -> float:
    dollars = float(text)
    if dollars < 0:
        raise argparse.ArgumentTypeError("must not be negative")
    return dollars
