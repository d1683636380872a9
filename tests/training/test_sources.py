"""Most of the corpora's loaders, on rows in each original's format."""

from __future__ import annotations

import json
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from model.types import Message
from tests.training.conftest import Corpus, answers
from training.data.example import Call, Example
from training.data.sources import SOURCES, clinc150, droidcall, glaive, hwu64, seal_tools, snips


def test_seal_tools(corpus: Corpus) -> None:
    tool = {
        "api_name": "getLoan",
        "api_description": "Get a loan",
        "field": "Finance/Loans",
        "parameters": {
            "amount": {"type": "float", "description": "How much"},
            "years": {"type": "int", "description": "How long"},
            "bank": {"type": "str", "description": "The bank"},
            "urgent": {"type": "bool", "description": "Whether urgent"},
        },
        "required": ["amount"],
    }

    def row(query: str, **parameters: Any) -> dict[str, Any]:
        return {"id": query, "query": query, "calling": [{"api": "getLoan", "parameters": parameters, "responses": []}]}

    corpus("seal-tools/tool.jsonl.gz", [tool])
    corpus(
        seal_tools.QUERIES[0],
        [
            row(
                "An urgent loan of $1,500.5 over ten years at ACME bank",
                amount="1500.5",
                years=10,
                bank="acme",
                urgent=True,
            ),
            row("A loan of 20", amount=20, bank="API_call_1"),
            row("A loan of 30", amount=31),
            row("A loan of 40 by a specific bank", amount=40, bank="bank"),
        ],
    )
    corpus(seal_tools.QUERIES[1], [row("Lend me 50", amount=50)])
    examples = list(seal_tools.load())
    assert [example.calls[0].arguments for example in examples] == [
        {"amount": 1500.5, "years": 10, "bank": "ACME", "urgent": True},
        {"amount": 50},
    ]
    assert examples[0].group == "seal:Finance"
    types = {name: spec["type"] for name, spec in examples[0].tools[0].parameters["properties"].items()}
    assert types == {"amount": "number", "years": "integer", "bank": "string", "urgent": "boolean"}


def test_droidcall(corpus: Corpus) -> None:
    def row(number: int, query: str, uri: str | None = "None", **extras: Any) -> dict[str, Any]:
        return {"id": number, "query": query, "intent": "X", "uri": uri, "mime": "", "extras": extras}

    alarm = {"EXTRA_HOUR": 22, "EXTRA_MINUTES": 30, "EXTRA_RINGTONE": "None", "EXTRA_VIBRATE": True}
    corpus(
        droidcall.FILES[0],
        [
            row(1, "Alarm at 10:30 PM every Sunday", **alarm, EXTRA_DAYS=[1]),
            row(1, "Alarm in the evening", **alarm),
            row(1, "Vibrating alarm at 10:30 p.m.", **alarm, EXTRA_MESSAGE="Invented"),
            row(2, "Timer of 1 hour and 5 minutes", EXTRA_LENGTH=3900, EXTRA_MESSAGE="Tea", EXTRA_SKIP_UI=True),
            row(2, "Timer of 5 minutes", EXTRA_LENGTH=600),
            row(19, "Where is Central Park?", "geo:0,0?q=central+park"),
            row(23, "Dial 555-4321.", "tel:5554321"),
            row(23, "Dial my doctor", "tel:1234567890"),
            row(37, "Change the ringtone"),
            row(37, "Make the font bigger"),
        ],
    )
    corpus(droidcall.FILES[1], [row(42, "Text 555-1234 that I am late", "smsto:5551234", sms_body="I am late")])
    assert answers(droidcall.load()) == {
        "Alarm at 10:30 PM every Sunday": [("set_alarm", {"hour": 22, "minutes": 30, "days": ["sunday"]})],
        "Vibrating alarm at 10:30 p.m.": [("set_alarm", {"hour": 22, "minutes": 30, "vibrate": True})],
        "Timer of 1 hour and 5 minutes": [("set_timer", {"seconds": 3900})],
        "Where is Central Park?": [("show_map", {"query": "Central Park"})],
        "Dial 555-4321.": [("dial_number", {"phone_number": "555-4321"})],
        "Make the font bigger": [("open_display_settings", {})],
        "Text 555-1234 that I am late": [("send_text_message", {"phone_number": "555-1234", "message": "I am late"})],
    }


