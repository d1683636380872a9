"""Two tool sets that the shipped model never saw, as a user's own: requests to learn from, and others to test on.

`tickets` is a domain of the scenario library, held out from training whole: 15 tools, and requests made from
hand-written phrasings, of all the kinds that `bodkin distil` asks a teacher for. `voice` is real people's wording: the
two intents of the Snips corpus that were held out, all seven of its tools on offer.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path

from model.prompt import dumps
from training.data.compose import Composer
from training.data.example import Example
from training.data.prepare import is_held_out
from training.data.scenarios.library import FOLDER, Domain, ScenarioTool, load_domain
from training.data.sources import snips
from training.distil.rows import message_row

TESTED = 500  # requests of each test set
NEW_WORDINGS = 0.25  # share of a tool's phrasings that nothing is learnt from
# The mixture of `training.distil.briefs.KINDS`, by the composer's names; chat stands for what no tool does.
MIXTURE = {
    "single": 11.0,
    "later turn": 3.0,
    "several tools": 1.0,
    "told together": 1.0,
    "value missing": 2.0,
    "chat": 2.0,
}


@dataclass(frozen=True)
class ToolSet:
    """`learn` in the order in which it is paid for: a smaller experiment takes the first of them.

    `tests` are disjoint from it and by the name of what is new in them.
    """

    title: str
    learn: tuple[Example, ...]
    tests: Mapping[str, tuple[Example, ...]]


def tickets(most: int, root: Path | None = None) -> ToolSet:
    """`support_tickets` of the scenario library, as its file declares it."""
    domain = load_domain(FOLDER / "support_tickets.yaml")
    _check_unseen(f"scenario:{domain.name}")
    known, new = _split_phrasings(domain)
    seen: set[str] = set()
    # The tests first: they are the same however many examples are learnt.
    test = _distinct(_requests(known, domain, "test"), TESTED, seen)
    reworded = _distinct(_requests(new, domain, "reworded"), TESTED, seen)
    learn = _distinct(_requests(known, domain, "learn"), most, seen)
    return ToolSet(
        f"{len(domain.tools)} tools for support tickets",
        learn,
        {"new requests": test, "new requests in phrasings not learnt from": reworded},
    )


def voice(most: int, root: Path | None = None) -> ToolSet:
    """The held-out intents of Snips; at most as many as the corpus has."""
    intents = [intent for intent in snips.TOOLS if is_held_out(f"snips:{intent}")]
    for intent in intents:
        _check_unseen(f"snips:{intent}")
    tools = tuple(tool.styled["snake"] for tool in snips.TOOLS.values())
    found = [replace(e, tools=tools) for e in chain.from_iterable(snips.load_all(i, root) for i in intents)]
    random.Random("voice").shuffle(found)
    seen: set[str] = set()
    test = _distinct(iter(found), TESTED, seen)
    learn = _distinct(iter(found), most, seen)
    return ToolSet(f"{len(intents)} of {len(tools)} voice commands (Snips)", learn, {"new requests": test})


TOOLSETS: Mapping[str, Callable[[int, Path | None], ToolSet]] = {"tickets": tickets, "voice": voice}


def _check_unseen(family: str) -> None:
    if not is_held_out(family):
        raise ValueError(f"{family} is trained on")


def _split_phrasings(domain: Domain) -> tuple[Domain, Domain]:
    """The domain with some of every tool's phrasings, and with the others. Later turns stay in both."""
    first, second = [], []
    for tool in domain.tools:
        wordings = list(tool.say)
        random.Random(tool.tool.name).shuffle(wordings)
        cut = max(1, round(NEW_WORDINGS * len(wordings)))
        first.append(replace(tool, say=tuple(wordings[cut:])))
        second.append(replace(tool, say=tuple(wordings[:cut])))
    return _with_tools(domain, first), _with_tools(domain, second)


def _with_tools(domain: Domain, tools: list[ScenarioTool]) -> Domain:
    by_name = {t.tool.name: t for t in tools}
    links = (replace(c, first=by_name[c.first.tool.name], second=by_name[c.second.tool.name]) for c in domain.chains)
    return replace(domain, tools=tuple(tools), chains=tuple(links))


def _requests(domain: Domain, whole: Domain, purpose: str) -> Iterator[Example]:
    """Without end, with all tools on offer each time."""
    composer = Composer([domain], variants=1, kinds=MIXTURE)
    rng = random.Random(f"{domain.name}:{purpose}")
    tools = tuple(t.tool for t in whole.tools)
    while True:
        for example in composer.visit(rng):
            yield replace(example, tools=tools)


def _distinct(examples: Iterator[Example], most: int, seen: set[str]) -> tuple[Example, ...]:
    """The next `most` whose conversation is not in `seen`, which they join."""
    found: list[Example] = []
    for example in examples:
        if len(found) == most:
            break
        text = dumps([message_row(m) for m in example.messages]).casefold()
        if text not in seen:
            seen.add(text)
            found.append(example)
    return tuple(found)
