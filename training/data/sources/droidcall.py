"""DroidCall: requests to an Android phone, labelled with the intent that serves them and its extras.

Format: JSON lines {id, query, intent, uri, mime, extras}; `id` is the intent's number in `intents.jsonl`. The upstream
labels invent what the query leaves open (addresses, file names, message bodies, epoch times), and "None" means absent:
only arguments said in the query are kept, and a request that leaves a required one open is dropped.

The tools are written by hand, one for each kind of request, instead of the Android API's own names and long texts.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import unquote_plus

from model.types import Message, Tool
from training.data.example import Call, Example
from training.data.sources.accept import accept
from training.data.sources.grounding import locate, mentions, number
from training.data.sources.naming import Style, restyle
from training.data.sources.reading import read_lines

SEED = 0
FILES = ("droidcall/history/seeds.jsonl.gz", "droidcall/history/machine_generated.jsonl.gz")
DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_STYLES: tuple[Style, ...] = ("snake", "snake", "camel")
_ABSENT: tuple[Any, ...] = (None, "", "None", "none", "null", [], {})

Finder = Callable[[Any, str], Any]
"""From the labelled value and the query to the argument, or None when the query does not state it."""


def _text(value: Any, query: str) -> str | None:
    return locate(", ".join(map(str, value)) if isinstance(value, list) else str(value).strip(" ."), query)


def _text_list(value: Any, query: str) -> list[str] | None:
    parts = value if isinstance(value, list) else str(value).split(",")
    found = [locate(str(part).strip(), query) for part in parts]
    return [part for part in found if part] if found and all(found) else None


def _hour(value: Any, query: str) -> int | None:
    return next((hour for hour, _ in _clock_times(query) if str(hour) == str(value)), None)


def _minute(value: Any, query: str) -> int | None:
    return next((minute for _, minute in _clock_times(query) if str(minute) == str(value)), None)


def _clock_times(query: str) -> list[tuple[int, int]]:
    """The times of day in the query, in 24-hour form; [] when there are several, for then any could be meant."""
    times = []
    for hour, minute, half in re.findall(r"\b(\d{1,2})(?::(\d{2}))?\s*([ap])\.?m\b", query, re.IGNORECASE):
        times.append((int(hour) % 12 + (12 if half.lower() == "p" else 0), int(minute or 0)))
    times += [(12, 0)] * len(re.findall(r"\bnoon\b", query, re.IGNORECASE))
    times += [(0, 0)] * len(re.findall(r"\bmidnight\b", query, re.IGNORECASE))
    return times if len(times) == 1 else []


def _days(_: Any, query: str) -> list[str] | None:
    # Upstream counts days from 0 or from 1, from Sunday or from Monday; the query is unambiguous.
    text = query.lower()
    if re.search(r"\b(every ?day|daily|every (morning|night|evening|afternoon)|each (day|morning|night))\b", text):
        return list(DAYS)
    if re.search(r"\b(weekdays?|workdays?)\b", text):
        return list(DAYS[:5])
    if re.search(r"\b(every|each|on) weekends?\b|\bon (the )?weekends\b", text):
        return list(DAYS[5:])
    named = [day for day in DAYS if re.search(rf"\b{day}s?\b", text)]
    repeats = re.search(r"\b(every|each|weekly)\b|days\b", text)
    return named if named and repeats else None


def _seconds(value: Any, query: str) -> int | None:
    units = {"second": 1, "minute": 60, "hour": 3600}
    total = sum(
        int(amount) * units[unit]
        for amount, unit in re.findall(r"\b(\d+)[ -](second|minute|hour)", query, re.IGNORECASE)
    )
    total += 3600 * len(re.findall(r"\ban hour\b(?! and a half)(?<!half an hour)", query, re.IGNORECASE))
    total += 1800 * len(re.findall(r"\bhalf an hour\b", query, re.IGNORECASE))
    return total if str(total) == str(value) else None


def _flag(cue: str) -> Finder:
    """A true flag that the query asks for in so many words."""
    return lambda value, query: True if value is True and re.search(cue, query, re.IGNORECASE) else None


def _phone(value: Any, query: str) -> str | None:
    digits = re.sub(r"\D", "", str(value))
    numbers = re.findall(r"\+?\d[\d\s().-]{2,}\d|\b\d{3}\b", query)
    return next((found for found in numbers if digits and re.sub(r"\D", "", found) == digits), None)


def _url(value: Any, query: str) -> str | None:
    bare = re.sub(r"^https?://(www\.)?|/$", "", str(value))
    found = re.findall(r"(?:https?://)?[\w-]+(?:\.[\w-]+)+(?:/[\w./?=&%#-]*\w)?", query)
    return next((url for url in found if re.sub(r"^https?://(www\.)?|^www\.|/$", "", url) == bare), None)


def _place(value: Any, query: str) -> str | None:
    """What a `geo:0,0?q=...` URI looks for."""
    matched = re.search(r"[?&]q=([^&(]+)", str(value))
    return _text(unquote_plus(matched[1]), query) if matched else None


def _count(value: Any, query: str) -> int | None:
    amount = number(str(value))
    return amount if isinstance(amount, int) and mentions(amount, query) else None


def _contact_field(value: Any, query: str) -> str | None:
    fields = {"phone": r"phone|number|call|text", "email": r"e-?mail", "address": r"address|postal|mail"}
    labels = {"phone": "Phone", "email": "Email", "address": "Postal"}
    return next(
        (
            field
            for field, cue in fields.items()
            if labels[field] in str(value) and re.search(cue, query, re.IGNORECASE)
        ),
        None,
    )


@dataclass(frozen=True)
class _Parameter:
    """`extras` are the upstream keys ("uri" and "mime" among them) that may hold the value."""

    name: str
    schema: dict[str, Any]
    extras: tuple[str, ...]
    find: Finder = _text
    required: bool = False


@dataclass(frozen=True)
class _Intent:
    """A tool for some upstream intents. `cue` must occur in the query where upstream's labels are unreliable."""

    ids: tuple[int, ...]
    family: str
    name: str
    description: str
    parameters: tuple[_Parameter, ...] = ()
    cue: str | None = None
    # Without any argument the call would say nothing that the request says.
    needs_argument: bool = False
    # (parameter, cue): with the cue in the query, a call without the parameter would leave out something said.
    gaps: tuple[tuple[str, str], ...] = ()


