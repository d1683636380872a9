"""What a pass over a schema leaves behind besides its result: each schema that was looked at, and what was refused."""

from __future__ import annotations

from collections.abc import Mapping, Set
from dataclasses import dataclass, field
from typing import Any

from model.errors import SchemaError


class Located(dict[str, Any]):
    """A part of a normalised schema that knows the part of the declared schema that it came from, and its path."""

    __slots__ = ("path", "declared")

    def __init__(self, content: Mapping[str, Any], path: str, declared: Mapping[str, Any]) -> None:
        super().__init__(content)
        self.path = path
        self.declared = declared


@dataclass(frozen=True)
class Visit:
    """A schema as declared, the types that its values may have, and its normal form; `closed` by us, not by it."""

    path: str
    node: Mapping[str, Any]
    types: Set[str]
    normal: Mapping[str, Any]


@dataclass(frozen=True)
class Refusal:
    """Why a schema cannot be enforced.

    `path` is that of the schema at fault and `keyword` the one in it, None when it is the whole; `param`, where errors
    point, is the exact place, such as the third value of an `enum`.
    """

    path: str
    keyword: str | None
    param: str
    message: str

    def error(self) -> SchemaError:
        return SchemaError(self.message, self.param or None)


MAX_REFUSALS = 100


class Enough(Exception):
    """Ends a pass early: what comes after is not looked at."""


@dataclass
class Record:
    """Filled by a pass over one schema; both lists are in the order of the pass."""

    visits: list[Visit] = field(default_factory=list)
    refusals: list[Refusal] = field(default_factory=list)

    def noting(self, path: str, keyword: str | None = None) -> Noting:
        """A block in which a `SchemaError` ends the block, and is kept. Raises `Enough` where there are many."""
        return Noting(self, path, keyword)


class Noting:
    """A block of `Record.noting`."""

    __slots__ = ("_record", "_path", "_keyword")

    def __init__(self, record: Record, path: str, keyword: str | None) -> None:
        self._record = record
        self._path = path
        self._keyword = keyword

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> bool:
        if not isinstance(error, SchemaError):
            return False
        self._record.refusals.append(Refusal(self._path, self._keyword, error.param or self._path, error.message))
        if len(self._record.refusals) == MAX_REFUSALS:
            raise Enough from error
        return True
