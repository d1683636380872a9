"""Mined hard negatives: which tools are chosen, which rows they go to, and that the shards train."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from tests.artifact import EMAIL, PING, TABLE, WEATHER, artifact, network, tokenizer, tool  # noqa: E402
from tests.training import corpus  # noqa: E402
from tests.training.corpus import FORECAST, TRANSFER, example  # noqa: E402
from training.cli import data  # noqa: E402
from training.data import mine as mining  # noqa: E402
from training.data.batches import build_batch, epoch_batches, pad_prompts  # noqa: E402
from training.data.example import Call  # noqa: E402
from training.data.mine import choose, listed_groups, mine, pooled  # noqa: E402
from training.data.shards import (  # noqa: E402
    load_description,
    load_examples,
    load_tools,
    save_description,
    save_examples,
)

CONFIG = network().config
HIDDEN = tool("secret_tool", "Held out.", ("n",), n={"type": "integer"})


def chosen(
    cosines: Sequence[float],
    names: Sequence[str] = (),
    groups: Sequence[int] = (),
    others: Sequence[int] = (),
    called: Sequence[int] = (0,),
    group: int = 0,
    per_example: int = 2,
    margin: float = 0.95,
) -> tuple[list[int], bool]:
    """What `choose` takes for one conversation, along the first axis, of tools at these cosines to it.

    Tool k is of group k and its name is the k-th letter where nothing else is said; `others` are the tools' second
    groups.
    """
    along = np.array(cosines, np.float32)
    tools = np.stack((along, np.sqrt(1 - along**2)), axis=1)
    groups = np.array(groups or range(len(cosines)))
    [found], [mistaken] = choose(
        np.array([[1.0, 0.0]], np.float32),
        [np.array(called)],
        np.array([group]),
        tools,
        np.stack((groups, np.array(others or groups))),
        names or [chr(97 + k) for k in range(len(cosines))],
        per_example,
        margin,
    )
    return found, bool(mistaken)


def test_the_nearest_come_first_and_no_more_than_wanted() -> None:
    cosines = (0.9, 0.2, 0.8, 0.5, 0.7)
    assert chosen(cosines) == ([2, 4], False)
    assert chosen(cosines, per_example=1) == ([2], False)
    assert chosen(cosines, per_example=9) == ([2, 4, 3, 1], False)


def test_what_is_nearer_than_the_margin_may_be_right() -> None:
    """0.95 of 0.8 is 0.76, and the model mistakes what is nearer than 0.8."""
    cosines = (0.8, 0.9, 0.77, 0.75, 0.3)
    assert chosen(cosines) == ([3, 4], True)
    assert chosen(cosines, margin=1.0) == ([2, 3], True)
    assert chosen((0.8, 0.79, 0.3)) == ([2], False)


def test_the_margin_is_that_of_the_first_call() -> None:
    assert chosen((0.9, 0.5, 0.8, 0.4), called=(0, 1))[0] == [2, 3]
    assert chosen((0.9, 0.5, 0.8, 0.4), called=(1, 0)) == ([3], True)


def test_groups_of_the_example_and_of_what_it_calls_are_left_out() -> None:
    cosines = (0.9, 0.8, 0.7, 0.6, 0.5)
    assert chosen(cosines, groups=(0, 0, 1, 2, 3))[0] == [2, 3]
    assert chosen(cosines, groups=(0, 3, 1, 2, 4), group=3)[0] == [2, 3]  # the example's, of which it calls none
    assert chosen(cosines, groups=(0, 1, 2, 2, 4), called=(0, 3))[0] == [1, 4]
    assert chosen(cosines, groups=(0, 0, 0, 0, 0)) == ([], False)


def test_a_sibling_that_is_nearer_is_no_mistake() -> None:
    assert chosen((0.5, 0.9, 0.4), groups=(0, 0, 1)) == ([2], False)


def test_a_tool_may_be_of_two_groups() -> None:
    """Tool 1 is listed with the example's group, tool 2 with the called tool's other group."""
    cosines = (0.9, 0.8, 0.7, 0.6, 0.5)
    assert chosen(cosines, groups=(0, 1, 2, 3, 4), others=(7, 0, 7, 3, 4))[0] == [3, 4]


def test_no_two_are_of_one_group() -> None:
    cosines = (0.9, 0.8, 0.7, 0.6, 0.5)
    assert chosen(cosines, groups=(0, 1, 1, 2, 3))[0] == [1, 3]
    assert chosen(cosines, groups=(0, 1, 2, 3, 4), others=(0, 9, 9, 3, 4))[0] == [1, 3]


def test_tools_of_like_names_are_left_out() -> None:
    """Half of the words may be the same; of the shorter name's."""
    names = ("get_weather", "weatherGet", "get_news", "current_weather_get", "book")
    assert chosen((0.9, 0.8, 0.7, 0.6, 0.5), names)[0] == [2, 4]
    assert chosen((0.9, 0.8, 0.7), ("get_weather", "weather", "get_city_weather_of"))[0] == []
    # So of any tool that is called.
    assert chosen((0.9, 0.3, 0.8, 0.5), ("add", "list_all", "all_list", "sum"), called=(0, 1)) == ([3], False)
    assert chosen((0.6, 0.8), ("list_all", "all_list")) == ([], True)  # a mistake all the same


