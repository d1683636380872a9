"""The Schema-Guided Dialogue corpus: its services as tools, its turns as examples."""

from __future__ import annotations

from typing import Any

import pytest

from tests.training.conftest import Corpus
from training.data.example import Call
from training.data.sources import sgd


def sgd_schema(*, reworded: int = 0) -> list[dict[str, Any]]:
    """A bus service in the upstream wording, or in a rewording that only appends its number."""
    tail = f"_v{reworded}" if reworded else ""

    def slot(name: str, values: list[str]) -> dict[str, Any]:
        described = f"{name}{tail} described"
        return {
            "name": name + tail,
            "description": described,
            "is_categorical": bool(values),
            "possible_values": values,
        }

    slots = [
        slot("city", []),
        slot("day", []),
        slot("seats", ["1", "2"]),
        slot("refundable", ["True", "False"]),
        slot("fare", ["Economy", "Flexible"]),
    ]
    intent = {
        "name": "FindBus" + (f"V{reworded}" if reworded else ""),
        "description": f"Find a bus{tail}",
        "required_slots": ["city" + tail],
        "optional_slots": {
            "day" + tail: "dontcare",
            "seats" + tail: "1",
            "refundable" + tail: "False",
            "fare" + tail: "Economy",
        },
    }
    return [{"service_name": f"Buses_1{reworded or ''}", "slots": slots, "intents": [intent]}]


def sgd_turn(speaker: str, text: str, acts: list[tuple[str, str, str]], **frame: Any) -> dict[str, Any]:
    actions = [{"act": act, "slot": slot, "values": [value], "canonical_values": [value]} for act, slot, value in acts]
    return {"speaker": speaker, "utterance": text, "frames": [{"service": "Buses_1", "actions": actions, **frame}]}


@pytest.fixture
def sgd_corpus(corpus: Corpus, monkeypatch: pytest.MonkeyPatch) -> None:
    def state(**values: list[str]) -> dict[str, Any]:
        return {"active_intent": "FindBus", "slot_values": values}

    wish = state(day=["today"], seats=["2"], fare=["Flexible"])
    full = state(city=["Fresno"], day=["today", "March 1st"], seats=["2"], fare=["Flexible"])
    service_call = {
        "method": "FindBus",
        "parameters": {
            "city": "Fresno",
            "day": "2019-03-01",
            "seats": "2",
            "refundable": "False",
            "fare": "Flexible",
        },
    }
    turns = [
        sgd_turn(
            "USER",
            "Find a bus for the two of us Today, any time I can change it",
            [("INFORM_INTENT", "intent", "FindBus"), ("INFORM", "seats", "2"), ("INFORM", "fare", "Flexible")],
            state=wish,
        ),
        sgd_turn("SYSTEM", "Where to?", [("REQUEST", "city", "")]),
        sgd_turn("USER", "To fresno", [("INFORM", "city", "Fresno")], state=full),
        sgd_turn("SYSTEM", "I found one.", [("OFFER", "city", "Fresno")], service_call=service_call),
        sgd_turn("USER", "Thanks, bye", [("THANK_YOU", "", ""), ("GOODBYE", "", "")], state=full),
    ]
    dialogue = {"dialogue_id": "1_00000", "services": ["Buses_1"], "turns": turns}
    for split in ("train", "dev"):
        corpus(f"sgd/{split}/schema.json", sgd_schema(), lines=False)
        for n in range(1, 6):
            corpus(f"sgd/sgd_x/data/v{n}/{split}/schema.json.gz", sgd_schema(reworded=n), lines=False)
        corpus(f"sgd/{split}/dialogues.jsonl.gz", [dialogue] if split == "train" else [])
    monkeypatch.setattr(sgd, "CLOSING_SHARE", 1.0)


def test_sgd_in_upstream_s_wording(sgd_corpus: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sgd, "REWORDED_SHARE", 0.0)
    monkeypatch.setattr(sgd, "_STYLES", ("pascal",))
    single, multi, closing = sgd.load()

    assert single.group == "sgd:Buses"
    # The required city is not said yet, hence nothing is required here.
    assert single.calls == (Call("FindBus", {"day": "Today", "seats": 2, "fare": "Flexible"}),)
    assert single.tools[0].parameters["required"] == []

    assert [message.role for message in multi.messages] == ["user", "assistant", "user"]
    # The city as the user wrote it; `refundable` is upstream's default and was never said.
    assert multi.calls == (Call("FindBus", {"city": "fresno", "day": "Today", "seats": 2, "fare": "Flexible"}),)
    assert multi.tools[0].parameters == {
        "type": "object",
        "properties": {
            "city": {"type": "string", "description": "city described"},
            "day": {"type": "string", "description": "day described"},
            "seats": {"type": "integer", "description": "seats described", "default": 1},
            "refundable": {"type": "boolean", "description": "refundable described", "default": False},
            "fare": {
                "type": "string",
                "description": "fare described",
                "enum": ["Economy", "Flexible"],
                "default": "Economy",
            },
        },
        "required": ["city"],
    }

    assert closing.messages[-1].text == "Thanks, bye"
    assert closing.calls == () and closing.tools == multi.tools


def test_sgd_reworded(sgd_corpus: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sgd, "REWORDED_SHARE", 1.0)
    monkeypatch.setattr(sgd, "_STYLES", ("camel",))
    single, multi, _ = sgd.load()
    number = multi.tools[0].description[-1]
    assert multi.tools[0].name == f"findBusV{number}"
    assert set(multi.calls[0].arguments) == {f"{name}V{number}" for name in ("city", "day", "seats", "fare")}
    assert single.calls[0].name == f"findBusV{number}"


def test_sgd_history_is_cut_at_a_user_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    turns = [{"speaker": ("USER", "SYSTEM")[i % 2], "utterance": f"turn {i} " + "x" * 90} for i in range(15)]
    recent = sgd._recent(turns)
    assert recent[0]["speaker"] == "USER" and recent[-1] is turns[-1] and len(recent) == 7
    monkeypatch.setattr(sgd, "MAX_CHARACTERS", 250)
    assert len(sgd._recent(turns)) == 1
