"""What the server makes of a tool, said before anybody sends a request: each keyword of its schema enforced, ignored or
refused, and what the tool costs.

It is decided by the same steps as in the engine when it is asked to serve the tool: `model.schema` reads the schema,
`model.grammar` compiles it, `model.prompt` writes the tool for the model. So a tool is servable here if and only if the
engine takes it. Nothing of this needs the network's weights.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from time import perf_counter
from typing import Any, Literal

from model.grammar import GrammarCompiler, Inspection
from model.prompt import encode_tool
from model.schema import ANNOTATIONS, ENFORCED, FORMATS, REFUSED, UNENFORCED_FORMATS, Examination, examine, record
from model.schema.keywords import ARRAY, LITERAL, NUMBER, OBJECT, REMEDIES, STRING
from model.schema.record import Visit
from model.tokenizer import END, Tokenizer
from model.types import Tool

Status = Literal["enforced", "ignored", "refused"]

_STRICTNESS: tuple[Status, ...] = ("ignored", "enforced", "refused")
_OF_TYPE = (
    (OBJECT, {"object"}, "objects"),
    (ARRAY, {"array"}, "arrays"),
    (STRING, {"string"}, "strings"),
    (NUMBER, {"integer", "number"}, "numbers"),
)
_COUNTS = ("minLength", "maxLength", "minItems", "maxItems", "minProperties", "maxProperties")
_BOUNDS = ("minimum", "exclusiveMinimum", "maximum", "exclusiveMaximum")
_READ = ("description", "default")
_TOO_LONG = "Shorten its description and those of its parameters, or leave out parameters."
_TOO_COMPLEX = "Make it smaller: fewer levels, alternatives or patterns."
# The engine's own refusals, by words in them.
_ENGINE_REMEDIES = (
    ("disjoint", "Write patterns of which no name matches two, or name the properties in `properties`."),
    ("if regex is empty", "Simplify its `pattern`, or drop the length bounds or the further patterns beside it."),
    ("in regex", REMEDIES["pattern"]),
    ("nsatisfiable", "No value satisfies all of its keywords: drop those that contradict each other."),
    ("too ", _TOO_COMPLEX),
    ("exhausted", _TOO_COMPLEX),
)


@dataclass(frozen=True)
class Keyword:
    """The fate of one keyword. `path` is that of the schema that holds it; `note` says why, or how far; or it is ""."""

    path: str
    keyword: str
    status: Status
    note: str = ""


@dataclass(frozen=True)
class Refusal:
    """One reason why a tool cannot be served.

    `param` is the place at fault; `keyword` the keyword there, None where it is a schema or the tool as a whole;
    `remedy` says what to write instead, "" where nothing is known.
    """

    param: str
    keyword: str | None
    message: str
    remedy: str


@dataclass(frozen=True)
class ToolContract:
    """All that is known of a tool.

    `keywords` are in the order in which schemas are read, one for each keyword of each schema that counts: definitions
    that nothing refers to do not. `refusals` are `complete` unless there are too many, or finding them takes too long.

    `tokens` is what the model would have to read, None where the schema is not even plain JSON; `max_tokens` what it
    can read. `compile_ms` is how long the engine compiled the grammar just now, and `grammar_bytes` what it takes in
    memory, roughly; both are None for a tool that is refused.
    """

    name: str
    keywords: tuple[Keyword, ...]
    refusals: tuple[Refusal, ...]
    complete: bool
    tokens: int | None
    max_tokens: int
    compile_ms: float | None
    grammar_bytes: int | None

    @property
    def servable(self) -> bool:
        return not self.refusals


class ContractChecker:
    """Checks tools for one model: by its tokenizer and by how much it can read. Thread-safe."""

    def __init__(self, tokenizer: Tokenizer, max_tokens: int) -> None:
        self._tokenizer = tokenizer
        self._compiler = GrammarCompiler(tokenizer.json_text, tokenizer.vocab_size, END)
        self._max_tokens = max_tokens

    def check(self, tool: Tool, param: str, schema: str) -> ToolContract:
        """`param` is the path of the tool in the request, such as "tools[2]"; `schema` that of its parameters."""
        examination = examine(tool.parameters, schema)
        refusals = [Refusal(r.param, r.keyword, r.message, _remedy(r.keyword, r.message)) for r in examination.refusals]
        start = perf_counter()
        inspection = Inspection(None, (), True)
        if examination.safe:
            inspection = self._compiler.inspect(examination.schema, schema)
        took = 1000 * (perf_counter() - start)
        faults = list(_independent(inspection.faults, examination))
        refusals += [Refusal(fault.param, fault.keyword, fault.message, _engine_remedy(fault)) for fault in faults]
        tokens = None
        if examination.visits:
            tokens = len(encode_tool(tool, self._tokenizer).ids)
            if tokens > self._max_tokens:
                message = f"The tool needs {tokens} tokens; this model reads at most {self._max_tokens}."
                refusals.append(Refusal(param, None, message, _TOO_LONG))
        grammar = None if refusals else inspection.grammar
        return ToolContract(
            name=tool.name,
            keywords=_keywords(examination, faults),
            refusals=tuple(refusals),
            complete=examination.complete and inspection.complete,
            tokens=tokens,
            max_tokens=self._max_tokens,
            compile_ms=None if grammar is None else took,
            grammar_bytes=None if grammar is None else grammar.nbytes,
        )


def _independent(faults: Sequence[record.Refusal], examination: Examination) -> Iterator[record.Refusal]:
    """The engine's refusals of parts that nothing was left out of before it saw them."""
    for fault in faults:
        inside = (f"{fault.path}.", f"{fault.path}[")
        if not any(r.path == fault.path or r.path.startswith(inside) for r in examination.refusals):
            yield fault


