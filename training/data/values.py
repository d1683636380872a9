"""Values for parameters, and how people say them: typed generators, chosen by a parameter's name, text and schema."""

from __future__ import annotations

import gzip
import json
import math
import random
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from training.data.download import corpus_file
from training.data.measures import quantity, unit_forms
from training.data.sources.naming import words as split_words

SMALL_NUMBERS = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
    "eighteen nineteen twenty"
).split()
MONTHS = ("January February March April May June July August September October November December").split()
# Values that a description lists itself: "(e.g., DNA, fingerprints, blood)", "such as 'on', 'off' or 'toggle'".
LISTED = re.compile(
    r"(?:e\.g\.?,?|for example,?|such as|i\.e\.?,?|one of:?|either)\s*:?\s*([^().;]{3,120})", re.IGNORECASE
)
MAX_LISTED = 40


@dataclass(frozen=True)
class Value:
    """A JSON value, one way of saying it, and what kind it is (which preposition goes with it)."""

    value: Any
    said: str
    kind: str


class ValueMaker:
    """Draws values. `lists` maps a kind ("city", "food", ...) to its words, from the corpora-lists collection."""

    def __init__(self, lists: Mapping[str, list[str]]) -> None:
        self.lists = lists

    @classmethod
    def load(cls, root: Path | None = None) -> ValueMaker:
        """Read the word lists from `corpora-lists/corpora.jsonl.gz` under `root`."""
        with gzip.open(corpus_file("corpora-lists/corpora.jsonl.gz", root), "rt", encoding="utf-8") as f:
            files = {row["file"]: row["data"] for row in map(json.loads, f)}
        lists: dict[str, list[str]] = {}
        for kind, (file, key, field) in LIST_FILES.items():
            data = files[file]
            items = data[key] if key else data
            texts = [str(item[field] if field else item).split(" (")[0] for item in items]
            lists[kind] = [t for t in texts if 1 < len(t) < 40 and not re.search(r'["\\\[(;]', t)]
        return cls(lists)

    def draw(self, name: str, schema: Mapping[str, Any], rng: random.Random) -> Value | None:
        """A value for parameter `name`, or None for schemas that a short request cannot fill (objects, unions)."""
        kind = schema.get("type")
        if "enum" in schema:
            choices = [v for v in schema["enum"] if isinstance(v, str | int | float) and str(v).strip()]
            return self._enum(rng.choice(choices), rng) if choices else None
        if kind == "boolean":
            return Value(value := rng.random() < 0.7, "true" if value else "false", "flag")
        if kind in ("integer", "number"):
            return self._number(name, schema, kind, rng)
        if kind == "array":
            return self._array(name, schema, rng)
        if kind == "string":
            drawn = self._string(name, schema, rng)
            fits = schema.get("minLength", 0) <= len(drawn.value) <= schema.get("maxLength", 1_000)
            return drawn if fits and "pattern" not in schema else None
        return None

    def _enum(self, choice: Any, rng: random.Random) -> Value:
        said = str(choice)
        if isinstance(choice, str) and rng.random() < 0.75:
            said = " ".join(split_words(choice)).lower() or said
        return Value(choice, said, "choice")

    def _number(self, name: str, schema: Mapping[str, Any], kind: str, rng: random.Random) -> Value | None:
        key = set(split_words(name))
        low, high = 1, rng.choice((10, 20, 50, 100, 100, 500, 1_000, 10_000, 1_000_000))
        if "year" in key:
            low, high = 1950, 2030
        elif key & {"page", "limit", "count", "days", "hours", "guests", "people", "nights", "num", "quantity", "size"}:
            low, high = 1, rng.choice((5, 10, 30, 100))
        elif key & {"age", "minutes", "percent", "percentage", "hour", "month", "day"}:
            low, high = 1, 12 if key & {"month", "hour"} else 28 if "day" in key else 90
        elif key & {"latitude", "lat"}:
            low, high = -90, 90
        elif key & {"longitude", "lon", "lng", "long"}:
            low, high = -180, 180
        low = max(low, schema.get("minimum", low), schema.get("exclusiveMinimum", low - 1) + 1)
        high = min(high, schema.get("maximum", high), schema.get("exclusiveMaximum", high + 1) - 1)
        if low > high or "multipleOf" in schema:
            return None
        unit = unit_forms(name, str(schema.get("description") or "")) if rng.random() < 0.75 else ()
        if kind == "number" and rng.random() < 0.6:
            value = round(rng.uniform(low, high), rng.choice((1, 2, 2, 4 if high <= 180 else 1)))
            return _measured(value, str(value), unit, rng) if low <= value <= high else None
        first, last = math.ceil(low), math.floor(high)
        if first > last:
            return None
        number = rng.randint(first, last)
        if rng.random() < 0.3 and high >= 100:
            number = max(first, number // 100 * 100)
        said = str(number)
        if 0 <= number <= 20 and rng.random() < 0.25:
            said = SMALL_NUMBERS[number]
        elif number >= 1_000 and "year" not in key and rng.random() < 0.5:
            said = f"{number:,}"
        if key & {"limit", "count", "size"} and not unit:
            return Value(number, said, "count")
        return _measured(number, said, unit, rng)

    def _array(self, name: str, schema: Mapping[str, Any], rng: random.Random) -> Value | None:
        items = schema.get("items")
        if not isinstance(items, Mapping) or items.get("type") not in ("string", "integer", "number"):
            return None
        singular = name[:-1] if name.endswith("s") else name
        numeric = items["type"] != "string"
        wanted = max(schema.get("minItems", 1), rng.choice((2, 3, 3, 4, 5, 6, 8) if numeric else (1, 2, 2, 3, 3, 4)))
        drawn = [self.draw(singular, items, rng) for _ in range(min(wanted, schema.get("maxItems", wanted)))]
        values = [v for v in drawn if v is not None and (numeric or "," not in v.said)]
        if len(values) < wanted or len({v.said for v in values}) < len(values):
            return None
        said = [v.said.replace(",", "") if numeric else v.said for v in values]
        if numeric and rng.random() < 0.35:
            return Value([v.value for v in values], json.dumps([v.value for v in values]), "list")
        joined = said[0] if len(said) == 1 else ", ".join(said[:-1]) + rng.choice((" and ", ", ", ", and ")) + said[-1]
        return Value([v.value for v in values], joined, "list")

    def _string(self, name: str, schema: Mapping[str, Any], rng: random.Random) -> Value:
        key = split_words(name)
        description = str(schema.get("description") or "")
        if (examples := listed_examples(description)) and rng.random() < 0.6:
            choice = rng.choice(examples)
            return Value(choice, choice, "choice")
        for pattern, kind, make in STRING_KINDS:
            if pattern & set(key):
                if kind == "date":
                    return _date(description + str(schema.get("format", "")), rng)
                text = make(self, rng)
                return Value(text, text, kind)
        kind = rng.choice(("name", "phrase", "phrase", "identifier", "noun", "noun", "place"))
        text = GENERAL[kind](self, rng)
        return Value(text, text, kind)

    def pick(self, kind: str, rng: random.Random) -> str:
        return rng.choice(self.lists[kind])


def _measured(number: float, said: str, unit: tuple[str, ...], rng: random.Random) -> Value:
    return Value(number, quantity(said, unit, rng), "quantity") if unit else Value(number, said, "amount")


def listed_examples(description: str) -> list[str]:
    """The values that a description gives as examples; [] when there are none worth saying."""
    match = LISTED.search(description)
    if not match:
        return []
    parts = re.split(r",|\bor\b|\band\b|/", match.group(1))
    found = [p.strip(" '\"`.:") for p in parts]
    return [p for p in found if 1 < len(p) <= MAX_LISTED and p.lower() not in {"etc", "etc."} and "\\" not in p]


def _date(hint: str, rng: random.Random) -> Value:
    day = date(2018, 1, 1) + timedelta(days=rng.randrange(4_000))
    spoken = rng.choice(
        (
            f"{MONTHS[day.month - 1]} {day.day}, {day.year}",
            f"{day.day} {MONTHS[day.month - 1]} {day.year}",
            f"{MONTHS[day.month - 1][:3]} {day.day} {day.year}",
        )
    )
    if re.search(r"yyyy-mm-dd|iso|\bdate\b$", hint, re.IGNORECASE):
        return Value(day.isoformat(), spoken if rng.random() < 0.35 else day.isoformat(), "date")
    relative = rng.choice(("today", "tomorrow", "next Monday", "this Friday", "next week", "yesterday"))
    said = rng.choice((spoken, spoken, day.isoformat(), day.isoformat(), relative, f"{day.month}/{day.day}/{day.year}"))
    return Value(said, said, "date")


def _identifier(_: ValueMaker, rng: random.Random) -> str:
    letters = "abcdefghijklmnopqrstuvwxyz"
    form = rng.randrange(6)
    if form == 0:
        return "".join(rng.choice("0123456789") for _ in range(rng.randint(3, 8)))
    if form == 1:
        return "".join(rng.choice(letters).upper() for _ in range(rng.randint(1, 3))) + str(rng.randint(10, 99_999))
    if form == 2:
        return f"{rng.choice(('user', 'order', 'item', 'proj', 'doc', 'acct', 'tx', 'ref'))}_{rng.randint(1, 9_999)}"
    if form == 3:
        return "".join(rng.choice(letters + letters.upper() + "0123456789") for _ in range(rng.randint(6, 11)))
    if form == 4:
        return f"{rng.choice(letters).upper()}{rng.choice(letters).upper()}-{rng.randint(100, 99_999)}"
    return "-".join("".join(rng.choice("0123456789abcdef") for _ in range(n)) for n in (8, 4))


def _email(maker: ValueMaker, rng: random.Random) -> str:
    first, last = maker.pick("first_name", rng).lower(), maker.pick("last_name", rng).lower()
    local = rng.choice((f"{first}.{last}", f"{first[0]}{last}", f"{first}{rng.randint(1, 99)}", first))
    return f"{local}@{rng.choice(('example.com', 'gmail.com', 'acme.io', 'mail.org', 'outlook.com', 'company.net'))}"


def _url(maker: ValueMaker, rng: random.Random) -> str:
    host = re.sub(r"[^a-z]", "", maker.pick("noun", rng).lower()) or "site"
    path = rng.choice(("", "/index.html", f"/{rng.randint(1, 999)}", "/docs/start", f"/p/{rng.randint(1, 99)}"))
    return f"https://{rng.choice(('www.', '', 'api.'))}{host}.{rng.choice(('com', 'org', 'io'))}{path}"


def _person(maker: ValueMaker, rng: random.Random) -> str:
    first = maker.pick("first_name", rng)
    return first if rng.random() < 0.25 else f"{first} {maker.pick('last_name', rng)}"


def _phrase(maker: ValueMaker, rng: random.Random) -> str:
    words = rng.choice(
        (
            lambda: f"{maker.pick('adjective', rng)} {maker.pick('noun', rng)}",
            lambda: f"{maker.pick('noun', rng)} {maker.pick('noun', rng)}",
            lambda: f"{maker.pick('subject', rng)} {rng.choice(('report', 'notes', 'plan', 'update', 'guide'))}",
            lambda: maker.pick("film", rng),
            lambda: maker.pick("sentence", rng).rstrip("."),
        )
    )()
    return words if rng.random() < 0.5 else words[:1].upper() + words[1:]


def _username(maker: ValueMaker, rng: random.Random) -> str:
    first, separator = maker.pick("first_name", rng).lower(), rng.choice(("", "_", "."))
    return first + separator + rng.choice((maker.pick("last_name", rng).lower(), str(rng.randint(1, 999))))


def _file(maker: ValueMaker, rng: random.Random) -> str:
    stem = re.sub(r"\W+", "_", maker.pick("noun", rng).lower())
    folder = rng.choice(("", "", "/home/data/", "docs/", "/tmp/", "src/"))
    return f"{folder}{stem}.{rng.choice(('pdf', 'csv', 'txt', 'json', 'png', 'xlsx', 'md', 'py'))}"


def _from(*kinds: str) -> Callable[[ValueMaker, random.Random], str]:
    return lambda maker, rng: maker.pick(rng.choice(kinds), rng)


def _choice(*values: str) -> Callable[[ValueMaker, random.Random], str]:
    return lambda _, rng: rng.choice(values)


def _time(_: ValueMaker, rng: random.Random) -> str:
    hour, minute = rng.randint(1, 12), rng.choice((0, 0, 15, 30, 45))
    return rng.choice(
        (
            f"{hour}:{minute:02d} {rng.choice(('AM', 'PM'))}",
            f"{hour + 8:02d}:{minute:02d}",
            f"{hour} {rng.choice(('am', 'pm'))}",
        )
    )


def _phone(_: ValueMaker, rng: random.Random) -> str:
    a, b, c = rng.randint(200, 999), rng.randint(200, 999), rng.randint(0, 9_999)
    return rng.choice((f"{a}-{b}-{c:04d}", f"+1{a}{b}{c:04d}", f"({a}) {b}-{c:04d}"))


def _address(maker: ValueMaker, rng: random.Random) -> str:
    street = f"{rng.randint(1, 999)} {maker.pick('last_name', rng)} {rng.choice(('Street', 'Avenue', 'Road', 'Lane'))}"
    return street if rng.random() < 0.5 else f"{street}, {maker.pick('city', rng)}"


def _city(maker: ValueMaker, rng: random.Random) -> str:
    return maker.pick(rng.choice(("city", "city", "town", "capital")), rng)


Make = Callable[[ValueMaker, random.Random], str]
STRING_KINDS: tuple[tuple[set[str], str, Make], ...] = (
    ({"email", "mail", "recipient", "recipients", "cc"}, "email", _email),
    ({"url", "uri", "link", "website", "webhook", "endpoint"}, "url", _url),
    ({"phone", "mobile", "telephone", "msisdn"}, "phone", _phone),
    ({"date", "since", "until", "deadline", "birthday", "dob", "day"}, "date", _phrase),
    ({"time", "hour"}, "time", _time),
    (
        {"id", "ids", "sid", "uuid", "guid", "key", "token", "sku", "code", "number", "isbn", "hash", "identifier"},
        "identifier",
        _identifier,
    ),
    ({"username", "login", "handle", "screen"}, "identifier", _username),
    ({"file", "filename", "path", "document", "folder", "directory"}, "file", _file),
    ({"country", "nation"}, "place", _from("country")),
    ({"city", "town", "destination", "origin", "departure", "arrival"}, "place", _city),
    ({"location", "place", "region", "area", "state", "venue"}, "place", _from("city", "town", "country", "capital")),
    ({"address", "street"}, "place", _address),
    (
        {"language", "lang", "locale"},
        "choice",
        _choice("English", "Spanish", "French", "German", "Italian", "en", "fr", "de", "Japanese", "Hindi"),
    ),
    ({"currency"}, "choice", _choice("USD", "EUR", "GBP", "JPY", "INR", "CAD", "AUD", "CHF")),
    (
        {"company", "organization", "organisation", "employer", "brand", "vendor", "manufacturer"},
        "name",
        _from("company"),
    ),
    ({"symbol", "ticker"}, "choice", _choice("AAPL", "MSFT", "GOOG", "TSLA", "AMZN", "NVDA", "META", "IBM", "NFLX")),
    (
        {
            "author",
            "person",
            "patient",
            "customer",
            "employee",
            "contact",
            "owner",
            "assignee",
            "student",
            "artist",
            "actor",
            "player",
            "user",
            "member",
            "client",
            "guest",
        },
        "name",
        _person,
    ),
    ({"firstname", "first"}, "name", _from("first_name")),
    ({"lastname", "last", "surname"}, "name", _from("last_name")),
    ({"color", "colour"}, "choice", _from("color")),
    ({"gender", "sex"}, "choice", _choice("male", "female")),
    ({"animal", "species", "pet"}, "noun", _from("animal")),
    ({"food", "ingredient", "dish", "meal", "recipe", "cuisine"}, "noun", _from("fruit", "vegetable", "dish")),
    ({"genre"}, "noun", _from("genre")),
    ({"movie", "film", "show", "song", "album", "book", "game"}, "title", _from("film", "tv", "board_game")),
    ({"sport"}, "noun", _from("sport")),
    ({"team"}, "name", _from("team")),
    ({"disease", "condition", "diagnosis"}, "noun", _from("disease")),
    ({"symptom", "symptoms"}, "noun", _from("symptom")),
    ({"drug", "medication", "medicine"}, "noun", _from("drug")),
    ({"job", "occupation", "profession", "position", "role"}, "noun", _from("occupation")),
    ({"industry", "sector"}, "noun", _from("industry")),
    ({"material", "metal", "fabric"}, "noun", _from("metal", "fabric")),
    ({"instrument"}, "noun", _from("instrument")),
    ({"device", "appliance", "product", "item"}, "noun", _from("appliance", "object")),
    ({"room"}, "place", _choice("living room", "kitchen", "bedroom", "bathroom", "garage", "office", "hallway")),
    ({"name", "title", "label", "subject", "topic", "tag", "category", "keyword"}, "name", _phrase),
    (
        {
            "text",
            "message",
            "content",
            "body",
            "description",
            "comment",
            "note",
            "notes",
            "prompt",
            "query",
            "question",
            "search",
            "q",
        },
        "text",
        _phrase,
    ),
)
GENERAL: dict[str, Make] = {
    "name": _person,
    "phrase": _phrase,
    "identifier": _identifier,
    "noun": _from("noun", "object", "subject"),
    "place": _city,
}
LIST_FILES: dict[str, tuple[str, str, str]] = {
    "first_name": ("humans/firstNames.json", "firstNames", ""),
    "last_name": ("humans/lastNames.json", "lastNames", ""),
    "city": ("geography/us_cities.json", "cities", "city"),
    "town": ("geography/english_towns_cities.json", "towns", ""),
    "capital": ("geography/countries_with_capitals.json", "countries", "capital"),
    "country": ("geography/countries.json", "countries", ""),
    "company": ("corporations/fortune500.json", "companies", ""),
    "industry": ("corporations/industries.json", "industries", ""),
    "noun": ("words/nouns.json", "nouns", ""),
    "adjective": ("words/adjs.json", "adjs", ""),
    "subject": ("books/academic_subjects.json", "subjects", ""),
    "film": ("film-tv/popular-movies.json", "popular-movies", ""),
    "tv": ("film-tv/tv_shows.json", "tv_shows", ""),
    "sentence": ("words/harvard_sentences.json", "data", ""),
    "color": ("colors/xkcd.json", "colors", "color"),
    "animal": ("animals/common.json", "animals", ""),
    "fruit": ("foods/fruits.json", "fruits", ""),
    "vegetable": ("foods/vegetables.json", "vegetables", ""),
    "dish": ("foods/menuItems.json", "menuItems", ""),
    "genre": ("music/genres.json", "genres", ""),
    "board_game": ("games/board_games.json", "games", ""),
    "sport": ("sports/sports.json", "sports", ""),
    "team": ("sports/nba_teams.json", "nba_teams", "name"),
    "disease": ("medicine/infectious_diseases.json", "diseases", ""),
    "symptom": ("medicine/symptoms.json", "symptoms", ""),
    "drug": ("medicine/drugs.json", "drugs", ""),
    "occupation": ("humans/occupations.json", "occupations", ""),
    "metal": ("materials/layperson-metals.json", "layperson metals", ""),
    "fabric": ("materials/fabrics.json", "fabrics", ""),
    "instrument": ("music/instruments.json", "instruments", ""),
    "appliance": ("technology/appliances.json", "appliances", ""),
    "object": ("objects/objects.json", "objects", ""),
}
