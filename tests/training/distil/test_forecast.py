"""What calls cost before they are made: of the size of what they do cost, and never below what was seen."""

from __future__ import annotations

import pytest

from model.types import Message, Tool
from tests.training.distil.toys import TIMER, TOOLS, WEATHER, call, price, user
from training.distil import forecast
from training.distil.forecast import MARGIN, SAFETY, Bounds
from training.teacher.base import Brief, Question, Tokens


def test_an_answer_costs_its_conversation_and_its_tools_once_a_sample() -> None:
    one = forecast.answer(Question(user("weather in Oslo"), (WEATHER,)), 1)
    assert forecast.answer(Question(user("weather in Oslo"), (WEATHER,)), 3) == Tokens(3 * one.input, 3 * one.output)
    longer = forecast.answer(Question(user("weather in Oslo" + " and so on" * 40), (WEATHER,)), 1)
    assert longer.input - one.input == 100  # 400 characters
    more = forecast.answer(Question(user("weather in Oslo"), TOOLS), 1)
    assert more.input - one.input == forecast.tools_tokens(TOOLS) - forecast.tools_tokens([WEATHER]) > 0
    history = (Message("assistant", "", (call("set_timer", minutes=3),)), *user("weather in Oslo"))
    assert forecast.answer(Question(history, (WEATHER,)), 1).input > one.input + 5


def test_a_script_of_other_letters_has_more_tokens_per_character() -> None:
    assert forecast.tokens_of("東京の天気はどうですか") > 2 * forecast.tokens_of("weather yes")


def test_a_call_with_many_arguments_is_longer() -> None:
    properties = {f"p{n}": {"type": "string"} for n in range(10)}
    wide = Tool("f", "", {"type": "object", "properties": properties, "required": list(properties)})
    assert forecast.reply_tokens([wide]) > forecast.reply_tokens([TIMER]) > forecast.reply_tokens([Tool("ping")]) > 0
    assert forecast.reply_tokens([]) > 0


def test_an_invention_costs_its_brief_and_each_request() -> None:
    brief, more = Brief("call", "x" * 400, 8), Brief("call", "x" * 800, 16)
    a, b = forecast.invention(brief), forecast.invention(more)
    assert (b.input - a.input, b.output) == (100, 2 * a.output)
    assert forecast.invention(Brief("follow_up", "x" * 400, 8)).output > 2 * a.output


def test_bounds_are_above_what_is_likely_and_rise_with_what_is_seen() -> None:
    bounds, likely = Bounds(price), Tokens(1_000, 100)
    expected = price(likely)
    assert bounds(likely) == pytest.approx(MARGIN * expected)
    bounds.learn(likely, 0.5 * expected)
    bounds.learn(likely, 1.2 * expected)
    assert bounds(likely) == pytest.approx(MARGIN * expected)
    bounds.learn(likely, 6 * expected)
    bounds.learn(likely, expected)
    assert bounds(Tokens(2_000, 200)) == pytest.approx(SAFETY * 12 * expected)


def test_what_costs_nothing_has_no_bound_to_learn() -> None:
    bounds = Bounds(lambda tokens: 0.0)
    bounds.learn(Tokens(10, 10), 0.0)
    assert bounds(Tokens(10, 10)) == 0.0
