"""A corpus of a few tools whose requests say everything: enough to build batches from, and to learn in seconds."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path

from torch import Tensor

from model.types import Tool
from tests.artifact import EMAIL, PING, TABLE, WEATHER, tokenizer, tool, user
from training.data.encoder import ExampleEncoder
from training.data.example import Call, Example
from training.data.packing import Packed
from training.data.prepare import PrepareConfig
from training.data.shards import ExampleTable, ToolTable, save_description, save_examples, save_tools

CITIES = ("Paris", "Springfield", "San Francisco", "New York", "Zurich", "Friday", "Daft Punk")
TRANSFER = tool("transfer", "Move money between accounts.", ("amount",), amount={"type": "integer"})
FORECAST = tool(
    "get_forecast", "Weather of the next days.", ("city", "days"), city={"type": "string"}, days={"type": "integer"}
)
GROUPS = {"weather": (WEATHER, FORECAST), "mail": (EMAIL,), "tables": (TABLE,), "bank": (TRANSFER, PING)}


def example(group: str, text: str, tools: Sequence[Tool], *calls: Call) -> Example:
    return Example("toy", group, user(text), tuple(tools), calls)


def examples(count: int, seed: int) -> list[Example]:
    """Requests for every tool, with one call, with two (of one tool or of two), or with none."""
    rng = random.Random(seed)
    made = []
    for k in range(count):
        city, other, number = rng.choice(CITIES), rng.choice(CITIES), rng.randint(1, 400)
        weather, forecast = Call("get_weather", {"city": city}), Call("get_forecast", {"city": other, "days": number})
        transfer, table = Call("transfer", {"amount": number}), Call("book_table", {"guests": number})
        email, again = Call("sendEmail", {"to": city, "urgent": False}), Call("get_weather", {"city": other})
        both = f"weather in {city}, and the next {number} days in {other}"
        made.append(
            (
                example("weather", f"What is the weather in {city}?", GROUPS["weather"], weather),
                example("bank", f"Transfer {number} dollars from savings", GROUPS["bank"], transfer),
                example("mail", f"Send an email to {city}", GROUPS["mail"], email),
                example("tables", f"Book a table for {number}", GROUPS["tables"], table),
                example("weather", both, GROUPS["weather"], weather, forecast),
                example("weather", f"weather of {city} and {other}", (WEATHER,), weather, again),
                example("trivia", f"Who is {city}?", ()),
            )[k % 7]
        )
    return made


def encode(made: Sequence[Example]) -> tuple[ExampleTable, ToolTable]:
    encoder = ExampleEncoder(tokenizer(), PrepareConfig())
    table = encoder.encode(made, "train")
    assert len(table) == len(made), encoder.counts
    return table, encoder.tool_table()


def write_shards(folder: Path, train: Sequence[Example], heldout: Sequence[Example]) -> Path:
    """A folder as `bodkin data prepare` leaves it."""
    folder.mkdir(parents=True)
    encoder = ExampleEncoder(tokenizer(), PrepareConfig())
    save_examples(folder, "train", encoder.encode(train, "train"))
    save_examples(folder, "heldout", encoder.encode(heldout, "heldout"))
    save_tools(folder, encoder.tool_table())
    save_description(folder, tokenizer().json_text, {"counts": {}})
    return folder


def unpack(packed: Packed, values: Tensor) -> list[Tensor]:
    """values [N, ..] of the packed tokens -> each text's, in the order of the texts, padding behind."""
    lengths = {int(i): length for i, length in zip(packed.order, _lengths(packed), strict=True)}
    return [values[start : start + lengths[i]] for i, start in enumerate(packed.start.tolist())]


def _lengths(packed: Packed) -> list[int]:
    return [length for rows, length in packed.shapes for _ in range(rows)]