def _string(name: str, description: str, *extras: str, find: Finder = _text, required: bool = False) -> _Parameter:
    return _Parameter(name, {"type": "string", "description": description}, extras, find, required)


def _settings(number: int, name: str, description: str, cue: str) -> _Intent:
    return _Intent((number,), "settings", f"open_{name}_settings", description, cue=cue)


INTENTS = (
    _Intent(
        (1,),
        "clock",
        "set_alarm",
        "Set an alarm.",
        (
            _Parameter(
                "hour", {"type": "integer", "description": "Hour, 0 to 23."}, ("EXTRA_HOUR",), _hour, required=True
            ),
            _Parameter(
                "minutes",
                {"type": "integer", "description": "Minutes, 0 to 59."},
                ("EXTRA_MINUTES",),
                _minute,
                required=True,
            ),
            _string("message", "Label of the alarm.", "EXTRA_MESSAGE"),
            _Parameter(
                "days",
                {
                    "type": "array",
                    "items": {"type": "string", "enum": list(DAYS)},
                    "description": "Days on which it repeats.",
                },
                ("EXTRA_DAYS",),
                _days,
            ),
            _Parameter(
                "vibrate",
                {"type": "boolean", "description": "Whether to vibrate."},
                ("EXTRA_VIBRATE",),
                _flag("vibrat"),
            ),
        ),
        gaps=(
            ("message", r"\bremind|message|label|saying|called|named"),
            ("days", r"\bevery|\beach\b|weekday|weekend|daily|days\b|month"),
        ),
    ),
    _Intent(
        (2,),
        "clock",
        "set_timer",
        "Start a countdown timer.",
        (
            _Parameter(
                "seconds",
                {"type": "integer", "description": "Length in seconds."},
                ("EXTRA_LENGTH",),
                _seconds,
                required=True,
            ),
            _string("message", "Label of the timer.", "EXTRA_MESSAGE"),
            _Parameter(
                "skip_confirmation",
                {"type": "boolean", "description": "Start without asking for confirmation."},
                ("EXTRA_SKIP_UI",),
                _flag(r"confirm|\bUI\b|interface|prompt|asking|interrupt"),
            ),
        ),
        gaps=(("message", r"message|label|saying|called|named"),),
    ),
    _Intent((3,), "clock", "show_alarms", "Show the list of alarms.", cue="alarm"),
    _Intent(
        (4,),
        "calendar",
        "add_calendar_event",
        "Add an event to the calendar.",
        (
            _string("title", "Title of the event.", "TITLE", required=True),
            _string("description", "Notes on the event.", "DESCRIPTION"),
            _string("location", "Where it takes place.", "EVENT_LOCATION"),
            _Parameter(
                "all_day",
                {"type": "boolean", "description": "Whether it lasts all day."},
                ("EXTRA_EVENT_ALL_DAY",),
                _flag(r"all[ -]day|whole day|full[ -]day"),
            ),
        ),
    ),
    _Intent(
        (5,), "camera", "take_photo", "Open the camera to take a photo.", cue="photo|picture|image|selfie|shot|snap"
    ),
    _Intent((6,), "camera", "record_video", "Open the camera to record a video.", cue="video|record|film|clip"),
    _Intent((7,), "contacts", "pick_contact", "Let the user choose someone from the contacts.", cue="contact|friend"),
    _Intent(
        (8,),
        "contacts",
        "pick_contact_detail",
        "Let the user choose one detail of a contact.",
        (
            _Parameter(
                "field",
                {"type": "string", "enum": ["phone", "email", "address"], "description": "The detail wanted."},
                ("mime",),
                _contact_field,
                required=True,
            ),
        ),
    ),
    _Intent(
        (12, 13, 14),
        "email",
        "send_email",
        "Write an e-mail.",
        (
            _Parameter(
                "to",
                {"type": "array", "items": {"type": "string"}, "description": "E-mail addresses of the recipients."},
                ("Intent.EXTRA_EMAIL", "uri"),
                lambda value, query: _text_list(
                    value if isinstance(value, list) else str(value).removeprefix("mailto:"), query
                ),
            ),
            _string("subject", "Subject line.", "Intent.EXTRA_SUBJECT"),
            _string("body", "Text of the e-mail.", "Intent.EXTRA_TEXT"),
        ),
        needs_argument=True,
        gaps=(("to", "@"), ("cc", r"\bb?cc\b"), ("body", r"message|saying|body|that says")),
    ),
    _Intent(
        (15, 16),
        "files",
        "choose_files",
        "Let the user choose files.",
        (
            _Parameter(
                "allow_multiple",
                {"type": "boolean", "description": "Whether more than one may be chosen."},
                ("EXTRA_ALLOW_MULTIPLE",),
                _flag(r"multiple|several|at once|few|photos|images|pictures|files|documents"),
            ),
            _Parameter(
                "local_only",
                {"type": "boolean", "description": "Only files on this device."},
                ("EXTRA_LOCAL_ONLY",),
                _flag(r"offline|local|internet|device|download"),
            ),
        ),
        cue="select|choose|pick|open|upload|import|attach",
    ),
    _Intent(
        (17,),
        "files",
        "create_document",
        "Create a new document.",
        (_string("title", "Title.", "EXTRA_TITLE", required=True),),
        cue=r"\btitled?\b|named|called",
    ),
    _Intent(
        (18,),
        "taxi",
        "book_taxi",
        "Order a taxi.",
        (
            _string("pickup_location", "Where to be picked up.", "pickup_location"),
            _string("destination", "Where to go.", "destination", required=True),
            _string("pickup_time", "When, as said.", "pickup_time"),
            _Parameter(
                "passengers",
                {"type": "integer", "description": "Number of passengers."},
                ("passengers", "group_size"),
                _count,
            ),
        ),
        gaps=(
            (
                "pickup_time",
                r"\btoday|tomorrow|tonight|morning|afternoon|evening|weekend|day\b|\d ?[ap]m\b|o'clock|minutes",
            ),
            ("pickup_location", r"\bfrom\b"),
        ),
    ),
    _Intent(
        (19,),
        "maps",
        "show_map",
        "Show a place on the map.",
        (_string("query", "The place.", "uri", find=_place, required=True),),
    ),
    _Intent(
        (21,),
        "media",
        "play_music",
        "Play music.",
        (
            _string("title", "Title of the song.", "EXTRA_MEDIA_TITLE"),
            _string("artist", "Artist or band.", "EXTRA_MEDIA_ARTIST"),
            _string("album", "Title of the album.", "EXTRA_MEDIA_ALBUM"),
            _string("genre", "Music genre.", "android.intent.extra.genre"),
        ),
        needs_argument=True,
    ),
    _Intent(
        (22,),
        "notes",
        "create_note",
        "Write a note.",
        (
            _string("title", "Title of the note.", "EXTRA_NAME", required=True),
            _string("text", "Text of the note.", "EXTRA_TEXT"),
        ),
    ),
    _Intent(
        (23,),
        "phone",
        "dial_number",
        "Enter a number in the phone app, without calling it yet.",
        (_string("phone_number", "The number.", "uri", find=_phone, required=True),),
    ),
    _Intent(
        (24,),
        "phone",
        "call_number",
        "Call a phone number.",
        (_string("phone_number", "The number.", "uri", find=_phone, required=True),),
    ),
    _Intent(
        (25,),
        "phone",
        "call_voicemail",
        "Call a voicemail number.",
        (_string("phone_number", "The number.", "uri", find=_phone, required=True),),
        cue="voicemail",
    ),
    _Intent(
        (26, 27),
        "search",
        "web_search",
        "Search the web.",
        (_string("query", "What to search for.", "QUERY", "SearchManager.QUERY", required=True),),
    ),
    _settings(
        29, "network", "Open the settings of wireless networks.", r"wireless|network|mobile data|hotspot|tether|vpn"
    ),
    _settings(30, "airplane_mode", "Open the settings of airplane mode.", r"airplane|flight mode|flight"),
    _settings(31, "wifi", "Open the Wi-Fi settings.", r"wi-?fi"),
    _settings(32, "apn", "Open the access point (APN) settings of mobile data.", r"\bAPN|access point"),
    _settings(33, "bluetooth", "Open the Bluetooth settings.", r"bluetooth|pair"),
    _settings(34, "date", "Open the settings of date, time and time zone.", r"\bdate|\btime\b|clock|time zone|24-hour"),
    _settings(35, "language", "Open the settings of language and region.", r"language|locale|region"),
    _settings(
        36,
        "keyboard",
        "Open the settings of keyboards and text input.",
        r"keyboard|autocorrect|input method|typing|predictive",
    ),
    _settings(
        37,
        "display",
        "Open the display settings.",
        r"brightness|display|screen (timeout|color|size)|font|wallpaper|dark mode|theme|night",
    ),
    _settings(
        38,
        "security",
        "Open the security settings.",
        r"secur|screen lock|fingerprint|\bPIN\b|password|face unlock|encrypt",
    ),
    _settings(39, "location", "Open the location settings.", r"location|gps"),
    _settings(40, "storage", "Open the settings of internal storage.", r"storage|space"),
    _settings(41, "memory_card", "Open the settings of the memory card.", r"memory card|sd card"),
    _Intent(
        (42, 43, 44),
        "messages",
        "send_text_message",
        "Send a text message.",
        (
            _string("phone_number", "Number of the recipient.", "uri", find=_phone),
            _string("message", "The text.", "sms_body", "Intent.EXTRA_TEXT"),
        ),
        needs_argument=True,
        gaps=(
            ("phone_number", r"\d{3}"),
            ("message", r"\bthat (i|we|he|she|it|the)\b|saying|\"|(?<!\w)'"),
            (
                "attachment",
                r"attach|picture|photo|voice|video|audio|meme|files?\b|image|pdf|screenshot|recording|gif|document",
            ),
        ),
    ),
    _Intent(
        (45,),
        "search",
        "open_url",
        "Open a web page.",
        (_string("url", "Address of the page.", "uri", find=_url, required=True),),
    ),
)
_BY_ID = {number: intent for intent in INTENTS for number in intent.ids}


