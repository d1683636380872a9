"""Preparing shards from corpora of a few lines: repeatable, and what is held out stays out."""

from __future__ import annotations

import gzip
import json
import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from model.prompt import dumps, encode_tool, tool_text
from model.tokenizer import SLOT, Tokenizer
from model.types import Message, Tool, ToolCall
from tests.training.test_synthesis import LISTS, TOOLS, tool
from training.data import prepare as module
from training.data.encoder import ExampleEncoder
from training.data.example import Call, Example
from training.data.prepare import CANDIDATES, Gates, PrepareConfig, is_held_out, prepare
from training.data.requests import read_requests, write_requests
from training.data.scenarios.library import domain_files
from training.data.shards import ExampleTable, ToolTable, load_description, load_examples, load_tools
from training.data.statistics import Statistics
from training.data.values import ValueMaker

CONFIG = PrepareConfig(scenarios=40, synthesised=60, trivia=4)
TOKENIZER = Tokenizer.load(Path(__file__).resolve().parents[2] / "model" / "artifact" / "tokenizer.json")
POOLS = [f"mcp:server{i}" for i in range(80)]
HELD_OUT_POOLS = [g for g in POOLS if is_held_out(g)]
CITY = {"type": "string"}
LIBRARY = Path(__file__).parent / "scenarios"
HELD_OUT_DOMAINS = [p.stem for p in domain_files(LIBRARY) if is_held_out(f"scenario:{p.stem}")]
WEATHER = {"name": "weather", "description": "", "parameters": {"type": "dict", "properties": {}}}


def sgd(_: Path | None) -> Iterator[Example]:
    """Dialogues of a trained and of a held-out service; one of the former offers a tool of the latter."""
    music = tool("PlayMusic", "Play a song.", ["song"], song={"type": "string"})
    bus = tool("FindBus", "Find a bus.", ["to"], to=CITY)
    for k in range(12):
        yield Example(
            "sgd",
            "sgd:Music",
            (Message("user", f"Play song {k}"),),
            (music,),
            (Call("PlayMusic", {"song": f"song {k}"}),),
        )
        yield Example(
            "sgd", "sgd:Buses", (Message("user", f"Bus to town {k}"),), (bus,), (Call("FindBus", {"to": f"town {k}"}),)
        )
    both = (music, bus)
    yield Example("sgd", "sgd:Music", (Message("user", "Play leak"),), both, (Call("PlayMusic", {"song": "leak"}),))


def seal(_: Path | None) -> Iterator[Example]:
    for k in range(90):
        tools = (tool(f"seal{k}", f"Do thing {k}.", ["x"], x=CITY), tool(f"spare{k}", f"Spare {k}.", [], y=CITY))
        text = (Message("user", f"Do thing {k} with a{k}"),)
        yield Example("seal_tools", f"seal:{k}", text, tools, (Call(f"seal{k}", {"x": f"a{k}"}),))


def pools(_: Path | None) -> Iterator[tuple[str, Tool]]:
    for i, group in enumerate(POOLS):
        for t in TOOLS[:2]:
            yield group, Tool(f"{t.name}_{i}", f"{t.description} Number {i}.", t.parameters)


def trivia(count: int, _: Path | None) -> list[Example]:
    return [Example("trivia", "trivia", (Message("user", f"Who was {k}?"),), (), ()) for k in range(count)]


@pytest.fixture(scope="module", autouse=True)
def small_corpora() -> Iterator[None]:
    original = module.synthesise

    def fewer(synthesiser: object, pool: object, count: int, *rest: object) -> object:
        return original(synthesiser, pool, min(count, 300), *rest)  # type: ignore[arg-type]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "SOURCES", {"sgd": sgd, "seal_tools": seal})
        patch.setitem(module.HELD_OUT, "seal_tools", [f"seal{k}" for k in range(75)])
        patch.setattr(module, "load_tools", pools)
        patch.setattr(module, "load_trivia", trivia)
        patch.setattr(module, "accept", lambda examples, _: examples)
        patch.setattr(ValueMaker, "load", classmethod(lambda cls, _: cls(LISTS)))
        patch.setattr(module, "synthesise", fewer)
        yield


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, small_corpora: None) -> Path:
    out = tmp_path_factory.mktemp("prepared") / "shards"
    prepare(out, TOKENIZER, CONFIG, library=LIBRARY)
    return out


