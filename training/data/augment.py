"""Other declarations of the same tools: renamed, restyled, terser, reordered. What a request asks for stays the same.

A `Variant` declares a whole family of tools anew, in one style, as another team would, and rewrites examples to it.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, NamedTuple

from model.prompt import dumps
from model.types import Tool, ToolCall
from training.data.example import Call, Example
from training.data.sources.naming import restyle, words

Style = Literal["as written", "snake", "camel", "pascal", "kebab", "dotted"]
STYLES: tuple[Style, ...] = ("as written", "snake", "snake", "camel", "camel", "pascal", "kebab", "dotted")

# Parameter names, and others that mean the same wherever those stand. One way only: a city is a location, a location
# need not be a city.
SYNONYMS: dict[str, tuple[str, ...]] = {
    "query": ("search_term", "q", "keywords", "search_query"),
    "limit": ("max_results", "top_k", "num_results"),
    "max_results": ("limit", "top_k", "num_results"),
    "start_date": ("from_date", "date_from", "begin_date"),
    "end_date": ("to_date", "date_to", "until_date"),
    "start_time": ("from_time", "begin_time"),
    "end_time": ("to_time", "finish_time"),
    "origin": ("from_location", "starting_point", "source_location"),
    "destination": ("to_location", "dest", "target_location"),
    "check_in": ("arrival_date", "checkin_date"),
    "check_out": ("departure_date", "checkout_date"),
    "city": ("location", "town", "city_name"),
    "email": ("email_address", "mail"),
    "phone": ("phone_number", "telephone"),
    "message": ("text", "body", "message_text"),
    "title": ("name", "heading"),
    "description": ("details", "summary"),
    "amount": ("sum", "amount_value"),
    "quantity": ("qty", "number_of_units"),
    "recipient": ("to", "receiver", "recipient_name"),
    "category": ("kind", "type"),
    "color": ("colour",),
    "duration": ("time_span", "length_of_time"),
    "minutes": ("mins", "duration_minutes"),
    "price": ("cost", "unit_price"),
    "min_price": ("price_from", "lowest_price"),
    "max_price": ("price_to", "highest_price", "price_limit"),
    "language": ("lang",),
    "user": ("username", "user_name"),
    "file": ("filename", "file_name"),
    "path": ("file_path",),
    "folder": ("directory",),
    "country": ("nation", "country_name"),
    "address": ("street_address", "full_address"),
    "note": ("comment", "remark"),
    "reason": ("justification", "cause"),
    "priority": ("urgency", "importance"),
    "sort_by": ("order_by", "sort"),
    "unit": ("units", "measurement_unit"),
    "room": ("room_name", "area"),
    "device": ("device_name", "appliance"),
    "person": ("person_name", "contact"),
    "customer": ("client", "customer_name"),
    "guests": ("party_size", "number_of_guests"),
    "rate": ("percentage", "rate_percent"),
    "speed": ("velocity",),
    "mass": ("m", "mass_value"),
    "height": ("h", "height_value"),
    "width": ("w", "width_value"),
    "radius": ("r", "radius_value"),
    "temperature": ("temp", "degrees"),
}


# How a declaration says that 5 is meant for "5 %". One that says nothing of it means what the words do: 0.05.
_PERCENT = re.compile(r"\b(percent|percentage|per cent|pct)\b|%", re.IGNORECASE)
_IN_PERCENT = re.compile(r"[,;]?\s*(?:\(?\b(?:in|as an?) (?:percent|percentage|per cent|%)\)?|\(%\))", re.IGNORECASE)
_SHARE = (" as a decimal", ", as a decimal, e.g. 0.05 for 5%", " (decimal fraction)", " as a fraction", "", "", "")
SHARES = 0.4  # of the variants declare percentages as shares of one


class _Name(NamedTuple):
    """A parameter's new name, those inside it, and whether a percentage has become a share of one: 0.05 for 5 %."""

    new: str
    inside: Mapping[str, _Name]
    share: bool = False


@dataclass(frozen=True)
class _Renamed:
    """A tool declared anew, and its parameters' new names by the old ones."""

    tool: Tool
    names: Mapping[str, _Name]