def load(root: Path | None = None) -> Iterator[Example]:
    yield from accept(_examples(root), root)


def _examples(root: Path | None) -> Iterator[Example]:
    seen: set[str] = set()
    for file in FILES:
        for row in read_lines(file, root):
            query, intent = row["query"].strip(), _BY_ID.get(row["id"])
            if intent is None or query.lower() in seen:
                continue
            seen.add(query.lower())
            rng = random.Random(f"{SEED}:{query}")
            style = rng.choice(_STYLES)
            call = _call(intent, row, query, style)
            if call is not None:
                tools = (_tool(intent.name, style),)
                yield Example("droidcall", f"droidcall:{intent.family}", (Message("user", query),), tools, (call,))


@cache
def _tool(name: str, style: Style) -> Tool:
    intent = next(each for each in INTENTS if each.name == name)
    properties = {restyle(each.name, style): each.schema for each in intent.parameters}
    required = [restyle(each.name, style) for each in intent.parameters if each.required]
    schema = {"type": "object", "properties": properties, "required": required}
    return Tool(restyle(intent.name, style), intent.description, schema)


def _call(intent: _Intent, row: dict[str, Any], query: str, style: Style) -> Call | None:
    if intent.cue and not re.search(intent.cue, query, re.IGNORECASE):
        return None
    upstream = {"uri": row.get("uri"), "mime": row.get("mime"), **(row.get("extras") or {})}
    arguments = {}
    for parameter in intent.parameters:
        labelled = [upstream[key] for key in parameter.extras if upstream.get(key) not in _ABSENT]
        found = [value for value in (parameter.find(each, query) for each in labelled) if value is not None]
        if found:
            arguments[restyle(parameter.name, style)] = found[0]
        elif parameter.required:
            return None
    if intent.needs_argument and not arguments:
        return None
    for name, cue in intent.gaps:
        if restyle(name, style) not in arguments and re.search(cue, query, re.IGNORECASE):
            return None
    return Call(restyle(intent.name, style), arguments)
