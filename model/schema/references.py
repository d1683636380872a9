"""Where the references of a declared schema lead, and which schemas apply to one value."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import unquote

from model.errors import SchemaError
from model.schema.reading import constraints, nested_ids

_MAX_CHAIN = 32  # of references to references that a proof follows


class References:
    """Of one schema, the root of all local references in it."""

    def __init__(self, root: Mapping[str, Any]) -> None:
        self._root = root
        self._rebased = any(nested_ids(root))

    def check(self, reference: Any, path: str) -> str:
        """`reference`, if it can be followed; raises SchemaError if not."""
        if not isinstance(reference, str) or not (reference == "#" or reference.startswith("#/")):
            raise SchemaError("Only references inside the schema ('#/…') can be followed.", path)
        if self._rebased:
            raise SchemaError("References in a schema with a nested '$id' cannot be followed.", path)
        self.resolve(reference, path)
        return reference

    def resolve(self, reference: str, path: str) -> Any:
        """What it refers to. Raises SchemaError if there is no such place."""
        target: Any = self._root
        for part in _parts(reference):
            if isinstance(target, Mapping) and part in target:
                target = target[part]
            elif isinstance(target, list) and part.isdecimal() and int(part) < len(target):
                target = target[int(part)]
            else:
                raise SchemaError(f"The reference {reference[:100]!r} points nowhere.", path)
        return target

    def path(self, reference: str) -> str:
        """Where one that was checked leads to, below the root and in the notation of errors: `.$defs.node`."""
        target: Any = self._root
        path = ""
        for part in _parts(reference):
            is_list = isinstance(target, list)
            path += f"[{part}]" if is_list else f".{part}"
            target = target[int(part) if is_list else part]
        return path

    def dereferenced(self, node: Any) -> Any:
        """`node`, or what it stands for when it is nothing but a reference."""
        for _ in range(_MAX_CHAIN):
            if not isinstance(node, Mapping) or constraints(node) != {"$ref"}:
                break
            target = self._target(node)
            if target is None:
                break
            node = target
        return node

    def in_place(self, node: Mapping[str, Any]) -> Iterator[tuple[Mapping[str, Any], bool]]:
        """`node` first, then every schema that applies to the same value, and whether it is one of alternatives.

        Each comes once, however often it is referred to: by the path over which it is met first.
        """
        seen: set[tuple[int, bool]] = set()
        waiting: list[tuple[Any, bool]] = [(node, False)]
        while waiting:
            member, in_alternative = waiting.pop()
            if not isinstance(member, Mapping) or (id(member), in_alternative) in seen:
                continue
            seen.add((id(member), in_alternative))
            yield member, in_alternative
            below: list[tuple[Any, bool]] = [(self._target(member), in_alternative)]
            for keyword in ("allOf", "anyOf", "oneOf"):
                branches = member.get(keyword)
                if isinstance(branches, list):
                    below += [(branch, in_alternative or keyword != "allOf") for branch in branches]
            waiting += reversed(below)

    def _target(self, node: Mapping[str, Any]) -> Any:
        """What the `$ref` of `node` leads to; None where it cannot be followed, which `check` refuses."""
        reference = node.get("$ref")
        if isinstance(reference, str) and reference.startswith("#"):
            with contextlib.suppress(SchemaError):
                return self.resolve(reference, "")
        return None


def _parts(reference: str) -> list[str]:
    """The steps of a JSON pointer in a URI fragment."""
    return [part.replace("~1", "/").replace("~0", "~") for part in unquote(reference[1:]).split("/")[1:]]
