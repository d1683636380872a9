"""`bodkin data`: the subcommands that make, check and show training data."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

RUNS = Path("runs")
SHARDS = RUNS / "shards"
ARTIFACT = Path(__file__).parents[2] / "model" / "artifact"


def data(argv: Sequence[str]) -> int:
    """`bodkin data ACTION`."""
    parser = argparse.ArgumentParser(prog="bodkin data", description="Make, check and show training data.")
    actions = parser.add_subparsers(dest="action", required=True)

    from training.data.prepare import PrepareConfig

    defaults = PrepareConfig()
    prepare = actions.add_parser("prepare", help="corpora, synthesis and the scenario library to a folder of shards")
    prepare.add_argument("--out", type=Path, default=SHARDS, help=f"folder to write (default {SHARDS})")
    for name, what in (("scenarios", "from the scenario library"), ("synthesised", "over the pools of real schemas")):
        default = getattr(defaults, name)
        prepare.add_argument(f"--{name}", type=int, default=default, help=f"examples {what} (default {default})")
    prepare.add_argument("--seed", type=int, default=defaults.seed)
    prepare.add_argument("--tokenizer", type=Path, default=ARTIFACT / "tokenizer.json")
    prepare.add_argument(
        "--evaluation",
        type=Path,
        default=os.environ.get("BODKIN_EVAL_DIR"),
        help="folder with BFCL_v4_*.json: what overlaps with it is dropped (default $BODKIN_EVAL_DIR)",
    )
    prepare.add_argument(
        "--library",
        type=Path,
        help="folder of domains (default: this project's scenario library, whose lists they may name)",
    )
    prepare.set_defaults(run=_prepare)

    validate = actions.add_parser("validate", help="check scenario files and print sample requests")
    validate.add_argument("files", type=Path, nargs="*", help="domains (default: the whole library)")
    validate.add_argument("--samples", type=int, default=1, help="requests to print per tool of the named files")
    validate.add_argument("--seed", type=int, default=0)
    validate.set_defaults(run=_validate)

    stats = actions.add_parser("stats", help="print what prepared shards are made of; write the datasheet")
    stats.add_argument("--shards", type=Path, default=SHARDS)
    stats.add_argument("--datasheet", type=Path, help="also write this Markdown page, with pictures beside it")
    stats.set_defaults(run=_stats)

    preview = actions.add_parser("preview", help="random examples of prepared shards as a page to read")
    preview.add_argument("--shards", type=Path, default=SHARDS)
    preview.add_argument("--out", type=Path, default=RUNS / "preview.html", help="HTML page to write")
    preview.add_argument("--count", type=int, default=50)
    preview.add_argument("--source", help="only examples of this source, such as scenarios")
    preview.add_argument("--text", action="store_true", help="print the examples too")
    preview.add_argument("--seed", type=int, default=0)
    preview.set_defaults(run=_preview)

    options = parser.parse_args(argv)
    from training.data.download import CorpusError

    try:
        return int(options.run(options))
    except BrokenPipeError:  # `... | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (CorpusError, OSError, ValueError) as error:
        print(f"bodkin data: {error}", file=sys.stderr)
        return 1


def _prepare(options: argparse.Namespace) -> int:
    from model.tokenizer import Tokenizer
    from training.data.prepare import PrepareConfig, prepare
    from training.data.scenarios.library import FOLDER, domain_files

    library = options.library or FOLDER
    if not domain_files(library):
        raise ValueError(f"no domain, a .yaml file, in {library}")
    # Threads of the tokenizer gain nothing on single texts, and cost a lot beside a training run.
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    config = PrepareConfig(scenarios=options.scenarios, synthesised=options.synthesised, seed=options.seed)
    tokenizer = Tokenizer.load(options.tokenizer)
    evaluation = Path(options.evaluation) if options.evaluation else None
    statistics = prepare(options.out, tokenizer, config, evaluation=evaluation, library=library)
    for source, count in statistics.sources().items():
        print(f"{source:44}{count:9,}")
    for source, reasons in sorted(statistics.dropped.items()):
        for reason, count in reasons.items():
            print(f"dropped {source:24} {reason:32}{count:9,}")
    if evaluation is None:
        print("not checked against an evaluation set: give --evaluation", file=sys.stderr)
    return 0


def _validate(options: argparse.Namespace) -> int:
    import random

    from training.data.scenarios.library import domain_files
    from training.data.scenarios.samples import print_samples
    from training.data.scenarios.validate import validate

    domains, problems = validate(options.files or domain_files())
    if options.files:
        for domain in domains:
            print_samples(domain, options.samples, random.Random(options.seed))
    for path, found in problems.items():
        for problem in found:
            print(f"{path}: {problem}", file=sys.stderr)
    tools, phrasings = sum(len(d.tools) for d in domains), sum(len(t.say) for d in domains for t in d.tools)
    print(f"{len(domains)} domains, {tools:,} tools, {phrasings:,} phrasings; {len(problems)} files with problems")
    return 1 if problems else 0


def _stats(options: argparse.Namespace) -> int:
    from training.data.download import FILES
    from training.data.report import print_statistics, write_datasheet
    from training.data.statistics import Statistics

    statistics = Statistics.read(options.shards / "statistics.json")
    print_statistics(statistics)
    if options.datasheet:
        rows = {(f.path.split("/")[0], f"{f.repository} @ {f.commit[:12]}", f.licence) for f in FILES.values()}
        write_datasheet(statistics, options.datasheet, sorted(rows))
        print(f"\n{options.datasheet} and its pictures")
    return 0


def _preview(options: argparse.Namespace) -> int:
    import random

    from training.data.report import write_preview
    from training.data.requests import read_requests
    from training.data.scenarios.samples import conversation

    examples = read_requests(options.shards / "preview.jsonl.gz")
    if options.source:
        examples = [e for e in examples if e.source == options.source]
    if options.text:
        for example in random.Random(options.seed).sample(examples, min(options.count, len(examples))):
            print(f"{example.source} {example.group} [{len(example.tools)} tools]")
            print(conversation(example))
    count = write_preview(examples, options.out, options.count, options.seed)
    print(f"{options.out}: {count} examples")
    return 0
