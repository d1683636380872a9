"""Regular expressions of JSON Schema, rewritten so that the engine cannot read them more liberally than a validator.

Validators disagree: JavaScript's `\\w` is ASCII and its `.` excludes U+2028, Python's `\\d` knows every decimal digit,
and the engine's own dialect gives `[`, `&&` and `--` inside a class a meaning that neither has. `translate` keeps to
what ECMA-262 and Python read alike; where they differ, it writes what satisfies both.
"""

from __future__ import annotations

import re

# Inside a class a shorthand must be read narrowly, inside a negated class broadly: (narrow, broad).
_WHITE_SPACE = r"\t-\r \x1C-\x1F\x85\xA0\u1680\u2000-\u200A\u2028\u2029\u202F\u205F\u3000\uFEFF"
_SHORTHANDS = {
    "d": (r"0-9", r"\p{Nd}"),
    "D": (r"\P{Nd}", r"[^0-9]"),
    "w": (r"0-9A-Za-z_", r"\p{L}\p{N}_"),
    "W": (r"[^\p{L}\p{N}_]", r"[^0-9A-Za-z_]"),
    "s": (r"\t-\r ", _WHITE_SPACE),
    "S": (rf"[^{_WHITE_SPACE}]", r"[^\t-\r ]"),
}
MAX_PATTERN = 4_000
MAX_GROUPS = 32

_CONTROLS = {"t": "\t", "n": "\n", "r": "\r", "f": "\f", "v": "\v"}
_QUANTIFIER = re.compile(r"[*+?]|\{\d+(,\d*)?\}")
_GROUP = re.compile(r"\(\?(:|P?<[A-Za-z_]\w*>)")
_HEX = re.compile(r"x([0-9A-Fa-f]{2})|u([0-9A-Fa-f]{4})")
_PROPERTY = re.compile(r"[pP]\{[A-Za-z_]+(=[A-Za-z_]+)?\}")

_DAYS_OF_MONTH = (
    r"(?:(?:0[13578]|1[02])-(?:0[1-9]|[12][0-9]|3[01])|(?:0[469]|11)-(?:0[1-9]|[12][0-9]|30)"
    r"|02-(?:0[1-9]|1[0-9]|2[0-8]))"
)
_LEAP_YEAR = r"(?:[0-9]{2}(?:0[48]|[2468][048]|[13579][26])|(?:0[48]|[2468][048]|[13579][26])00)"
_YEAR = r"(?:[1-9][0-9]{3}|0[1-9][0-9]{2}|00[1-9][0-9]|000[1-9])"
_DATE = rf"(?:{_YEAR}-{_DAYS_OF_MONTH}|{_LEAP_YEAR}-02-29)"
_TIME = r"(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](?:\.[0-9]{1,9})?(?:Z|[+-](?:[01][0-9]|2[0-3]):[0-5][0-9])"

# None leaves a format to the engine. Its own dates know no leap years, and its times have a second 60 in every minute.
FORMATS: dict[str, str | None] = {
    "date": f"^{_DATE}$",
    "time": f"^{_TIME}$",
    "date-time": f"^{_DATE}T{_TIME}$",
    "duration": None,
    "email": None,
    "hostname": None,
    "ipv4": None,
    "ipv6": None,
    "uri": None,
    "uuid": None,
}
"""The values of `format` that are enforced."""

UNENFORCED_FORMATS = frozenset(
    {"idn-email", "idn-hostname", "iri", "iri-reference", "json-pointer", "regex", "relative-json-pointer"}
    | {"uri-reference", "uri-template"}
)
"""Formats that JSON Schema defines and the grammar cannot enforce: refused. Any other name is an annotation."""


def translate(pattern: str) -> str:
    """`pattern` in the engine's dialect.

    Raises ValueError, saying which construct, where the dialects disagree beyond repair or the engine has no equivalent
    (lookaround, back-references, word boundaries, possessive quantifiers), and where the expression is too large.
    """
    if len(pattern) > MAX_PATTERN:
        raise ValueError(f"more than {MAX_PATTERN} characters")
    parser = _Parser(pattern)
    translated = parser.alternatives()
    if parser.rest:
        raise ValueError("unbalanced parenthesis")
    return translated


