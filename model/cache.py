"""What is kept of a tool between requests: its encoding and its grammar. Bounded in bytes; least recent out first."""

from __future__ import annotations

import hashlib
import json
import threading
from collections import OrderedDict
from dataclasses import dataclass

from model.grammar import Grammar
from model.parameters import Keys
from model.session import Encoding
from model.types import Tool


@dataclass(frozen=True)
class ToolEntry:
    """A tool, ready to be routed to and filled."""

    encoding: Encoding
    grammar: Grammar
    keys: Keys

    @property
    def nbytes(self) -> int:
        return self.encoding.nbytes + self.grammar.nbytes


def tool_key(tool: Tool) -> bytes:
    """A digest of all that the entry depends on. Property order counts: the arguments are written in it."""
    content = json.dumps([tool.name, tool.description, tool.parameters], separators=(",", ":"))
    return hashlib.blake2b(content.encode(), digest_size=16).digest()


class ToolCache:
    """Thread-safe LRU of `ToolEntry`s. An entry larger than the whole cache is used but not kept."""

    def __init__(self, max_bytes: int) -> None:
        self.max_bytes = max_bytes
        self.nbytes = 0
        self._entries: OrderedDict[bytes, ToolEntry] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: bytes) -> ToolEntry | None:
        with self._lock:
            entry = self._entries.get(key)
            if entry is not None:
                self._entries.move_to_end(key)
            return entry

    def put(self, key: bytes, entry: ToolEntry) -> None:
        with self._lock:
            if (old := self._entries.pop(key, None)) is not None:
                self.nbytes -= old.nbytes
            self._entries[key] = entry
            self.nbytes += entry.nbytes
            while self.nbytes > self.max_bytes:
                _, dropped = self._entries.popitem(last=False)
                self.nbytes -= dropped.nbytes

    def __len__(self) -> int:
        return len(self._entries)