def _engine_remedy(fault: record.Refusal) -> str:
    own = REMEDIES.get(fault.keyword or "", "")
    return next((remedy for words, remedy in _ENGINE_REMEDIES if words in fault.message), own)


def _remedy(keyword: str | None, message: str) -> str:
    if keyword is not None:
        return REFUSED.get(keyword) or REMEDIES.get(keyword, "")
    return _TOO_COMPLEX if "more than" in message or "at most" in message else ""


# Keywords ------------------------------------------------------------------------------------------------------------


def _keywords(examination: Examination, faults: Sequence[record.Refusal]) -> tuple[Keyword, ...]:
    """The fates of all keywords. A schema that is read in two contexts has one fate: the strictest."""
    refused = {(r.path, r.keyword): r.message for r in (*faults, *examination.refusals)}
    found: dict[tuple[str, str], Keyword] = {}
    paths = {visit.path for visit in examination.visits}
    for visit in examination.visits:
        for keyword, value in visit.node.items():
            status, note = _fate(visit, keyword, value, paths)
            whole = refused.get((visit.path, None)) if status == "enforced" else None
            if (message := refused.get((visit.path, keyword), whole)) is not None:
                status, note = "refused", message
            before = found.get((visit.path, keyword))
            if before is None or _STRICTNESS.index(status) > _STRICTNESS.index(before.status):
                found[visit.path, keyword] = Keyword(visit.path, keyword, status, note)
    return tuple(found.values())


def _fate(visit: Visit, keyword: str, value: Any, paths: Set[str]) -> tuple[Status, str]:
    """Of a keyword that was not refused, and what is to be said of it."""
    if keyword in _READ:
        return "ignored", "read by the model; constrains nothing"
    if keyword not in ENFORCED:
        return "ignored", "constrains nothing" if keyword in ANNOTATIONS else "not a keyword of JSON Schema"
    if value is None and keyword not in LITERAL:
        return "ignored", "null means absent"
    for keywords, kinds, what in _OF_TYPE:
        if keyword in keywords and visit.types.isdisjoint(kinds):
            return "ignored", f"constrains {what}, which the type excludes"
    if keyword == "format" and not (isinstance(value, str) and value in FORMATS):
        return "ignored", "not a format of JSON Schema: an annotation"
    if keyword == "additionalItems" and not isinstance(visit.node.get("items"), list):
        return "ignored", "constrains nothing without an array of `items`"
    if keyword == "discriminator" and "oneOf" not in visit.node:
        return "ignored", "constrains nothing without `oneOf`"
    return "enforced", _limits(visit, keyword, value, paths)


def _limits(visit: Visit, keyword: str, value: Any, paths: Set[str]) -> str:
    """Where an enforced keyword means less than a reader may expect."""
    normal = visit.normal
    if keyword in ("$defs", "definitions"):
        if not isinstance(value, Mapping):
            return ""  # nothing refers to it, so nobody was bothered by what it is
        unused = [name for name in value if f"{visit.path}.{keyword}.{name}" not in paths]
        return f"not referred to, and so not looked at: {', '.join(unused)}" if unused else ""
    if keyword == "properties" and normal.get("additionalProperties") is False:
        return "" if "additionalProperties" in visit.node else "no other names: `additionalProperties` is not given"
    if keyword in _COUNTS and normal.get(keyword, value) != value:
        return f"tightened to {normal[keyword]}"
    if keyword in _BOUNDS and not isinstance(value, bool):
        side = _BOUNDS[:2] if keyword in _BOUNDS[:2] else _BOUNDS[2:]
        bounds = {name: normal[name] for name in side if name in normal}
        if value not in bounds.values():
            return "tightened to " + ", ".join(f"`{name}` {bound}" for name, bound in bounds.items())
    return ""


# The docs ------------------------------------------------------------------------------------------------------------


def keyword_table() -> str:
    """The fate of every keyword and format as Markdown: a table, and a paragraph on what is ignored.

    The docs are generated from it. Its last line ends in a line break.
    """
    lines = ["| Keyword | | |", "|-|-|-|"]
    lines += [
        f"| `{name}` | enforced | {limits} |" if limits else f"| `{name}` | enforced | |"
        for name, limits in ENFORCED.items()
    ]
    lines += [f"| `{name}` | refused | {remedy} |" for name, remedy in REFUSED.items()]
    enforced, refused, ignored = (
        ", ".join(f"`{name}`" for name in names) for names in (FORMATS, sorted(UNENFORCED_FORMATS), sorted(ANNOTATIONS))
    )
    lines += [
        "",
        f"Formats that are enforced: {enforced}. Refused: {refused}. Any other name is an annotation.",
        "",
        f"Ignored by design, because they constrain nothing: {ignored}; and every name that no draft of JSON Schema "
        "defines, `x-…` among them.",
    ]
    return "\n".join(lines) + "\n"