@dataclass(frozen=True)
class Variant:
    """A family of tools in other words; `tools` maps an old name to the new declaration."""

    number: int
    renamed: Mapping[str, _Renamed]

    @property
    def tools(self) -> dict[str, Tool]:
        return {name: each.tool for name, each in self.renamed.items()}

    def rewrite(self, example: Example) -> Example:
        """`example` over the variant's tools; its family is told apart by `#number`."""
        messages = tuple(
            replace(
                m,
                tool_calls=tuple(self._history(c) for c in m.tool_calls),
                name=self.renamed[m.name].tool.name if m.name and m.name in self.renamed else m.name,
            )
            for m in example.messages
        )
        tools = tuple(self.renamed[t.name].tool for t in example.tools)
        calls = tuple(self._call(c) for c in example.calls)
        return replace(example, group=f"{example.group}#{self.number}", messages=messages, tools=tools, calls=calls)

    def fits(self, example: Example) -> bool:
        """Whether `example` says as percentages what the variant declares as shares: "at 5" is no 0.05."""
        said = "\n".join(m.text for m in example.messages)
        earlier = [Call(c.name, json.loads(c.arguments)) for m in example.messages for c in m.tool_calls]
        return all(
            _said_in_percent(value, said)
            for call in (*example.calls, *earlier)
            if call.name in self.renamed
            for value in _shares(call.arguments, self.renamed[call.name].names)
        )

    def _call(self, call: Call) -> Call:
        new = self.renamed[call.name]
        return Call(new.tool.name, ordered(_renamed(call.arguments, new.names), new.tool.parameters))

    def _history(self, call: ToolCall) -> ToolCall:
        new = self._call(Call(call.name, json.loads(call.arguments)))
        return ToolCall(new.name, dumps(new.arguments))


@dataclass(frozen=True)
class _Rules:
    """How all tools of a variant are declared anew: in which style of names, with what of their descriptions; whether
    names get synonyms, properties another order, enums and defaults are told in prose, percentages are shares."""

    style: Style
    synonyms: bool
    tool_text: Callable[[str], str]
    text: Callable[[str], str]
    shuffle: bool
    prose: bool
    shares: bool

    @classmethod
    def draw(cls, rng: random.Random) -> _Rules:
        return cls(
            style=rng.choice(STYLES),
            synonyms=rng.random() < 0.5,
            tool_text=_text_rule(rng, keep=0.7),
            text=_text_rule(rng, keep=0.6),
            shuffle=rng.random() < 0.4,
            prose=rng.random() < 0.3,
            shares=rng.random() < SHARES,
        )


def make_variant(tools: Sequence[Tool], number: int, domain: str, rng: random.Random) -> Variant:
    """Number 0 is the family as it was written."""
    if number == 0:
        return Variant(0, {t.name: _Renamed(t, _unchanged(t.parameters)) for t in tools})
    rules = _Rules.draw(rng)
    renamed = {}
    for tool in tools:
        schema, names = _declare(tool.parameters, rules, rng)
        name = _tool_name(tool.name, rules.style, domain)
        renamed[tool.name] = _Renamed(Tool(name, rules.tool_text(tool.description), schema), names)
    # Two tools may not end up with one name.
    if len({r.tool.name for r in renamed.values()}) < len(renamed):
        return make_variant(tools, 0, domain, rng)
    return Variant(number, renamed)


def ordered(value: Any, schema: Mapping[str, Any]) -> Any:
    """`value` with the keys of every object in the order of the schema's properties, as serving writes them."""
    if isinstance(value, dict):
        properties = schema.get("properties") or {}
        known = {name: ordered(value[name], inner) for name, inner in properties.items() if name in value}
        return {**known, **{name: inner for name, inner in value.items() if name not in known}}
    if isinstance(value, list):
        return [ordered(item, schema.get("items") or {}) for item in value]
    return value


def _tool_name(name: str, style: Style, domain: str) -> str:
    flat = "_".join(words(name)) or name
    made = {
        "as written": name,
        "snake": flat,
        "camel": restyle(flat, "camel"),
        "pascal": restyle(flat, "pascal"),
        "kebab": flat.replace("_", "-"),
        "dotted": f"{domain}.{flat}",
    }[style]
    return made[:64]


def _declare(schema: Mapping[str, Any], rules: _Rules, rng: random.Random) -> tuple[dict[str, Any], dict[str, _Name]]:
    """(an object schema declared anew, its properties' new names)."""
    properties: dict[str, Any] = {}
    names: dict[str, _Name] = {}
    items = list(schema["properties"].items())
    if rules.shuffle:
        rng.shuffle(items)
    taken = {form for name in schema["properties"] for form in (name, _styled(name, rules.style))}
    for name, declared in items:
        new = _parameter_name(name, rules, taken, rng)
        taken.add(new)
        made: dict[str, Any] = dict(declared)
        inner: dict[str, _Name] = {}
        if declared.get("properties"):
            made, inner = _declare(declared, rules, rng)
        elif (declared.get("items") or {}).get("properties"):
            made["items"], inner = _declare(declared["items"], rules, rng)
        description, share = rules.text(declared.get("description", "")), False
        if _is_percentage(declared):
            bare = _styled("_".join(w for w in words(new) if not _PERCENT.fullmatch(w)) or new, rules.style)
            if rules.shares and (bare == new or bare not in taken):
                new, description = bare, _without_percent(description, rng)
                taken.add(new)
            # A whole number is one of percent, whatever is said of it.
            told = _PERCENT.search(f"{' '.join(words(new))} {description}")
            share = not told and (rules.shares or declared["type"] == "number")
        if share:
            made = _as_share(made)
        if description:
            made["description"] = description
        else:
            made.pop("description", None)
        properties[new] = _in_prose(made, rng) if rules.prose else made
        names[name] = _Name(new, inner, share)
    kept = {key: value for key, value in schema.items() if key not in ("properties", "required")}
    required = [names[r].new for r in schema.get("required", ())]
    return {**kept, "properties": properties, "required": required}, names


