"""Domains as their files declare them, and as tools with generators behind every slot."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from model.types import Tool
from training.data.scenarios import generators
from training.data.scenarios.drawn import Draw, Drawn, GeneratorError, as_said
from training.data.scenarios.phrasing import Phrasing, PhrasingError, Said, Slot, fill

FOLDER = Path(__file__).parents[2] / "scenarios"
COMMON = "_common.yaml"
# What is no value, though it stands in a list: only with arguments, as "month" or "code review" may well be one.
GENERATOR = re.compile(r"code \S*[#%?^]\S*|(integer|number|digits|year) \S+\.\.\S+.*")
LIST_LENGTH = 3  # items of a spoken list at most, where the schema does not say
NUMBERS = 7  # of a list of numbers
LONGEST = 9  # however many the schema allows
_NUMBERED = re.compile(r"(\d+(?:,\d+)*)\.(.+)")


class ScenarioError(ValueError):
    """A domain's file has faults; `problems` says which and where."""

    def __init__(self, path: Path, problems: Sequence[str]) -> None:
        self.path, self.problems = path, list(problems)
        super().__init__("\n".join(f"{path.name}: {problem}" for problem in problems))


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class WordingSpec(_Strict):
    text: str
    with_: dict[str, Any] = Field({}, alias="with")


class MissingSpec(_Strict):
    text: str
    ask: str | None = None
    answer: str | None = None
    with_: dict[str, Any] = Field({}, alias="with")


class ToolSpec(_Strict):
    name: str = Field(pattern=r"^[A-Za-z_][A-Za-z0-9_.-]{0,63}$")
    description: str = ""
    parameters: dict[str, dict[str, Any]] = {}
    required: list[str] = []
    slots: dict[str, Any] = {}
    say: list[str | WordingSpec]
    missing: list[str | MissingSpec] = []
    then: list[str | WordingSpec] = []
    returns: dict[str, Any] = {}


class ChainSpec(_Strict):
    steps: tuple[str, str]
    returns: dict[str, Any]
    pass_: dict[str, str] = Field(alias="pass")
    say: list[str | WordingSpec]


class TogetherSpec(_Strict):
    calls: list[str] = Field(min_length=2)
    say: list[str | WordingSpec] = Field(min_length=1)


class DomainSpec(_Strict):
    domain: str
    about: str
    values: dict[str, Any] = {}
    tools: list[ToolSpec]
    chains: list[ChainSpec] = []
    together: list[TogetherSpec] = []


@dataclass(frozen=True)
class Wording:
    """A phrasing and the arguments that it implies."""

    phrasing: Phrasing
    implied: Mapping[str, Any]


@dataclass(frozen=True)
class Missing:
    """A request that lacks a required value; perhaps the question that brings it out, and its answer."""

    wording: Wording
    ask: str | None
    answer: Phrasing | None


@dataclass(frozen=True)
class ScenarioTool:
    """A tool, and how people ask for it. `draws` has a generator for every slot of its phrasings."""

    tool: Tool
    draws: Mapping[str, Draw]
    say: tuple[Wording, ...]
    missing: tuple[Missing, ...] = ()
    then: tuple[Wording, ...] = ()
    returns: Mapping[str, Draw] = field(default_factory=dict)


@dataclass(frozen=True)
class Chain:
    """One request for two calls; the first's result `returns` holds what the second's arguments `passed` take."""

    first: ScenarioTool
    second: ScenarioTool
    returns: Mapping[str, Draw]
    passed: Mapping[str, str]  # argument of the second call -> field of the result
    say: tuple[Wording, ...]  # slots are "<tool name>.<slot>"


class Place(NamedTuple):
    """The calls, counted from 0, that take a slot of a request for several, and its name in their tools."""

    calls: frozenset[int]
    name: str


