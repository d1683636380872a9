"""Typed values and the ways people say them: the generators that a scenario names.

A generator is a function of a random generator to a `Drawn`: the JSON value, how it is said, and how it is said next
to a sign or a letter ("$40", "5km"). Names, addresses and the like are drawn once from Faker, in several locales.
"""

from __future__ import annotations

import random
import re
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from functools import cache, lru_cache
from typing import Any

from faker import Faker
from unicode_rbnf import RbnfEngine

POOL_SIZE = 1_500
POOL_SEED = 0
LOCALES = tuple("en_US en_GB en_CA en_IN en_AU de_DE fr_FR es_ES it_IT nl_NL sv_SE pt_BR pl_PL".split())
ENGLISH = ("en_US", "en_GB", "en_AU", "en_CA")
FIRST_DAY = date(2023, 1, 1)
DAYS = 2_200
WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
MONTHS = (
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
)
# Of Faker's jobs and companies, those without a comma: "Chemist, analytical" is no way to say it.
_POOLED = {"job": r"[A-Za-z -]{3,30}", "street_address": r"[\w '.,/-]{2,40}"}
_RANGE = re.compile(r"(-?\d+(?:\.\d+)?)\.\.(-?\d+(?:\.\d+)?)(?: step (\d+(?:\.\d+)?))?")


class GeneratorError(ValueError):
    """A `values` that names no generator, or gives it the wrong arguments."""


@dataclass(frozen=True)
class Drawn:
    """A JSON value and two ways of saying it; see `phrasing.Said`."""

    value: Any
    text: str
    glued: str


Draw = Callable[[random.Random], Drawn]
Make = Callable[[random.Random], str]


def as_said(make: Make) -> Draw:
    """A generator of strings that are said as they are."""

    def draw(rng: random.Random) -> Drawn:
        text = make(rng)
        return Drawn(text, text, text)

    return draw


def one_of(items: Sequence[Any]) -> Draw:
    """One of `items`, said as it is."""
    drawn = [Drawn(item, str(item), str(item)) for item in items]
    return lambda rng: rng.choice(drawn)


def in_words(draw: Draw) -> Draw:
    """An enum's items as words: `in_progress` is said "in progress"."""

    def spoken(rng: random.Random) -> Drawn:
        drawn = draw(rng)
        if drawn.text != drawn.value or not re.fullmatch(r"[A-Za-z]+(_[A-Za-z]+)+", drawn.text):
            return drawn
        text = drawn.text.replace("_", " ")
        return Drawn(drawn.value, text, text)

    return spoken


def by_meaning(ways: Mapping[Any, Any]) -> Draw:
    """One of the keys, said in one of the ways that it maps to."""
    choices = [
        (value, [str(way) for way in (said if isinstance(said, list) else [said])]) for value, said in ways.items()
    ]

    def draw(rng: random.Random) -> Drawn:
        value, said = rng.choice(choices)
        text = rng.choice(said)
        return Drawn(value, text, text)

    return draw


def listed(item: Draw, fewest: int, most: int) -> Draw:
    """Between `fewest` and `most` different items, said as a list."""

    def draw(rng: random.Random) -> Drawn:
        wanted = rng.randint(fewest, most)
        drawn: dict[str, Drawn] = {}
        for _ in range(8 * wanted):
            one = item(rng)
            if not re.search(r", | and ", one.text):
                drawn.setdefault(str(one.value), one)
            if len(drawn) == wanted:
                break
        drawn = drawn or {"": one}
        said = [d.glued for d in drawn.values()]
        last = rng.choice((" and ", " and ", ", and ", ", ")) if len(said) > 2 else " and "
        text = said[0] if len(said) == 1 else ", ".join(said[:-1]) + last + said[-1]
        return Drawn([d.value for d in drawn.values()], text, text)

    return draw


