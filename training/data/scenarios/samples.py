"""Sample conversations of a domain, for its author to read aloud."""

from __future__ import annotations

import random

from model.prompt import calls_text, dumps
from model.types import ToolCall
from training.data.example import Example
from training.data.scenarios import draw
from training.data.scenarios.library import Domain
from training.data.scenarios.together import as_written


def print_samples(domain: Domain, per_tool: int, rng: random.Random) -> None:
    """Print `per_tool` requests of each tool, and one of each other kind that the tool or the domain has."""
    print(f"# {domain.name}: {domain.about}")
    for tool in domain.tools:
        examples: list[Example | None] = [draw.single(domain, tool, rng) for _ in range(per_tool)]
        examples += [draw.missing(domain, tool, rng)] if tool.missing else []
        examples += [draw.follow_up(domain, tool, rng)] if tool.then else []
        for example in filter(None, examples):
            print(conversation(example))
    for link in domain.chains:
        print(conversation(draw.chain(domain, link, rng)))
    for told in domain.together:
        for _ in told.say:
            if written := as_written(domain, told, rng):
                print(conversation(written))


def conversation(example: Example) -> str:
    """An example as text, a line per turn, the gold calls last."""
    lines = [f"  {m.role + ':':11}{m.text}{calls_text(m.tool_calls) if m.tool_calls else ''}" for m in example.messages]
    calls = calls_text([ToolCall(c.name, dumps(c.arguments)) for c in example.calls])
    return "\n".join([*lines, f"  {'=>':11}{calls}", ""])