@dataclass(frozen=True)
class Together:
    """One request for several calls, none of which needs another's result."""

    calls: tuple[ScenarioTool, ...]
    say: tuple[Wording, ...]

    def place(self, slot: str) -> Place:
        """`2.city` and `1,3.city` say which calls, `city` means every call whose tool has such a slot."""
        numbered = _NUMBERED.fullmatch(slot)
        if numbered:
            return Place(frozenset(int(number) - 1 for number in numbered[1].split(",")), numbered[2])
        top = slot.split(".")[0]
        takes = (slot in t.draws or top in t.tool.parameters["properties"] for t in self.calls)
        return Place(frozenset(k for k, has in enumerate(takes) if has), slot)


@dataclass(frozen=True)
class Domain:
    """One file of the library."""

    name: str
    about: str
    tools: tuple[ScenarioTool, ...]
    chains: tuple[Chain, ...]
    together: tuple[Together, ...] = ()


def domain_files(folder: Path = FOLDER) -> list[Path]:
    """The library's files, in order of name."""
    return sorted(p for p in folder.glob("*.yaml") if p.name != COMMON)


@cache
def load_library(folder: Path = FOLDER) -> tuple[Domain, ...]:
    """Every domain of a folder. Raises ScenarioError for the first file that cannot be read."""
    return tuple(load_domain(path) for path in domain_files(folder))


def library_digest(folder: Path = FOLDER) -> str:
    """Hex sha256 of a folder's domains, names and texts."""
    digest = hashlib.sha256()
    for path in domain_files(folder):
        digest.update(f"{path.name}\0".encode() + path.read_bytes())
    return digest.hexdigest()


def load_domain(path: Path) -> Domain:
    """One domain. Raises ScenarioError with everything that is wrong with it (see also `validate`)."""
    try:
        raw = yaml.load(path.read_text(encoding="utf-8"), _Loader)
        spec = DomainSpec.model_validate(raw)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ScenarioError(path, [f"not YAML: {' '.join(str(error).split())}"]) from None
    except ValidationError as error:
        raise ScenarioError(path, [_located(e, raw) for e in error.errors()]) from None
    problems: list[str] = []
    lists = {**common_lists(), **_own_lists(spec.values, problems)}
    tools = {t.name: made for t in spec.tools if (made := _tool(t, lists, problems))}
    if len({t.name for t in spec.tools}) < len(spec.tools):
        names = [t.name for t in spec.tools]
        problems.append(f"declared twice: {', '.join(sorted({n for n in names if names.count(n) > 1}))}")
    chains = [link for c in spec.chains if (link := _chain(c, tools, lists, problems))] if not problems else []
    together = [told for t in spec.together if (told := _together(t, tools, problems))] if not problems else []
    if problems:
        raise ScenarioError(path, problems)
    return Domain(spec.domain, spec.about, tuple(tools.values()), tuple(chains), tuple(together))


def resolve(spec: Any, lists: Mapping[str, Draw]) -> Draw:
    """The generator that a `values` stands for. Raises GeneratorError."""
    if isinstance(spec, list):
        if not spec or not all(isinstance(item, str | int | float | bool) for item in spec):
            raise GeneratorError(f"a list of values holds texts and numbers: {spec!r}")
        if named := [item for item in spec if isinstance(item, str) and GENERATOR.fullmatch(item)]:
            raise GeneratorError(f"a list holds values, and this is the name of a generator: {named[0]!r}")
        return generators.one_of(spec)
    if isinstance(spec, dict):
        if not spec or not all(isinstance(v, str | int | float | list) and v != [] for v in spec.values()):
            raise GeneratorError(f"a mapping goes from a value to the ways of saying it: {spec!r}")
        return generators.by_meaning(spec)
    if not isinstance(spec, str):
        raise GeneratorError(f"neither a list, nor a mapping, nor the name of one: {spec!r}")
    return lists[spec] if spec in lists else generators.named(spec)


