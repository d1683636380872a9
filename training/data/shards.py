"""Prepared shards: tokenised tools and examples in a folder that trains without any other file of the project's data.

`tools.npz` holds each distinct tool once; `train.npz` and `heldout.npz` hold examples that point at them.
Variable-length fields are flat arrays with offsets. `shards.json` says the format, the counts and the tokenizer's
digest.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from model.prompt import FORMAT_VERSION

SHARDS_VERSION = 2  # 2: which parameter each token of arguments belongs to
Ids = npt.NDArray[np.uint16]


@dataclass(frozen=True)
class Ragged:
    """A list of variable-length arrays in one flat one: item i is `flat[offsets[i]:offsets[i + 1]]`."""

    flat: npt.NDArray[Any]
    offsets: npt.NDArray[np.int64]

    @classmethod
    def pack(cls, items: Sequence[npt.ArrayLike], dtype: npt.DTypeLike) -> Ragged:
        lengths = np.fromiter((np.size(x) for x in items), np.int64, len(items))
        flat = np.concatenate([np.asarray(x, dtype).ravel() for x in items]) if items else np.zeros(0, dtype)
        return cls(flat, np.concatenate([[0], lengths.cumsum()]))

    def __getitem__(self, i: int) -> npt.NDArray[Any]:
        return self.flat[self.offsets[i] : self.offsets[i + 1]]

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def lengths(self) -> npt.NDArray[np.int64]:
        return np.diff(self.offsets)

    def where(self, keep: npt.NDArray[np.bool_]) -> Ragged:
        """The items for which `keep` [len(self)] is true, in order."""
        return _ragged(self.flat[np.repeat(keep, self.lengths)], self.lengths[keep])


@dataclass(frozen=True)
class ToolTable:
    """All tools: `ids[i]` the prompt, `head[i]` the end of its pooled range, `parameters[i]` the ranges of its
    parameters (start, end, start, ...), `group[i]` its family."""

    ids: Ragged
    parameters: Ragged
    head: npt.NDArray[np.int64]
    group: npt.NDArray[np.int64]


@dataclass(frozen=True)
class ExampleTable:
    """All examples of one split.

    Per example: `query` ids, `pool_start`, the listed other tools `others` (siblings that a candidate set may hold),
    the called tools `call_tools`, `source` (index into `sources`), `group` (as a tool's: the request may be meant for
    any tool of it, listed or not), `family` (examples of one family share tools: a group, or one variant of it), and
    `weight`, how much the example counts in the losses (float32; 1.0 but for answers that a teacher gave now and then).
    `closed` says that nothing but the listed tools was on offer, and that `others` has all of them, hardest first.
    Per call, in order: `arguments` ids, their `free` mask (1 where the grammar left a choice) and the number of the
    `parameter` that each belongs to (or `model.parameters.NO_PARAMETER`); the calls of example i begin at
    `call_tools.offsets[i]`.
    """

    query: Ragged
    pool_start: npt.NDArray[np.int64]
    others: Ragged
    call_tools: Ragged
    arguments: Ragged
    free: Ragged
    parameter: Ragged
    source: npt.NDArray[np.int64]
    sources: tuple[str, ...]
    group: npt.NDArray[np.int64]
    family: npt.NDArray[np.int64]
    weight: npt.NDArray[np.float32]
    closed: npt.NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.query)

    def without(self, sources: Sequence[str]) -> ExampleTable:
        """The examples of all other sources; ValueError for a name that is none of this table's."""
        unknown = set(sources) - set(self.sources)
        if unknown:
            raise ValueError(f"no source {', '.join(sorted(unknown))} in the shards, only {', '.join(self.sources)}")
        return self.where(~np.isin(self.source, [k for k, name in enumerate(self.sources) if name in sources]))

    def where(self, keep: npt.NDArray[np.bool_]) -> ExampleTable:
        """The examples for which `keep` [len(self)] is true, in order."""
        calls = np.repeat(keep, self.call_tools.lengths)
        return ExampleTable(
            query=self.query.where(keep),
            pool_start=self.pool_start[keep],
            others=self.others.where(keep),
            call_tools=self.call_tools.where(keep),
            arguments=self.arguments.where(calls),
            free=self.free.where(calls),
            parameter=self.parameter.where(calls),
            source=self.source[keep],
            sources=self.sources,
            group=self.group[keep],
            family=self.family[keep],
            weight=self.weight[keep],
            closed=self.closed[keep],
        )


_RAGGED_TYPES = {
    "query": np.uint16,
    "others": np.int32,
    "call_tools": np.int32,
    "arguments": np.uint16,
    "free": np.uint8,
    "parameter": np.int16,
}


def save_tools(folder: Path, table: ToolTable) -> None:
    np.savez_compressed(
        folder / "tools.npz",
        ids=table.ids.flat,
        lengths=table.ids.lengths,
        parameters=table.parameters.flat,
        parameters_lengths=table.parameters.lengths,
        head=table.head,
        group=table.group,
    )


def load_tools(folder: Path) -> ToolTable:
    with np.load(folder / "tools.npz") as z:
        return ToolTable(
            _ragged(z["ids"], z["lengths"]),
            _ragged(z["parameters"].astype(np.int64), z["parameters_lengths"]),
            z["head"].astype(np.int64),
            z["group"].astype(np.int64),
        )


