"""Corpora and synthesis to shards: which tools are held out, what is in the mixture, and the tokens of all of it."""

from __future__ import annotations

import gzip
import hashlib
import json
import random
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
from tqdm import tqdm

from model.errors import SchemaError
from model.grammar import Grammar, GrammarCompiler, free_mask
from model.prompt import dumps, encode_messages, encode_tool
from model.schema import normalise
from model.tokenizer import END, Tokenizer
from model.types import Message, Tool, ToolCall
from training.data.example import Call, Example
from training.data.shards import ExampleTable, Ragged, ToolTable, save_description, save_examples, save_tools
from training.data.sources import SOURCES
from training.data.sources.accept import accept
from training.data.sources.pools import load_tools
from training.data.sources.trivia import load as load_trivia
from training.data.synthesis import Synthesiser, compose
from training.data.values import ValueMaker

HELD_OUT_FAMILIES = {"sgd:RentalCars", "sgd:Calendar", "sgd:Movies", "sgd:Buses"}
HELD_OUT_SHARE = 0.06  # of all other tool families, chosen by the hash of their name
SIBLINGS = 2  # other tools of the family that a synthesised example lists
HELD_OUT_SEAL = 75  # Seal-Tools has tools of its own in every request: requests are held out, with the tools they call
# The 300 requests for tools never trained on, by source; synthesis fills up what a source cannot give.
HELD_OUT_REQUESTS = {"sgd": 75, "seal_tools": 75, "snips": 25, "droidcall": 25, "synthesis": 100}
CANDIDATES = 4  # tools on offer in each of those
IRRELEVANT = 0.1  # share of those whose right tool is not on offer


@dataclass(frozen=True)
class PrepareConfig:
    """The mixture and its limits, in examples and tokens."""

    synthesised: int = 130_000
    composed: float = 0.12  # share of the synthesised that are several requests in one
    source_cap: int = 14_000  # examples of one corpus
    small_source_copies: int = 3  # a corpus below `small_source` is repeated
    small_source: int = 1_000
    trivia: int = 3_000
    max_query_tokens: int = 112
    max_tool_tokens: int = 112
    max_argument_tokens: int = 112  # of all calls together
    seed: int = 0


# The pools' weights in synthesis: wording and schemas of these are nearest to what applications declare.
POOL_WEIGHTS = {"seal": 4.0, "mcp": 3.0, "powerplatform": 1.0, "openapi": 0.8, "apizoo": 0.7}


def is_held_out(group: str) -> bool:
    """Whether a tool family is never trained on."""
    if group in HELD_OUT_FAMILIES:
        return True
    if group.startswith(("sgd:", "seal:")):
        return False
    return int.from_bytes(hashlib.sha256(group.encode()).digest()[:4], "big") / 2**32 < HELD_OUT_SHARE


