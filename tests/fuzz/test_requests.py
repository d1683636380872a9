"""Odd requests, wrong requests and bytes at the real server: no failure, no hang, and what is answered is true."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import httpx
import pytest
from hypothesis import given, note
from hypothesis import strategies as st

from app.examples import EXAMPLES, MODEL
from app.main import create_app
from app.settings import Settings
from tests.fuzz.invariants import check, posts
from tests.fuzz.profile import FACTOR, examples
from tests.fuzz.strategies import deep, functions, good, values, wrong

pytestmark = pytest.mark.integration

POSTS = posts(create_app(Settings()).openapi())
STREAMS = [path for path in POSTS if path in ("/v1/chat/completions", "/v1/responses")]


def post(client: httpx.Client, path: str, body: Any) -> httpx.Response:
    return send(client, path, json.dumps(body).encode())


def send(client: httpx.Client, path: str, content: bytes) -> httpx.Response:
    """Told with a failure: hypothesis shows what it drew, and not always in full."""
    note(f"POST {path} {content[:5000]!r}")
    response = client.post(path, content=content)
    note(f"{response.status_code} {response.text[:5000]}")
    return response


def test_every_address_has_an_example_to_begin_with() -> None:
    assert set(POSTS) == EXAMPLES.keys()


@pytest.mark.parametrize("path", POSTS)
def test_odd_bodies(client: httpx.Client, document: dict[str, Any], path: str) -> None:
    statuses: Counter[int] = Counter()

    # How many are refused varies with every change of the program, whose constants hypothesis draws from: a third is
    # answered at the least.
    @examples(100)
    @given(body=good(path))
    def ask(body: Any) -> None:
        response = post(client, path, body)
        check(document, path, body, response)
        statuses[response.status_code] += 1

    ask()
    assert statuses[200] > 20 * FACTOR, statuses


@pytest.mark.parametrize("path", POSTS)
def test_wrong_bodies(client: httpx.Client, document: dict[str, Any], path: str) -> None:
    statuses: Counter[int] = Counter()

    @examples(80)
    @given(body=wrong(path))
    def ask(body: Any) -> None:
        response = post(client, path, body)
        check(document, path, body, response)
        statuses[response.status_code] += 1

    ask()
    assert statuses[200] > 5 * FACTOR and statuses[400] > 5 * FACTOR, statuses


@pytest.mark.parametrize("path", STREAMS)
def test_streams(client: httpx.Client, document: dict[str, Any], path: str) -> None:
    streams = 0

    @examples(50)
    @given(body=st.one_of(good(path), good(path), wrong(path)))
    def ask(body: Any) -> None:
        nonlocal streams
        body["stream"] = True
        response = post(client, path, body)
        check(document, path, body, response)
        streams += response.status_code == 200

    ask()
    assert streams > 10 * FACTOR


def test_the_check_of_tools_says_what_is_served(client: httpx.Client) -> None:
    servable: Counter[bool] = Counter()

    @examples(60)
    @given(function=functions(0))
    def ask(function: Any) -> None:
        tools = [{"type": "function", "function": function}]
        said = post(client, "/v1/tools/check", {"tools": tools})
        chat = {"model": MODEL, "messages": [{"role": "user", "content": "Go"}], "tools": tools, "max_tokens": 1}
        served = post(client, "/v1/chat/completions", chat)
        if said.status_code != 200:
            assert served.json()["error"] == said.json()["error"]
            return
        (report,) = said.json()["tools"]
        assert report["servable"] == (served.status_code == 200), served.text
        if not report["servable"]:
            assert served.json()["error"]["param"] in [refusal["param"] for refusal in report["refusals"]]
        servable[report["servable"]] += 1

    ask()
    assert servable[True] > 10 * FACTOR and servable[False] > 5 * FACTOR, servable


@pytest.mark.parametrize("path", POSTS)
def test_any_json(client: httpx.Client, document: dict[str, Any], path: str) -> None:
    @examples(40)
    @given(body=st.one_of(values, deep()))
    def ask(body: Any) -> None:
        response = post(client, path, body)
        assert response.status_code in (400, 404)
        check(document, path, body, response)

    ask()


NOT_JSON = (
    b"",
    b"\xff\xfe",
    b"{",
    b'{"model":',
    b"NaN",
    b'{"model": NaN}',
    b'{"model": Infinity}',
    b'{"model": 1e999}',
    b"[" * 100_000,
    b'{"a":' * 100_000,
    b"9" * 100_000,
    b'"\\ud800"',
    b"\x1f\x8b\x08\x00",
    b"--boundary\r\nContent-Disposition: form-data\r\n\r\n",
    b"{}{}",
    b"\xef\xbb\xbf{}",
)


@pytest.mark.parametrize("path", POSTS)
def test_bytes(client: httpx.Client, document: dict[str, Any], path: str) -> None:
    statuses: Counter[int] = Counter()

    @examples(80)
    @given(content=damaged(path))
    def ask(content: bytes) -> None:
        response = send(client, path, content)
        body = None
        try:
            body = json.loads(content)
        except (ValueError, RecursionError):
            assert response.status_code == 400
        check(document, path, body, response)
        statuses[response.status_code] += 1

    ask()
    assert statuses[400] > 20 * FACTOR, statuses


@st.composite
def damaged(draw: st.DrawFn, path: str) -> bytes:
    """A good body of which bytes were lost, doubled or are others; or something else."""
    whole = json.dumps(draw(st.sampled_from(list(EXAMPLES[path].values()))), ensure_ascii=False).encode()
    start, end = sorted(draw(st.tuples(*[st.integers(0, len(whole))] * 2)))
    junk = draw(st.binary(min_size=1, max_size=3))
    return draw(
        st.one_of(
            st.binary(max_size=200),
            st.sampled_from(NOT_JSON),
            st.sampled_from(
                (
                    whole[:start],
                    whole[:start] + whole[end:],
                    whole[:end] + whole[start:],
                    whole[:start] + junk + whole[start:],
                    whole[:start] + junk + whole[start + len(junk) :],
                )
            ),
        )
    )


@pytest.mark.parametrize("path", POSTS)
def test_of_a_key_that_occurs_twice_the_last_one_counts(client: httpx.Client, path: str) -> None:
    whole = json.dumps({**next(iter(EXAMPLES[path].values())), "model": MODEL})
    assert client.post(path, content=whole.replace("{", '{"model": "gpt-9", ', 1).encode()).status_code == 200
    last = client.post(path, content=whole.removesuffix("}").encode() + b', "model": "gpt-9"}')
    assert last.status_code == 404
    assert last.json()["error"]["code"] == "model_not_found"
