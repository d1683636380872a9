"""Regular expressions: every string that the engine admits is one that Python's `re` finds the pattern in."""

from __future__ import annotations

import json
import re
from itertools import product

import pytest

from model.errors import SchemaError
from model.grammar import GrammarCompiler, GrammarError
from model.schema.patterns import translate
from tests.model.tiny_tokenizer import TinyTokenizer

# The last five: where dialects or the engine's JSON quoting are known to differ.
ALPHABET = 'ab1_- "\\.[&\n٣é²'
STRINGS = ["".join(letters) for length in range(3) for letters in product(ALPHABET, repeat=length)]


@pytest.mark.parametrize(
    "pattern",
    [
        *(r"a", r"^a", r"a$", r"^a|b$", r"^(a|b)+$", r"^(|a)$", r"^$", r"", r"(^|-)a", r"a(-|$)", r"^a*?$"),
        *(r"^a{1,2}$", r"\d", r"^\D$", r"^\w+$", r"^\W$", r"^\s$", r"^\S+$", r"^.$", r"^..$", r"^[\w.-]$"),
        *(r"^[\w-.]$", r"^[^\W\d]$", r"^[^\w]$", r"^[^\d]$", r"^[^\s]$", r"^[^\D]$", r"^[\s\S]$", r"^[^a]$"),
        *(r'^[^"]$', r"^[^\\]$", r'^[^"\\]+$', r"^[[]$", r"^[a&&b]$", r"^[^a&&b]$", r"^[a\-b]$", r"^[-a]$"),
        *(r"^[a-]$", r"^[\]]$", r"^\[a\]$", r"^[.-_]$", r"^\x61$", r"^\u00e9$", r"^[\x00-\x7f]$"),
        *(r"^(?:a)(?P<n>b)$", r"^a{b$", r"^{a}$", r"^\"$", r"^\/|\_$"),
    ],
)
@pytest.mark.filterwarnings("ignore:Possible (nested|set)")
def test_no_more_than_python_finds(pattern: str, compiler: GrammarCompiler, tiny_tokenizer: TinyTokenizer) -> None:
    try:
        python = re.compile(pattern)
    except re.error:  # valid in ECMA-262 only
        python = re.compile(pattern.replace(r"[\w-.]", r"[\w.-]"))
    grammar = compiler.compile({"type": "string", "pattern": translate(pattern)})
    admitted = set()
    for string in STRINGS:
        matcher = grammar.matcher()
        try:
            matcher.accept(tiny_tokenizer.encode(json.dumps(string, ensure_ascii=False)))
        except GrammarError:
            continue
        admitted.add(string)
    found = {string for string in STRINGS if python.search(string)}
    assert admitted <= found
    # Nothing plain is lost: Python's `$` also matches before a final line break, its classes hold more than ASCII.
    assert {string for string in found if string.isascii() and "\n" not in string} <= admitted


@pytest.mark.parametrize(
    "pattern",
    [
        *(r"(?=a)", r"(?!a)", r"(?<=a)b", r"(?i)a", r"(a)\1", r"(?P=n)", r"\ba", r"\B", r"a*+", r"a{2}{3}", r"a**"),
        *(r"a{,3}", r"[]a]", r"[^]", r"[a", r"(a", r"a)", r"*a", r"\A", r"\Z", r"\cA", "\\", r"\ud800", r"^*"),
        *(r"[a-\d]", r"\0", "\0", r"\u{61}"),
    ],
)
def test_what_dialects_read_differently_is_refused(pattern: str) -> None:
    with pytest.raises(ValueError):
        translate(pattern)


def test_an_anchor_in_the_middle_is_refused_by_the_engine(compiler: GrammarCompiler) -> None:
    with pytest.raises(SchemaError):
        compiler.compile({"type": "string", "pattern": translate("a^b")})