def texts(table: ExampleTable) -> list[str]:
    return [TOKENIZER.decode(table.query[i].tolist()) for i in range(len(table))]


def heads(table: ExampleTable, tools: ToolTable, called_only: bool = False) -> set[str]:
    """The names and descriptions of the tools that a table's examples offer."""
    numbers = {int(t) for i in range(len(table)) for t in table.call_tools[i]}
    if not called_only:
        numbers |= {int(t) for i in range(len(table)) for t in table.others[i]}
    return {TOKENIZER.decode(tools.ids[n][1 : tools.head[n]].tolist()) for n in numbers}


def test_a_seed_repeats_the_shards(folder: Path, tmp_path: Path) -> None:
    prepare(tmp_path / "again", TOKENIZER, CONFIG, library=LIBRARY)
    assert load_description(tmp_path / "again") == load_description(folder)
    assert read_requests(tmp_path / "again" / "heldout.jsonl.gz") == read_requests(folder / "heldout.jsonl.gz")
    prepare(tmp_path / "other", TOKENIZER, replace(CONFIG, seed=1), library=LIBRARY)
    assert load_description(tmp_path / "other")["sha256"] != load_description(folder)["sha256"]


def test_held_out_families_never_appear_in_train(folder: Path) -> None:
    tools, train, heldout = load_tools(folder), load_examples(folder, "train"), load_examples(folder, "heldout")
    assert 2 <= len(HELD_OUT_POOLS) <= 12
    seen, unseen = heads(train, tools), heads(heldout, tools, called_only=True)
    assert seen and unseen and not seen & unseen
    held_out_numbers = {group.removeprefix("mcp:server") for group in HELD_OUT_POOLS}
    numbers = {head.split(" Number ")[1].rstrip(".") for head in seen if " Number " in head}
    assert numbers and not numbers & held_out_numbers
    assert "FindBus: Find a bus." in unseen and "FindBus: Find a bus." not in seen
    assert not any("leak" in text for text in texts(train))  # it offered FindBus as a distractor
    assert not set(texts(train)) & set(texts(heldout))


def test_seal_requests_are_held_out_with_their_tools(folder: Path) -> None:
    train, heldout = texts(load_examples(folder, "train")), texts(load_examples(folder, "heldout"))
    assert sum(t.startswith("Do thing") for t in heldout) == 75
    assert sum(t.startswith("Do thing") for t in train) == 15


def test_everything_of_an_example_is_in_the_shards(folder: Path) -> None:
    tools, train = load_tools(folder), load_examples(folder, "train")
    [index] = [i for i, text in enumerate(texts(train)) if text == "Play song 3"]
    [number] = train.call_tools[index].tolist()
    expected = encode_tool(tool("PlayMusic", "Play a song.", ["song"], song={"type": "string"}), TOKENIZER)
    assert (tools.ids[number].tolist(), int(tools.head[number])) == (expected.ids, expected.pool[1])
    assert tools.parameters[number].reshape(-1, 2).tolist() == [list(r) for r in expected.parameters]
    call = int(train.call_tools.offsets[index])
    assert TOKENIZER.decode(train.arguments[call].tolist()) == dumps({"song": "song 3"})
    free = [t for t, f in zip(train.arguments[call].tolist(), train.free[call].tolist(), strict=True) if f]
    assert TOKENIZER.decode(free) == 'song 3"'
    song = [t for t, p in zip(train.arguments[call].tolist(), train.parameter[call].tolist(), strict=True) if p == 0]
    assert TOKENIZER.decode(song) == '":"song 3"'
    assert train.sources[train.source[index]] == "sgd"
    assert all(SLOT not in train.query[i] for i in range(len(train)))


def test_counts_add_up(folder: Path) -> None:
    description = load_description(folder)
    statistics = Statistics.read(folder / "statistics.json")
    train = load_examples(folder, "train")
    assert statistics.total == sum(description["counts"].values()) == len(train)
    assert description["counts"] == statistics.sources()
    assert statistics.tables["source"]["trivia"] == 4
    assert statistics.tables["domain"].total() == statistics.tables["source"]["scenarios"]
    made = statistics.tables["source"]["synthesis"] + sum(statistics.dropped.get("train/synthesis", {}).values())
    assert made == 60
    calls = Counter(map(str, train.call_tools.lengths.tolist()))
    assert statistics.tables["calls"] == calls
    assert len(read_requests(folder / "preview.jsonl.gz")) == min(statistics.total, module.KEPT_FOR_PREVIEW)


