"""The tool sets of the headline experiment: unseen in training, and their tests unseen by what is learnt."""

from __future__ import annotations

import pytest

pytest.importorskip("torch")

from bench.toolsets import MIXTURE, TESTED, ToolSet, _split_phrasings, tickets, voice  # noqa: E402
from tests.training.conftest import Corpus  # noqa: E402
from training.data.compose import KINDS  # noqa: E402
from training.data.example import Example  # noqa: E402
from training.data.prepare import is_held_out  # noqa: E402
from training.data.scenarios.library import FOLDER, load_domain  # noqa: E402
from training.data.sources import snips  # noqa: E402


@pytest.fixture(scope="module")
def support() -> ToolSet:
    return tickets(600)


def said(examples: tuple[Example, ...]) -> set[str]:
    return {repr(e.messages).casefold() for e in examples}


def test_what_is_tested_is_not_learnt(support: ToolSet) -> None:
    assert len(said(support.learn)) == len(support.learn) == 600
    tested = [said(examples) for examples in support.tests.values()]
    assert [len(t) for t in tested] == [TESTED, TESTED]
    assert not said(support.learn) & (tested[0] | tested[1]) and not tested[0] & tested[1]


def test_a_smaller_experiment_has_the_first_examples_and_the_same_tests(support: ToolSet) -> None:
    smaller = tickets(100)
    assert smaller.learn == support.learn[:100]
    assert smaller.tests == support.tests


def test_every_request_is_of_the_domain_as_declared_with_all_of_its_tools(support: ToolSet) -> None:
    domain = load_domain(FOLDER / "support_tickets.yaml")
    declared = tuple(t.tool for t in domain.tools)
    for example in (*support.learn, *(e for examples in support.tests.values() for e in examples)):
        assert example.tools == declared
        assert is_held_out(example.group)
    assert any(not e.calls for e in support.learn) and any(len(e.calls) > 1 for e in support.learn)


def test_no_phrasing_is_on_both_sides() -> None:
    domain = load_domain(FOLDER / "support_tickets.yaml")
    known, new = _split_phrasings(domain)
    for whole, first, second in zip(domain.tools, known.tools, new.tools, strict=True):
        assert first.say and second.say
        assert {id(w) for w in first.say}.isdisjoint(id(w) for w in second.say)
        assert len(first.say) + len(second.say) == len(whole.say)


def test_the_mixture_is_of_the_composers_kinds() -> None:
    assert MIXTURE.keys() <= KINDS.keys()


def test_voice_takes_the_intents_that_were_held_out(corpus: Corpus) -> None:
    for intent in snips.TOOLS:
        for file in (f"train_{intent}_full", f"validate_{intent}"):
            corpus(f"snips/{intent}/{file}.json.gz", {intent: []}, lines=False)
    added = [
        [
            {"text": "add "},
            {"text": f"Band {i}", "entity": "artist"},
            {"text": " to "},
            {"text": "mix", "entity": "playlist"},
        ]
        for i in range(700)
    ]
    shown = [[{"text": "is "}, {"text": f"Film {i}", "entity": "movie_name"}, {"text": " on"}] for i in range(700)]
    for intent, rows in (("AddToPlaylist", added), ("SearchScreeningEvent", shown)):
        found = {intent: [{"data": pieces} for pieces in rows]}
        corpus(f"snips/{intent}/train_{intent}_full.json.gz", found, lines=False)
    made = voice(10_000)
    assert len(made.learn) == 1400 - TESTED  # more than the corpus of training takes of an intent
    assert {c.name for e in made.learn for c in e.calls} == {"add_to_playlist", "find_movie_screenings"}
    assert all(len(e.tools) == 7 for e in made.learn)
    assert not said(made.learn) & said(made.tests["new requests"])