def schema_draw(schema: Mapping[str, Any], lists: Mapping[str, Draw]) -> Draw:
    """The generator of a parameter, from its `values` or else from the schema itself. Raises GeneratorError."""
    if schema.get("type") == "array":
        items = dict(schema.get("items") or {})
        if "values" in schema:
            items["values"] = schema["values"]
        fewest = max(1, schema.get("minItems", 1))
        usual = NUMBERS if items.get("type") in ("integer", "number") else LIST_LENGTH
        most = max(fewest, min(schema.get("maxItems", usual), LONGEST))
        return generators.listed(schema_draw(items, lists), fewest, most)
    if "enum" in schema:
        declared = schema.get("values", [v for v in schema["enum"] if v is not None])
        return generators.in_words(resolve(declared, lists))
    if "values" in schema:
        return resolve(schema["values"], lists)
    kind = schema.get("type")
    if kind in ("integer", "number") and {"minimum", "maximum"} <= schema.keys():
        return generators.named(f"{kind} {schema['minimum']}..{schema['maximum']}")
    raise GeneratorError(f"type {kind} needs `values` to be a slot")


def result_draw(spec: Any, lists: Mapping[str, Draw]) -> Draw:
    """The generator of a result's field: as `resolve`, and a list may hold any JSON, for nobody says it."""
    if isinstance(spec, list) and spec and any(isinstance(item, list | dict) or item is None for item in spec):
        return lambda rng: Drawn(rng.choice(spec), "", "")
    if isinstance(spec, bool | int | float):
        return lambda rng: Drawn(spec, "", "")
    return resolve(spec, lists)


def step_of(slot: str, names: Sequence[str]) -> tuple[str, str] | None:
    """(tool name, its slot) of a chain's slot `find_order.item`; tool names may hold dots themselves."""
    for name in names:
        if slot.startswith(f"{name}."):
            return name, slot[len(name) + 1 :]
    return None


@cache
def common_lists() -> dict[str, Draw]:
    """The lists that every domain may use, from `_common.yaml`; their entries are phrasings over one another."""
    raw = yaml.load((FOLDER / COMMON).read_text(encoding="utf-8"), _Loader)
    lists: dict[str, Draw] = {}
    for name, entries in raw.items():
        lists[name] = _templates([Phrasing.parse(str(entry)) for entry in entries], lists)
    return lists


def _templates(phrasings: Sequence[Phrasing], lists: Mapping[str, Draw]) -> Draw:
    def make(rng: Any) -> str:
        pieces = rng.choice(phrasings).expand(rng)
        # Looked up when drawn: lists may name lists that come later in the file.
        said = {p.name: resolve(p.name, lists)(rng) for p in pieces if isinstance(p, Slot)}
        return fill(pieces, {name: Said(drawn.text, drawn.glued) for name, drawn in said.items()})

    return as_said(make)


def _own_lists(values: Mapping[str, Any], problems: list[str]) -> dict[str, Draw]:
    lists: dict[str, Draw] = {}
    for name, spec in values.items():
        try:
            lists[name] = resolve(spec, {**common_lists(), **lists})
        except GeneratorError as error:
            problems.append(f"values.{name}: {error}")
    return lists


