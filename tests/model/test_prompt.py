"""Golden prompts. Whoever changes one changes `FORMAT_VERSION`, prepares the data again and trains again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from model import prompt
from model.prompt import calls_text, dumps, encode_messages, encode_tool, tool_text
from model.tokenizer import ASSISTANT, RESULT, SYSTEM, TOOL, USER, Tokenizer
from model.types import Message, Tool, ToolCall

TOKENIZER = Tokenizer.load(Path(__file__).resolve().parents[2] / "model" / "artifact" / "tokenizer.json")

FLIGHTS = Tool(
    "search_flights",
    "Search   flights\nbetween two cities.",
    {
        "type": "object",
        "required": ["from", "passengers", "cabin"],
        "$defs": {
            "Airport": {
                "type": "object",
                "description": "An airport",
                "properties": {
                    "code": {"type": "string", "description": "IATA code"},
                    "gate": {"type": ["string", "null"]},
                },
                "required": ["code"],
            }
        },
        "properties": {
            "from": {"$ref": "#/$defs/Airport"},
            "passengers": {"type": "integer", "default": 1},
            "cabin": {"enum": ["economy", "first class", 2, None]},
            "stops": {"type": "array", "items": {"$ref": "#/$defs/Airport"}, "description": "Where to\n stop"},
            "budget": {"anyOf": [{"type": "number"}, {"const": "any"}], "default": {"max": 9.5, "é": "ü"}},
            "deep": {
                "type": "object",
                "properties": {
                    "b": {
                        "type": "object",
                        "properties": {"c": {"type": "object", "properties": {"d": {"type": "string"}}}},
                    }
                },
            },
            "what": True,
        },
    },
)
FLIGHTS_TEXT = """\
search_flights: Search flights between two cities.
 from* object: An airport
  code* string: IATA code
  gate string or null
 passengers* integer (default 1)
 cabin* economy|first class|2|null
 stops list of object: Where to stop
  code* string: IATA code
  gate string or null
 budget number or "any" (default {"max":9.5,"é":"ü"})
 deep object
  b object
   c object
 what any"""
FLIGHTS_IDS = [
    4, 704, 71, 2136, 34, 9869, 9186, 8899, 8747, 11033, 22, 207, 8617, 18, 9041, 34, 9057, 9370, 207, 229,
    8848, 18, 8926, 34, 229, 6038, 8848, 207, 229, 229, 7204, 8926, 8631, 12416, 207, 11216, 18, 11666, 8618,
    1202, 8609, 17, 207, 9174, 266, 18, 9631, 100, 1324, 9076, 100, 26, 100, 2611, 207, 9723, 8673, 8601, 9041,
    34, 9274, 8602, 9350, 207, 229, 8848, 18, 8926, 34, 229, 6038, 8848, 207, 229, 229, 7204, 8926, 8631, 12416,
    207, 9990, 8650, 8631, 8638, 541, 10, 8618, 1202, 9848, 10, 863, 10, 34, 33, 22, 29, 20, 10, 1683, 10, 34,
    10, 4867, 10, 101, 17, 207, 10870, 9041, 207, 229, 8807, 9041, 207, 229, 229, 8859, 9041, 207, 8659, 8684,
]  # fmt: skip

CONVERSATION = (
    Message("system", "Be brief."),
    Message("user", "Hi <end>"),
    Message("assistant", "", (ToolCall("get_weather", '{"city":"Zürich"}'), ToolCall("ping", "{}"))),
    Message("tool", '{"t":21}', name="get_weather"),
    Message("user", "And in Paris, 10.5 days?"),
)
CONVERSATION_IDS = [
    5, 862, 12365, 22, 6, 2748, 12280, 347, 38, 7, 67, 99, 10, 829, 10, 34, 10, 620, 71, 2740, 10, 20, 10, 4442,
    10, 34, 99, 10, 1295, 10, 34, 10, 66, 4867, 3927, 10, 101, 101, 20, 99, 10, 829, 10, 34, 10, 2424, 10, 20,
    10, 4442, 10, 34, 99, 101, 101, 69, 8, 99, 10, 92, 10, 34, 26, 25, 101, 6, 1052, 8604, 9408, 20, 8609, 24,
    22, 29, 9006, 39,
]  # fmt: skip


def test_the_format_is_the_one_written_down_here() -> None:
    assert prompt.FORMAT_VERSION == 2


def test_tool_text() -> None:
    head, blocks = tool_text(FLIGHTS)
    assert head + "".join(blocks.values()) == FLIGHTS_TEXT
    assert list(blocks) == list(FLIGHTS.parameters["properties"])


def test_tool_ids_and_the_head_as_pooled_range() -> None:
    encoded = encode_tool(FLIGHTS, TOKENIZER)
    assert encoded.ids == FLIGHTS_IDS
    assert encoded.pool == (0, 11)
    assert encoded.ids[0] == TOOL
    assert TOKENIZER.decode(encoded.ids[1:11]) == "search_flights: Search flights between two cities."


def test_each_parameter_has_the_range_of_its_lines() -> None:
    encoded = encode_tool(FLIGHTS, TOKENIZER)
    _, blocks = tool_text(FLIGHTS)
    assert encoded.names == tuple(blocks)
    assert [TOKENIZER.decode(encoded.ids[start:end]) for start, end in encoded.parameters] == list(blocks.values())
    assert encoded.ranges == [encoded.pool, *encoded.parameters]


def test_ranges_begin_where_the_tokens_do_that_a_piece_begins_in() -> None:
    """Characters of several bytes, and an empty piece."""
    ids, begins = TOKENIZER.encode_pieces(["\n città string", "", "\n 東京 integer"])
    assert ids == TOKENIZER.encode("\n città string\n 東京 integer")
    second = begins[2]
    assert begins == [0, second, second]
    assert (TOKENIZER.decode(ids[:second]), TOKENIZER.decode(ids[second:])) == ("\n città string", "\n 東京 integer")


def test_conversation_ids() -> None:
    encoded = encode_messages(CONVERSATION, TOKENIZER)
    assert encoded.ids == CONVERSATION_IDS
    roles = [i for i in encoded.ids if i in (SYSTEM, USER, ASSISTANT, RESULT)]
    assert roles == [SYSTEM, USER, ASSISTANT, RESULT, USER]  # and none from the text "<end>"
    calls = encoded.ids[encoded.ids.index(ASSISTANT) + 1 : encoded.ids.index(RESULT)]
    expected = '[{"name":"get_weather","arguments":{"city":"Zürich"}},{"name":"ping","arguments":{}}]'
    assert TOKENIZER.decode(calls) == expected == calls_text(CONVERSATION[2].tool_calls)


@pytest.mark.parametrize(
    ("result", "read"),
    [
        ("18 °C, sunny", '{"result":"18 °C, sunny"}'),
        ("", '{"result":""}'),
        ("42", '{"result":"42"}'),
        ('{"t":21}', '{"t":21}'),
        ("\n[1, 2]", "\n[1, 2]"),
    ],
)
def test_a_result_in_plain_words_is_read_as_json(result: str, read: str) -> None:
    turns = (Message("user", "weather?"), Message("tool", result, name="get_weather"), Message("assistant", "42"))
    ids = encode_messages(turns, TOKENIZER).ids
    assert TOKENIZER.decode(ids[ids.index(RESULT) + 1 : ids.index(ASSISTANT)]) == read
    assert TOKENIZER.decode(ids[ids.index(ASSISTANT) + 1 :]) == "42"


@pytest.mark.parametrize(
    ("turns", "pool"),
    [
        (slice(0, 5), (65, 76)),  # the last user turn
        (slice(0, 4), (4, 65)),  # and what follows it
        (slice(0, 1), (0, 4)),  # everything, when nobody asked
    ],
)
def test_pooled_range_of_a_conversation(turns: slice, pool: tuple[int, int]) -> None:
    encoded = encode_messages(CONVERSATION[turns], TOKENIZER)
    assert encoded.pool == pool
    assert pool[1] == len(encoded.ids)


@pytest.mark.parametrize(
    ("schema", "line"),
    [
        ({"type": "string"}, "\n x string"),
        ({"type": "array", "items": {"type": "array", "items": {"type": "integer"}}}, "\n x list of list of integer"),
        ({"type": "array"}, "\n x list of any"),
        ({"oneOf": [{"type": "null"}, {"$ref": "#/$defs/Unit"}]}, "\n x null or C|F"),
        ({"$ref": "#/definitions/Unknown"}, "\n x any"),
        ({"const": "a b"}, '\n x "a b"'),
        (
            {"type": "boolean", "default": False, "description": " On  or off "},
            "\n x boolean: On or off (default false)",
        ),
        ({"type": "string", "default": None}, "\n x string (default null)"),
        ({"description": None}, "\n x any"),
    ],
)
def test_one_parameter(schema: dict[str, Any], line: str) -> None:
    parameters = {"type": "object", "properties": {"x": schema}, "$defs": {"Unit": {"enum": ["C", "F"]}}}
    assert tool_text(Tool("f", "", parameters)) == ("f", {"x": line})


def test_definitions_of_draft_7_are_followed() -> None:
    parameters = {"properties": {"x": {"$ref": "#/definitions/U"}}, "definitions": {"U": {"type": "number"}}}
    assert tool_text(Tool("f", "", parameters))[1] == {"x": "\n x number"}


def test_a_recursive_schema_comes_to_an_end() -> None:
    node = {"type": "object", "properties": {"next": {"$ref": "#/$defs/Node"}}}
    blocks = tool_text(Tool("f", "", {"properties": {"x": {"$ref": "#/$defs/Node"}}, "$defs": {"Node": node}}))[1]
    assert blocks == {"x": "\n x object\n  next object\n   next object"}


@pytest.mark.parametrize(
    ("node", "text"),
    [
        ({"anyOf": [{"type": "string"}, {"$ref": "#/$defs/Node"}]}, "string or any"),
        ({"type": "array", "items": {"$ref": "#/$defs/Node"}}, "list of any"),
        ({"oneOf": [{"type": "array", "items": {"$ref": "#/$defs/Node"}}, {"type": "null"}]}, "list of any or null"),
    ],
)
def test_so_does_a_recursive_type(node: dict[str, Any], text: str) -> None:
    parameters = {"properties": {"x": {"$ref": "#/$defs/Node"}}, "$defs": {"Node": node}}
    assert tool_text(Tool("f", "", parameters))[1] == {"x": f"\n x {text}"}


def test_references_that_multiply_are_cut_short() -> None:
    """Each definition holds the next one many times over: 20 ** 30 types, and 200 ** 3 lines."""
    unions: dict[str, Any] = {f"U{i}": {"anyOf": [{"$ref": f"#/$defs/U{i + 1}"}] * 20} for i in range(30)}
    objects = {f"O{i}": {"properties": {f"p{k}": {"$ref": f"#/$defs/O{i + 1}"} for k in range(200)}} for i in range(4)}
    for start in ("U0", "O0"):
        parameters = {"properties": {"x": {"$ref": f"#/$defs/{start}"}}, "$defs": unions | objects}
        assert 4_000 < len(tool_text(Tool("f", "", parameters))[1]["x"]) < 100_000


def test_a_tool_without_parameters_and_description() -> None:
    assert tool_text(Tool("ping", "", {"type": "object"})) == ("ping", {})
    encoded = encode_tool(Tool("ping", "", {"type": "object"}), TOKENIZER)
    assert encoded.pool == (0, len(encoded.ids))


def test_dumps_is_what_the_grammar_writes() -> None:
    assert dumps({"a": [1, 2.5, None], "é": 'x"\n'}) == '{"a":[1,2.5,null],"é":"x\\"\\n"}'
