from __future__ import annotations

from pathlib import Path

import pytest

from model.errors import StoreError
from model.names import check_name, default_store, full_name


@pytest.mark.parametrize("name", ["mytools", "a", "shop-2.eu_west", "9", "a" * 64])
def test_names_that_are_allowed(name: str) -> None:
    assert check_name(name) == name
    assert full_name(name) == f"bodkin-26m:{name}"


@pytest.mark.parametrize(
    "name", ["", ".", "..", ".hidden", "a/b", "../a", "A", "a b", "a:b", "-a", "é", "a\n", "a" * 65]
)
def test_names_that_are_not(name: str) -> None:
    with pytest.raises(StoreError, match="cannot be a model's name: use lower-case letters"):
        check_name(name)


def test_the_default_store_is_where_xdg_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/anna")
    monkeypatch.delenv("XDG_DATA_HOME")
    assert default_store() == Path("/home/anna/.local/share/bodkin/models")
    monkeypatch.setenv("XDG_DATA_HOME", "relative/is/ignored")
    assert default_store() == Path("/home/anna/.local/share/bodkin/models")
    monkeypatch.setenv("XDG_DATA_HOME", "/data")
    assert default_store() == Path("/data/bodkin/models")