def test_names_without_words_are_like_no_other() -> None:
    assert chosen((0.9, 0.8), ("+", "+"))[0] == [1]


def test_blocks_are_cut_anywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    query, tools = (rng.normal(size=(n, 8)).astype(np.float32) for n in (23, 40))
    query += tools[:23] * 2  # so that the right one is near
    query, tools = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in (query, tools))
    called, groups = [np.array([k]) for k in range(23)], np.arange(40)
    found = []
    for block in (4, 256):
        monkeypatch.setattr(mining, "BLOCK", block)
        names = [chr(97 + k % 26) * (1 + k // 26) for k in range(40)]
        found.append(choose(query, called, groups[:23], tools, groups[None], names, 2, 0.95))
    assert found[0][0] == found[1][0] and any(found[0][0])
    assert found[0][1].tolist() == found[1][1].tolist()
    for i, taken in enumerate(found[0][0]):  # by sorting
        cosines = tools @ query[i]
        order = [int(k) for k in np.argsort(-cosines) if k != i and cosines[k] <= 0.95 * cosines[i]]
        assert taken == order[:2]


def test_a_tool_is_of_the_group_that_lists_it_most() -> None:
    """The table's group is that of the first example, here a stranger to PING and FORECAST."""
    made = [
        example("mail", "Email Paris", (EMAIL, PING, FORECAST), Call("sendEmail", {"to": "Paris", "urgent": True})),
        example("bank", "Ping", (PING, TRANSFER), Call("ping", {})),
        example("bank", "Transfer 3", (TRANSFER, PING), Call("transfer", {"amount": 3})),
    ]
    examples, tools = corpus.encode(made)
    mail, bank = examples.group[[0, 1]].tolist()
    assert tools.group.tolist() == [mail, mail, mail, bank]  # EMAIL, PING, FORECAST, TRANSFER
    assert listed_groups(examples, tools).tolist() == [mail, bank, mail, bank]


def test_vectors_are_those_of_training(monkeypatch: pytest.MonkeyPatch) -> None:
    """They differ from those of the plain encoder, text by text, by bf16 alone."""
    monkeypatch.setattr(mining, "BATCH_TOKENS", 64)
    examples, _ = corpus.encode(corpus.examples(14, seed=0))
    texts = [examples.query[i] for i in range(14)]
    ranges = [(int(start), len(text)) for start, text in zip(examples.pool_start, texts, strict=True)]
    found = pooled(network().encoder, texts, ranges, "")
    with torch.no_grad():
        ids, pool = pad_prompts(texts, ranges)
        expected = network().encoder(ids, pool[:, None]).pooled[:, 0].numpy()
    assert np.allclose(np.linalg.norm(found, axis=1), 1.0, atol=1e-5)
    assert (found * expected).sum(1).min() > 0.99


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Seven closed examples, 63 open ones, two that call nothing but list tools, and a held-out tool."""
    folder = tmp_path_factory.mktemp("mine") / "shards"
    none = [example("mail", "Who is Paris?", (TABLE, EMAIL)), example("bank", "Hello", (PING, WEATHER))]
    held = [example("secret", "Tell a secret", (HIDDEN, WEATHER), Call("secret_tool", {"n": 1}))] * 2
    corpus.write_shards(folder, [*corpus.examples(70, seed=0), *none], held)
    train = load_examples(folder, "train")
    save_examples(folder, "train", replace(train, closed=np.arange(len(train)) < 7))
    (folder / "scenarios.jsonl.gz").write_bytes(b"requests")
    save_description(folder, tokenizer().json_text, {"counts": {"toy": 72}})
    return folder


def test_open_rows_with_calls_list_what_is_mined_first(shards: Path, tmp_path: Path) -> None:
    """With a margin that lets everything through, each gets one tool of both other families that are not its own."""
    mined = mine(shards, tmp_path / "out", str(artifact()), per_example=2, margin=1e9, model_config=CONFIG)
    before, after = (load_examples(folder, "train") for folder in (shards, tmp_path / "out"))
    tools = load_tools(tmp_path / "out")
    [hidden] = {int(t) for t in load_examples(shards, "heldout").call_tools.flat}
    rows = ~before.closed & (before.call_tools.lengths > 0)
    assert mined["examples"] == rows.sum() == 54
    assert sum(mined["tools"]) == 54 and 0.0 <= mined["mistaken"] <= 1.0
    taken = [0, 0, 0]
    for i in range(len(before)):
        old, new = before.others[i].tolist(), after.others[i].tolist()
        if not rows[i]:
            assert new == old
            continue
        assert len(set(new)) == len(new) and hidden not in new
        front = new[: len(new) - len(old)]
        taken[len(front)] += 1
        assert new[len(front) :] == old  # no tool of another family was listed before
        groups = tools.group[front].tolist()
        own = {int(before.group[i]), *tools.group[before.call_tools[i]].tolist()}
        assert len(set(groups)) == len(groups) and not own & set(groups)
    assert taken == mined["tools"] and taken[2] == 54
    assert all(
        np.array_equal(getattr(before, name).flat, getattr(after, name).flat)
        for name in ("query", "call_tools", "arguments", "free", "parameter")
    )


def test_a_tool_that_is_listed_already_is_listed_once(tmp_path: Path) -> None:
    made = corpus.examples(14, seed=0)
    made[0] = replace(made[0], tools=(*made[0].tools, PING, TABLE))
    corpus.write_shards(tmp_path / "shards", made, made)
    mine(tmp_path / "shards", tmp_path / "out", str(artifact()), per_example=3, margin=1e9, model_config=CONFIG)
    before, after = (load_examples(tmp_path / name, "train").others[0].tolist() for name in ("shards", "out"))
    assert len(before) == 3 and set(before) < set(after) and len(after) == len(set(after)) == 5


def test_the_folder_is_whole_and_says_what_was_done(shards: Path, tmp_path: Path) -> None:
    mined = mine(shards, tmp_path / "out", str(artifact()), model_config=CONFIG)
    source, made = load_description(shards), load_description(tmp_path / "out")
    assert (made["counts"], made["mined"]) == (source["counts"], mined)
    assert (mined["from"], mined["per_example"], mined["margin"]) == (source["sha256"], 2, 0.95)
    assert made["sha256"] != source["sha256"]
    for name in ("tools.npz", "heldout.npz", "scenarios.jsonl.gz", "tokenizer.json"):
        assert (tmp_path / "out" / name).read_bytes() == (shards / name).read_bytes()
    assert [p.name for p in tmp_path.iterdir()] == ["out"]
    again = mine(shards, tmp_path / "again", str(artifact()), model_config=CONFIG)
    assert again == mined
    assert (tmp_path / "again" / "shards.json").read_bytes() == (tmp_path / "out" / "shards.json").read_bytes()


def test_mined_shards_make_batches_in_which_mined_tools_compete(shards: Path, tmp_path: Path) -> None:
    mine(shards, tmp_path / "out", str(artifact()), margin=1e9, model_config=CONFIG)
    examples, tools = load_examples(tmp_path / "out", "train"), load_tools(tmp_path / "out")
    row = int(np.flatnonzero(~examples.closed & (examples.call_tools.lengths == 1))[0])
    mined = set(examples.others[row][:2].tolist())
    texts = {tuple(tools.ids[t].tolist()) for t in mined}
    brought = 0
    for seed in range(60):  # alone in a batch, it has only what it brings
        batch = build_batch(examples, tools, np.array([row]), 8, np.random.default_rng(seed))
        starts = zip(batch.texts.start[1:].tolist(), batch.texts.length[1:].tolist(), strict=True)
        brought += any(tuple(batch.texts.ids[s : s + n].tolist()) in texts for s, n in starts)
    assert brought > 5
    assert len(epoch_batches(examples, 8, seed=0)) == 9


def test_what_fails_leaves_nothing(shards: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match="there already"):
        mine(shards, shards, str(artifact()), model_config=CONFIG)

    def full(*_: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(mining, "save_examples", full)
    with pytest.raises(OSError, match="disk full"):
        mine(shards, tmp_path / "out", str(artifact()), model_config=CONFIG)
    assert not (tmp_path / "out").exists()
    monkeypatch.undo()
    mine(shards, tmp_path / "out", str(artifact()), model_config=CONFIG)  # what was left is no hindrance
    assert [p.name for p in tmp_path.iterdir()] == ["out"]


def test_shards_without_an_open_call_are_refused(tmp_path: Path) -> None:
    none = [example("bank", "Hello", (PING,))]
    corpus.write_shards(tmp_path / "shards", none, none)
    with pytest.raises(ValueError, match="nothing to mine for"):
        mine(tmp_path / "shards", tmp_path / "out", str(artifact()), model_config=CONFIG)


def test_the_command_prints_what_was_found(
    shards: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(mining, "ModelConfig", lambda vocab_size: CONFIG)
    options = ["--out", str(tmp_path / "out"), "--init", str(artifact()), "--per-example", "1", "--margin", "1e9"]
    assert data(["mine", "--shards", str(shards), *options]) == 0
    printed = capsys.readouterr().out.splitlines()
    assert printed[:2] == ["0 mined tools           0 examples", "1 mined tools          54 examples"]
    assert printed[2].endswith("% of 54 are nearer to a tool of another family than to their own")
    assert data(["mine", "--shards", str(shards), *options]) == 1
    assert "there already" in capsys.readouterr().err
