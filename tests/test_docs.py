"""docs/api.md is up to date, and what it and the OpenAPI document show works."""

from __future__ import annotations

import contextlib
import importlib.util
import io
import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import httpx
import pytest

from app.codes import CODES, STATUSES
from app.errors import APIError
from app.examples import EXAMPLES
from app.main import create_app
from app.settings import Settings
from model.engine import load_engine
from tests.conftest import FakeEngine, serve
from tests.fuzz.invariants import check, posts

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "api.md"
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)

pytestmark = pytest.mark.skipif(not PAGE.exists(), reason="docs are not shipped with the source distribution")


@pytest.fixture(scope="module")
def text() -> str:
    return PAGE.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    return create_app(Settings(), FakeEngine()).openapi()


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with serve(create_app(Settings(), load_engine(ROOT / "model" / "artifact", threads=1))) as url:
        yield url


def generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("generate_api", PAGE.with_name("generate_api.py"))
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_generated_parts_are_up_to_date(text: str) -> None:
    assert generator().generate(text) == text, "run `python docs/generate_api.py`"


def test_a_stale_part_would_be_noticed(text: str) -> None:
    stale = text.replace("| `seed` | integer |", "| `seed` | string |", 1)
    assert stale != text
    assert generator().generate(stale) == text


def test_every_body_is_documented(text: str, document: dict[str, Any]) -> None:
    for path in posts(document):
        assert f"<!-- generated: fields {path} -->" in text
        assert f"`POST {path}`" in text


def test_links_lead_somewhere(text: str) -> None:
    headings = {
        re.sub(r"[^\w -]", "", line).strip().lower().replace(" ", "-") for line in re.findall("^#+ (.*)$", text, re.M)
    }
    links = re.findall(r"\]\(([^)]+)\)", text)
    assert links
    for link in links:
        file, _, anchor = link.partition("#")
        assert not file or (PAGE.parent / file).exists(), link
        assert not anchor or file or anchor in headings, link


@pytest.mark.integration
def test_the_python_examples_run_and_print_what_they_say(text: str, url: str) -> None:
    blocks = FENCE.findall(text)
    names: dict[str, Any] = {}
    ran = compared = 0
    for (language, code), (following, shown) in zip(blocks, [*blocks[1:], ("", "")], strict=True):
        if language != "python":
            continue
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(compile(code.replace("http://localhost:8000", url), "docs/api.md", "exec"), names)
        assert printed.getvalue()
        ran += 1
        if following == "":
            assert printed.getvalue() == shown
            compared += 1
    names["client"].close()
    assert ran >= 6 and compared >= 5


@pytest.mark.integration
def test_the_curl_examples_work(text: str, url: str) -> None:
    commands = [code for language, code in FENCE.findall(text) if language == "sh"]
    assert commands
    for command in commands:
        program, address, option, body = shlex.split(command)
        assert (program, option) == ("curl", "-d")
        response = httpx.post(address.replace("http://localhost:8000", url), content=body, timeout=60)
        assert response.status_code == 200, response.text


@pytest.mark.integration
def test_the_error_that_is_shown(text: str, url: str) -> None:
    (shown,) = [json.loads(code) for language, code in FENCE.findall(text) if language == "json"]
    body = {**EXAMPLES["/v1/chat/completions"]["A call"], "temperature": 3}
    assert httpx.post(f"{url}/v1/chat/completions", json=body).json() == shown


@pytest.mark.integration
@pytest.mark.parametrize(("path", "name"), [(path, name) for path in EXAMPLES for name in EXAMPLES[path]])
def test_the_examples_of_the_openapi_document_work(document: dict[str, Any], url: str, path: str, name: str) -> None:
    body = document["paths"][path]["post"]["requestBody"]["content"]["application/json"]["examples"][name]["value"]
    response = httpx.post(url + path, json=body, timeout=60)
    assert response.status_code == 200, response.text
    check(document, path, body, response)


def test_every_address_has_examples_and_says_what_it_does(document: dict[str, Any]) -> None:
    assert set(posts(document)) == EXAMPLES.keys()
    for methods in document["paths"].values():
        for operation in methods.values():
            assert len(operation["description"]) > 5


def test_every_request_field_of_the_document_is_explained_or_plain(document: dict[str, Any]) -> None:
    """A field that takes anything does nothing: the document has to say so."""
    for path in posts(document):
        body = document["paths"][path]["post"]["requestBody"]["content"]["application/json"]["schema"]["$ref"]
        for name, field in document["components"]["schemas"][body.rsplit("/", 1)[-1]]["properties"].items():
            typed = field.keys() & {"type", "anyOf", "oneOf", "$ref"}
            assert typed or "description" in field, f"{path}: {name}"


def test_every_code_is_in_the_table_and_nothing_else() -> None:
    """Codes stand in the code as `code="…"` or `code = "…"`; only those of numbers are put together there."""
    sources = "".join(
        file.read_text(encoding="utf-8") for file in (ROOT / "app").rglob("*.py") if file.name != "codes.py"
    )
    written = set(re.findall(r'\bcode ?= ?"(\w+)"', sources)) | set(
        re.findall(r'code = "(\w+)" if .* else "(\w+)"', sources)
    )
    flat = {code for found in written for code in ([found] if isinstance(found, str) else found)}
    numbers = {f"integer_{side}_value" for side in ("below_min", "above_max")}
    inside = {"server_error"}  # of a `response.failed`, which no error of HTTP has
    assert {code.code for code in CODES if code.code} == (flat | numbers) - inside


def test_statuses_and_types_are_those_of_the_errors() -> None:
    def leaves(error: type[APIError]) -> list[type[APIError]]:
        return [error, *(leaf for child in error.__subclasses__() for leaf in leaves(child))]

    known = {(error.status, error.type) for error in leaves(APIError)}
    assert {(code.status, code.type) for code in CODES} == known
    assert {status for status, _ in known} == STATUSES.keys()