def _tool(spec: ToolSpec, lists: Mapping[str, Draw], problems: list[str]) -> ScenarioTool | None:
    before = len(problems)
    parameters = {
        "type": "object",
        "properties": {name: _schema(declared) for name, declared in spec.parameters.items()},
        "required": spec.required,
    }
    draws: dict[str, Draw] = {}

    def wording(kind: str, given: str | WordingSpec | MissingSpec) -> Wording | None:
        text, implied = (given, {}) if isinstance(given, str) else (given.text, given.with_)
        phrasing = _parsed(text, f"{spec.name}.{kind}", problems)
        if phrasing is None:
            return None
        for slot in sorted(phrasing.slots()[1]):
            if slot in draws:
                continue
            try:
                draws[slot] = _slot_draw(slot, spec, lists)
            except GeneratorError as error:
                problems.append(f"{spec.name}.{kind}: slot {{{slot}}} in {text!r}: {error}")
        return Wording(phrasing, implied)

    say = [w for given in spec.say if (w := wording("say", given))]
    then = [w for given in spec.then if (w := wording("then", given))]
    missing = []
    for lacking in spec.missing:
        made = wording("missing", lacking)
        ask, answer = (None, None) if isinstance(lacking, str) else (lacking.ask, lacking.answer)
        if (ask is None) != (answer is None):
            problems.append(f"{spec.name}.missing: `ask` and `answer` go together")
        answered = wording("missing", answer) if answer else None
        if made:
            missing.append(Missing(made, ask, answered.phrasing if answered else None))
    returns: dict[str, Draw] = {}
    for name, values in spec.returns.items():
        try:
            returns[name] = result_draw(values, lists)
        except GeneratorError as error:
            problems.append(f"{spec.name}.returns.{name}: {error}")
    if len(problems) > before:
        return None
    tool = Tool(spec.name, spec.description, parameters)
    return ScenarioTool(tool, draws, tuple(say), tuple(missing), tuple(then), returns)


def _slot_draw(slot: str, spec: ToolSpec, lists: Mapping[str, Draw]) -> Draw:
    if slot in spec.slots:
        return resolve(spec.slots[slot], lists)
    declared: Mapping[str, Any] = {"properties": spec.parameters}
    for step in slot.split("."):
        properties = declared.get("properties") or {}
        if step not in properties:
            raise GeneratorError("no such parameter, nor is it under `slots`")
        declared = properties[step]
    return schema_draw(declared, lists)


def _chain(
    spec: ChainSpec, tools: Mapping[str, ScenarioTool], lists: Mapping[str, Draw], problems: list[str]
) -> Chain | None:
    where = f"chain {' -> '.join(spec.steps)}"
    before = len(problems)
    for name in spec.steps:
        if name not in tools:
            problems.append(f"{where}: no tool {name}")
    for argument, source in spec.pass_.items():
        if source not in spec.returns:
            problems.append(f"{where}: {argument} takes {source}, which the first step does not return")
        elif spec.steps[1] in tools and argument not in tools[spec.steps[1]].tool.parameters["properties"]:
            problems.append(f"{where}: {spec.steps[1]} has no parameter {argument}")
    returns: dict[str, Draw] = {}
    for name, values in spec.returns.items():
        try:
            returns[name] = result_draw(values, lists)
        except GeneratorError as error:
            problems.append(f"{where}: returns.{name}: {error}")
    say = []
    for given in spec.say:
        text, implied = (given, {}) if isinstance(given, str) else (given.text, given.with_)
        phrasing = _parsed(text, where, problems)
        if phrasing is None:
            continue
        for slot in sorted(phrasing.slots()[1]):
            step = step_of(slot, spec.steps)
            if step is None or step[0] in tools and step[1] not in tools[step[0]].draws:
                problems.append(f"{where}: slot {{{slot}}} in {text!r} is no slot of the steps' own phrasings")
        for path in implied:
            if step_of(path, spec.steps) is None:
                problems.append(f"{where}: `with` names {path}, which is no `<tool>.<parameter>` of the steps")
        say.append(Wording(phrasing, implied))
    if len(problems) > before:
        return None
    return Chain(tools[spec.steps[0]], tools[spec.steps[1]], returns, spec.pass_, tuple(say))