class _Parser:
    """Recursive descent over one expression; every method consumes what it returns, translated."""

    def __init__(self, pattern: str) -> None:
        self.rest = pattern
        self.groups = 0

    def alternatives(self) -> str:
        out: list[str] = []
        while self.rest and self.rest[0] != ")":
            out.append(self._term())
        return "".join(out)

    def _term(self) -> str:
        first = self.rest[0]
        if first in "|^$":
            self.rest = self.rest[1:]
            if first != "|" and _QUANTIFIER.match(self.rest):
                raise ValueError("a quantifier after an anchor")
            return first
        if _QUANTIFIER.match(self.rest):
            raise ValueError("a quantifier with nothing to repeat")
        return self._atom(first) + self._quantifier()

    def _atom(self, first: str) -> str:
        if first == "(":
            return self._group()
        if first == "[":
            return self._class()
        self.rest = self.rest[1:]
        if first == ".":
            return _set(r"[^\n\r\u2028\u2029]")
        if first == "\\":
            shorthand = _SHORTHANDS.get(self.rest[:1])
            if shorthand:
                self.rest = self.rest[1:]
                return _set(f"[{shorthand[0]}]")
            first = self._escape()
        else:
            first = _literal(first)
        if first == r"\x00":
            raise ValueError("NUL")
        return first

    def _group(self) -> str:
        if self.rest.startswith("(?"):
            opening = _GROUP.match(self.rest)
            if not opening:
                raise ValueError(f"{self.rest[:4]!r}: lookaround, flags and other extensions")
            self.rest = self.rest[opening.end() :]
        else:
            self.rest = self.rest[1:]
        self.groups += 1
        if self.groups > MAX_GROUPS:
            raise ValueError(f"groups nested more than {MAX_GROUPS} deep")
        inner = self.alternatives()
        if not self.rest:
            raise ValueError("unbalanced parenthesis")
        self.groups -= 1
        self.rest = self.rest[1:]
        return f"(?:{inner})"

    def _quantifier(self) -> str:
        match = _QUANTIFIER.match(self.rest)
        if not match:
            if re.match(r"\{,\d*\}", self.rest):
                raise ValueError("'{,n}', which dialects read differently")
            return ""
        # Laziness changes which match is found, not whether there is one.
        end = match.end() + self.rest[match.end() :].startswith("?")
        self.rest = self.rest[end:]
        if self.rest.startswith("+") or _QUANTIFIER.match(self.rest):
            raise ValueError("a possessive or repeated quantifier")
        return match.group()

    def _class(self) -> str:
        negated = self.rest.startswith("[^")
        self.rest = self.rest[1 + negated :]
        if self.rest.startswith("]"):
            raise ValueError("'[]', which dialects read differently")
        items: list[str] = []
        while self.rest and self.rest[0] != "]":
            start, is_set = self._class_item(negated)
            if self.rest.startswith("-") and self.rest[1:2] not in ("", "]") and not is_set:
                self.rest = self.rest[1:]
                end, is_set = self._class_item(negated)
                if is_set:
                    raise ValueError("a class shorthand as the end of a range")
                items.append(f"{start}-{end}")
            else:
                items.append(start)
        if not self.rest:
            raise ValueError("an unterminated class")
        self.rest = self.rest[1:]
        return _set(f"[{'^' if negated else ''}{''.join(items)}]")

    def _class_item(self, negated: bool) -> tuple[str, bool]:
        """One member of a class, and whether it stands for several characters."""
        first, self.rest = self.rest[0], self.rest[1:]
        if first != "\\":
            return _literal(first), False
        shorthand = _SHORTHANDS.get(self.rest[:1])
        if shorthand:
            self.rest = self.rest[1:]
            return shorthand[negated], True
        several = self.rest[:1] in ("p", "P")
        return self._escape(), several

    def _escape(self) -> str:
        first = self.rest[:1]
        if not first:
            raise ValueError("a backslash at the end")
        hexadecimal = _HEX.match(self.rest)
        unicode_property = _PROPERTY.match(self.rest)
        if hexadecimal:
            self.rest = self.rest[hexadecimal.end() :]
            code = int(hexadecimal.group(1) or hexadecimal.group(2), 16)
            if 0xD800 <= code < 0xE000:
                raise ValueError("a surrogate")
            return _literal(chr(code))
        if unicode_property:
            self.rest = self.rest[unicode_property.end() :]
            return f"\\{unicode_property.group()}"
        self.rest = self.rest[1:]
        if first in _CONTROLS:
            return _literal(_CONTROLS[first])
        if first.isalnum():
            raise ValueError(f"'\\{first}'")
        return _literal(first)


def _set(body: str) -> str:
    """A class without NUL, which no JSON string of the grammar can hold anyway.

    The engine (llguidance 1.9) adds the escaped quote and backslash to any class that has all the control characters.
    """
    return rf"[{body}&&[^\x00]]"


def _literal(character: str) -> str:
    """One character that stands for itself, in or outside a class."""
    if character.isalnum() or character in "_<>" or ord(character) > 0x7F:
        return character
    return f"\\{character}" if character.isprintable() else f"\\x{ord(character):02X}"