def test_snips(corpus: Corpus, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(snips, "CAP", 1)
    for intent in snips.TOOLS:
        for file in (f"train_{intent}_full", f"validate_{intent}"):
            corpus(f"snips/{intent}/{file}.json.gz", {intent: []}, lines=False)
    pieces = [
        {"text": "Table for "},
        {"text": "six", "entity": "party_size_number"},
        {"text": " at a "},
        {"text": "restaurant", "entity": "restaurant_type"},
        {"text": " in "},
        {"text": "Paris", "entity": "city"},
        {"text": ", "},
        {"text": "France", "entity": "country"},
    ]
    rows = {"BookRestaurant": [{"data": pieces}, {"data": pieces}]}
    corpus("snips/BookRestaurant/train_BookRestaurant_full.json.gz", rows, lines=False)
    (example,) = snips.load()
    assert answers(iter([example])) == {
        "Table for six at a restaurant in Paris, France": [
            ("book_restaurant", {"party_size": 6, "location": "Paris, France"})
        ]
    }
    assert example.group == "snips:BookRestaurant"


def test_hwu64(corpus: Corpus) -> None:
    def row(scenario: str, intent: str, annotation: str) -> dict[str, str]:
        return {"answerid": "1", "scenario": scenario, "intent": intent, "answer_annotation": annotation}

    corpus(
        "hwu64/nlu_home_domain_annotated_union.jsonl.gz",
        [
            row("alarm", "set", "wake me at [time : five] in the [timeofday : morning] this [date : friday]"),
            row("email", "querycontact", "what is [person : john's] [personal_info : email]"),
            row("lists", "createoradd", "add milk to my [list_name : shopping list]"),
            row("lists", "createoradd", "make a new [list_name : to do] list"),
            row("transport", "ticket", "train from [place_name : rome] to [place_name : bari]"),
            row("iot", "hue_lightoff", "lights off in the [planet : moon]"),
            row("general", "praise", "well done"),
            row("general", "praise", "Well done"),
            row("music", "likeness", "i like this"),
        ],
    )
    examples = list(hwu64.load())
    assert answers(iter(examples)) == {
        "wake me at five in the morning this friday": [
            ("set_alarm", {"time": "five in the morning", "date": "this friday"})
        ],
        "what is john's email": [("get_contact_info", {"name": "john", "field": "email"})],
        "add milk to my shopping list": [("add_to_list", {"item": "milk", "list_name": "shopping"})],
        "make a new to do list": [("create_list", {"list_name": "to do"})],
        "train from rome to bari": [("book_ticket", {"origin": "rome", "destination": "bari"})],
        "well done": [],
    }
    for example in examples:
        assert {each.name for each in example.calls} <= {tool.name for tool in example.tools}


def test_glaive(corpus: Corpus) -> None:
    tool = {
        "name": "age",
        "description": "Age.",
        "parameters": {"type": "object", "properties": {"born": {"type": "string"}}},
    }

    def row(born: str | None, tools: list[dict[str, Any]]) -> dict[str, Any]:
        turns = [
            {"from": "human", "value": "Hi"},
            {"from": "gpt", "value": "Born?"},
            {"from": "human", "value": "1990-05-15"},
        ]
        if born:
            turns.append({"from": "function_call", "value": json.dumps({"name": "age", "arguments": {"born": born}})})
        return {"conversations": turns, "tools": json.dumps(tools)}

    rows = [row("1990-05-15", [tool]), row("2001-01-01", [tool]), row(None, [tool]), row(None, [])]
    corpus("glaive-toolcall-demo/data/glaive_toolcall_en_demo.json.gz", rows, lines=False)
    called, uncalled = glaive.load()
    assert called.calls == (Call("age", {"born": "1990-05-15"}),)
    assert [(message.role, message.text) for message in called.messages] == [
        ("user", "Hi"),
        ("assistant", "Born?"),
        ("user", "1990-05-15"),
    ]
    assert uncalled.calls == () and len(uncalled.messages) == 1


def test_clinc150(corpus: Corpus) -> None:
    splits = {"train": [["pay my bill", "pay_bill"]], "oos_val": [["a show on broadway", "oos"]]}
    corpus("clinc150/data/data_full.json.gz", splits, lines=False)
    assert list(clinc150.load()) == [
        Example("clinc150", "clinc150:oos", (Message("user", "a show on broadway"),), (), ())
    ]


def test_every_hand_written_tool_has_a_valid_schema() -> None:
    tools = [*snips.TOOLS.values(), *(tool for each in hwu64.TOOLS.values() for tool in each)]
    for tool in tools:
        for styled in tool.styled.values():
            Draft202012Validator.check_schema(styled.parameters)
            assert styled.description


def test_registry() -> None:
    assert list(SOURCES) == [
        *("sgd", "seal_tools", "droidcall", "snips", "hwu64", "glaive", "clinc150"),
        *("slurp", "taskmaster", "api_bank", "polyai", "home_assistant", "thingpedia", "metatool"),
    ]