def _is_percentage(schema: Mapping[str, Any]) -> bool:
    """Whether a parameter is a number of percent, by its description."""
    numeric = schema.get("type") in ("number", "integer") and "enum" not in schema
    return numeric and bool(_PERCENT.search(schema.get("description", "")))


def _without_percent(description: str, rng: random.Random) -> str:
    """The description of a percentage as that of a share of one, whether it says so or not."""
    plain = _IN_PERCENT.sub("", description, count=1)
    plain = re.sub(r"\s+", " ", _PERCENT.sub(lambda m: "share" if m[0].isalpha() else "", plain)).strip(" ,;")
    return plain.replace("()", "").strip() + rng.choice(_SHARE) if plain else ""


def _as_share(schema: Mapping[str, Any]) -> dict[str, Any]:
    made = {key: value for key, value in schema.items() if key != "multipleOf"} | {"type": "number"}
    for key in ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "default"):
        if key in made:
            made[key] = _share(made[key])
    return made


def _share(percent: Any) -> Any:
    """5 -> 0.05; what is no number stays."""
    if isinstance(percent, bool) or not isinstance(percent, int | float):
        return percent
    share = round(percent / 100, 10)
    return int(share) if share.is_integer() else share


def _shares(arguments: Mapping[str, Any], names: Mapping[str, _Name]) -> Iterator[Any]:
    """The values, as they were, of what becomes a share."""
    for name, value in arguments.items():
        if name in names and names[name].share:
            yield value
        for inner in value if isinstance(value, list) else [value]:
            if isinstance(inner, dict) and name in names:
                yield from _shares(inner, names[name].inside)


def _said_in_percent(value: Any, said: str) -> bool:
    """Whether a number, where it is said in digits, is said as so many percent."""
    digits = [m for m in re.finditer(r"(?<![\d.,])\d[\d,]*(?:\.\d+)?(?![\d])", said) if _equals(m[0], value)]
    return all(re.match(r"\s?%|[\s-]?(percent|per cent|pct)\b", said[m.end() :], re.IGNORECASE) for m in digits)


def _equals(digits: str, value: Any) -> bool:
    return isinstance(value, int | float) and float(digits.replace(",", "")) == value


def _parameter_name(name: str, rules: _Rules, taken: set[str], rng: random.Random) -> str:
    made = name
    if rules.synonyms and (others := SYNONYMS.get("_".join(words(name)))) and rng.random() < 0.7:
        made = rng.choice(others)
    made, own = _styled(made, rules.style), _styled(name, rules.style)
    return made if made == own or made not in taken else own


def _styled(name: str, style: Style) -> str:
    if style in ("camel", "pascal"):
        return restyle(name, "camel") or name
    return name if style == "as written" else "_".join(words(name)) or name


def _in_prose(schema: dict[str, Any], rng: random.Random) -> dict[str, Any]:
    """An enum or a default told by the description only, as many real schemas have it."""
    made = dict(schema)
    if made.get("type") == "string" and "enum" in made and rng.random() < 0.5:
        said = ", ".join(map(str, made.pop("enum")))
        made["description"] = f"{made.get('description', '')} One of: {said}".strip()
    if "default" in made and rng.random() < 0.7:
        said = json.dumps(made.pop("default"))
        made["description"] = f"{made.get('description', '')} (default: {said})".strip()
    return made


def _text_rule(rng: random.Random, keep: float) -> Callable[[str], str]:
    """What happens to descriptions: all kept, cut to the first sentence, some dropped, or all."""
    roll = rng.random()
    if roll < keep:
        return lambda text: text
    if roll < keep + (1 - keep) / 3:
        return lambda text: re.split(r"(?<=[.!?])\s|\s\(|[;,] (?:e\.g|for example)", text)[0]
    if roll < keep + 2 * (1 - keep) / 3:
        return lambda text: text if rng.random() < 0.5 else ""
    return lambda text: ""


def _renamed(value: Any, names: Mapping[str, _Name]) -> Any:
    if isinstance(value, list):
        return [_renamed(item, names) for item in value]
    if not isinstance(value, dict):
        return value
    made = {}
    for name, inner in value.items():
        to = names.get(name, _Name(name, {}))
        made[to.new] = _share(inner) if to.share else _renamed(inner, to.inside)
    return made


def _unchanged(schema: Mapping[str, Any]) -> dict[str, _Name]:
    return {n: _Name(n, _unchanged(s) if s.get("properties") else {}) for n, s in schema["properties"].items()}