def save_examples(folder: Path, split: str, table: ExampleTable) -> None:
    arrays: dict[str, Any] = {}
    for name, dtype in _RAGGED_TYPES.items():
        ragged: Ragged = getattr(table, name)
        # The free masks are one bit a token; everything else compresses well as it is.
        arrays[name] = np.packbits(ragged.flat) if name == "free" else ragged.flat.astype(dtype)
        arrays[f"{name}_lengths"] = ragged.lengths.astype(np.uint16)
    np.savez_compressed(
        folder / f"{split}.npz",
        pool_start=table.pool_start.astype(np.uint16),
        source=table.source.astype(np.uint8),
        sources=np.array(table.sources),
        group=table.group.astype(np.uint32),
        family=table.family.astype(np.uint32),
        weight=table.weight.astype(np.float32),
        closed=table.closed.astype(np.bool_),
        **arrays,
    )


def load_examples(folder: Path, split: str) -> ExampleTable:
    with np.load(folder / f"{split}.npz") as z:
        arrays = {n: _ragged(z[n], z[f"{n}_lengths"]) for n in _RAGGED_TYPES if n != "free"}
        lengths = z["free_lengths"].astype(np.int64)
        arrays["free"] = _ragged(np.unpackbits(z["free"], count=int(lengths.sum())), lengths)
        return ExampleTable(
            **arrays,
            pool_start=z["pool_start"].astype(np.int64),
            source=z["source"].astype(np.int64),
            sources=tuple(str(s) for s in z["sources"]),
            group=z["group"].astype(np.int64),
            family=z["family"].astype(np.int64),
            # Shards from before there were labels of a teacher have neither.
            weight=z["weight"] if "weight" in z else np.ones(len(z["source"]), np.float32),
            closed=z["closed"] if "closed" in z else np.zeros(len(z["source"]), np.bool_),
        )


def load_sources(folder: Path, split: str) -> tuple[str, ...]:
    """The names of the split's sources, without its examples."""
    with np.load(folder / f"{split}.npz") as z:
        return tuple(str(s) for s in z["sources"])


def save_description(folder: Path, tokenizer_json: str, counts: dict[str, Any]) -> None:
    """Write `shards.json` and the tokenizer beside the shards."""
    (folder / "tokenizer.json").write_text(tokenizer_json, encoding="utf-8")
    digest = hashlib.sha256()
    for name in ("tools.npz", "train.npz", "heldout.npz"):
        digest.update((folder / name).read_bytes())
    description = {"prompt_format": FORMAT_VERSION, "shards": SHARDS_VERSION, "sha256": digest.hexdigest(), **counts}
    (folder / "shards.json").write_text(json.dumps(description, indent=1) + "\n", encoding="utf-8")


def load_description(folder: Path) -> dict[str, Any]:
    """`shards.json`; ValueError when the shards were prepared for another prompt format."""
    description: dict[str, Any] = json.loads((folder / "shards.json").read_text(encoding="utf-8"))
    found, known = (description["prompt_format"], description.get("shards", 1)), (FORMAT_VERSION, SHARDS_VERSION)
    if found != known:
        raise ValueError(
            f"{folder} has prompt format {found[0]} and shards format {found[1]}, this code reads {known[0]} and "
            f"{known[1]}: prepare it again"
        )
    return description


def joined(
    first: tuple[ExampleTable, ToolTable], second: tuple[ExampleTable, ToolTable]
) -> tuple[ExampleTable, ToolTable]:
    """Both in one: the second's tools, groups, families and sources are numbered behind the first's."""
    (a, a_tools), (b, b_tools) = first, second
    tools = len(a_tools.ids)
    groups = 1 + int(max(a.group.max(initial=-1), a_tools.group.max(initial=-1)))
    b_tools = replace(b_tools, group=b_tools.group + groups)
    b = replace(
        b,
        others=replace(b.others, flat=b.others.flat + tools),
        call_tools=replace(b.call_tools, flat=b.call_tools.flat + tools),
        source=b.source + len(a.sources),
        sources=a.sources + b.sources,
        group=b.group + groups,
        family=b.family + 1 + int(a.family.max(initial=-1)),
    )
    a = replace(a, sources=b.sources)
    return (
        ExampleTable(**{f.name: _behind(getattr(a, f.name), getattr(b, f.name)) for f in fields(ExampleTable)}),
        ToolTable(**{f.name: _behind(getattr(a_tools, f.name), getattr(b_tools, f.name)) for f in fields(ToolTable)}),
    )


def _behind(a: Any, b: Any) -> Any:
    """A column with another behind it; what is no column is the same in both."""
    if isinstance(a, Ragged):
        return _ragged(np.concatenate((a.flat, b.flat)), np.concatenate((a.lengths, b.lengths)))
    return np.concatenate((a, b)) if isinstance(a, np.ndarray) else b


def _ragged(flat: npt.NDArray[Any], lengths: npt.NDArray[Any]) -> Ragged:
    return Ragged(flat, np.concatenate([[0], lengths.astype(np.int64).cumsum()]))
