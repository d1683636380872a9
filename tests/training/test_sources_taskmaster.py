"""Taskmaster-4's loader, on dialogues in its format."""

from __future__ import annotations

import json
from typing import Any

import pytest

from model.types import Message, ToolCall
from tests.training.conftest import Corpus
from training.data.example import Call
from training.data.sources import taskmaster

ITEMS = {"menu_items": [{"menu_item_id": "flat-white-12 ", "name": "Flat White"}]}
MILK = {
    "attributes": [{"attribute_id": "milk", "attribute_name": "Milk", "options": ["Soy Milk", "Non-fat Milk"]}],
    "addons": [{"addon_id": "honey-7", "name": "Honey Syrup", "options": ["NO", "ADD"]}],
}
ADDED = {"order_id": "501", "order_item_id": "77"}
DETAILS = {"order_id": "501", "attributes": [], "menu_items": [{"menu_item_name": "Flat White", "quantity": "1"}]}


def turn(speaker: str, text: str, *steps: tuple[str, Any, Any]) -> dict[str, Any]:
    annotations = []
    for name, request, result in steps:
        annotations.append({"name": "api_call", "value": name})
        if request is not None:
            annotations.append({"name": "request", "value": json.dumps(request)})
        annotations.append({"name": "api_response", "value": name})
        annotations.append({"name": "response", "value": json.dumps(result)})
    return {"speaker": speaker, "text": text, "annotations": annotations}


def load(corpus: Corpus, *dialogues: list[dict[str, Any]]) -> dict[tuple[Message, ...], tuple[Call, ...]]:
    rows = [{"conversation_id": str(i), "utterances": turns} for i, turns in enumerate(dialogues)]
    corpus(taskmaster.FILE, rows)
    return {example.messages: example.calls for example in taskmaster.load()}


def order(text: str, option: str = "non-fat milk", item: str = "flat-white-12 ") -> list[dict[str, Any]]:
    """A dialogue that orders one drink."""
    choices = {
        "attributes": [{"attribute_id": "milk", "option": option}],
        "addons": [{"addon_id": "honey-7", "option": "ADD"}],
    }
    return [
        turn(
            "user",
            text,
            ("get_menu_items", {"query": "Flat White "}, ITEMS),
            ("get_addons", {"query": "nonfat OR honey", "menu_item_id": "flat-white-12"}, MILK),
            ("add_order_item", {"menu_item_id": item, "quantity": "1", **choices}, ADDED),
            ("get_order_details", {"order_id": "501"}, DETAILS),
        ),
        turn("assistant", "Is that right?"),
        turn("user", "yes", ("finish_order", {"order_id": "501"}, {"success": True})),
        turn("assistant", "It is on its way."),
    ]


def test_every_step_of_a_dialogue_is_an_example(corpus: Corpus, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(taskmaster, "MAX_CHARACTERS", 10_000)
    text = "a flat white, nonfat, with honey"
    made = load(corpus, order(text))
    calls = [
        Call("get_menu_items", {"query": "flat white"}),
        Call("get_addons", {"queries": ["nonfat", "honey"], "menu_item_id": "flat-white-12"}),
        # No quantity, for none was said; the options as the result writes them.
        Call(
            "add_order_item",
            {
                "menu_item_id": "flat-white-12",
                "attributes": [{"attribute_id": "milk", "option": "Non-fat Milk"}],
                "addons": [{"addon_id": "honey-7", "option": "ADD"}],
            },
        ),
        Call("get_order_details", {"order_id": "501"}),
    ]
    from_the_start = sorted((pair for pair in made.items() if pair[0][0].text == text), key=lambda pair: len(pair[0]))
    assert [answer for _, answer in from_the_start][:5] == [*((call,) for call in calls), ()]
    second = from_the_start[1][0]
    assert second[1:] == (
        Message("assistant", "", (ToolCall("get_menu_items", '{"query":"flat white"}'),)),
        Message(
            "tool",
            '{"menu_items":[{"menu_item_id":"flat-white-12","name":"Flat White"}]}',
            name="get_menu_items",
        ),
    )
    assert made[[history for history in made if history[-1].text == "yes"][0]] == (
        Call("finish_order", {"order_id": "501"}),
    )
    assert [answer for history, answer in made.items() if history[-1].name == "finish_order"] == [()]


def test_a_call_resting_on_nothing_ends_the_dialogue(corpus: Corpus) -> None:
    for dialogue, last in (
        (order("a flat white with honey, nonfat", item="flat-white-13"), "get_addons"),  # an id that no result gave
        (order("a flat white with honey, nonfat", option="Soy Milk"), "get_addons"),  # not what the user wants
        (order("a flat white with milk"), "get_menu_items"),  # neither nonfat nor honey was said
    ):
        calls = [answer[0].name for answer in load(corpus, dialogue).values() if answer]
        assert calls[-1] == last and () not in load(corpus, dialogue).values()


def test_quantity_and_missing_request(corpus: Corpus) -> None:
    added = ("add_order_item", {"menu_item_id": "flat-white-12", "quantity": "2"}, ADDED)
    made = load(
        corpus,
        [turn("user", "two flat white", ("get_menu_items", {"query": "flat white"}, ITEMS), added)],
        [turn("user", "What have you got?", ("show_menu", None, {"success": True}))],
        [turn("user", "A pretzel?", ("show_menu", {}, {"success": True}))],
    )
    assert {calls[0].name: calls[0].arguments for calls in made.values()} == {
        "get_menu_items": {"query": "flat white"},
        "add_order_item": {"menu_item_id": "flat-white-12", "quantity": 2},
        "show_menu": {},
    }


def test_a_cut_history_holds_what_the_call_needs(corpus: Corpus, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(taskmaster, "MAX_CHARACTERS", 220)
    for history, calls in load(corpus, order("a flat white, nonfat, with honey")).items():
        assert taskmaster._length(history) <= 220
        assert any(message.role == "user" for message in history) and history[0].role != "tool"
        # Neither the item's id nor the order's is used without the result that states it.
        said = "".join(message.text for message in history if message.role == "tool")
        for call in calls:
            assert call.arguments.get("menu_item_id", "") in said and call.arguments.get("order_id", "") in said


def test_cap(corpus: Corpus, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(taskmaster, "CAP", 1)
    asked = [[turn("user", f"flat white {i}", ("get_menu_items", {"query": "flat white"}, ITEMS))] for i in range(3)]
    assert len(load(corpus, *asked)) == 1
