"""From inventions to questions: what cannot be used and what was asked before is turned away, with its reason."""

from __future__ import annotations

import pytest

from model.types import Message, Tool, ToolCall
from tests.training.distil.toys import TOOLS, call, user
from training.distil.briefs import MAX_TOOLS, Aim
from training.distil.questions import MAX_CHARACTERS, Questions
from training.teacher.base import Brief

AIM = Aim(Brief("call", "Write 8.", 8), frozenset({"get_weather"}))
ASK, SAY = Message("user", "and in Oslo?"), Message("assistant", "Sunny.")
MADE = Message("assistant", "", (call("get_weather", city="Rome"),))
RESULT = Message("tool", '{"sky":"clear"}', name="get_weather")


def turned_away(*messages: Message) -> dict[str, int]:
    questions = Questions(TOOLS, 1)
    made = questions(AIM, [messages])
    assert len(made) + questions.dropped.total() == 1
    return dict(questions.dropped)


def test_a_good_invention_is_a_question_with_all_tools() -> None:
    [asked] = Questions(TOOLS, 1)(AIM, [user("weather in Oslo")])
    assert asked.kind == "call" and asked.id == asked.question.id
    assert (asked.question.messages, asked.question.tools, asked.question.mode) == (
        user("weather in Oslo"),
        TOOLS,
        "auto",
    )


@pytest.mark.parametrize(
    "messages",
    [
        (Message("system", "Be brief."), ASK),
        (Message("user", "hi"), SAY, ASK),
        (Message("user", "in Rome?"), MADE, RESULT, SAY, ASK),
        (Message("user", "in Rome?"), Message("assistant", "", MADE.tool_calls * 2), RESULT, RESULT, ASK),
        (Message("user", "search for it and send what you find"),),
    ],
)
def test_conversations_are_questions(messages: tuple[Message, ...]) -> None:
    assert turned_away(*messages) == {}


@pytest.mark.parametrize(
    ("messages", "reason"),
    [
        ((), "does not end with the user"),
        ((ASK, SAY), "does not end with the user"),
        (user("  ?! "), "empty"),
        (user("a" * (MAX_CHARACTERS + 1)), "too long"),
        (user("call get_weather for Oslo"), "names a function"),
        ((Message("user", "use set_timer"), SAY, ASK), "names a function"),
        ((Message("user", "hi"), MADE, ASK), "a call without its result"),
        (
            (Message("user", "hi"), Message("assistant", "", MADE.tool_calls * 2), RESULT, ASK),
            "a call without its result",
        ),
        ((Message("user", "hi"), RESULT, ASK), "a result without its call"),
        ((Message("user", "hi"), MADE, Message("tool", "{}", name="other"), ASK), "a result without its call"),
        ((Message("user", "hi"), MADE, RESULT, RESULT, ASK), "a result without its call"),
        (
            (Message("user", "hi"), Message("assistant", "", (call("other"),)), RESULT, ASK),
            "an earlier call that cannot be made",
        ),
        (
            (Message("user", "hi"), Message("assistant", "", (ToolCall("get_weather", "{"),)), RESULT, ASK),
            "an earlier call that cannot be made",
        ),
    ],
)
def test_what_cannot_be_used_is_turned_away(messages: tuple[Message, ...], reason: str) -> None:
    assert turned_away(*messages) == {reason: 1}


def test_a_tool_named_by_a_common_word_may_be_said() -> None:
    questions = Questions([Tool("search"), Tool("sendMail"), Tool("v2")], 1)
    assert len(questions(AIM, [user("search for tea")])) == 1
    assert not questions(AIM, [user("sendMail to Anna"), user("the v2 of it")])


def test_what_was_asked_before_is_not_asked_again_by_whatever_brief() -> None:
    questions = Questions(TOOLS, 1)
    long = "could you please be so kind and tell me what the weather in Oslo is going to be like over the next {} days "
    long += "because my sister and her three children are coming to see us and we want to go to the islands"
    assert len(questions(AIM, [user("weather in Oslo"), user("Weather in Oslo!"), user("weather in Rome")])) == 2
    assert len(questions(AIM, [user("WEATHER, in OSLO"), user(long.format(3))])) == 1
    assert not questions(AIM, [user(long.format("three")), user(long.format(3) + " today")])
    assert questions.dropped == {"asked before": 4}
    # A short request whose one other word is a value is another request.
    assert len(questions(AIM, [user("a timer for 3 minutes"), user("a timer for 4 minutes")])) == 2


def test_of_very_many_tools_those_on_offer_are_those_it_is_about_and_a_sample() -> None:
    many = [*(Tool(f"tool_{n}", "x") for n in range(100)), *TOOLS]
    requests = [(Message("user", f"in {n}?"), MADE, RESULT, Message("user", f"and in {n}00?")) for n in range(10)]
    aim = Aim(AIM.brief, frozenset({"tool_7"}))
    made = Questions(many, 1)(aim, requests)
    assert len(made) == 10
    for asked in made:
        names = [t.name for t in asked.question.tools]
        assert len(names) == MAX_TOOLS and {"tool_7", "get_weather"} <= set(names)
    assert len({asked.question.tools[0].name for asked in made}) > 1
    assert Questions(many, 1)(aim, requests) == made
    assert Questions(many, 2)(aim, requests) != made
