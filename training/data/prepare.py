"""Corpora, synthesis and the scenario library to shards: what is held out, what is in the mixture, and its tokens."""

from __future__ import annotations

import hashlib
import random
import tomllib
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from tqdm import tqdm

from model.tokenizer import Tokenizer
from model.types import Tool
from training.data.compose import VISIT, Composer
from training.data.encoder import ExampleEncoder, Limits, tool_content
from training.data.example import Example
from training.data.quality import Decontamination, Duplicates, unsupported
from training.data.requests import write_requests
from training.data.scenarios import draw
from training.data.scenarios.library import FOLDER, Domain, library_digest, load_library
from training.data.shards import save_description, save_examples, save_tools
from training.data.sources import SOURCES
from training.data.sources.accept import accept
from training.data.sources.pools import load_tools
from training.data.sources.trivia import load as load_trivia
from training.data.statistics import Statistics
from training.data.synthesis import Synthesiser, compose
from training.data.values import ValueMaker

HELD_OUT = tomllib.loads((Path(__file__).parent / "held_out.toml").read_text(encoding="utf-8"))
HELD_OUT_SHARE = 0.06  # of all other tool families, chosen by the hash of their name
ENUMERATED = 0.07  # share of synthesised requests that are to call one tool with several values
SIBLINGS = 2  # other tools of the family that a synthesised example lists
# The 300 requests for tools never trained on, by source; synthesis fills up what a source cannot give.
HELD_OUT_REQUESTS = {"sgd": 75, "seal_tools": 75, "snips": 25, "droidcall": 25, "synthesis": 100}
CANDIDATES = 4  # tools on offer in each of those
IRRELEVANT = 0.1  # share of those whose right tool is not on offer
HELD_OUT_SCENARIOS = 800  # conversations of all kinds over held-out domains of the library
VALIDATION = 1_000  # held-out examples of each source that training looks at
KEPT_FOR_PREVIEW = 400


@dataclass(frozen=True)
class PrepareConfig(Limits):
    """The mixture, in examples, and its limits."""

    scenarios: int = 130_000
    synthesised: int = 70_000
    composed: float = 0.12  # share of the synthesised that are several requests in one
    source_cap: int = 10_000  # examples of one corpus
    trivia: int = 3_000
    seed: int = 0


# The pools' weights in synthesis: wording and schemas of these are nearest to what applications declare.
POOL_WEIGHTS = {"seal": 4.0, "mcp": 3.0, "powerplatform": 1.0, "openapi": 0.8, "apizoo": 0.7}


def is_held_out(group: str) -> bool:
    """Whether a tool family is never trained on, in none of its variants."""
    family = group.partition("#")[0]
    if family in HELD_OUT["families"]:
        return True
    if family.startswith(("sgd:", "seal:")):
        return False
    return int.from_bytes(hashlib.sha256(family.encode()).digest()[:4], "big") / 2**32 < HELD_OUT_SHARE


