"""Requests for tools that come without any: a verb phrase from the description, parameters spoken from name and kind.

The wording is poorer than people's, but it is there for tens of thousands of real schemas. Every argument is said in
the request, by construction.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Sequence
from typing import Any

from model.types import Message, Tool
from training.data.example import Call, Example
from training.data.groups import enumeration, find_pair, find_row, say_pair, say_row
from training.data.measures import without_unit
from training.data.sources.naming import words
from training.data.values import Value, ValueMaker

MAX_OPTIONAL = 3
ENUMERATED = 0.15  # share of requests of several parts that are told one by one
VERBS = set(
    """
    get return create list delete update retrieve fetch add remove find search send calculate compute check show set
    make generate convert analyze analyse submit upload download cancel start stop run execute enable disable
    register book schedule play open close read write edit modify replace move copy rename share post publish
    request provide verify validate track monitor estimate determine identify recommend compare translate extract
    import export apply assign activate deactivate subscribe unsubscribe approve reject archive restore look perform
    view display query lookup obtain insert save store load call invoke trigger process transfer pay order track
    measure evaluate assess predict detect control turn adjust change configure manage sync merge split join leave
    invite block unblock follow unfollow mark
    """.split()
)
SYNONYMS: dict[str, tuple[str, ...]] = {
    "get": ("get", "show me", "give me", "find", "fetch", "pull up", "look up", "tell me", "I want to see"),
    "retrieve": ("get", "retrieve", "fetch", "find", "pull up", "show me"),
    "return": ("get", "show me", "give me", "fetch", "return"),
    "list": ("list", "show me", "get", "give me", "display"),
    "fetch": ("fetch", "get", "grab", "show me"),
    "search": ("search", "look"),
    "create": ("create", "make", "add", "set up"),
    "add": ("add", "put in", "create"),
    "delete": ("delete", "remove", "get rid of"),
    "remove": ("remove", "delete", "take out"),
    "update": ("update", "change", "modify", "edit"),
    "calculate": ("calculate", "work out", "compute", "figure out", "find"),
    "compute": ("compute", "calculate", "work out"),
    "send": ("send", "send out"),
    "generate": ("generate", "create", "make", "produce"),
    "check": ("check", "find out", "verify"),
    "provide": ("get", "give me", "show me"),
}
OPENERS = (
    ("", ""),
    ("", ""),
    ("", ""),
    ("please ", ""),
    ("can you ", "?"),
    ("could you ", "?"),
    ("could you please ", "?"),
    ("I need to ", ""),
    ("I want to ", ""),
    ("I'd like to ", ""),
    ("I would like you to ", ""),
    ("help me ", ""),
    ("hey, ", ""),
    ("hi, can you ", "?"),
    ("would you ", "?"),
    ("let's ", ""),
    ("we need to ", ""),
    ("go ahead and ", ""),
)
PREPOSITIONS: dict[str, tuple[str, ...]] = {
    "place": ("in {v}", "for {v}", "near {v}", "at {v}"),
    "date": ("on {v}", "for {v}"),
    "time": ("at {v}",),
    "email": ("to {v}", "for {v}", "with email {v}"),
    "name": ("named {v}", "called {v}", 'called "{v}"', "for {v}", "with the name {v}"),
    "title": ("called {v}", '"{v}"', "titled {v}"),
    "noun": ("for {v}", "about {v}", "with {v}"),
    "phrase": ("for {v}", "about {v}", 'for "{v}"', "with {v}"),
    "text": ('saying "{v}"', "about {v}", 'for "{v}"', "'{v}'"),
    "url": ("at {v}", "from {v}", "for {v}"),
    "file": ("from {v}", "for {v}", "using {v}"),
    "count": ("limited to {v}", "showing {v} at most", "up to {v} results", "only {v}"),
    "choice": ("in {v}", "using {v}", "for {v}", "with {v}"),
    "list": ("for {v}", "with {v}", "including {v}"),
    "quantity": ("for {v}", "of {v}", "with {v}", "at {v}"),
}
NAMED = (
    "with {p} {v}",
    "with {p} {v}",
    "with the {p} {v}",
    "where the {p} is {v}",
    "using {v} as the {p}",
    "{p} {v}",
    "{p}: {v}",
    "{p} = {v}",
    "for {p} {v}",
    "with a {p} of {v}",
    "whose {p} is {v}",
    'with {p} "{v}"',
    "and {v} as {p}",
    "{p} set to {v}",
)
SENTENCES = (
    "The {p} is {v}.",
    "The {p} should be {v}.",
    "Use {v} for the {p}.",
    "{P}: {v}.",
    "Set the {p} to {v}.",
    "{v} is the {p}.",
)
YES = ("with {p}", "with {p} enabled", "{p} should be true", "set {p} to true", "and include {p}", "{p}: yes")
NO = ("without {p}", "with {p} disabled", "{p} should be false", "set {p} to false", "no {p}", "{p}: no")
# What a flag of this kind brings along, or what it does, is the rest of its name: `include_human_impact`.
BRINGS = set("include includes including with show return get add display fetch want has have contain contains".split())
DOES = set("use enable allow apply perform do make run".split())
WITHOUT = set("exclude excludes excluding without hide skip omit ignore no disable".split())
BROUGHT = (
    "including {p}",
    "including the {p}",
    "with {p}",
    "with its {p}",
    "and include the {p}",
    "and show the {p}, too",
    "{p} included",
    "along with {p}",
    "plus {p}",
    "and I want the {p} as well",
    "with {p} as well",
)
DONE = ("with {p}", "using {p}", "and use {p}", "and apply {p}", "with {p} switched on", "{p} on", "and do allow {p}")
LEFT_OUT = (
    "without {p}",
    "without the {p}",
    "excluding {p}",
    "but leave out the {p}",
    "no {p}",
    "but not the {p}",
    "and skip the {p}",
)
LEAD_IN = re.compile(
    r"""^(
      this\ (api|endpoint|method|operation|function|tool|call|action|resource|service|request)(\ call)?
        (\ (allows?|lets?|enables?)(\ (you|users?|the\ user|clients?))?(\ to)?
         |\ (is\ )?used\ to|\ can\ be\ used\ to|\ will)?
      |allows?(\ (you|users?|the\ user|clients?))?\ to
      |used\ to|use\ this(\ \w+)?\ to
      |a\ (tool|function|method)\ (to|that|for)
      |enables?\ (you|users?)\ to
      |(api|endpoint)\ to
    )\s+""",
    re.IGNORECASE | re.VERBOSE,
)
FILLER = re.compile(r"\b(specified|given|particular|specific|provided|certain|single|existing)\s+", re.IGNORECASE)
# Calls of a request for several. Three are as frequent as two, or hearing two of them would be reason to stop.
CALLS = (2, 2, 2, 3, 3, 3, 4, 4, 5)


class Synthesiser:
    """Makes requests for tools. Deterministic: all randomness comes from the `rng` that is passed in."""

    def __init__(self, values: ValueMaker) -> None:
        self.values = values

    def example(self, group: str, tool: Tool, rng: random.Random) -> Example | None:
        """One request that calls `tool` once; None when the draw does not work out (no phrase, a value too odd)."""
        made = self.request(tool, rng)
        if made is None:
            return None
        text, call = made
        return Example("synthesis", group, (Message("user", text),), (tool,), (call,))

    def request(self, tool: Tool, rng: random.Random) -> tuple[str, Call] | None:
        """(request, call)."""
        made = self._draw(tool, rng)
        if made is None:
            return None
        phrase, drawn = made
        return speak(phrase, drawn, rng), Call(tool.name, {name: value.value for name, value in drawn.items()})

    def enumerated(self, group: str, tool: Tool, rng: random.Random) -> Example | None:
        """One request that calls `tool` several times, for one or two of its parameters with several values each.

        None when the draw does not work out.
        """
        made = self._draw(tool, rng)
        if made is None:
            return None
        phrase, drawn = made
        plain = [name for name, value in drawn.items() if value.kind not in ("flag", "list", "count", "text")]
        varied = rng.sample(plain, min(len(plain), 1 if rng.random() < 0.7 else 2))
        count = rng.choice(CALLS)
        rows: dict[str, list[Value]] = {}
        for name in varied:
            more = (self.values.draw(name, tool.parameters["properties"][name], rng) for _ in range(3 * count))
            fits = {str(v.value): v for v in (drawn[name], *more) if v is not None and v.kind == drawn[name].kind}
            rows[name] = [v for v in fits.values() if not re.search(r",| and ", v.said)][:count]
        if not rows or min(map(len, rows.values())) < count:
            return None
        said = drawn | {
            name: Value(None, enumeration([v.said for v in values], rng), values[0].kind)
            for name, values in rows.items()
        }
        text = speak(phrase, said, rng)
        for name in rows:  # several values are not one quoted text
            text = re.sub(rf"([\"'])({re.escape(said[name].said)})\1", r"\2", text)
        if len(rows) > 1 and rng.random() < 0.6:
            text = re.sub(r"([.?]?)$", r" respectively\1", text, count=1)
        shared = {name: value.value for name, value in drawn.items()}
        calls = [Call(tool.name, shared | {name: rows[name][k].value for name in rows}) for k in range(count)]
        return Example("synthesis", group, (Message("user", text),), (tool,), tuple(calls))

    def _draw(self, tool: Tool, rng: random.Random) -> tuple[str, dict[str, Value]] | None:
        """A verb phrase and values for the required and some other parameters."""
        properties = tool.parameters.get("properties") or {}
        required = set(tool.parameters.get("required") or ())
        optional = [n for n in properties if n not in required]
        rng.shuffle(optional)
        keep = required | set(optional[: rng.choice((0, 0, 1, 1, 2, MAX_OPTIONAL))])
        if not required and not keep and optional and rng.random() < 0.7:
            keep = {optional[0]}
        drawn: dict[str, Value] = {}
        for name in properties:
            if name not in keep:
                continue
            value = self.values.draw(name, properties[name], rng)
            if value is None and name in required:
                return None
            if value is not None:
                drawn[name] = value
        phrase = verb_phrase(tool, rng)
        if phrase is None:
            return None
        return phrase, drawn


def verb_phrase(tool: Tool, rng: random.Random) -> str | None:
    """What the tool does, as an imperative in lower case; None when neither description nor name gives one."""
    sentence = re.split(r"(?<=[a-z\d)])\.(\s|$)|\n|;|:\s|\s-\s", LEAD_IN.sub("", tool.description.strip()))[0].strip(
        " ."
    )
    name = words(tool.name)
    if len(sentence.split()) > 18 or len(sentence.split()) < 2 or rng.random() < 0.12:
        sentence = " ".join(name)
    if rng.random() < 0.8:
        sentence = FILLER.sub("", sentence)
    first, _, rest = sentence.partition(" ")
    verb = base_verb(first.lower())
    if verb is None:
        if not 2 <= len(sentence.split()) <= 9 or name and name[0] not in VERBS:
            return None
        verb, rest = name[0], lower_first(sentence)
        rest = rest if rest.split()[0] in {"a", "an", "the", "all"} else "the " + rest
    if rng.random() < 0.6 and verb in SYNONYMS and not rest.startswith(("or ", "and ", "/", ",")):
        verb = rng.choice(SYNONYMS[verb])
    return f"{verb} {rest}".strip()


def base_verb(word: str) -> str | None:
    """The infinitive of `word` if it is one of VERBS or its third person ("searches" is "search")."""
    for form in (word, word.removesuffix("s"), word.removesuffix("es"), word.removesuffix("ies") + "y"):
        if form in VERBS:
            return form
    return None


def speak(phrase: str, drawn: dict[str, Value], rng: random.Random) -> str:
    """The request: the verb phrase with every value said once, in a random wording and order."""
    left = list(drawn.items())
    rng.shuffle(left)
    for item in list(left):
        name, value = item
        spoken = " ".join(words(name))
        # "by city name" and "for a city" take the value itself: "for Paris".
        mention = re.search(rf"\b(?:(?:a|an|the|its|your|their|by) )?{re.escape(spoken)}\b", phrase, re.IGNORECASE)
        if mention and value.kind not in ("flag", "list") and rng.random() < 0.5:
            bare = value.said if value.kind in ("place", "name", "title", "noun") else f"{spoken} {value.said}"
            lead = "by " if mention.group().lower().startswith("by ") else ""
            bare = f"{spoken} {value.said}" if lead else bare
            phrase = phrase[: mention.start()] + lead + bare + phrase[mention.end() :]
            left.remove(item)
            break
    inside, behind = [], []
    apart = {name: value for name, value in drawn.items() if (name, value) in left}
    if (pair := find_pair(apart)) and rng.random() < 0.6:
        inside.append(say_pair(*pair, apart, rng))
        apart = {name: value for name, value in apart.items() if name not in pair}
    if (row := find_row(apart)) and rng.random() < 0.3:
        inside.append(say_row(row, apart, rng))
        apart = {name: value for name, value in apart.items() if name not in row}
    left = [item for item in left if item[0] in apart]
    kinds = [value.kind for _, value in left]
    for name, value in left:
        spoken = _spoken_name(name, rng)
        if value.kind == "quantity" and not (spoken := " ".join(without_unit(spoken.split()))):
            inside.append(rng.choice(PREPOSITIONS["quantity"]).format(v=value.said))
            continue
        if value.kind == "flag":
            inside.append(say_flag(name, bool(value.value), rng))
            continue
        unambiguous = kinds.count(value.kind) == 1 and value.kind in PREPOSITIONS
        if unambiguous and rng.random() < (0.6 if len(left) <= 2 else 0.35):
            inside.append(rng.choice(PREPOSITIONS[value.kind]).format(v=value.said))
        elif rng.random() < 0.25:
            sentence = rng.choice(SENTENCES).format(p=spoken, P=spoken[:1].upper() + spoken[1:], v=value.said)
            behind.append(sentence if sentence.startswith(value.said) else sentence[:1].upper() + sentence[1:])
        else:
            inside.append(rng.choice(NAMED).format(p=spoken, v=value.said))
    before, after = rng.choice(OPENERS)
    if before and phrase.startswith("I want"):
        before, after = "", ""
    joined = inside[0] if len(inside) == 1 else ""
    if len(inside) > 1:
        glue = rng.choice((", ", " ", ", "))
        joined = glue.join(inside[:-1]) + rng.choice((" and ", ", and ", glue)) + inside[-1]
    if joined and rng.random() < 0.08:
        text = f"{joined}, {before}{phrase}{after or '.'}"
    else:
        text = f"{before}{phrase} {joined}".strip() + (after or rng.choice((".", ".", "")))
    if behind:
        text = text if text[-1] in ".?" else text + "."
        text = " ".join([text, *behind])
    text = re.sub(r"\s+", " ", text)
    return text if rng.random() < 0.2 else text[:1].upper() + text[1:]


def say_flag(name: str, value: bool, rng: random.Random) -> str:
    """A flag that is set or not, by what its name says it brings, does or leaves out: "including human impact"."""
    first, *rest = [word.lower() for word in words(name)] or [name]
    thing = " ".join(rest)
    if not rest or rng.random() < 0.15 or first not in BRINGS | DOES | WITHOUT:
        return rng.choice(YES if value else NO).format(p=_spoken_name(name, rng))
    if value == (first in WITHOUT):
        return rng.choice(LEFT_OUT).format(p=thing)
    return rng.choice(DONE if first in DOES else BROUGHT).format(p=thing)


def compose(examples: Sequence[Example], rng: random.Random) -> Example:
    """One request out of several: their texts joined, their calls in order, their tools together."""
    text = joined([(e.messages[-1].text, begins_with_value(e)) for e in examples], rng)
    tools = {t.name: t for e in examples for t in e.tools}
    calls = tuple(c for e in examples for c in e.calls)
    return Example(examples[0].source, examples[0].group, (Message("user", text),), tuple(tools.values()), calls)


def begins_with_value(example: Example) -> bool:
    """Whether the request begins with a text that a call repeats: its first letter is not ours to change."""
    text = example.messages[-1].text
    return any(text.startswith(value) for call in example.calls for value in _texts(call.arguments))


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from _texts(inner)


def joined(texts: Sequence[tuple[str, bool]], rng: random.Random) -> str:
    """Several requests as one text; of each, whether its first letter must stay."""
    if len(texts) > 1 and rng.random() < ENUMERATED:
        return _enumerated(texts, rng)
    within = rng.choice((" and ", ", and then ", "; ", " and also ", ", then "))
    between = rng.choice((" Also, ", " Then ", " After that, ", " And ", " "))
    sentences = rng.random() < 0.4
    whole = texts[0][0].strip()
    for text, fixed in texts[1:]:
        whole = whole.rstrip(" .")
        lowered = text if fixed else lower_first(text)
        if whole[-1:] in "?!":
            whole += between + (text if between == " " else lowered)
        elif sentences:
            whole += "." + between + (text if between == " " else lowered)
        else:
            whole += within + lowered
    return whole if whole[-1:] in ".?!" or rng.random() < 0.4 else whole + "."


def _enumerated(texts: Sequence[tuple[str, bool]], rng: random.Random) -> str:
    """`joined`, told one by one: numbered, as bullets, or as first, second and third."""
    if rng.random() < 0.3:
        ordinals = ("First, ", rng.choice(("Second, ", "Then ", "Next, ")), *("After that, ",) * len(texts))
        said = [text if fixed else lower_first(text) for text, fixed in texts]
        ended = [text if text[-1] in ".?!" else f"{text}." for text in map(str.strip, said)]
        return " ".join(ordinal + text for ordinal, text in zip(ordinals, ended, strict=False))
    mark = rng.choice(("{}. ", "{}) ", "({}) ", "- ", "* "))
    between = rng.choice(("\n", " ")) if mark.startswith("(") else "\n"
    opening = rng.choice(("", "", "Please do the following:", "I need a few things:", f"{len(texts)} things:"))
    return between.join(
        [opening] * bool(opening) + [mark.format(k) + text.strip() for k, (text, _) in enumerate(texts, 1)]
    )


def lower_first(text: str) -> str:
    """`text` with a lower-case first letter, unless it starts with an acronym or "I"."""
    return (
        text if len(text) > 1 and (text[1].isupper() or text.startswith(("I ", "I'"))) else text[:1].lower() + text[1:]
    )


def _spoken_name(name: str, rng: random.Random) -> str:
    spoken = words(name)
    return name if rng.random() < 0.06 or not spoken else " ".join(spoken)
