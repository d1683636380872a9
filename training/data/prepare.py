"""Corpora, synthesis and the scenario library to shards: what is held out, what is in the mixture, and its tokens."""

from __future__ import annotations

import gzip
import hashlib
import json
import random
import tomllib
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import repeat
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from model.errors import SchemaError
from model.grammar import Grammar, GrammarCompiler, free_mask
from model.parameters import Keys, ParameterTracker, parameter_keys
from model.prompt import Prompt, dumps, encode_messages, encode_tool
from model.schema import normalise
from model.tokenizer import END, Tokenizer
from model.types import Message, Tool, ToolCall
from training.data.compose import VISIT, Composer
from training.data.example import Call, Example
from training.data.quality import Decontamination, Duplicates, unsupported
from training.data.scenarios import draw
from training.data.scenarios.library import FOLDER, Domain, library_digest, load_library
from training.data.shards import ExampleTable, Ragged, ToolTable, save_description, save_examples, save_tools
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
class PrepareConfig:
    """The mixture and its limits, in examples and tokens."""

    scenarios: int = 130_000
    synthesised: int = 70_000
    composed: float = 0.12  # share of the synthesised that are several requests in one
    source_cap: int = 10_000  # examples of one corpus
    trivia: int = 3_000
    max_query_tokens: int = 160
    max_tool_tokens: int = 160
    max_argument_tokens: int = 160  # of all calls together
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
    unseen = {_content(t) for e in held for t in e.tools if t.name in {c.name for c in e.calls}}

    def train() -> Iterator[Example]:
        """The mixture, before the gates."""
        yield from (e for e in corpora if not unseen & {_content(t) for t in e.tools})
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


def write_requests(path: Path, examples: Iterable[Example]) -> None:
    """Examples as gzipped JSON lines."""
    with gzip.open(path, "wt", encoding="utf-8") as f:
        for e in examples:
            f.write(json.dumps(asdict(e), ensure_ascii=False) + "\n")


def read_requests(path: Path) -> list[Example]:
    """What `write_requests` wrote."""
    with gzip.open(path, "rt", encoding="utf-8") as f:
        rows = [json.loads(line) for line in f]
    return [
        Example(
            row["source"],
            row["group"],
            tuple(
                Message(m["role"], m["text"], tuple(ToolCall(**c) for c in m["tool_calls"]), m["name"])
                for m in row["messages"]
            ),
            tuple(Tool(**t) for t in row["tools"]),
            tuple(Call(**c) for c in row["calls"]),
        )
        for row in rows
    ]


def _balanced(examples: Sequence[Example], per_source: int, rng: random.Random) -> list[Example]:
    taken: Counter[str] = Counter()
    chosen = []
    for e in rng.sample(list(examples), len(examples)):
        if taken[e.source] < per_source:
            taken[e.source] += 1
            chosen.append(e)
    return chosen


def _content(tool: Tool) -> str:
    return json.dumps([tool.name, tool.description, tool.parameters])


@dataclass(frozen=True)
class _Row:
    """One example's arrays; see `ExampleTable`."""

    query: npt.NDArray[Any]
    pool_start: int
    others: list[int]
    call_tools: list[int]
    arguments: list[npt.NDArray[Any]]
    free: list[npt.NDArray[Any]]
    parameter: list[npt.NDArray[Any]]
    source: str
    group: int
    family: int