def test_scenarios_of_held_out_domains_are_apart(folder: Path) -> None:
    tools, train = load_tools(folder), load_examples(folder, "train")
    held = read_requests(folder / "scenarios.jsonl.gz")
    families = {e.family for e in held}
    assert families == {f"scenario:{name}" for name in HELD_OUT_DOMAINS}
    assert not {e.family for e in read_requests(folder / "preview.jsonl.gz")} & families
    declared = {tool_text(t)[0] for e in held for t in e.tools}
    assert len(declared) > 4
    assert not declared & heads(train, tools)
    assert "scenarios" in train.sources


def test_an_evaluation_request_is_not_trained_on(tmp_path: Path) -> None:
    """A leak planted in a corpus and one in an evaluation's tools."""
    question = {"id": "x", "question": [[{"role": "user", "content": "play song 3"}]], "function": [WEATHER]}
    evaluation = tmp_path / "bfcl"
    evaluation.mkdir()
    (evaluation / "BFCL_v4_multiple.json").write_text(json.dumps(question) + "\n")
    statistics = prepare(tmp_path / "shards", TOKENIZER, CONFIG, evaluation=evaluation, library=LIBRARY)
    assert statistics.dropped["train/sgd"]["request of an evaluation"] == 1
    assert "Play song 3" not in texts(load_examples(tmp_path / "shards", "train"))
    assert "Play song 4" in texts(load_examples(tmp_path / "shards", "train"))
    assert statistics.decontamination is not None
    assert statistics.decontamination["request"]["most"] == [("Play song 3", 1)]


def test_held_out_requests(folder: Path) -> None:
    requests = read_requests(folder / "heldout.jsonl.gz")
    assert len(requests) == 300
    irrelevant = [e for e in requests if not e.calls]
    assert len(irrelevant) == 30
    for e in requests:
        names = [t.name for t in e.tools]
        assert len(set(names)) == len(names) == CANDIDATES
        assert len(e.calls) <= 1
        assert all(c.name in names for c in e.calls)
    offered = {t.name for e in requests for t in e.tools}
    assert "FindBus" in offered and "PlayMusic" not in offered
    positions = {[t.name for t in e.tools].index(e.calls[0].name) for e in requests if e.calls}
    assert positions == {0, 1, 2, 3}


def test_in_irrelevant_requests_the_right_tool_is_missing(folder: Path) -> None:
    buses = [e for e in read_requests(folder / "heldout.jsonl.gz") if e.source == "sgd"]
    assert buses
    for e in buses:
        assert ("FindBus" in {t.name for t in e.tools}) == bool(e.calls)


def test_long_examples_are_dropped_and_counted(tmp_path: Path) -> None:
    config = replace(CONFIG, max_query_tokens=6, max_argument_tokens=8)
    statistics = prepare(tmp_path / "shards", TOKENIZER, config, library=LIBRARY)
    assert statistics.dropped["train/synthesis"]["long request"] > 0
    table = load_examples(tmp_path / "shards", "train")
    assert max(table.query.lengths) <= 6
    assert statistics.sources() == load_description(tmp_path / "shards")["counts"]


def test_large_sources_are_capped(tmp_path: Path) -> None:
    statistics = prepare(tmp_path / "b", TOKENIZER, replace(CONFIG, source_cap=7), library=LIBRARY)
    assert statistics.sources()["seal_tools"] == 7


def test_arguments_outside_the_schema_are_dropped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_: Path | None) -> Iterator[Example]:
        t = tool("count", "Count.", ["n"], n={"type": "integer"})
        yield Example(
            "droidcall", "droidcall:x", (Message("user", "Count to three"),), (t,), (Call("count", {"n": "three"}),)
        )

    monkeypatch.setattr(module, "SOURCES", {"sgd": sgd, "seal_tools": seal, "droidcall": broken})
    assert not is_held_out("droidcall:x")
    statistics = prepare(tmp_path / "shards", TOKENIZER, CONFIG, library=LIBRARY)
    assert statistics.dropped["train/droidcall"] == {"arguments outside the grammar": 1}
    assert "droidcall" not in statistics.sources()


