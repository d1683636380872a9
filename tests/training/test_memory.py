"""Which allocator a run is told of, and that what it keeps is given back."""

from __future__ import annotations

import ctypes
from types import SimpleNamespace
from typing import Any

import pytest

from training import memory


def loaded(monkeypatch: pytest.MonkeyPatch, **functions: Any) -> None:
    """Let the process have these C functions and no others."""
    monkeypatch.setattr(ctypes, "CDLL", lambda _: SimpleNamespace(**functions))


def test_an_allocator_is_named_where_it_is_installed_and_not_in_use(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "find_library", {"jemalloc": "libjemalloc.so.2"}.get)
    loaded(monkeypatch)
    advice = memory.faster_allocator()
    assert advice is not None and advice.startswith("LD_PRELOAD=libjemalloc.so.2 MALLOC_CONF=")
    loaded(monkeypatch, mallctl=None)
    assert memory.faster_allocator() is None


def test_nothing_is_said_of_what_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "find_library", lambda _: None)
    loaded(monkeypatch)
    assert memory.faster_allocator() is None


def test_jemalloc_gives_back_what_it_keeps(monkeypatch: pytest.MonkeyPatch) -> None:
    called: list[bytes] = []
    loaded(monkeypatch, mallctl=lambda name, *_: called.append(name))
    memory.return_freed_memory()
    assert called == [b"arena.4096.purge"]


def test_other_allocators_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    loaded(monkeypatch)
    memory.return_freed_memory()
