from __future__ import annotations

from app.items import RecentItems
from app.schemas.responses import InputItem, InputMessage


def said(text: str) -> InputItem:
    return InputMessage(role="assistant", content=text)


def test_items_are_found_by_their_id() -> None:
    recent = RecentItems()
    recent.remember({"msg_1": said("one"), "msg_2": said("two")})
    assert recent.get("msg_1") == said("one")
    assert recent.get("msg_3") is None


def test_the_oldest_are_forgotten() -> None:
    recent = RecentItems(limit=50_000)
    for i in range(1000):
        recent.remember({f"msg_{i}": said("x" * 1000)})
    kept = [i for i in range(1000) if recent.get(f"msg_{i}") is not None]
    assert kept == list(range(1000 - len(kept), 1000))
    assert 20 <= len(kept) <= 25, "text and overhead count"


def test_small_items_count_too() -> None:
    recent = RecentItems(limit=50_000)
    recent.remember({f"msg_{i}": said("") for i in range(1000)})
    assert sum(recent.get(f"msg_{i}") is not None for i in range(1000)) <= 50


def test_one_that_is_too_large_is_not_kept() -> None:
    recent = RecentItems(limit=50_000)
    recent.remember({"msg_1": said("x" * 60_000)})
    assert recent.get("msg_1") is None
    recent.remember({"msg_2": said("y")})
    assert recent.get("msg_2") is not None