def named(spec: str) -> Draw:
    """The generator that `spec` names, with its arguments: `city`, `integer 1..500`, `code INV-####`.

    Raises GeneratorError when there is none of that name.
    """
    name, _, arguments = spec.strip().partition(" ")
    if name in ("integer", "number", "digits", "year"):
        return _numeric(name, arguments.strip())
    if name == "code" and arguments:
        return as_said(lambda rng: code(arguments.strip(), rng))
    if arguments or name not in _NAMED:
        raise GeneratorError(f"no generator {spec!r}")
    return _NAMED[name]


def names() -> list[str]:
    return [*_NAMED, "integer", "number", "digits", "year", "code"]


# Numbers


def _numeric(name: str, arguments: str) -> Draw:
    if name == "year" and not arguments:
        arguments = "1950..2030"
    matched = _RANGE.fullmatch(arguments)
    if not matched:
        raise GeneratorError(f"{name} needs a range such as 1..500, with an optional `step 5`; it has {arguments!r}")
    low, high, step = matched.groups()
    if float(low) > float(high):
        raise GeneratorError(f"{name} {arguments}: the range is empty")
    if step and float(step) == 0:
        raise GeneratorError(f"{name} {arguments}: a step of nothing")
    if name == "number":
        return _number(float(low), float(high), step)
    if "." in f"{low}{high}{step or ''}":
        raise GeneratorError(f"{name} {arguments}: whole numbers only")
    first, last, by = int(low), int(high), int(step or 1)

    def draw(rng: random.Random) -> Drawn:
        value = first + by * rng.randint(0, (last - first) // by)
        # Round numbers are what people ask for, and a wide range would hardly ever give one.
        if name == "integer" and by == 1 and value >= 1_000 and rng.random() < 0.5:
            scale = 10 ** (len(str(value)) - rng.choice((1, 2)))
            value = max(first, value // scale * scale)
        return Drawn(value, say_integer(value, rng), _digits(value, rng)) if name == "integer" else _plain(value)

    return draw


def _plain(value: int) -> Drawn:
    return Drawn(value, str(value), str(value))


def _digits(value: int, rng: random.Random) -> str:
    return f"{value:,}" if abs(value) >= 1_000 and rng.random() < 0.5 else str(value)


def say_integer(value: int, rng: random.Random) -> str:
    """`value` in digits, with or without separators, in words, or as "3k" and "2.5 million"."""
    roll = rng.random()
    if value >= 1_000_000 and value % 100_000 == 0 and roll < 0.4:
        return f"{value / 1e6:g} million"
    if 1_000 <= value < 1_000_000 and value % 1_000 == 0 and roll < 0.15:
        return f"{value // 1_000}k"
    if (abs(value) <= 100 or value % 100 == 0 and value <= 100_000) and roll > 0.82:
        return words(value)
    return _digits(value, rng)


@cache
def _numerals() -> RbnfEngine:
    return RbnfEngine.for_language("en")


@lru_cache(4_096)
def words(value: float) -> str:
    """`value` in English words."""
    if value < 0:
        return f"minus {words(-value)}"
    return str(_numerals().format_number(value).text)


def _number(low: float, high: float, step: str | None) -> Draw:
    places = max(len(part.partition(".")[2]) for part in (f"{low:g}", f"{high:g}", step or "0.0"))

    def draw(rng: random.Random) -> Drawn:
        if step:
            value = low + float(step) * rng.randint(0, int((high - low) / float(step) + 1e-9))
        else:
            value = min(high, max(low, round(rng.uniform(low, high), rng.choice((0, places, places, places + 1)))))
        value = round(value, 6) + 0.0  # no minus zero
        text = f"{value:,.6f}" if value >= 1_000 and rng.random() < 0.5 else f"{value:.6f}"
        text = text.rstrip("0").rstrip(".")
        exact: float = int(value) if value == int(value) else value
        said = words(exact) if abs(value) <= 100 and len(text) < 5 and rng.random() < 0.08 else text
        return Drawn(exact, said, text)

    return draw


# Days and hours


def ordinal(day: int) -> str:
    return f"{day}{'th' if 10 < day < 14 else {1: 'st', 2: 'nd', 3: 'rd'}.get(day % 10, 'th')}"


def say_date(day: date, rng: random.Random) -> str:
    """A day of a year, in one of the forms that leave no doubt."""
    month = MONTHS[day.month - 1]
    forms = [
        f"{month} {day.day}, {day.year}",
        f"{month} {ordinal(day.day)}, {day.year}",
        f"{month} {ordinal(day.day)} {day.year}",
        f"{day.day} {month} {day.year}",
        f"the {ordinal(day.day)} of {month} {day.year}",
        f"{month[:3]} {day.day}, {day.year}",
        f"{day.day} {month[:3]} {day.year}",
        day.isoformat(),
        day.isoformat(),
    ]
    if day.day > 12:  # 3/4/2026 is March in one country and April in another
        forms += [f"{day.month}/{day.day}/{day.year}", f"{day.day}.{day.month:02d}.{day.year}"]
    return rng.choice(forms)


def say_time(at: time, rng: random.Random) -> str:
    """A time of day, in one of the forms that leave no doubt between morning and evening."""
    hour, half = at.hour % 12 or 12, "am" if at.hour < 12 else "pm"
    part = "in the morning" if at.hour < 12 else "in the afternoon" if at.hour < 18 else "in the evening"
    digits = f"{hour}:{at.minute:02d}"
    forms = [f"{digits} {half}", f"{digits}{half}", f"{digits} {half.upper()}", f"{at.hour:02d}:{at.minute:02d}"]
    if at.minute == 0:
        forms += [f"{hour} {half}", f"{hour}{half}", f"{hour} o'clock {part}"]
        forms += ["noon"] * (at.hour == 12) + ["midnight"] * (at.hour == 0)
    if at.minute in (15, 30):
        forms.append(f"{'half' if at.minute == 30 else 'quarter'} past {words(hour)} {part}")
    if at.hour == 0 or at.hour > 21:
        forms = [f for f in forms if "in the" not in f]
    return rng.choice(forms)


def _a_day(rng: random.Random) -> date:
    return FIRST_DAY + timedelta(days=rng.randrange(DAYS))


def drawn_date(day: date, rng: random.Random) -> Drawn:
    text = say_date(day, rng)
    return Drawn(day.isoformat(), text, text)


def _date(rng: random.Random) -> Drawn:
    return drawn_date(_a_day(rng), rng)


def _at(rng: random.Random) -> time:
    return time(rng.choice((*range(6, 23), *range(24))), rng.choice((0, 0, 0, 15, 30, 30, 45, rng.randrange(0, 60, 5))))


def _time(rng: random.Random) -> Drawn:
    at = _at(rng)
    text = say_time(at, rng)
    return Drawn(f"{at.hour:02d}:{at.minute:02d}", text, text)


def drawn_datetime(day: date, rng: random.Random) -> Drawn:
    when = datetime.combine(day, _at(rng))
    day_text, at = say_date(day, rng), say_time(when.time(), rng)
    text = rng.choice((f"{day_text} at {at}", f"{day_text}, {at}", f"{at} on {day_text}", when.isoformat()))
    return Drawn(when.isoformat(), text, text)


def _datetime(rng: random.Random) -> Drawn:
    return drawn_datetime(_a_day(rng), rng)


def _day(rng: random.Random) -> str:
    day = _a_day(rng)
    month, weekday = MONTHS[day.month - 1], rng.choice(WEEKDAYS)
    return rng.choice(
        (
            "today", "tomorrow", "tomorrow", f"this {weekday}", f"next {weekday}", f"next {weekday}", weekday, weekday,
            f"{month} {day.day}", f"{month} {ordinal(day.day)}", f"{day.day} {month}", f"the {ordinal(day.day)}",
            f"{weekday}, {month} {day.day}", f"{month[:3]} {day.day}", say_date(day, rng),
        )
    )  # fmt: skip


def _clock(rng: random.Random) -> str:
    at = _at(rng)
    return rng.choice((say_time(at, rng), say_time(at, rng), f"{at.hour % 12 or 12}:{at.minute:02d}"))


def _duration(rng: random.Random) -> str:
    minutes, hours, days = rng.choice((5, 10, 15, 20, 25, 30, 40, 45, 90)), rng.randint(2, 12), rng.randint(2, 14)
    return rng.choice(
        (
            f"{minutes} minutes", f"{minutes} minutes", f"{minutes} min", f"{words(minutes)} minutes", f"{hours} hours",
            f"{words(hours)} hours", "an hour", "half an hour", "an hour and a half", f"{days} days", "a week",
            "two weeks", f"{hours} hours and {minutes % 60} minutes", f"{rng.randint(10, 90)} seconds", f"{hours}h",
            "a month",
        )
    )  # fmt: skip


# People, places and things


@cache
def pool(kind: str) -> tuple[str, ...]:
    """Faker's answers to `kind`, the same on every machine with the same Faker."""
    locales = LOCALES if kind in ("first_name", "last_name", "city") else ENGLISH
    fakers = [fake for locale in locales if hasattr(fake := Faker(locale), kind)]  # Britain has no states
    drawn: dict[str, None] = {}
    for position, fake in enumerate(fakers):
        fake.seed_instance(POOL_SEED + position)
        for _ in range(POOL_SIZE // len(fakers)):
            drawn[re.sub(r"\s+", " ", str(getattr(fake, kind)()))] = None
    return tuple(text for text in drawn if re.fullmatch(_POOLED.get(kind, r"[\w '.&/-]{2,40}"), text))


def _pooled(kind: str) -> Make:
    return lambda rng: rng.choice(pool(kind))


def _ascii(text: str) -> str:
    return re.sub(r"[^a-z]", "", text.lower())


def _person(rng: random.Random) -> str:
    return f"{rng.choice(pool('first_name'))} {rng.choice(pool('last_name'))}"


def _host(rng: random.Random) -> str:
    word = _ascii(rng.choice(pool("last_name"))) or "acme"
    ending = rng.choice(("com", "com", "org", "io", "net", "co.uk", "de"))
    return f"{word}{rng.choice(('', '', 'soft', 'labs', '-shop', 'media'))}.{ending}"


def _hostname(rng: random.Random) -> str:
    return rng.choice((_host(rng), f"{rng.choice(('www', 'api', 'mail', 'staging', 'db1', 'blog'))}.{_host(rng)}"))


def _email(rng: random.Random) -> str:
    first, last = _ascii(rng.choice(pool("first_name"))) or "sam", _ascii(rng.choice(pool("last_name"))) or "lee"
    local = rng.choice(
        (f"{first}.{last}", f"{first[0]}{last}", f"{first}{rng.randint(1, 99)}", first, f"{first}_{last}")
    )
    return f"{local}@{rng.choice(('gmail.com', 'outlook.com', 'example.com', _host(rng), _host(rng)))}"


def _username(rng: random.Random) -> str:
    first, last = _ascii(rng.choice(pool("first_name"))) or "sam", _ascii(rng.choice(pool("last_name"))) or "lee"
    return rng.choice(
        (
            f"{first}{rng.randint(1, 999)}",
            f"{first}_{last}",
            f"{first[0]}{last}",
            f"{last}.{first}",
            f"{first}-{last}",
            first,
        )
    )


def _phone(rng: random.Random) -> str:
    forms = (
        "%##-%##-####",
        "(%##) %##-####",
        "+1 %## %## ####",
        "+44 7### ######",
        "%##%##%###",
        "+49 1%# #######",
        "555-####",
    )
    return code(rng.choice(forms), rng)


def _url(rng: random.Random) -> str:
    paths = (
        "",
        "/about",
        "/docs/start",
        "/blog/2025/launch",
        f"/item/{rng.randint(1, 9_999)}",
        "/index.html",
        "/feed.xml",
    )
    return f"https://{_hostname(rng)}{rng.choice(paths)}"


def _file(rng: random.Random) -> str:
    stems = (
        "report budget invoice notes draft summary photo backup contract slides minutes resume todo data results"
        " inventory payroll roadmap logo banner interview survey users orders config schema changelog thesis recipe"
    ).split()
    stem = rng.choice(stems) + rng.choice(
        ("", "", "_v2", "-final", f"_{rng.randint(2019, 2027)}", "_q3", f"{rng.randint(1, 40)}")
    )
    return f"{stem}.{rng.choice('pdf pdf csv txt json png jpg xlsx docx md py log yaml mp4 zip'.split())}"


def _path(rng: random.Random) -> str:
    folder = rng.choice(
        (
            "/home/{u}/",
            "/var/log/",
            "/etc/",
            "docs/",
            "src/",
            "~/Downloads/",
            "/data/exports/",
            "assets/images/",
            "./",
            "/tmp/",
        )
    )
    return folder.replace("{u}", _ascii(rng.choice(pool("first_name"))) or "sam") + rng.choice(
        (_file(rng), _file(rng), "")
    )


def _address(rng: random.Random) -> str:
    street = rng.choice(pool("street_address"))
    return rng.choice((street, f"{street}, {rng.choice(pool('city'))}"))


def _version(rng: random.Random) -> str:
    numbers = f"{rng.randint(0, 12)}.{rng.randint(0, 30)}"
    return rng.choice((numbers, f"{numbers}.{rng.randint(0, 20)}", f"v{numbers}.{rng.randint(0, 9)}"))


def code(pattern: str, rng: random.Random) -> str:
    """`pattern` with # as a digit, % as a digit but 0, ? as a capital letter and ^ as a hexadecimal digit."""
    signs = {"#": "0123456789", "%": "123456789", "?": "ABCDEFGHJKLMNPQRSTUVWXYZ", "^": "0123456789abcdef"}
    return "".join(rng.choice(signs[sign]) if sign in signs else sign for sign in pattern)


_NAMED: dict[str, Draw] = {
    "date": _date,
    "time": _time,
    "datetime": _datetime,
    "month": one_of(MONTHS),
    **{
        name: as_said(make)
        for name, make in {
            "day": _day,
            "clock": _clock,
            "duration": _duration,
            "person": _person,
            "first_name": _pooled("first_name"),
            "last_name": _pooled("last_name"),
            "username": _username,
            "email": _email,
            "phone": _phone,
            "job": lambda rng: rng.choice(pool("job")).lower(),
            "company": _pooled("company"),
            "url": _url,
            "hostname": _hostname,
            "ip": lambda rng: ".".join(str(rng.randint(1, 254)) for _ in range(4)),
            "file": _file,
            "path": _path,
            "version": _version,
            "uuid": lambda rng: str(uuid.UUID(int=rng.getrandbits(128), version=4)),
            "town": _pooled("city"),
            "country": _pooled("country"),
            "state": _pooled("state"),
            "address": _address,
            "street": _pooled("street_address"),
            "postcode": _pooled("postcode"),
        }.items()
    },
}


def is_timeline(draw: Draw) -> bool:
    """Whether the generator's values have an order in time that their text shows."""
    return draw in (_date, _datetime, _time)


def in_order(draw: Draw, drawn: Sequence[Drawn], rng: random.Random) -> list[Drawn]:
    """Several values of one request as people state them: hours rising, days rising and a few weeks apart."""
    if len(drawn) < 2 or not is_timeline(draw):
        return list(drawn)
    if draw is _time:
        return sorted(drawn, key=lambda d: str(d.value))
    made, day = [], _a_day(rng)
    for _ in drawn:
        made.append((drawn_date if draw is _date else drawn_datetime)(day, rng))
        day += timedelta(days=rng.choice((1, 2, 3, 5, 7, 10, 14, 30, rng.randint(1, 60))))
    return made