def prepare(out: Path, tokenizer: Tokenizer, config: PrepareConfig, root: Path | None = None) -> dict[str, int]:
    """Write the shards and `heldout.jsonl.gz` (the 300 requests) to `out`; returns counts of kept and dropped."""
    rng = random.Random(config.seed)
    train: list[Example] = []
    heldout: list[Example] = []
    seal_held_out: set[str] = set()
    for source, load in SOURCES.items():
        examples = list(tqdm(load(root), desc=source, unit="example"))
        if source == "seal_tools":
            single = [e for e in examples if len(e.calls) == 1]
            seal_held_out = {e.calls[0].name for e in rng.sample(single, min(HELD_OUT_SEAL, len(single)))}
            held = [e for e in examples if {c.name for c in e.calls} <= seal_held_out]
            trained = [e for e in examples if not {c.name for c in e.calls} & seal_held_out]
        else:
            held = [e for e in examples if is_held_out(e.group)]
            trained = [e for e in examples if not is_held_out(e.group)]
        rng.shuffle(trained)
        trained = trained[: config.source_cap]
        train += trained * (config.small_source_copies if len(trained) < config.small_source else 1)
        rng.shuffle(held)
        heldout += held
    train += accept(load_trivia(config.trivia, root), root)

    pools: dict[bool, dict[str, list[Tool]]] = {False: defaultdict(list), True: defaultdict(list)}
    for group, tool in tqdm(load_tools(root), desc="tool pools", unit="tool"):
        pools[is_held_out(group) or group.startswith("seal:") and tool.name in seal_held_out][group].append(tool)
    synthesiser = Synthesiser(ValueMaker.load(root))
    train += synthesise(synthesiser, pools[False], config.synthesised, config.composed, rng)
    heldout += synthesise(synthesiser, pools[True], 3_000, config.composed, rng)

    # A dialogue may offer a second service's tools: those of held-out requests do not even appear as distractors.
    unseen = {_content(t) for e in heldout for t in e.tools if t.name in {c.name for c in e.calls}}
    train = [e for e in train if not unseen & {_content(t) for t in e.tools}]

    encoder = _Encoder(tokenizer, config)
    out.mkdir(parents=True, exist_ok=True)
    rng.shuffle(train)
    save_examples(out, "train", encoder.encode(train, "train"))
    kept = [e for e in heldout if e.calls]
    save_examples(out, "heldout", encoder.encode(_balanced(kept, 1_000, rng), "heldout"))
    save_tools(out, encoder.tool_table())
    write_requests(out / "heldout.jsonl.gz", held_out_requests(kept, rng))
    counts = dict(encoder.counts)
    save_description(out, tokenizer.json_text, {"config": asdict(config), "counts": counts})
    return counts


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
                if rng.random() < composed:
                    several = [
                        first,
                        *(synthesiser.example(group, rng.choice(tools), rng) for _ in range(rng.choice((1, 1, 2)))),
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

    The other candidates are siblings where the example lists some, then tools of other held-out families. In one of ten
    the right tool is withheld, and no call is right.
    """
    by_source: dict[str, list[Example]] = defaultdict(list)
    for e in examples:
        if len(e.calls) == 1:
            by_source[e.source].append(e)
    strangers = [t for e in examples for t in e.tools]
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
            tool = offered.pop() if offered else rng.choice(strangers)
            if tool.name not in called:
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


class _Encoder:
    """Turns examples into tables, counting what it drops and why. Tools are numbered across splits."""

    def __init__(self, tokenizer: Tokenizer, config: PrepareConfig) -> None:
        self.tokenizer, self.config = tokenizer, config
        self.compiler = GrammarCompiler(tokenizer.json_text, tokenizer.vocab_size, END)
        self.counts: Counter[str] = Counter()
        self._tools: dict[str, int | None] = {}  # content -> number; None when it cannot be used
        self._prompts: list[tuple[list[int], int, int]] = []
        self._grammars: list[Grammar] = []
        self._groups: dict[str, int] = {}

    def encode(self, examples: Sequence[Example], split: str) -> ExampleTable:
        sources = sorted({e.source for e in examples})
        rows: list[tuple[list[int], int, list[int], list[int], list[list[int]], list[list[bool]], int]] = []
        for e in tqdm(examples, desc=f"encoding {split}", unit="example"):
            row = self._row(e)
            if isinstance(row, str):
                self.counts[f"{split}/dropped/{row}"] += 1
                continue
            self.counts[f"{split}/{e.source}"] += 1
            rows.append((*row, sources.index(e.source)))
        return ExampleTable(
            query=Ragged.pack([r[0] for r in rows], np.uint16),
            pool_start=np.array([r[1] for r in rows]),
            others=Ragged.pack([r[2] for r in rows], np.int32),
            call_tools=Ragged.pack([r[3] for r in rows], np.int32),
            arguments=Ragged.pack([a for r in rows for a in r[4]], np.uint16),
            free=Ragged.pack([f for r in rows for f in r[5]], np.uint8),
            source=np.array([r[6] for r in rows]),
            sources=tuple(sources),
        )

    def tool_table(self) -> ToolTable:
        return ToolTable(
            Ragged.pack([p[0] for p in self._prompts], np.uint16),
            np.array([p[1] for p in self._prompts]),
            np.array([p[2] for p in self._prompts]),
        )

    def _row(self, e: Example) -> tuple[list[int], int, list[int], list[int], list[list[int]], list[list[bool]]] | str:
        """An example's arrays, or the reason why it is dropped."""
        prompt = encode_messages(e.messages, self.tokenizer)
        if len(prompt.ids) > self.config.max_query_tokens:
            return "long request"
        numbers = {t.name: self._tool(t, e.group) for t in e.tools}
        called = [numbers[c.name] for c in e.calls]
        if any(n is None for n in called):
            return "unusable tool"
        arguments = [self.tokenizer.encode(dumps(c.arguments)) for c in e.calls]
        if sum(map(len, arguments)) > self.config.max_argument_tokens:
            return "long arguments"
        try:
            free = [free_mask(self._grammars[n], a) for n, a in zip(called, arguments, strict=True) if n is not None]
        except ValueError:
            return "arguments outside the grammar"
        others = [n for n in numbers.values() if n is not None and n not in called]
        return prompt.ids, prompt.pool[0], others, [n for n in called if n is not None], arguments, free

    def _tool(self, tool: Tool, group: str) -> int | None:
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
            self._prompts.append((prompt.ids, prompt.pool[1], self._groups.setdefault(group, len(self._groups))))
            self._grammars.append(grammar)
        return self._tools[content]
