"""The tool cache: bounded in bytes, oldest out first, safe between threads."""

from __future__ import annotations

import threading
from types import SimpleNamespace
from typing import Any

import pytest

from model.cache import ToolCache, tool_key
from model.types import Tool


def entry(nbytes: int) -> Any:
    return SimpleNamespace(nbytes=nbytes)


def test_the_least_recently_used_goes_first() -> None:
    cache = ToolCache(100)
    for key in (b"a", b"b", b"c"):
        cache.put(key, entry(30))
    assert cache.get(b"a") is not None
    cache.put(b"d", entry(30))
    assert [cache.get(key) is not None for key in (b"a", b"b", b"c", b"d")] == [True, False, True, True]
    assert (len(cache), cache.nbytes) == (3, 90)


def test_a_large_entry_pushes_several_out() -> None:
    cache = ToolCache(100)
    for key in (b"a", b"b", b"c"):
        cache.put(key, entry(30))
    cache.put(b"d", entry(65))
    assert [cache.get(key) is not None for key in (b"a", b"b", b"c", b"d")] == [False, False, True, True]


def test_an_entry_beyond_the_bound_is_not_kept() -> None:
    cache = ToolCache(100)
    cache.put(b"a", entry(101))
    assert cache.get(b"a") is None
    assert (len(cache), cache.nbytes) == (0, 0)


def test_a_tool_put_twice_counts_once() -> None:
    cache = ToolCache(100)
    cache.put(b"a", entry(60))
    cache.put(b"a", entry(70))
    assert (len(cache), cache.nbytes) == (1, 70)


def test_threads() -> None:
    cache = ToolCache(100)

    def work(n: int) -> None:
        for k in range(500):
            cache.get(bytes([k % 13]))
            cache.put(bytes([(n * k) % 13]), entry(1 + k % 40))

    threads = [threading.Thread(target=work, args=(n,)) for n in range(1, 5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    left = [e.nbytes for k in range(13) if (e := cache.get(bytes([k]))) is not None]
    assert cache.nbytes == sum(left) <= 100
    assert len(left) == len(cache)


SCHEMA = {"type": "object", "properties": {"a": {"type": "string"}, "b": {"type": "integer"}}}


@pytest.mark.parametrize(
    "other",
    [
        Tool("g", "d", SCHEMA),
        Tool("f", "e", SCHEMA),
        Tool("fd", "", SCHEMA),
        Tool("f", "d", {**SCHEMA, "required": ["a"]}),
        Tool("f", "d", {**SCHEMA, "properties": dict(reversed(SCHEMA["properties"].items()))}),  # type: ignore[attr-defined]
        Tool("f", "d", {"type": "object", "properties": {"a": {"type": "string"}, "b": {"type": "number"}}}),
    ],
)
def test_whatever_changes_a_tool_changes_its_key(other: Tool) -> None:
    assert tool_key(other) != tool_key(Tool("f", "d", SCHEMA))


def test_equal_tools_share_a_key() -> None:
    assert tool_key(Tool("f", "d", SCHEMA)) == tool_key(Tool("f", "d", {**SCHEMA}))
