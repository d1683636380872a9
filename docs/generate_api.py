"""Rewrites the generated parts of docs/api.md: `python docs/generate_api.py`. With `--check` it only compares.

What stands between `<!-- generated: WHAT -->` and `<!-- end -->` comes from the code: from the OpenAPI document, the
table of errors and the table of JSON Schema keywords. Everything else in that file is written by hand.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from app.codes import CODES
from app.main import create_app
from app.settings import Settings
from model.contract import keyword_table

PAGE = Path(__file__).resolve().parent / "api.md"
BLOCK = re.compile(r"(<!-- generated: (?P<what>.*?) -->\n).*?(<!-- end -->)", re.DOTALL)

Json = dict[str, Any]


def main() -> int:
    text = PAGE.read_text(encoding="utf-8")
    fresh = generate(text)
    if "--check" in sys.argv[1:]:
        return int(fresh != text)
    PAGE.write_text(fresh, encoding="utf-8")
    return 0


def generate(text: str) -> str:
    """The page with its generated parts as the code has them now. Raises `KeyError` for a part that nobody makes."""
    page = Page(create_app(Settings()).openapi())
    makers: dict[str, Callable[[str], str]] = {
        "addresses": lambda argument: page.addresses(),
        "fields": page.fields,
        "answer": page.answer,
        "extension": lambda argument: page.tables("BodkinExtension", asked=False),
        "errors": lambda argument: errors(),
        "keywords": lambda argument: keyword_table(),
    }

    def replace(block: re.Match[str]) -> str:
        maker, _, argument = block["what"].partition(" ")
        return f"{block[1]}{makers[maker](argument).strip()}\n{block[3]}"

    return BLOCK.sub(replace, text)


class Page:
    """Tables of an OpenAPI document. An object that several addresses share has one table, where it first occurs."""

    def __init__(self, document: Json) -> None:
        self._document = document
        self._made: set[str] = set()

    def addresses(self) -> str:
        rows = []
        for path, methods in self._document["paths"].items():
            for method, operation in methods.items():
                first = operation["description"].split("\n\n")[0].replace("\n", " ")
                rows.append((f"`{method.upper()} {path}`", first))
        return table(("", ""), rows)

    def fields(self, path: str) -> str:
        """The request body of `POST path`: its fields, then those of objects in it that need a table of their own."""
        return self._body(self._document["paths"][path]["post"]["requestBody"], asked=True)

    def answer(self, path: str) -> str:
        """The same of its answer."""
        return self._body(self._document["paths"][path]["post"]["responses"]["200"], asked=False)

    def _body(self, body: Json, asked: bool) -> str:
        return self.tables(_name(body["content"]["application/json"]["schema"]["$ref"]), asked)

    def tables(self, first: str, asked: bool) -> str:
        reader = _Reader(self._document["components"]["schemas"], asked)
        waiting, made = [first], []
        for name in waiting:  # grows meanwhile
            rows = list(reader.rows(name))
            waiting += [other for other in reader.found if other not in waiting and other not in self._made]
            title = "" if name == first else f"**{name}**{reader.said(name)}\n\n"
            made.append(title + table(("Field", "Type", ""), rows))
        self._made.update(waiting)
        return "\n\n".join(made)


class _Reader:
    """Schemas as people write them. `found` collects the objects that it referred to by name.

    What is asked may lack its fields, unless they are required; null means the same. What is answered may have null.
    """

    def __init__(self, components: Json, asked: bool) -> None:
        self._components = components
        self._asked = asked
        self.found: dict[str, None] = {}

    def rows(self, name: str) -> Iterator[tuple[str, str, str]]:
        """One for each field; those of the same type that the same is said of share theirs."""
        schema = self._components[name]
        required = schema.get("required", ())
        together: dict[tuple[str, str], list[str]] = {}
        for field, declared in schema["properties"].items():
            said = " ".join(declared.get("description", "").split())
            kind = "" if _untyped(declared) else self.shape(declared)
            end = ", required" if self._asked and field in required else ""
            key = (kind + end, said) if said else (kind + end, f" {field}")
            together.setdefault(key, []).append(f"`{field}`")
        for (kind, said), fields in together.items():
            yield ", ".join(fields), kind, "" if said.startswith(" ") else said

    def said(self, name: str) -> str:
        said = " ".join(self._components[name].get("description", "").split())
        return f": {said}" if said else ""

    def shape(self, schema: Json) -> str:
        """A type in words, such as "array of string", "integer, 1–128", "**Name**"."""
        if "$ref" in schema:
            name = _name(schema["$ref"])
            return f"`{self.compact(schema)}`" if self._small(name) else f"**{name}**"
        if options := self._options(schema):
            return " or ".join(dict.fromkeys(self.shape(option) for option in options))
        kind = str(schema.get("type", "any"))
        if kind == "array":
            count = _range(schema.get("minItems"), schema.get("maxItems"))
            inner = self.shape(schema.get("items", {}))
            inner = f"({inner})" if " or " in inner else inner
            return f"array of {inner}{f' ({count})' if count else ''}"
        if kind in ("integer", "number") and (count := _range(schema.get("minimum"), schema.get("maximum"))):
            return f"{kind}, {count}"
        if "pattern" in schema:
            return f"string, `{schema['pattern']}`"
        return f"`{self.compact(schema)}`" if "const" in schema or "enum" in schema else kind

    def compact(self, schema: Json) -> str:
        """The same for the inside of a JSON text."""
        if "const" in schema:
            return _literal(schema["const"])
        if "enum" in schema:
            return " | ".join(_literal(value) for value in schema["enum"] if value is not None)
        if options := self._options(schema):
            return " | ".join(dict.fromkeys(self.compact(option) for option in options))
        if "$ref" in schema:
            name = _name(schema["$ref"])
            return self._body(name) if self._small(name) else name
        if schema.get("type") == "array":
            return f"[{self.compact(schema['items'])}, …]"
        return str(schema.get("type", "any"))

    def _options(self, schema: Json) -> list[Json]:
        options = schema.get("anyOf") or schema.get("oneOf") or []
        return [option for option in options if not self._asked or option != {"type": "null"} or len(options) == 1]

    def _small(self, name: str) -> bool:
        """Whether it can be written in full, being short and needing no words; otherwise it gets a table."""
        properties = self._components[name]["properties"]
        small = not any("description" in field for field in properties.values()) and len(self._body(name)) <= 80
        if not small:
            self.found[name] = None
        return small

    def _body(self, name: str) -> str:
        declared = self._components[name]
        fields = (
            f'"{field}"{"" if field in declared.get("required", ()) else "?"}: {self.compact(inner)}'
            for field, inner in declared["properties"].items()
        )
        return f"{{{', '.join(fields)}}}"


def _untyped(schema: Json) -> bool:
    return not schema.keys() & {"type", "anyOf", "oneOf", "$ref", "enum", "const"}


def _name(reference: str) -> str:
    return reference.rsplit("/", 1)[-1]


def _literal(value: Any) -> str:
    return f'"{value}"' if isinstance(value, str) else str(value).lower()


def _range(low: float | None, high: float | None) -> str:
    """ "2–4", "at most 4", "at least 2"; bounds that only say what fits into 64 bits go without saying."""
    if high is not None and abs(high) < 2**53:
        return f"at most {high:g}" if low is None else f"{low:g}–{high:g}"
    return f"at least {low:g}" if low is not None and abs(low) < 2**53 else ""


def errors() -> str:
    return table(
        ("Status", "`code`", "When"),
        [(str(code.status), f"`{code.code}`" if code.code else "null", code.when) for code in CODES],
    )


def table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    cells = [[cell.replace("|", r"\|") for cell in line] for line in (head, *rows)]
    lines = [f"| {' | '.join(line)} |" for line in cells]
    return "\n".join([lines[0], f"|{'-|' * len(head)}", *lines[1:]])


if __name__ == "__main__":
    sys.exit(main())
