"""The output items of recent responses, for requests that refer to one by its id instead of sending it again.

The Responses API lets clients do that because OpenAI keeps responses, and the Vercel AI SDK does so unless told
otherwise: without this its conversations would fail at their second step. It is a memory and no store. It is lost with
the process, and forgets the oldest items once they are too many.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping

from app.schemas.responses import InputItem

MAX_CHARACTERS = 8 * 1024 * 1024
# What an item costs besides its text: ids, the objects that hold it, its place in the dictionary.
_OVERHEAD = 1000


class RecentItems:
    """Items by id, within `limit` characters. Ids cannot be guessed, so whoever has one was given it."""

    def __init__(self, limit: int = MAX_CHARACTERS) -> None:
        self._limit = limit
        self._size = 0
        self._items: OrderedDict[str, InputItem] = OrderedDict()

    def remember(self, items: Mapping[str, InputItem]) -> None:
        """Keep `items`, whose ids are new, and forget the oldest ones for them."""
        self._items.update(items)
        self._size += sum(map(_size, items.values()))
        while self._size > self._limit:
            _, oldest = self._items.popitem(last=False)
            self._size -= _size(oldest)

    def get(self, item_id: str) -> InputItem | None:
        """The item; None if it was never there, or not any more."""
        return self._items.get(item_id)


def _size(item: InputItem) -> int:
    return _OVERHEAD + len(item.model_dump_json())
