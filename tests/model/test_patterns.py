"""Regular expressions: every string that the engine admits is one that Python's `re` finds the pattern in."""

from __future__ import annotations

import json
import re
from itertools import product

import pytest

from model.errors import SchemaError
from model.grammar import Grammar, GrammarCompiler, GrammarError
from model.schema.patterns import translate
from tests.model.tiny_tokenizer import TinyTokenizer

# From the quote on: where dialects, or the engine's JSON quoting, are known to differ.
ALPHABET = 'a1_-"\\[&\n٣é²'


@pytest.fixture(scope="module")
def strings(tiny_tokenizer: TinyTokenizer) -> dict[str, list[int]]:
    """Short strings, each with the tokens of its JSON text."""
    texts = ["".join(letters) for length in range(3) for letters in product(ALPHABET, repeat=length)]
    return {text: tiny_tokenizer.encode(json.dumps(text, ensure_ascii=False)) for text in texts}


def admits(grammar: Grammar, tokens: list[int]) -> bool:
    matcher = grammar.matcher()
    try:
        matcher.accept(tokens)
    except GrammarError:
        return False
    return matcher.may_stop


@pytest.mark.parametrize(
    "pattern",
    [
        *(r"a", r"^a", r"a$", r"^a|b$", r"^(a|b)+$", r"^(|a)$", r"^$", r"", r"(^|-)a", r"a(-|$)", r"^a*?$"),
        *(r"^a{1,2}$", r"\d", r"^\D$", r"^\w+$", r"^\W$", r"^\s$", r"^\S+$", r"^.$", r"^..$", r"^[\w.-]$"),
        *(r"^[\w-.]$", r"^[^\W\d]$", r"^[^\w]$", r"^[^\d]$", r"^[^\s]$", r"^[^\D]$", r"^[\s\S]$", r"^[^a]$"),
        *(r'^[^"]$', r"^[^\\]$", r'^[^"\\]+$', r"^[[]$", r"^[a&&b]$", r"^[^a&&b]$", r"^[a\-b]$", r"^[-a]$"),
        *(r"^[a-]$", r"^[\]]$", r"^\[a\]$", r"^[.-_]$", r"^\x61$", r"^\u00e9$", r"^[\x00-\x7f]$", r"^[^\x00-\x1f]$"),
        *(r"^(?:a)(?P<n>b)$", r"^a{b$", r"^{a}$", r"^\"$", r"^\/|\_$"),
    ],
)
@pytest.mark.filterwarnings("ignore:Possible (nested|set)")
def test_no_more_than_python_finds(pattern: str, compiler: GrammarCompiler, strings: dict[str, list[int]]) -> None:
    try:
        python = re.compile(pattern)
    except re.error:  # valid in ECMA-262 only
        python = re.compile(pattern.replace(r"[\w-.]", r"[\w.-]"))
    grammar = compiler.compile({"type": "string", "pattern": translate(pattern)})
    admitted = {string for string, tokens in strings.items() if admits(grammar, tokens)}
    found = {string for string in strings if python.search(string)}
    assert admitted <= found
    # Nothing plain is lost: Python's `$` also matches before a final line break, its classes hold more than ASCII.
    assert {string for string in found if string.isascii() and "\n" not in string} <= admitted


@pytest.mark.parametrize(
    "pattern",
    [
        *(r"(?=a)", r"(?!a)", r"(?<=a)b", r"(?i)a", r"(a)\1", r"(?P=n)", r"\ba", r"\B", r"a*+", r"a{2}{3}", r"a**"),
        *(r"a{,3}", r"[]a]", r"[^]", r"[a", r"(a", r"a)", r"*a", r"\A", r"\Z", r"\cA", "\\", r"\ud800", r"^*"),
        *(r"[a-\d]", r"\0", "\0", r"\u{61}", "a" * 4001, "(" * 33 + "a" + ")" * 33),
    ],
)
def test_what_dialects_read_differently_is_refused(pattern: str) -> None:
    with pytest.raises(ValueError):
        translate(pattern)


@pytest.mark.parametrize(
    "pattern, good, bad",
    [
        (r"^\p{Lu}\p{L}*$", ["École", "A"], ["école", "A1", ""]),
        (r"^[\p{L}-]+$", ["é-b"], ["1", "a b"]),
        (r"^\P{L}$", ["1", "-"], ["a", "é"]),
        ("(" * 32 + "a" + ")" * 32, ["bab"], ["b"]),
        ("^" + "a" * 3998 + "$", ["a" * 3998], ["a" * 3997]),
    ],
)
def test_what_python_does_not_know(
    pattern: str, good: list[str], bad: list[str], compiler: GrammarCompiler, tiny_tokenizer: TinyTokenizer
) -> None:
    grammar = compiler.compile({"type": "string", "pattern": translate(pattern)})
    encoded = {text: tiny_tokenizer.encode(json.dumps(text, ensure_ascii=False)) for text in good + bad}
    assert [text for text in good if not admits(grammar, encoded[text])] == []
    assert [text for text in bad if admits(grammar, encoded[text])] == []


def test_an_anchor_in_the_middle_is_refused_by_the_engine(compiler: GrammarCompiler) -> None:
    with pytest.raises(SchemaError):
        compiler.compile({"type": "string", "pattern": translate("a^b")})
