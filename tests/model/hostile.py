"""Schemas made to take for ever, or all of the memory, and a program that reads them: `python -m tests.model.hostile`.

It runs in a process of its own, in a thread whose stack is as small as some platforms give, and prints one JSON line
for each schema: name, CPU seconds, what came out, and by how many MB the process has grown since the beginning.
"""

from __future__ import annotations

import json
import resource
import threading
import time
from collections.abc import Callable
from typing import Any

from model.contract import ContractChecker
from model.schema import limits
from model.tokenizer import SPECIAL_TOKENS, Tokenizer
from model.types import Tool
from tests.model.tiny_tokenizer import TinyTokenizer

STACK_BYTES = 1 << 20
MAX_BYTES = 8 << 30  # of address space; far more than is needed, and still no danger to the machine

Schema = dict[str, Any]


def obj(properties: dict[str, Any], **more: Any) -> Schema:
    return {"type": "object", "properties": properties, **more}


def text(**keywords: Any) -> Schema:
    return {"type": "string", **keywords}


def with_definitions(definitions: dict[str, Any]) -> Schema:
    """A schema that begins with the last of the definitions."""
    return obj({"a": {"$ref": f"#/$defs/{list(definitions)[-1]}"}}, **{"$defs": definitions})


def deep(levels: int) -> Schema:
    schema = text()
    for _ in range(levels):
        schema = obj({"a": schema}, required=["a"])
    return schema


def tower(levels: int, step: Callable[[Schema, int], Schema]) -> Schema:
    """Each definition is made of references to the one below it: 2^levels paths, when it refers to it twice."""
    definitions = {"d0": obj({"x": text()})}
    for i in range(1, levels):
        definitions[f"d{i}"] = step({"$ref": f"#/$defs/d{i - 1}"}, i)
    return with_definitions(definitions)


def ring(length: int) -> Schema:
    """Definitions of which each has the next one below it, and the last one the first."""
    return with_definitions({f"d{i}": obj({"n": {"$ref": f"#/$defs/d{(i + 1) % length}"}}) for i in range(length)})


def of_many(part: Callable[[int], Any], count: int, **more: Any) -> Schema:
    return obj({f"p{i}": part(i) for i in range(count)}, **more)


def array(**keywords: Any) -> Schema:
    return obj({"a": {"type": "array", **keywords}})


def both(a: Schema, *others: Schema) -> Schema:
    return obj({"a": {"allOf": [a, *others]}})


def one_of_words(letters: str) -> Schema:
    return {"anyOf": [text(pattern=f"^{letter}+x*$") for letter in letters]}


N = limits.MAX_NODES - 10

