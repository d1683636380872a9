"""`training.links` gives what `model.links` does, and that is what its docstring says."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from model.links import FEATURES, OVERLAPS, REACH, WINDOW, Links, overlaps  # noqa: E402
from model.parameters import NO_PARAMETER  # noqa: E402
from training.links import link_features, overlap_features  # noqa: E402

NOBODY, CONVERSATION = -2, -1


def own(features: np.ndarray) -> np.ndarray:
    """How much each token itself is linked to the parameter."""
    return features[:, REACH]


def others(features: np.ndarray) -> np.ndarray:
    return features[:, WINDOW + REACH]


def test_a_word_of_the_parameter_links() -> None:
    #                     sell 5 shares                    head  side buy sell  count shares
    links = Links(np.array([7, 0, 9]), np.array([9, 3, 4, 7, 5, 9]), np.array([NO_PARAMETER, 0, 0, 0, 1, 1]))
    side, count = links.features(0), links.features(1)
    assert side.shape == (9, FEATURES)
    assert own(side)[:3].tolist() == [1, 0, 0] and others(side)[:3].tolist() == [0, 0, 1]
    assert own(count)[:3].tolist() == [0, 0, 1] and others(count)[:3].tolist() == [1, 0, 0]
    # Of the tool: what is linked in the parameter's lines, its lines, and which parameters are mentioned at all.
    assert side[3:, -3].tolist() == [0, 0, 0, 1, 0, 0]
    assert side[3:, -2].tolist() == [0, 1, 1, 1, 0, 0]
    assert side[3:, -1].tolist() == [0, 1, 1, 1, 1, 1]


def test_a_word_of_several_parameters_is_shared_out() -> None:
    links = Links(np.array([7, 8]), np.array([7, 7, 8, 7]), np.array([0, 0, 0, 1]))
    assert own(links.features(0))[:2].tolist() == [0.5, 1.0]
    assert own(links.features(1))[:2].tolist() == [0.5, 0.0]
    assert links.features(0)[2:, -1].tolist() == [1, 1, 1, 0.5]


def test_of_no_parameter_all_links_are_to_others() -> None:
    features = Links(np.array([7, 8, 6]), np.array([7, 8]), np.array([0, 1])).features(NO_PARAMETER)
    assert own(features)[:3].tolist() == [0, 0, 0] and others(features)[:3].tolist() == [1, 1, 0]
    assert not features[:, -3:-1].any() and features[3:, -1].tolist() == [1, 1]


def test_the_windows_look_both_ways_and_not_into_the_tool() -> None:
    conversation = np.zeros(20, np.int64)
    conversation[10] = 7
    features = Links(conversation, np.array([7]), np.array([0])).features(0)
    for position in range(20):
        ahead = 10 - position  # 10 is so many tokens ahead
        expected = [float(offset == ahead) for offset in range(-REACH, REACH + 1)]
        assert features[position, :WINDOW].tolist() == expected
    assert not features[20, : 2 * WINDOW].any()


def test_a_tool_without_parameters_links_nothing() -> None:
    features = Links(np.array([7]), np.array([7]), np.array([NO_PARAMETER])).features(NO_PARAMETER)
    assert not features.any()


@pytest.mark.parametrize("seed", range(12))
def test_batches_have_what_serving_has(seed: int) -> None:
    rng = np.random.default_rng(seed)
    length, tools = 9, int(rng.integers(1, 4))
    conversation = rng.integers(0, 7, rng.integers(1, 12))
    texts = [rng.integers(0, 7, rng.integers(1, 15)) for _ in range(tools)]
    owners = [np.sort(rng.integers(NO_PARAMETER, 4, len(text))) for text in texts]
    called = rng.integers(0, tools, length)
    written = np.array([rng.choice(np.append(np.unique(owners[c]), NO_PARAMETER)) for c in called])
    first = np.cumsum([0, *(o.max(initial=-1) + 1 for o in owners)])  # parameters are numbered through in batches

    padding = int(rng.integers(0, 4))
    words = np.concatenate([conversation, *texts, np.zeros(padding, np.int64)])
    place = [CONVERSATION] * len(conversation) + [k for k, t in enumerate(texts) for _ in t] + [NOBODY] * padding
    numbered = [np.where(o == NO_PARAMETER, NO_PARAMETER, o + first[k]) for k, o in enumerate(owners)]
    parameter = np.concatenate([[NO_PARAMETER] * len(conversation), *numbered, [NO_PARAMETER] * padding])
    with torch.autocast("cpu", torch.bfloat16, enabled=seed % 2 == 1):  # as in training: nothing is to be rounded
        batch = link_features(
            *(torch.from_numpy(np.asarray(x))[None] for x in (words, parameter, place, called)),
            torch.from_numpy(np.where(written == NO_PARAMETER, NO_PARAMETER, written + first[called]))[None],
        )[0].numpy()
    assert batch.shape == (length, len(words), FEATURES)
    for k in range(length):
        tool = called[k]
        serving = Links(conversation, texts[tool], owners[tool]).features(int(written[k]))
        readable = np.isin(place, [CONVERSATION, tool])
        np.testing.assert_allclose(batch[k, readable], serving, rtol=1e-6)


def test_overlaps_by_hand() -> None:
    said = np.array([0, 3, 4, 5, 3])
    first, second = (np.array([3, 4, 9, 0]), np.array([5, 5, 3])), (np.array([3]), np.array([6]))
    found = overlaps(said, [first, second])
    # 3 and 4 of 3, 4, 9 in the head; 5 in the parameters, where 3 does not count again; only 3 is in both heads.
    np.testing.assert_allclose(found[0], [2 / 3, 1.0, *np.log([3, 2, 2, 2])], rtol=1e-6)
    np.testing.assert_allclose(found[1], [1.0, 1 / 3, *np.log([2, 1, 1, 1])], rtol=1e-6)
    assert not overlaps(np.array([0]), [first, second]).any()
    assert overlaps(said, []).shape == (0, OVERLAPS)


@pytest.mark.parametrize("seed", range(8))
def test_slots_of_batches_have_the_overlaps_of_serving(seed: int) -> None:
    rng = np.random.default_rng(seed)
    asked = [rng.integers(0, 9, rng.integers(1, 6)) for _ in range(3)]
    tools = [(rng.integers(0, 9, rng.integers(1, 5)), rng.integers(0, 9, rng.integers(0, 8))) for _ in range(5)]
    row = rng.integers(0, 3, 6)
    candidates = [np.sort(rng.choice(5, rng.integers(0, 4), replace=False)) for _ in row]

    def bits(texts: list[np.ndarray]) -> torch.Tensor:
        found = torch.zeros(len(texts), 9)
        for k, text in enumerate(texts):
            found[k, text] = 1.0
        return found

    padded = torch.tensor([[*c.tolist(), *[-1] * (4 - len(c))] for c in candidates])
    heads, rests = (bits(list(texts)) for texts in zip(*tools, strict=True))
    # What all slots of a row list is what tells whether a word is a candidate's own; some are scored at this one.
    few = torch.where(torch.arange(4) < 2, padded, -1)
    for scored in (padded, few):
        found = overlap_features(bits(asked), heads, rests, torch.from_numpy(row), scored, padded).numpy()
        for k, listed in enumerate(candidates):
            there = len(listed) if scored is padded else min(len(listed), 2)
            expected = overlaps(asked[row[k]], [tools[t] for t in listed])[:there]
            np.testing.assert_allclose(found[k, :there], expected, rtol=1e-6)
            assert not found[k, there:].any()
