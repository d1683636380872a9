"""What is replayed and what shows forgetting: of the library, and never the same domains."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("torch")

from pathlib import Path  # noqa: E402

from model.tokenizer import Tokenizer  # noqa: E402
from tests.artifact import tokenizer  # noqa: E402
from tests.training import corpus  # noqa: E402
from tests.training.distil.toys import tokenizer as shipped  # noqa: E402
from training.data.prepare import is_held_out  # noqa: E402
from training.data.shards import load_examples  # noqa: E402
from training.distil import general as module  # noqa: E402
from training.distil.general import composed_replay, general_requests, sampled_replay  # noqa: E402

LIBRARY = Path(__file__).parents[1] / "scenarios"


@pytest.fixture(autouse=True)
def dock_is_held_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "is_held_out", lambda group: group == "scenario:dock")


def test_the_shipped_library_has_both_kinds_of_domains() -> None:
    domains = [p.stem for p in module.FOLDER.glob("[a-z]*.yaml")]
    assert 0.02 < sum(is_held_out(f"scenario:{name}") for name in domains) / len(domains) < 0.1


def test_requests_are_of_held_out_domains() -> None:
    requests = general_requests(80, library=LIBRARY)
    assert 60 < len(requests) <= 80
    assert {e.family for e in requests} == {"scenario:dock"}
    assert requests == general_requests(80, library=LIBRARY)
    assert requests != general_requests(80, seed=1, library=LIBRARY)


def test_replay_is_of_the_others() -> None:
    examples, tools = composed_replay(shipped(), 40, library=LIBRARY)
    assert 25 < len(examples) <= 40
    heads = [shipped().decode(tools.ids[i][1 : tools.head[i]].tolist()).lower() for i in range(len(tools.ids))]
    assert any("kettle" in head or "water" in head for head in heads)
    assert not any("boat" in head or "berth" in head for head in heads)
    assert not examples.closed.any()
    assert set(examples.weight.tolist()) == {1.0}


def test_replay_of_prepared_shards(tmp_path: Path) -> None:
    shards = corpus.write_shards(tmp_path / "shards", corpus.examples(70, 0), corpus.examples(7, 1))
    examples, tools = sampled_replay(shards, tokenizer(), 30)
    whole = load_examples(shards, "train")
    assert len(examples) == 30
    known = {tuple(whole.query[i].tolist()) for i in range(70)}
    assert {tuple(examples.query[i].tolist()) for i in range(30)} <= known
    assert len(tools.ids) > int(examples.call_tools.flat.max())
    assert len(sampled_replay(shards, tokenizer(), 1_000)[0]) == 70
    other = sampled_replay(shards, tokenizer(), 30, seed=1)[0]
    assert not np.array_equal(examples.query.flat, other.query.flat)


def test_shards_of_another_tokenizer_are_refused(tmp_path: Path) -> None:
    shards = corpus.write_shards(tmp_path / "shards", corpus.examples(7, 0), corpus.examples(7, 1))
    with pytest.raises(ValueError, match="another tokenizer"):
        sampled_replay(shards, Tokenizer(shipped().json_text), 7)