def _together(spec: TogetherSpec, tools: Mapping[str, ScenarioTool], problems: list[str]) -> Together | None:
    where = f"together {', '.join(spec.calls)}"
    before = len(problems)
    if unknown := sorted(set(spec.calls) - tools.keys()):
        problems.append(f"{where}: no tool {', '.join(unknown)}")
        return None
    say = []
    for given in spec.say:
        text, implied = (given, {}) if isinstance(given, str) else (given.text, given.with_)
        if phrasing := _parsed(text, where, problems):
            say.append(Wording(phrasing, implied))
    made = Together(tuple(tools[name] for name in spec.calls), tuple(say))
    for wording in say:
        slots = sorted(wording.phrasing.slots()[1])
        for slot in [*slots, *wording.implied]:
            place = made.place(slot)
            source = f"{slot!r} of {wording.phrasing.source!r}"
            if not place.calls or not place.calls <= set(range(len(made.calls))):
                problems.append(f"{where}: {source} belongs to none of the {len(made.calls)} calls")
                continue
            lacking = [made.calls[k].tool.name for k in place.calls if place.name not in made.calls[k].draws]
            if slot in slots and lacking:
                problems.append(f"{where}: {source} is no slot of the phrasings of {lacking[0]}")
    return made if len(problems) == before else None


def _parsed(text: str, where: str, problems: list[str]) -> Phrasing | None:
    try:
        return Phrasing.parse(text)
    except PhrasingError as error:
        problems.append(f"{where}: {error}: {text!r}")
        return None


def _schema(declared: Mapping[str, Any]) -> dict[str, Any]:
    """A parameter's schema without our `values`."""
    schema = {key: value for key, value in declared.items() if key != "values"}
    if schema.get("format") == "date-time":  # which demands a time zone, and nobody says one
        del schema["format"]
    if isinstance(schema.get("properties"), dict):
        schema["properties"] = {name: _schema(inner) for name, inner in schema["properties"].items()}
    if isinstance(schema.get("items"), dict):
        schema["items"] = _schema(schema["items"])
    return schema


def _located(error: Any, raw: Any) -> str:
    """A pydantic error as `tools[3] (set_mode).say: ...`."""
    where, at = "", raw
    for step in error["loc"]:
        if step in ("str", "WordingSpec", "MissingSpec"):
            continue
        where += f"[{step}]" if isinstance(step, int) else f".{step}" if where else str(step)
        if isinstance(at, list) and isinstance(step, int) and step < len(at):
            at = at[step]
        else:
            at = at.get(step) if isinstance(at, dict) else None
        if (
            where.startswith("tools[")
            and where.endswith("]")
            and isinstance(at, dict)
            and isinstance(at.get("name"), str)
            and "." not in where
        ):
            where += f" ({at['name']})"
    given = f": {error['input']!r}" if isinstance(error["input"], str | int | float | bool) else ""
    return f"{where or 'file'}: {error['msg']}{given}"


class _Loader(yaml.CSafeLoader if hasattr(yaml, "CSafeLoader") else yaml.SafeLoader):  # type: ignore[misc]
    """YAML 1.2's scalars: `on`, `yes`, 19:30 and 2026-03-14 are texts."""


def _core_resolvers() -> Iterator[tuple[str, re.Pattern[str], list[str]]]:
    yield "tag:yaml.org,2002:bool", re.compile(r"^(?:true|True|TRUE|false|False|FALSE)$"), list("tTfF")
    yield "tag:yaml.org,2002:int", re.compile(r"^[-+]?(?:0|[1-9][0-9_]*)$"), list("-+0123456789")
    yield (
        "tag:yaml.org,2002:float",
        re.compile(r"^[-+]?(?:(?:0|[1-9][0-9_]*)?\.[0-9]+|(?:0|[1-9][0-9_]*))(?:[eE][-+]?[0-9]+)?$"),
        list("-+0123456789."),
    )
    yield "tag:yaml.org,2002:null", re.compile(r"^(?:~|null|Null|NULL|)$"), ["~", "n", "N", ""]


_Loader.yaml_implicit_resolvers = {}
for _tag, _pattern, _first in _core_resolvers():
    _Loader.add_implicit_resolver(_tag, _pattern, _first)