# What comes out: "" if the grammar is made, otherwise words of the message.
SCHEMAS: dict[str, tuple[Callable[[], Schema], str]] = {
    # Depth
    "31 levels": (lambda: deep(31), ""),
    "40 levels": (lambda: deep(40), "32 levels"),
    "900 levels": (lambda: deep(900), "100 levels"),
    "50,000 levels": (lambda: deep(50_000), "100 levels"),
    "a constant of 900 levels": (lambda: obj({"a": {"const": json.loads("[" * 900 + "]" * 900)}}), "100 levels"),
    "a list of definitions": (
        lambda: with_definitions({f"d{i}": {"$ref": f"#/$defs/d{i - 1}"} if i else text() for i in range(900)}),
        "160 levels",
    ),
    "a ring of 50": (lambda: ring(50), ""),
    "a ring of 900": (lambda: ring(900), "160 levels"),
    # Many ways to one definition
    "allOf twice the same, 40 times": (lambda: tower(40, lambda r, i: {"allOf": [r, r]}), ""),
    "allOf and properties, 30 times": (
        lambda: tower(30, lambda r, i: {"properties": {f"y{i}": {}}, "allOf": [r, r]}),
        "",
    ),
    "anyOf twice the same, 40 times": (lambda: tower(40, lambda r, i: {"anyOf": [r, r]}), ""),
    "oneOf twice the same, 40 times": (lambda: tower(40, lambda r, i: {"oneOf": [r, r]}), "exclude each other"),
    "properties, 4^30": (
        lambda: tower(30, lambda r, i: obj({f"p{k}": r for k in range(4)}, required=["p0", "p1"])),
        "",
    ),
    "a proof of 6^16 steps": (
        lambda: {
            **tower(9, lambda r, i: {"anyOf": [{"allOf": [r] * 6}] * 6}),
            **obj({"a": {"oneOf": [{"$ref": "#/$defs/d8"}] * 2}}),
        },
        "too many to prove",
    ),
    # Width
    f"{N} strings": (lambda: of_many(lambda i: text(), N), ""),
    f"{N} addresses": (lambda: of_many(lambda i: text(format="uri"), N), ""),
    f"{N} numbers": (lambda: of_many(lambda i: {"type": "number", "minimum": i + 0.123456}, N), ""),
    f"{N} required objects": (lambda: of_many(lambda i: {}, N, required=[f"p{i}" for i in range(N)]), ""),
    "5,000 properties": (lambda: of_many(lambda i: {}, 5000), "2,000 subschemas"),
    "5,000 required names": (lambda: obj({}, required=[f"r{i}" for i in range(5000)]), "2,000 properties"),
    "10,000 required names of an open object": (
        lambda: obj({}, required=[f"r{i}" for i in range(10_000)], additionalProperties=True),
        "2,000 properties",
    ),
    "10,000 values": (lambda: obj({"a": {"enum": [f"v{i}" for i in range(10_000)]}}), ""),
    "8,000 objects as values": (lambda: obj({"a": {"enum": [{"k": i} for i in range(8000)]}}), ""),
    "a constant of 100 kB": (lambda: obj({"a": {"const": [["x" * 10] * 100] * 80}}), ""),
    "200 kB": (lambda: obj({"a": text(description="x" * 200_000)}), "bytes"),
    "400 objects to choose from": (
        lambda: obj({"a": {"oneOf": [obj({"k": {"const": i}, "v": {}}, required=["k"]) for i in range(400)]}}),
        "",
    ),
    "1,900 constants to choose from": (lambda: obj({"a": {"oneOf": [{"const": i} for i in range(1900)]}}), ""),
    "1,900 types to choose from": (
        lambda: obj({"a": {"oneOf": [{"type": "string"}, {"const": 1}] * 950}}),
        "exclude each other",
    ),
    "10,000 names of properties": (
        lambda: obj({"a": {"type": "object", "propertyNames": {"enum": [f"v{i}" for i in range(10_000)]}}}),
        "2,000 properties",
    ),
    "exactly one of 900 properties": (
        lambda: obj({"a": {"type": "object", "oneOf": [{"required": [f"v{i}"]} for i in range(900)]}}),
        "2,000 properties",
    ),
    "exactly one of 40 properties": (
        lambda: obj({"a": {"type": "object", "oneOf": [{"required": [f"v{i}"]} for i in range(40)]}}),
        "",
    ),
    # Lengths
    "minItems of a million": (lambda: array(items=text(), minItems=10**6), "100000"),
    "minItems of 100,000": (lambda: array(items=text(), minItems=10**5), ""),
    "lists in lists, a billion items": (
        lambda: array(
            items={"type": "array", "items": {"type": "array", "minItems": 1000}, "minItems": 1000}, minItems=1000
        ),
        "",
    ),
    "maxLength of 100,000": (lambda: obj({"a": text(maxLength=10**5, minLength=10**5)}), ""),
    "300 lengths": (lambda: of_many(lambda i: text(maxLength=1000 + i), 300), ""),
    "maxProperties of 100,000": (lambda: obj({}, additionalProperties=True, maxProperties=10**5), ""),
    "minProperties beside 70": (lambda: of_many(lambda i: {}, 70, minProperties=1), ""),
    "minProperties beside 1,000": (lambda: of_many(lambda i: {}, 1000, minProperties=1), "too many optional"),
    # Patterns
    "a{1000000000}": (lambda: obj({"a": text(pattern="^a{1000000000}$")}), ""),
    "((a{1,100}){1,100}){1,100}": (lambda: obj({"a": text(pattern="^((a{1,100}){1,100}){1,100}$")}), ""),
    ".*a.{20}": (lambda: obj({"a": text(pattern="^(.*a.{20})$")}), ""),
    "(a*)*b": (lambda: obj({"a": text(pattern="^(a*)*b$")}), ""),
    "a letter 10,000 times": (lambda: obj({"a": text(pattern=r"^\p{L}{10000}$")}), ""),
    "900 groups in each other": (lambda: obj({"a": text(pattern="(" * 900 + "a" + ")" * 900)}), "nested more than 32"),
    "a pattern of 100 kB": (lambda: obj({"a": text(pattern="." * 100_000)}), "4000 characters"),
    "patterns of 20 kB": (lambda: of_many(lambda i: text(pattern="." * 3990), 5), ""),
    "patterns of 100 kB": (lambda: of_many(lambda i: text(pattern="." * 3990), 25), "20,000 characters"),
    "8 patterns at once": (lambda: both(*(text(pattern=f"a.{{{i}}}b") for i in range(8))), "cannot be enforced"),
    "25 patterns at once": (lambda: both(*(text(pattern=f"a.{{{i}}}b") for i in range(25))), "8 patterns"),
    "8 x 8 x 8 patterns": (lambda: both(*[one_of_words("abcdefgh")] * 3), ""),
    "10^6 patterns": (lambda: both(*[one_of_words("abcdefghij")] * 6), "2,000 ways"),
    "8^8 objects": (
        lambda: both(*({"anyOf": [{"properties": {f"p{j}": {"const": c}}} for c in "abcdefgh"]} for j in range(8))),
        "2,000 ways",
    ),
    "60 patterns of names": (
        lambda: obj({"a": {"type": "object", "patternProperties": {f"^a{i}_": {} for i in range(60)}}}),
        "",
    ),
    "1,000 patterns of names": (
        lambda: obj({"a": {"type": "object", "patternProperties": {f"^a{i}_": {} for i in range(1000)}}}),
        "2,000 pairs",
    ),
    # Numbers
    "multipleOf 9,973": (lambda: obj({"a": {"type": "integer", "multipleOf": 9973}}), ""),
    "100 times multipleOf 9,000": (
        lambda: of_many(lambda i: {"type": "integer", "multipleOf": 9000 + i}, 100),
        "20,000 in significant digits",
    ),
    "multipleOf 0.0001": (lambda: obj({"a": {"type": "number", "multipleOf": 0.0001}}), ""),
    # Faults, each of which is looked for
    "1,000 anchors in the middle": (lambda: of_many(lambda i: text(pattern="a^"), 1000), "cannot be enforced"),
    "1,000 keywords that are refused": (lambda: of_many(lambda i: {"not": {}}, 1000), "'not' cannot be enforced"),
    "contradictions at every level": (
        lambda: tower(30, lambda r, i: obj({"a": r, "b": text(enum=[1])}, required=["a", "b"])),
        "cannot be enforced",
    ),
    "endless": (
        lambda: with_definitions(
            {"a": {"anyOf": [{"$ref": "#/$defs/b"}, {}]}, "b": {"allOf": [{"$ref": "#/$defs/a"}]}}
        ),
        "without end",
    ),
    # The text that the model reads
    "a description 1,900 times": (
        lambda: {**of_many(lambda i: {"$ref": "#/$defs/d"}, 1900), "$defs": {"d": text(description="x y " * 15_000)}},
        "tokens",
    ),
    "6,000 values 1,900 times": (
        lambda: {
            **of_many(lambda i: {"$ref": "#/$defs/d"}, 1900),
            "$defs": {"d": {"enum": [f"v{i}" for i in range(6000)]}},
        },
        "tokens",
    ),
}


