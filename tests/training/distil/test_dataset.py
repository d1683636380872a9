"""Labels to shards: soft targets, the user's tools as they are, hard negatives first; whole or not at all."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from model.prompt import dumps, encode_messages, encode_tool  # noqa: E402
from model.types import Message, Tool  # noqa: E402
from tests.artifact import PING, WEATHER, tokenizer, user  # noqa: E402
from tests.training import corpus  # noqa: E402
from tests.training.distil.students import TOOLS, label, labels, start  # noqa: E402
from training.artifact import artifact_network  # noqa: E402
from training.data.batches import pad_prompts  # noqa: E402
from training.data.example import Call  # noqa: E402
from training.data.shards import ExampleTable, ToolTable, load_description, load_examples, load_tools  # noqa: E402
from training.distil import dataset as module  # noqa: E402
from training.distil.dataset import SOURCE, write_dataset  # noqa: E402
from training.distil.labels import Label, read_labels  # noqa: E402

PARIS = Call("get_weather", {"city": "Paris"})
UNSURE = label("Paris?", (0.6, (PARIS,)), (0.3, ()), (0.1, (PARIS, Call("ping", {}))))


def write(folder: Path, given: list[Label], held: list[Label] | None = None, **settings: Any) -> dict[str, Any]:
    return write_dataset(folder, given, held or labels(3, 9), start(), **({"replay": 0, "threads": 1} | settings))


def names(numbers: np.ndarray, tools: ToolTable) -> list[str]:
    return [tokenizer().decode(tools.ids[n][1 : tools.head[n]].tolist()).split(":")[0] for n in numbers.tolist()]


def calls(examples: ExampleTable, i: int, tools: ToolTable) -> list[tuple[str, str]]:
    """(name, arguments) of each call of example i."""
    first = int(examples.call_tools.offsets[i])
    return [
        (name, tokenizer().decode(examples.arguments[first + k].tolist()))
        for k, name in enumerate(names(examples.call_tools[i], tools))
    ]


def test_each_answer_is_an_example_with_its_share_as_weight(tmp_path: Path) -> None:
    description = write(tmp_path / "shards", [*labels(2, 0), UNSURE], [UNSURE])
    assert {k: description[k] for k in ("labels", "answers", "heldout")} == {"labels": 3, "answers": 5, "heldout": 1}
    examples, tools = load_examples(tmp_path / "shards", "train"), load_tools(tmp_path / "shards")
    assert examples.weight.tolist() == pytest.approx([1.0, 1.0, 0.6, 0.3, 0.1])
    paris = ("get_weather", dumps(PARIS.arguments))
    assert [calls(examples, i, tools) for i in (2, 3, 4)] == [[paris], [], [paris, ("ping", "{}")]]
    assert len({tuple(examples.query[i].tolist()) for i in (2, 3, 4)}) == 1
    assert set(examples.sources) == {SOURCE}
    assert load_examples(tmp_path / "shards", "heldout").weight.tolist() == pytest.approx([0.6, 0.3, 0.1])


def test_the_tools_are_those_on_offer_as_they_are_declared(tmp_path: Path) -> None:
    """In every row, called or not, and none besides; each in a group of its own."""
    few = label("Answer at once.", (1.0, (Call("ping", {}),)), tools=(PING, WEATHER))
    write(tmp_path / "shards", [*labels(6, 0), UNSURE, few])
    examples, tools = load_examples(tmp_path / "shards", "train"), load_tools(tmp_path / "shards")
    assert len(tools.ids) == len(TOOLS)
    assert {tuple(tools.ids[i].tolist()) for i in range(4)} == {tuple(encode_tool(t, tokenizer()).ids) for t in TOOLS}
    assert len(set(tools.group.tolist())) == 4
    assert examples.closed.all()
    for i in range(len(examples)):
        listed = {*names(examples.others[i], tools), *(name for name, _ in calls(examples, i, tools))}
        assert listed == ({"ping", "get_weather"} if i == len(examples) - 1 else {t.name for t in TOOLS})


def test_the_tools_nearest_to_the_conversation_come_first(tmp_path: Path) -> None:
    """By the vectors of the artifact to start from; here they are those of its network."""
    history = (Message("user", "Book a table"), Message("assistant", "When?"), Message("user", "Friday in Zurich"))
    chat = replace(UNSURE, example=replace(UNSURE.example, messages=history))
    write(tmp_path / "shards", [*labels(9, 0), chat])
    examples, tools = load_examples(tmp_path / "shards", "train"), load_tools(tmp_path / "shards")
    network = artifact_network(start())

    def vector(ids: list[int], pool: tuple[int, int]) -> np.ndarray:
        padded, taken = pad_prompts([ids], [pool])
        with torch.no_grad():
            return network.encoder(padded, taken[:, None]).pooled[0, 0].numpy()

    offered = np.stack([vector(p.ids, p.pool) for p in (encode_tool(t, tokenizer()) for t in TOOLS)])
    place = {t.name: k for k, t in enumerate(TOOLS)}
    orders = set()
    for i, messages in [(k, each.example.messages) for k, each in enumerate(labels(9, 0))] + [(10, history)]:
        prompt = encode_messages(messages, tokenizer())
        assert examples.query[i].tolist() == prompt.ids
        near = offered @ vector(prompt.ids, prompt.pool)
        found = names(examples.others[i], tools)
        assert [near[place[name]] for name in found] == sorted((near[place[name]] for name in found), reverse=True)
        orders.add(tuple(found))
    assert len(orders) > 3


def test_replay_stands_behind_the_labels(tmp_path: Path) -> None:
    general = corpus.write_shards(tmp_path / "general", corpus.examples(70, 0), corpus.examples(7, 1))
    description = write(tmp_path / "shards", labels(6, 0), replay=50, replay_shards=general)
    examples, tools = load_examples(tmp_path / "shards", "train"), load_tools(tmp_path / "shards")
    assert (description["answers"], description["replay"], len(examples)) == (6, 50, 56)
    assert examples.closed.tolist() == [True] * 6 + [False] * 50
    assert [examples.sources[s] for s in examples.source] == [SOURCE] * 6 + ["toy"] * 50
    known = {e.messages[0].text: [c.name for c in e.calls] for e in corpus.examples(70, 0)}
    for i in range(6, 56):
        assert [name for name, _ in calls(examples, i, tools)] == known[tokenizer().decode(examples.query[i].tolist())]
    assert not set(tools.group[:4].tolist()) & set(tools.group[4:].tolist())


def test_replay_is_composed_where_no_shards_are_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("training.distil.general.is_held_out", lambda group: group == "scenario:dock")
    library = Path(__file__).parents[1] / "scenarios"
    description = write(tmp_path / "shards", labels(6, 0), replay=24, library=library)
    examples = load_examples(tmp_path / "shards", "train")
    assert set(examples.sources) == {SOURCE, "scenarios"}
    assert 0 < description["replay"] == len(examples) - 6 <= 24


def test_what_cannot_be_learnt_is_counted(tmp_path: Path) -> None:
    long = label("Paris " * 600, (1.0, (PARIS,)))
    wrong = label("Paris!", (1.0, (Call("get_weather", {"town": "Paris"}),)))
    open_ended = Tool("open", "", {"type": "object", "properties": {"x": {"type": "string", "pattern": "(?=a)"}}})
    unusable = label("Open", (1.0, (Call("open", {"x": "a"}),)), tools=(PING, open_ended))
    description = write(tmp_path / "shards", [*labels(3, 0), long, wrong, wrong, unusable], [*labels(3, 0), long])
    assert description["dropped"] == {
        "train": {"long request": 1, "arguments outside the grammar": 2, "unusable tool": 1},
        "heldout": {"long request": 1},
    }
    assert (description["labels"], description["answers"]) == (7, 3)
    with pytest.raises(ValueError, match="no label to learn from is left: 1 of long request, 1 of unusable tool"):
        write(tmp_path / "none", [long, unusable])
    with pytest.raises(ValueError, match="no label to measure on is left: 2 of arguments outside the grammar"):
        write(tmp_path / "none", labels(3, 0), [wrong, wrong])
    assert not (tmp_path / "none").exists()


def test_the_same_labels_again_cost_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = write(tmp_path / "shards", labels(6, 0))
    assert read_labels(tmp_path / "shards" / "labels.jsonl") == labels(6, 0)
    assert read_labels(tmp_path / "shards" / "heldout.jsonl") == labels(3, 9)
    with monkeypatch.context() as patch:
        patch.setattr(module, "load_encoder", None)  # or it would fail
        assert write(tmp_path / "shards", labels(6, 0)) == first
        for given, settings in ((labels(7, 0), {}), (labels(6, 0), {"replay": 9}), (labels(6, 0), {"seed": 1})):
            with pytest.raises(ValueError, match="other labels or settings"):
                write(tmp_path / "shards", given, **settings)
        with pytest.raises(ValueError, match="other labels or settings"):
            write(tmp_path / "shards", labels(6, 0), labels(4, 9))
    assert load_description(tmp_path / "shards") == first
    assert [p.name for p in tmp_path.iterdir()] == ["shards"]


def test_another_start_is_another_dataset(tmp_path: Path) -> None:
    from tests.artifact import artifact

    write(tmp_path / "shards", labels(3, 0))
    with pytest.raises(ValueError, match="other labels or settings"):
        write_dataset(tmp_path / "shards", labels(3, 0), labels(3, 9), artifact(), replay=0, threads=1)


def test_a_kill_on_the_way_leaves_nothing_that_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = write(tmp_path / "whole", labels(6, 0))

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    for name in ("load_encoder", "save_tools", "save_description"):
        with monkeypatch.context() as patch:
            patch.setattr(module, name, killed)
            with pytest.raises(KeyboardInterrupt):
                write(tmp_path / "shards", labels(6, 0))
        assert not (tmp_path / "shards").exists()
    assert write(tmp_path / "shards", labels(6, 0)) == whole
    for name in ("labels.jsonl", "train.npz", "tools.npz", "heldout.npz"):
        assert (tmp_path / "shards" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_a_soft_target_does_not_move_its_own_conversation(tmp_path: Path) -> None:
    """The label's conversation stays as it was asked, and its example's own calls are those of its first answer."""
    examples = [e for e, _ in module.answer_examples(UNSURE)]
    assert [e.messages for e in examples] == [user("Paris?")] * 3
    assert [e.tools for e in examples] == [TOOLS] * 3
    assert [e.calls for e in examples] == [a.calls for a in UNSURE.answers]
