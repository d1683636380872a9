"""Thingpedia's loader, on manifests and dialogues in its format."""

from __future__ import annotations

from typing import Any

import pytest

from tests.training.conftest import Corpus, answers
from training.data.example import Example
from training.data.sources import thingpedia

KETTLE = """// A comment with a class @nothing.
class @com.acme.kettle extends @org.iot.switch
#_[thingpedia_name="Kettle (with ;)"]
{
  import loader from @org.thingpedia.v2();

  monitorable query state(out value: Enum(on,off) #_[canonical="value"])
  #_[canonical=["state of the kettle", "kettle state"]]
  #[confirm=false];

  action boil(in req degrees: Measure(C) #_[prompt="what temperature (in degrees) do you want?"],
              in opt mode: Enum(fast,keep_warm) #_[canonical={base=["mode", "way"]}],
              in opt start: Time)
  #[doc="boil water at `degrees`"];

  action kettle_brew(in req tea_id: Entity(com.acme:tea) #_[canonical="tea"], in req at: Date);

  list query teas(in opt tea_id: Entity(com.acme:tea) #_[canonical={ base=["tea"] }]);
}
"""


def row(utterance: str, *program: str, rest: tuple[str, ...] = ()) -> dict[str, Any]:
    execute = "UT: $dialogue @org.thingpedia.dialogue.transaction.execute;"
    return {"id": utterance, "turns": [f"U: {utterance}", execute, *(f"UT: {line}" for line in program), *rest]}


def load(corpus: Corpus, *rows: dict[str, Any]) -> list[Example]:
    corpus(thingpedia.MANIFESTS, [{"file": "a", "manifest": KETTLE}, {"file": "b", "manifest": "../elsewhere.tt"}])
    corpus(thingpedia.DIALOGUES, list(rows))
    return list(thingpedia.load())


def test_manifest(corpus: Corpus, monkeypatch: pytest.MonkeyPatch) -> None:
    load(corpus)
    functions = thingpedia.read_functions(None)
    # `kettle_brew` must be given a date, which has no literal form here.
    assert set(functions) == {"com.acme.kettle.state", "com.acme.kettle.boil", "com.acme.kettle.teas"}
    tool = functions["com.acme.kettle.boil"].styled["snake"]
    assert (tool.name, tool.description) == ("kettle_boil", "Boil water at degrees.")
    assert tool.parameters == {
        "type": "object",
        "properties": {
            "degrees": {"type": "number", "description": "What temperature (in degrees) do you want?"},
            "mode": {"type": "string", "description": "Mode.", "enum": ["fast", "keep_warm"]},
        },
        "required": ["degrees"],
    }
    assert functions["com.acme.kettle.state"].styled["camel"].name == "kettleState"
    assert functions["com.acme.kettle.state"].description == "State of the kettle."


def test_names_are_not_doubled() -> None:
    assert thingpedia._name("media_player", "player_pause") == "media_player_pause"
    assert thingpedia._name("kettle", "kettle_boil") == "kettle_boil"


def test_programs(corpus: Corpus) -> None:
    examples = load(
        corpus,
        row("is the kettle on?", "@com.acme.kettle.state();"),
        row("Boil it at eighty, and keep warm", "@com.acme.kettle.boil(degrees=80C, mode=enum keep_warm);"),
        row("which Assam is there?", '@com.acme.kettle.teas(tea_id="77"^^com.acme:tea("assam"));', rest=("A: None",)),
        row("boil at 70 then list teas", "@com.acme.kettle.boil(degrees=70C);", "@com.acme.kettle.teas();"),
    )
    assert answers(iter(examples)) == {
        "is the kettle on?": [("kettle_state", {})],
        "Boil it at eighty, and keep warm": [("kettle_boil", {"degrees": 80, "mode": "keep_warm"})],
        "which Assam is there?": [("kettle_teas", {"tea": "Assam"})],
        "boil at 70 then list teas": [("kettle_boil", {"degrees": 70}), ("kettle_teas", {})],
    }
    assert {example.group for example in examples} == {"thingpedia:com.acme.kettle"}


@pytest.mark.parametrize(
    ("utterance", "program"),
    [
        ("is the kettle on?", "@com.acme.kettle.state() filter value == enum on;"),
        ("tell me when it is on", "monitor(@com.acme.kettle.state());"),
        ("boil all the teas", "@com.acme.kettle.teas() => @com.acme.kettle.boil(degrees=tea);"),
        ("boil the water", "@com.acme.kettle.boil(degrees=$?);"),
        ("boil the water", "@com.acme.kettle.boil(degrees=90C);"),  # not said
        ("boil at 90 right away", "@com.acme.kettle.boil(degrees=90C, mode=enum fast);"),  # not said so
        ("boil the water", "@com.acme.kettle.boil();"),  # a required argument is missing
        ("fly to the moon", "@com.acme.rocket.fly();"),  # no such manifest
        ("get: kettle state", "@com.acme.kettle.state();"),
        ("kettle", "@com.acme.kettle.state();"),
    ],
)
def test_what_is_dropped(corpus: Corpus, utterance: str, program: str) -> None:
    assert not load(corpus, row(utterance, program))


def test_cap(corpus: Corpus, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(thingpedia, "CAP", 1)
    assert len(load(corpus, *(row(f"kettle state {i}", "@com.acme.kettle.state();") for i in range(3)))) == 1
