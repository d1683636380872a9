from __future__ import annotations

import io
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from app import cli

WEATHER: dict[str, Any] = {
    "name": "get_weather",
    "description": "Current weather of a city.",
    "parameters": {
        "type": "object",
        "properties": {
            "city": {"type": "string", "description": "Name of the city"},
            "days": {"type": "integer", "minimum": 1, "maximum": 1e30},
        },
        "required": ["city"],
    },
}
ORDER: dict[str, Any] = {
    "name": "order",
    "parameters": {"type": "object", "properties": {"items": {"type": "array", "uniqueItems": True, "not": {}}}},
}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "tools.json"


def check(file: Path, content: Any, *options: str) -> int:
    file.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return cli.main(["tools", "check", str(file), *options])


def chat(function: dict[str, Any]) -> dict[str, Any]:
    return {"type": "function", "function": function}


# Forms ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "content, path",
    [
        ([chat(WEATHER)], "tools[0].function.parameters"),
        ([{"type": "function", **WEATHER}], "tools[0].parameters"),
        ([WEATHER], "tools[0].parameters"),
        (WEATHER, "tools[0].parameters"),
        (chat(WEATHER), "tools[0].function.parameters"),
        ({"tools": [chat(WEATHER)]}, "tools[0].function.parameters"),
        ({"model": "gpt-4o", "messages": [], "functions": [WEATHER]}, "tools[0].parameters"),
        (
            {"result": {"tools": [{"name": "get_weather", "inputSchema": WEATHER["parameters"]}]}},
            "tools[0].inputSchema",
        ),
    ],
)
def test_every_form_of_a_file_is_read(content: Any, path: str, file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert check(file, content, "--json") == 0
    report = json.loads(capsys.readouterr().out)
    assert report["servable"] is True
    [tool] = report["tools"]
    assert tool["name"] == "get_weather"
    assert {keyword["path"] for keyword in tool["keywords"]} == {
        path,
        f"{path}.properties.city",
        f"{path}.properties.days",
    }


def test_standard_input(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(json.dumps([WEATHER]).encode())))
    assert cli.main(["tools", "check", "-"]) == 0
    assert capsys.readouterr().out.startswith("get_weather: can be served\n")


# The report ----------------------------------------------------------------------------------------------------------


def test_the_table(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert check(file, {"tools": [chat(WEATHER), chat(ORDER)]}) == 1
    out, err = capsys.readouterr()
    assert err == ""
    lines = out.splitlines()
    tokens, rest = lines[1].split(";")
    assert tokens.endswith(" of 512 tokens") and rest.startswith(" grammar of ") and rest.endswith(" ms")
    assert lines[:1] + lines[2:] == [
        "get_weather: can be served",
        "  parameters",
        "    type         enforced",
        "    properties   enforced  no other names: `additionalProperties` is not given",
        "    required     enforced",
        "  parameters.properties.city",
        "    type         enforced",
        "    description  ignored   read by the model; constrains nothing",
        "  parameters.properties.days",
        "    type         enforced",
        "    minimum      enforced",
        "    maximum      enforced  tightened to `maximum` 9223372036854774784",
        "",
        "order: refused",
        "  7 of 512 tokens",
        "  ! tools[1].function.parameters.properties.items.not",
        "    The keyword 'not' cannot be enforced.",
        "    List what is allowed instead, with `enum`, `anyOf` or the bounds that are meant.",
        "  ! tools[1].function.parameters.properties.items.uniqueItems",
        "    'uniqueItems' cannot be enforced.",
        "    Remove it and check the items in the function, or set `maxItems` to 1.",
        "  parameters",
        "    type         enforced",
        "    properties   enforced  no other names: `additionalProperties` is not given",
        "  parameters.properties.items",
        "    type         enforced",
        "    uniqueItems  refused",
        "    not          refused",
        "",
        "2 tools: 1 refused (order)",
    ]


def test_the_json_is_the_servers(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert check(file, [ORDER], "--json") == 1
    report = json.loads(capsys.readouterr().out)
    assert report["object"] == "tools.check" and report["servable"] is False
    assert [refusal["keyword"] for refusal in report["tools"][0]["refusals"]] == ["not", "uniqueItems"]


# Files that cannot be checked ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "content, said",
    [
        ("[{]", "is not valid JSON: "),
        ("", "is empty"),
        ('[{"name": "a", "parameters": {"const": NaN}}]', "NaN is not a JSON number"),
        ("[" * 5000 + "]" * 5000, "nested more than 100 levels deep"),
        ("{}", 'expected a list of tools or functions, or an object with "tools" or "functions".'),
        ('"tools"', 'expected a list of tools or functions, or an object with "tools" or "functions".'),
        ("[]", "Invalid 'tools': empty array."),
        ([5], "Invalid type for 'tools[0]': expected an object, but got an integer instead."),
        ([{"parameters": {}}], "Missing required parameter: 'tools[0].name'."),
        ([{"type": "function"}], "Missing required parameter: 'tools[0].function'."),
        ([{"type": "web_search"}], "Invalid value for 'tools[0].type': 'web_search'."),
        ([{"name": "a b"}], "Invalid 'tools[0].name': 'a b' does not match the pattern"),
        (
            [chat({"name": "a", "parameters": []})],
            "Invalid type for 'tools[0].function.parameters': expected an object",
        ),
        (
            [WEATHER, chat(WEATHER)],
            "Function names must be unique: 'get_weather' is declared twice, first in tools[0].name.",
        ),
    ],
)
def test_what_is_wrong_with_a_file(content: Any, said: str, file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert check(file, content) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.startswith("bodkin: ") and said in err and err.count("\n") == 1


def test_a_file_that_is_not_there(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["tools", "check", str(file)]) == 2
    assert capsys.readouterr().err == f"bodkin: {file} cannot be read: No such file or directory.\n"


def test_a_file_that_is_no_text(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file.write_bytes(b"\xff\xfe[]")
    assert cli.main(["tools", "check", str(file)]) == 2
    assert f"{file} is not valid UTF-8" in capsys.readouterr().err


def test_an_artifact_that_is_not_there(file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert check(file, [WEATHER], "--artifact", str(tmp_path)) == 2
    assert "manifest.json is missing" in capsys.readouterr().err


@pytest.mark.parametrize("argv", [["tools"], ["tools", "check"], ["tools", "test", "x.json"]])
def test_wrong_usage(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        cli.main(argv)
    assert caught.value.code == 2
    assert "usage: bodkin tools" in capsys.readouterr().err


def test_a_wrong_setting(file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("BODKIN_PORT", "http")
    assert check(file, [WEATHER]) == 2
    assert "BODKIN_PORT" in capsys.readouterr().err