def prepare(
    out: Path,
    tokenizer: Tokenizer,
    config: PrepareConfig,
    root: Path | None = None,
    evaluation: Path | None = None,
    library: Path = FOLDER,
) -> Statistics:
    """Write shards, statistics and held-out requests to `out`; the same bytes for the same arguments.

    Args:
        out: gets `train.npz`, `heldout.npz`, `tools.npz`, `shards.json`, `statistics.json`, `preview.jsonl.gz`, and the
            requests to score with: `heldout.jsonl.gz` (one call each) and `scenarios.jsonl.gz` (all kinds).
        root: the corpora's folder, if not `BODKIN_DATA_DIR`.
        evaluation: a folder with BFCL's files; what overlaps with them is dropped and reported.
    """
    decontamination = Decontamination.from_bfcl(evaluation) if evaluation else None
    gates = Gates(decontamination)
    corpora, held = _corpora(config, root)
    pools: dict[bool, dict[str, list[Tool]]] = {False: defaultdict(list), True: defaultdict(list)}
    for group, tool in tqdm(load_tools(root), desc="tool pools", unit="tool"):
        kept_out = is_held_out(group) or group.startswith("seal:") and tool.name in HELD_OUT["seal_tools"]
        pools[kept_out][group].append(tool)
    synthesiser = Synthesiser(ValueMaker.load(root))
    held += synthesise(synthesiser, pools[True], 3_000, config.composed, _rng(config, "held-out synthesis"))
    held = [e for e in held if e.calls and gates(e, "heldout") is None]
    domains = load_library(library)
    conversations = [
        e
        for e in compose_scenarios(
            [d for d in domains if is_held_out(f"scenario:{d.name}")], 2 * VALIDATION, config, "held-out"
        )
        if gates(e, "heldout") is None
    ]

    # A dialogue may offer a second service's tools: those of held-out requests do not even appear as distractors.
    unseen = {tool_content(t) for e in held for t in e.tools if t.name in {c.name for c in e.calls}}

    def train() -> Iterator[Example]:
        """The mixture, before the gates."""
        yield from (e for e in corpora if not unseen & {tool_content(t) for t in e.tools})
        rng = _rng(config, "synthesis")
        yield from synthesise(synthesiser, pools[False], config.synthesised, config.composed, rng)
        trained = [d for d in domains if not is_held_out(f"scenario:{d.name}")]
        yield from compose_scenarios(trained, config.scenarios, config, "training")

    statistics = Statistics(KEPT_FOR_PREVIEW, _rng(config, "preview"))
    encoder = ExampleEncoder(tokenizer, config, gates.drop)
    out.mkdir(parents=True, exist_ok=True)
    save_examples(
        out, "train", encoder.encode((e for e in train() if gates(e, "train") is None), "train", statistics.add)
    )
    rng = _rng(config, "held-out requests")
    validation = _balanced([*held, *conversations], VALIDATION, rng)
    save_examples(out, "heldout", encoder.encode(validation, "heldout"))
    save_tools(out, encoder.tool_table())
    write_requests(out / "heldout.jsonl.gz", held_out_requests(held, rng))
    write_requests(out / "scenarios.jsonl.gz", conversations[:HELD_OUT_SCENARIOS])
    write_requests(out / "preview.jsonl.gz", statistics.sample)
    statistics.dropped = gates.dropped
    statistics.decontamination = decontamination.report() if decontamination else None
    statistics.write(out / "statistics.json")
    made = {"config": asdict(config), "library": library_digest(library), "counts": statistics.sources()}
    save_description(out, tokenizer.json_text, made)
    return statistics


class Gates:
    """Every gate that an example passes, and how many each turned away: `dropped[split, source][reason]`."""

    def __init__(self, decontamination: Decontamination | None) -> None:
        self._gates: list[Callable[[Example], str | None]] = [_unsupported]
        self._gates += [decontamination] if decontamination else []
        self._duplicates = Duplicates()
        self.dropped: dict[str, Counter[str]] = defaultdict(Counter)

    def __call__(self, example: Example, split: str) -> str | None:
        """The reason why `example` is dropped; None when it is kept."""
        reason = next((r for gate in self._gates if (r := gate(example))), None) or self._duplicates(example)
        if reason:
            self.drop(example, split, reason)
        return reason

    def drop(self, example: Example, split: str, reason: str) -> None:
        self.dropped[f"{split}/{example.source}"][reason] += 1


def _unsupported(example: Example) -> str | None:
    """`unsupported`, but not of the library: what it draws is said, and what a wording only means ("at noon", "twice",
    "from rest") was written down with it."""
    return None if example.source == draw.SOURCE else unsupported(example)


def _rng(config: PrepareConfig, purpose: str) -> random.Random:
    """A generator of its own for every purpose: a change in one does not move what the others draw."""
    return random.Random(f"{config.seed}:{purpose}")


def _corpora(config: PrepareConfig, root: Path | None) -> tuple[list[Example], list[Example]]:
    """(training, held-out) examples of the annotated corpora."""
    train: list[Example] = []
    heldout: list[Example] = []
    seal = set(HELD_OUT["seal_tools"])
    for source, load in SOURCES.items():
        rng = _rng(config, source)
        examples = list(tqdm(load(root), desc=source, unit="example"))
        if source == "seal_tools":
            held = [e for e in examples if {c.name for c in e.calls} <= seal]
            trained = [e for e in examples if not {c.name for c in e.calls} & seal]
        else:
            held = [e for e in examples if is_held_out(e.group)]
            trained = [e for e in examples if not is_held_out(e.group)]
        rng.shuffle(trained)
        train += trained[: config.source_cap]
        rng.shuffle(held)
        heldout += held
    train += accept(load_trivia(config.trivia, root), root)
    return train, heldout


