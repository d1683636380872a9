"""Days and hours, and how people say them."""

from __future__ import annotations

import random
from collections.abc import Sequence
from datetime import date, datetime, time, timedelta

from training.data.scenarios.drawn import Draw, Drawn, as_said
from training.data.scenarios.numerals import words

FIRST_DAY = date(2023, 1, 1)
DAYS = 2_200
WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
MONTHS = (
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
)


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


TIMES: dict[str, Draw] = {
    "date": _date,
    "time": _time,
    "datetime": _datetime,
    "day": as_said(_day),
    "clock": as_said(_clock),
    "duration": as_said(_duration),
}
"""Generators of days and hours, by name: three in ISO 8601 whatever was said, three as said."""