def tools(count: int = 128, bytes_each: int = 800) -> list[Tool]:
    """As many as OpenAI admits, 100 kB together, no two alike."""
    made = []
    for k in range(count):
        properties: dict[str, Any] = {}
        while len(json.dumps(properties)) < bytes_each - 100:
            i = len(properties)
            kinds = (
                text(enum=[f"{k}a", "b"]),
                {"type": "integer", "minimum": k},
                text(format="date"),
                {"type": "array", "items": text()},
            )
            properties[f"parameter_{i}_{k}"] = kinds[i % 4]
        made.append(Tool(f"tool_{k}", "", obj(properties, required=list(properties)[:2])))
    return made


def checker() -> ContractChecker:
    """With a small vocabulary: what is measured is the schema's cost. No limit on tokens but the default's."""
    tokenizer = json.loads(TinyTokenizer().json_text)
    return ContractChecker(Tokenizer(_with_specials(tokenizer)), 512)


def _with_specials(tokenizer: dict[str, Any]) -> str:
    """The tiny tokenizer with the special tokens of the real one, at their ids."""
    words = [
        word
        for word in sorted(tokenizer["model"]["vocab"], key=tokenizer["model"]["vocab"].get)
        if word not in SPECIAL_TOKENS
    ]
    tokenizer["model"]["vocab"] = {word: i for i, word in enumerate([*SPECIAL_TOKENS, *words])}
    special = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    tokenizer["added_tokens"] = [{"id": i, "content": word, **special} for i, word in enumerate(SPECIAL_TOKENS)]
    return json.dumps(tokenizer)


def report() -> None:
    check = checker().check
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for name, (make, _) in SCHEMAS.items():
        schema = make()
        start = time.process_time()
        found = check(Tool("t", "", schema), "tools[0]", "tools[0].function.parameters")
        seconds = time.process_time() - start
        _print(name, seconds, [refusal.message for refusal in found.refusals], before)
    many = tools()
    start = time.process_time()
    messages = [refusal.message for tool in many for refusal in check(tool, "tools[0]", "p").refusals]
    _print("128 tools", time.process_time() - start, messages, before)


def _print(name: str, seconds: float, messages: list[str], before: int) -> None:
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024  # kB, on Linux
    print(json.dumps({"name": name, "seconds": seconds, "messages": messages[:5], "grown": grown}), flush=True)


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_AS, (MAX_BYTES, MAX_BYTES))
    threading.stack_size(STACK_BYTES)
    thread = threading.Thread(target=report)
    thread.start()
    thread.join()