class ExampleEncoder:
    """Turns examples into tables; `drop` hears what does not fit, and why. Tools are numbered across splits."""

    def __init__(
        self, tokenizer: Tokenizer, config: PrepareConfig, drop: Callable[[Example, str, str], None] | None = None
    ) -> None:
        self.tokenizer, self.config, self.drop = tokenizer, config, drop
        self.compiler = GrammarCompiler(tokenizer.json_text, tokenizer.vocab_size, END)
        self._tools: dict[str, int | None] = {}  # content -> number; None when it cannot be used
        self._prompts: list[Prompt] = []
        self._called: list[Counter[int]] = []  # of each tool, in which groups it was called, and in which listed
        self._listed: list[Counter[int]] = []
        self._keys: list[Keys] = []
        self._grammars: list[Grammar] = []
        self._groups: dict[str, int] = {}
        self._families: dict[str, int] = {}

    def encode(
        self,
        examples: Iterable[Example],
        split: str,
        kept: Callable[[Example], None] | None = None,
        weights: Iterable[float] | None = None,
    ) -> ExampleTable:
        """The table of the examples that fit; `kept` hears of each. `weights` has one number an example, if not 1."""
        rows: list[_Row] = []
        weight: list[float] = []
        weighted = zip(examples, repeat(1.0) if weights is None else weights, strict=weights is not None)
        for e, counts in tqdm(weighted, desc=f"encoding {split}", unit="example"):
            row = self._row(e)
            if isinstance(row, str):
                if self.drop:
                    self.drop(e, split, row)
                continue
            if kept:
                kept(e)
            rows.append(row)
            weight.append(counts)
        sources = sorted({r.source for r in rows})
        return ExampleTable(
            query=Ragged.pack([r.query for r in rows], np.uint16),
            pool_start=np.array([r.pool_start for r in rows]),
            others=Ragged.pack([r.others for r in rows], np.int32),
            call_tools=Ragged.pack([r.call_tools for r in rows], np.int32),
            arguments=Ragged.pack([a for r in rows for a in r.arguments], np.uint16),
            free=Ragged.pack([f for r in rows for f in r.free], np.uint8),
            parameter=Ragged.pack([p for r in rows for p in r.parameter], np.int16),
            source=np.array([sources.index(r.source) for r in rows]),
            sources=tuple(sources),
            group=np.array([r.group for r in rows]),
            family=np.array([r.family for r in rows]),
            weight=np.array(weight, np.float32),
            closed=np.zeros(len(rows), np.bool_),
        )

    def tool_table(self) -> ToolTable:
        return ToolTable(
            Ragged.pack([p.ids for p in self._prompts], np.uint16),
            Ragged.pack([p.parameters for p in self._prompts], np.uint16),
            np.array([p.pool[1] for p in self._prompts]),
            np.array([self._tool_group(n) for n in range(len(self._prompts))]),
        )

    def _tool_group(self, number: int) -> int:
        """A tool's family: where it is called. One that never is may be a stranger wherever it is listed."""
        [(group, _)] = (self._called[number] or self._listed[number]).most_common(1)
        return group

    def _row(self, e: Example) -> _Row | str:
        """An example's arrays, or the reason why it is dropped."""
        prompt = encode_messages(e.messages, self.tokenizer)
        if len(prompt.ids) > self.config.max_query_tokens:
            return "long request"
        numbers = {t.name: self._tool(t) for t in e.tools}
        called = [numbers[c.name] for c in e.calls]
        group = self._group(e.group)
        for n in numbers.values():
            if n is not None:
                (self._called if n in called else self._listed)[n][group] += 1
        if any(n is None for n in called):
            return "unusable tool"
        arguments = [self.tokenizer.encode(dumps(c.arguments)) for c in e.calls]
        if sum(map(len, arguments)) > self.config.max_argument_tokens:
            return "long arguments"
        try:
            free = [free_mask(self._grammars[n], a) for n, a in zip(called, arguments, strict=True) if n is not None]
        except ValueError:
            return "arguments outside the grammar"
        return _Row(
            query=np.array(prompt.ids, np.uint16),
            pool_start=prompt.pool[0],
            others=[n for n in numbers.values() if n is not None and n not in called],
            call_tools=[n for n in called if n is not None],
            arguments=[np.array(a, np.uint16) for a in arguments],
            free=[np.array(f, np.uint8) for f in free],
            parameter=[
                np.array(ParameterTracker(self.tokenizer, self._keys[n]).feed(a), np.int16)
                for n, a in zip(called, arguments, strict=True)
                if n is not None
            ],
            source=e.source,
            group=group,
            family=self._families.setdefault(e.group, len(self._families)),
        )

    def _group(self, group: str) -> int:
        return self._groups.setdefault(group.partition("#")[0], len(self._groups))

    def _tool(self, tool: Tool) -> int | None:
        content = _content(tool)
        if content not in self._tools:
            self._tools[content] = None
            prompt = encode_tool(tool, self.tokenizer)
            if len(prompt.ids) > self.config.max_tool_tokens:
                return None
            try:
                grammar = self.compiler.compile(normalise(tool.parameters, "parameters"))
            except SchemaError:
                return None
            self._tools[content] = len(self._prompts)
            self._prompts.append(prompt)
            self._called.append(Counter())
            self._listed.append(Counter())
            self._keys.append(parameter_keys(prompt.names, self.tokenizer))
            self._grammars.append(grammar)
        return self._tools[content]
