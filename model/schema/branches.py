"""`allOf`, `anyOf` and `oneOf` over objects: what they close together, and what lets `oneOf` be read as `anyOf`."""

from __future__ import annotations

from collections.abc import Mapping, Set
from typing import Any

from model.errors import SchemaError
from model.schema.keywords import OPENING
from model.schema.proofs import Prover
from model.schema.reading import requires_one_name
from model.schema.record import Record
from model.schema.references import References


def closed_over_branches(
    node: Mapping[str, Any], path: str, references: References, record: Record
) -> Mapping[str, Any]:
    """`node` with the properties that its branches declare, and closed, unless a branch speaks of others itself."""
    members = list(references.in_place(node))
    speaks = any(key in member for member, _ in members for key in ("additionalProperties", *OPENING))
    speaks |= any("unevaluatedProperties" in member for member, _ in members[1:])
    unevaluated = node.get("unevaluatedProperties")
    with record.noting(path, "unevaluatedProperties"):
        if unevaluated is False and (speaks or any(in_alternative for _, in_alternative in members)):
            raise SchemaError("This 'unevaluatedProperties' cannot be enforced.", f"{path}.unevaluatedProperties")
    if speaks or unevaluated is True or not any("properties" in member for member, _ in members):
        return node
    properties: dict[str, Any] = {}
    for member, _ in members:
        # "No others" in so many words means those that are only required, too.
        for keyword in ("properties",) if unevaluated is False else ("properties", "required"):
            names = member.get(keyword)
            names = names if isinstance(names, Mapping | list) else ()
            properties.update((name, True) for name in names if isinstance(name, str))
    own = node.get("properties")
    if isinstance(own, Mapping):
        properties.update(own)
    return {**node, "properties": properties, "additionalProperties": False}


def only_required(given: list[Any], types: Set[str]) -> list[str]:
    """The names of which `oneOf` requires exactly one, each in an option of its own; [] where it says anything else."""
    names = [option["required"][0] for option in given if requires_one_name(option)]
    return names if len(names) == len(given) == len(set(names)) and types == {"object"} else []


def one_required(names: list[str]) -> list[dict[str, Any]]:
    """Options that each require one of the names and exclude the others."""
    return [
        {"type": "object", "properties": {n: False for n in names if n != name}, "required": [name]} for name in names
    ]


def tag_of(node: Mapping[str, Any]) -> str | None:
    """The property by which `discriminator` tells options apart."""
    discriminator = node.get("discriminator")
    tag = discriminator.get("propertyName") if isinstance(discriminator, Mapping) else None
    return tag if isinstance(tag, str) else None


def check_exclusive(
    given: list[Any], types: Set[str], closed: bool, tag: str | None, prover: Prover, path: str
) -> None:
    """Raise SchemaError unless no value that the grammar writes for one of the options is valid under another.

    The arguments between are `Prover.not_exclusive`'s.
    """
    pair = prover.not_exclusive(given, types, closed, tag)
    if pair is None:
        return
    if prover.exhausted:
        raise SchemaError("The options of 'oneOf' are too many to prove that they exclude each other.", path)
    message = f"Options {pair[0]} and {pair[1]} may both hold; those of 'oneOf' must exclude each other."
    raise SchemaError(f"{message} ('anyOf' has no such need.)", path)
