"""What the benchmark asks: tools and requests as production applications have them."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator
from typing import Any

Tool = dict[str, Any]


def _tool(name: str, description: str, required: list[str], **properties: dict[str, Any]) -> Tool:
    parameters = {"type": "object", "properties": properties, "required": required}
    return {"type": "function", "function": {"name": name, "description": description, "parameters": parameters}}


def _string(description: str) -> dict[str, Any]:
    return {"type": "string", "description": description}


# An assistant's five tools, asked about again and again: the cache knows them.
WARM_TOOLS = [
    _tool(
        "get_weather",
        "Get the current weather or the forecast for a city.",
        ["city"],
        city=_string("Name of the city"),
        unit={"type": "string", "enum": ["celsius", "fahrenheit"], "description": "Unit of temperature"},
        days={"type": "integer", "description": "Days of forecast", "minimum": 1, "maximum": 14},
    ),
    _tool(
        "send_email",
        "Send an email to one recipient.",
        ["to", "subject"],
        to=_string("Email address of the recipient"),
        subject=_string("Subject line"),
        body=_string("Text of the message"),
    ),
    _tool(
        "create_reminder",
        "Create a reminder at a given time.",
        ["title", "time"],
        title=_string("What to be reminded of"),
        time=_string("When, as the user said it"),
        repeat={"type": "string", "enum": ["never", "daily", "weekly", "monthly"]},
    ),
    _tool(
        "convert_currency",
        "Convert an amount of money between two currencies.",
        ["amount", "from_currency", "to_currency"],
        amount={"type": "number", "description": "Amount to convert"},
        from_currency=_string("ISO code of the currency to convert from"),
        to_currency=_string("ISO code of the currency to convert to"),
    ),
    _tool(
        "search_flights",
        "Search flights between two cities on a date.",
        ["origin", "destination", "date"],
        origin=_string("City of departure"),
        destination=_string("City of arrival"),
        date=_string("Date of departure"),
        passengers={"type": "integer", "minimum": 1},
        cabin={"type": "string", "enum": ["economy", "premium", "business", "first"]},
    ),
]

WARM_REQUESTS = [
    "What's the weather in Lisbon right now?",
    "Give me a 5 day forecast for Oslo in celsius",
    "Will I need an umbrella in Manchester?",
    "How hot is it in Phoenix, in fahrenheit please",
    "Email anna@example.com with the subject 'Invoice 2214'",
    "Send a mail to ops@acme.io, subject Deploy finished, and say that version 3.2 is live",
    "Drop sales@northwind.com a line titled Quarterly numbers",
    "Remind me to call the dentist tomorrow at 9am",
    "Set a weekly reminder to water the plants on Sunday evening",
    "remind me about the standup every day at 10:15",
    "Don't let me forget to pay rent on the 1st, every month",
    "Convert 250 EUR to USD",
    "How much is 1,200 Japanese yen in british pounds? (JPY to GBP)",
    "What would 99.95 CHF be in SEK",
    "Find me a flight from Berlin to Madrid on March 3rd",
    "Two business class seats from New York to London on 12 May please",
    "search flights Vienna to Rome 2026-07-14 for 4 people",
    "I need to get from Chicago to Denver next Friday, economy is fine",
]

_SYSTEMS = [
    "acme", "billing", "crm", "depot", "fleet", "garage", "helpdesk", "hotel", "hr", "inventory",
    "library", "market", "payroll", "pharmacy", "school", "shop", "studio", "travel", "utility", "warehouse",
]  # fmt: skip
_VERBS = {
    "get": "Look up",
    "create": "Create",
    "update": "Change",
    "cancel": "Cancel",
    "list": "List",
    "archive": "Archive",
    "export": "Export",
    "approve": "Approve",
}
_NOUNS: dict[str, dict[str, dict[str, Any]]] = {
    "order": {"order_id": _string("Number of the order"), "note": _string("Remark for the file")},
    "invoice": {"invoice_number": _string("Number of the invoice"), "amount": {"type": "number"}},
    "appointment": {"patient": _string("Name of the patient"), "day": _string("Day of the appointment")},
    "shipment": {"tracking_code": _string("Tracking code"), "express": {"type": "boolean"}},
    "ticket": {"ticket_id": {"type": "integer"}, "priority": {"type": "string", "enum": ["low", "normal", "urgent"]}},
    "reservation": {"guest": _string("Name of the guest"), "nights": {"type": "integer", "minimum": 1}},
    "contract": {"customer": _string("Name of the customer"), "months": {"type": "integer"}},
    "subscription": {"email": _string("Email of the subscriber"), "plan": {"type": "string", "enum": ["basic", "pro"]}},
    "report": {"title": _string("Title of the report"), "year": {"type": "integer"}},
    "product": {"sku": _string("Article number"), "price": {"type": "number", "minimum": 0}},
    "vehicle": {"plate": _string("Licence plate"), "mileage": {"type": "integer", "minimum": 0}},
    "payment": {"reference": _string("Reference of the payment"), "amount": {"type": "number"}},
}
_VALUES = {
    "order": "A-10442",
    "invoice": "2026-0815",
    "appointment": "Maria Lopez on Tuesday",
    "shipment": "1Z999AA10123456784",
    "ticket": "4711",
    "reservation": "Mr. Tanaka for 3 nights",
    "contract": "Northwind Traders",
    "subscription": "kim@example.org",
    "report": "'Energy use' of 2025",
    "product": "SKU 88-1203",
    "vehicle": "B-XY 1234",
    "payment": "RF18 5390",
}


def cold_tools(seed: int) -> Iterator[tuple[Tool, str]]:
    """Pairs of a tool and a request for it; no tool ever comes twice (there are 1,920)."""
    combinations = list(itertools.product(_SYSTEMS, _VERBS, _NOUNS))
    random.Random(seed).shuffle(combinations)
    for system, verb, noun in combinations:
        properties = _NOUNS[noun]
        description = f"{_VERBS[verb]} a {noun} in the {system} system."
        tool = _tool(f"{system}_{verb}_{noun}", description, [next(iter(properties))], **properties)
        yield tool, f"{_VERBS[verb]} the {noun} {_VALUES[noun]} in {system}"