def test_what_the_library_says_by_meaning_is_kept() -> None:
    tools = (tool("scale", "Scale.", ["factor"], factor={"type": "number"}),)
    turns, calls = (Message("user", "make it twice as large"),), (Call("scale", {"factor": 2}),)
    for source, reason in (("scenarios", None), ("seal_tools", "number not said")):
        assert Gates(None)(Example(source, "g", turns, tools, calls), "train") == reason


def test_a_tool_belongs_where_it_is_called() -> None:
    light, kettle, mower = (tool(name, f"The {name}.", []) for name in ("light", "kettle", "mower"))
    said = (Message("user", "go"),)
    examples = [
        Example("s", "garden", said, (mower, light, kettle), ()),  # strangers, on offer before they are called
        Example("s", "garden", said, (mower, light), ()),
        Example("s", "home#1", said, (kettle, light), (Call("light", {}),)),
        Example("s", "home#2", said, (light,), (Call("light", {}),)),
        Example("s", "kitchen", said, (kettle,), (Call("kettle", {}),)),
    ]
    encoder = ExampleEncoder(TOKENIZER, CONFIG)
    rows, tools = encoder.encode(examples, "train"), encoder.tool_table()
    names = [TOKENIZER.decode(tools.ids[i][1 : tools.head[i]].tolist()).split(":")[0] for i in range(len(tools.ids))]
    garden, home, kitchen = rows.group[0], rows.group[2], rows.group[4]
    assert rows.group[3] == home
    assert dict(zip(names, tools.group.tolist(), strict=True)) == {"mower": garden, "light": home, "kettle": kitchen}


def test_is_held_out_is_a_fixed_small_share() -> None:
    assert is_held_out("sgd:Buses") and not is_held_out("sgd:Music") and not is_held_out("seal:1")
    share = sum(is_held_out(f"mcp:{i}") for i in range(4_000)) / 4_000
    assert share == pytest.approx(module.HELD_OUT_SHARE, abs=0.015)
    assert HELD_OUT_POOLS == [g for g in POOLS if is_held_out(g)]


def test_requests_round_trip(tmp_path: Path) -> None:
    turns = (
        Message("system", "Sois bref, é."),
        Message("assistant", "", (ToolCall("a", '{"x":1}'),)),
        Message("tool", "ok", name="a"),
        Message("user", "x\ny"),
    )
    examples = [
        Example("s", "g", turns, TOOLS, (Call("get_weather", {"city": "Zürich", "n": [1, None]}),)),
        Example("s", "g", turns[3:], (), ()),
    ]
    write_requests(tmp_path / "r.jsonl.gz", examples)
    assert read_requests(tmp_path / "r.jsonl.gz") == examples


def test_a_request_is_one_json_line(tmp_path: Path) -> None:
    write_requests(tmp_path / "r.jsonl.gz", [Example("s", "g", (Message("user", "a\nb"),), (), ())] * 3)
    with gzip.open(tmp_path / "r.jsonl.gz", "rt", encoding="utf-8") as f:
        assert [json.loads(line)["messages"][0]["text"] for line in f] == ["a\nb"] * 3


def test_synthesised_examples_list_siblings() -> None:
    family = {"mcp:a": [Tool(f"{t.name}_{i}", t.description, t.parameters) for t in TOOLS for i in range(4)]}
    synthesiser = module.Synthesiser(ValueMaker(LISTS))
    examples = list(module.synthesise(synthesiser, family, 80, 0.3, random.Random(0)))  # type: ignore[arg-type]
    assert len(examples) == 80
    several = 0
    for e in examples:
        names = [t.name for t in e.tools]
        assert len(set(names)) == len(names)
        assert {c.name for c in e.calls} <= set(names)
        several += len(e.calls) > 1
    assert sum(len(e.tools) > len({c.name for c in e.calls}) for e in examples) > 60
    assert 5 < several < 50


def test_a_stranger_is_never_of_the_requests_own_family() -> None:
    """Another wording of the right tool, under another name, would be as right."""
    families = [f"service{n}" for n in range(6)]
    examples = [
        Example("synthesis", f"{family}#{wording}", (Message("user", f"{family} {wording}"),), (offered,), calls)
        for family in families
        for wording in range(3)
        for offered in [Tool(f"{family}_{wording}")]
        for calls in [(Call(offered.name, {}),)]
    ]
    for e in module.held_out_requests(examples, random.Random(0)):
        own = {t.name for t in e.tools if t.name.startswith(e.family)}
        assert own == {c.name for c in e.calls}