def compose_scenarios(domains: Sequence[Domain], count: int, config: PrepareConfig, purpose: str) -> Iterator[Example]:
    """`count` examples from the library's domains."""
    if not domains:
        return
    composer = Composer(domains, config.seed)
    with tqdm(total=count, desc=f"scenarios, {purpose}", unit="example") as bar:
        for visit in range(-(-count // VISIT)):
            # A generator for each visit: any one of them can be drawn again alone.
            examples = list(composer.visit(random.Random(f"{config.seed}:{purpose}:{visit}")))
            yield from examples
            bar.update(len(examples))


def synthesise(
    synthesiser: Synthesiser, pool: dict[str, list[Tool]], count: int, composed: float, rng: random.Random
) -> Iterator[Example]:
    """`count` examples over the tools of `pool`, each listing some siblings of what it calls."""
    families = list(pool)
    weights = [POOL_WEIGHTS[g.split(":")[0]] * min(len(pool[g]), 40) for g in families]
    made = 0
    with tqdm(total=count, desc="synthesis", unit="example") as bar:
        while made < count:
            group = rng.choices(families, weights)[0]
            # A few examples per visit, over neighbouring tools: training batches them together and shares their
            # encodings.
            tools = rng.sample(pool[group], min(len(pool[group]), rng.choice((1, 2, 3))))
            for _ in range(4):
                first = synthesiser.example(group, rng.choice(tools), rng)
                if first is None:
                    continue
                example = first
                if rng.random() < ENUMERATED:
                    example = synthesiser.enumerated(group, rng.choice(tools), rng) or first
                elif rng.random() < composed:
                    several = [
                        first,
                        *(
                            synthesiser.example(group, rng.choice(tools), rng)
                            for _ in range(rng.choice((1, 1, 2, 2, 3)))
                        ),
                    ]
                    example = compose([e for e in several if e is not None], rng)
                offered = {
                    t.name: t
                    for t in (*example.tools, *tools, *rng.sample(pool[group], min(len(pool[group]), SIBLINGS)))
                }
                yield replace(example, tools=tuple(offered.values())[: len(example.tools) + SIBLINGS])
                made += 1
                bar.update()


def held_out_requests(examples: Sequence[Example], rng: random.Random) -> list[Example]:
    """The requests of `HELD_OUT_REQUESTS`, with one call each and four candidate tools.

    The other candidates are siblings where the example lists some, then tools that requests of other families call:
    another wording of the right tool would be right as well. In one of ten the right tool is withheld, and no call is
    right.
    """
    by_source: dict[str, list[Example]] = defaultdict(list)
    for e in examples:
        if len(e.calls) == 1:
            by_source[e.source].append(e)
    strangers = [(e.family, t) for e in examples for t in e.tools if t.name in {c.name for c in e.calls}]
    chosen: list[Example] = []
    for source, count in HELD_OUT_REQUESTS.items():
        chosen += rng.sample(by_source[source], min(count, len(by_source[source])))
    rest = [e for e in by_source["synthesis"] if e not in chosen]
    chosen += rest[: sum(HELD_OUT_REQUESTS.values()) - len(chosen)]
    rng.shuffle(chosen)
    requests = []
    for k, e in enumerate(chosen):
        called = {c.name for c in e.calls}
        irrelevant = k % round(1 / IRRELEVANT) == 0
        tools = {} if irrelevant else {t.name: t for t in e.tools if t.name in called}
        offered = [t for t in e.tools if t.name not in called][:2] if not irrelevant else []
        while len(tools) < CANDIDATES:
            family, tool = ("", offered.pop()) if offered else rng.choice(strangers)
            if tool.name not in called and family != e.family:
                tools.setdefault(tool.name, tool)
        shuffled = list(tools.values())
        rng.shuffle(shuffled)
        requests.append(replace(e, tools=tuple(shuffled), calls=() if irrelevant else e.calls))
    return requests


def _balanced(examples: Sequence[Example], per_source: int, rng: random.Random) -> list[Example]:
    taken: Counter[str] = Counter()
    chosen = []
    for e in rng.sample(list(examples), len(examples)):
        if taken[e.source] < per_source:
            taken[e.source] += 1
            chosen.append(e)
    return chosen
