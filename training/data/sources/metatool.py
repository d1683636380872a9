"""MetaTool: requests written for ChatGPT plugins, each with the plugin that serves it; a matter of choosing only.

Format: `plugin_des.json` {plugin: description}; `all_clean_data.csv` Query,Tool. The plugins become tools without
parameters. The requests were generated from a plugin's description, many of them so freely that no one could tell which
plugin is meant; so a request is kept when its words speak for its plugin more than for any other, and the others on
offer are plugins that its words do not speak for at all. Dropped as well are templates ("[topic]"), talk about the
plugin or the chatbot itself, replies, fragments and essays. CAP bounds what one plugin contributes.
"""

from __future__ import annotations

import csv
import gzip
import math
import random
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path

from model.types import Message, Tool
from training.data.download import corpus_file
from training.data.example import Call, Example
from training.data.sources.accept import accept
from training.data.sources.grounding import tokens
from training.data.sources.naming import Style, restyle, words
from training.data.sources.reading import read_json

QUERIES = "metatool/dataset/data/all_clean_data.csv.gz"
PLUGINS = "metatool/dataset/plugin_des.json.gz"
GROUP = "metatool:plugins"  # one family: several plugins do the same, so none is a distractor that a row does not list
SEED = 0
CAP = 12
MIN_WORDS, MAX_WORDS = 5, 32
MAX_SIBLINGS = 3
MIN_EVIDENCE = 4.0  # about one word that a single plugin of 200 has, or two that a few have
_STYLES: tuple[Style, ...] = ("pascal", "snake", "camel")
_UNFIT = re.compile(
    r"[\[\]{}<>]|\b(chat ?gpt|chat ?bots?|gpt|plug-?ins?|this (tool|app|api|feature|website|link|image|video|document)"
    r"|your (tool|app|api)|the (tool|api|assistant)|as an ai|users?|language model"
    r"|this (time period|location)|an? (particular|specific|certain) (company|website|url|location|time)|using a url)\b"
    r"|^\W*(sure|certainly|of course|here|yes)\b",
    re.IGNORECASE,
)
_STOPWORDS = frozenset(
    "a about all also an and any are as at available based be been best but by can could do does for from get give has "
    "have help how i if in information into is it its know like look make me more most my need new of on one or our "
    "out over please provide s search should so some specific t tell that the their them there they this to tool up us "
    "use using various want was we what when where which who will with would you your ai app access ask data find "
    "generate create check question answer let see show".split()
)


def load(root: Path | None = None) -> Iterator[Example]:
    yield from accept(_examples(root), root)


def _examples(root: Path | None) -> Iterator[Example]:
    plugins: dict[str, str] = read_json(PLUGINS, root)
    evidence = _Evidence(plugins)
    with gzip.open(corpus_file(QUERIES, root), "rt", encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    random.Random(SEED).shuffle(rows)
    made: Counter[str] = Counter()
    seen: set[str] = set()
    for i, row in enumerate(rows):
        text, name = " ".join(row["Query"].split()), row["Tool"]
        if name not in plugins or made[name] == CAP or text.lower() in seen or not _is_fit(text):
            continue
        scores = evidence.of(text)
        if scores[name] < MIN_EVIDENCE or scores[name] < max(scores.values()):
            continue
        seen.add(text.lower())
        made[name] += 1
        rng = random.Random(f"{SEED}:{i}")
        style = rng.choice(_STYLES)
        strangers = [other for other, score in scores.items() if score == 0]
        offered = [name, *rng.sample(strangers, min(MAX_SIBLINGS, len(strangers)))]
        rng.shuffle(offered)
        tools = tuple(_tool(each, plugins[each], style) for each in offered)
        yield Example("metatool", GROUP, (Message("user", text),), tools, (Call(restyle(name, style), {}),))


def _is_fit(text: str) -> bool:
    return MIN_WORDS <= len(text.split()) <= MAX_WORDS and not _UNFIT.search(text)


def _tool(name: str, description: str, style: Style) -> Tool:
    parameters = {"type": "object", "properties": {}, "required": []}
    return Tool(restyle(name, style), " ".join(description.split()), parameters)


class _Evidence:
    """How much the words of a request speak for each plugin: the rarer among plugins a shared word, the more."""

    def __init__(self, plugins: Mapping[str, str]) -> None:
        self._words = {name: _content(f"{' '.join(words(name))} {text}") for name, text in plugins.items()}
        counts = Counter(word for each in self._words.values() for word in each)
        self._weights = {word: math.log(len(plugins) / count) for word, count in counts.items()}

    def of(self, text: str) -> dict[str, float]:
        said = _content(text)
        return {name: sum(self._weights[word] for word in said & own) for name, own in self._words.items()}


def _content(text: str) -> set[str]:
    return {_stem(token) for token in tokens(text) if token not in _STOPWORDS and len(token) > 1}


def _stem(word: str) -> str:
    """Without the commonest endings, so that "calculating" and "calculator" meet."""
    stemmed = re.sub(r"(?<=\w{4})(ations?|ators?|ating|ates?|ings?|ers?|ors?|ed|es|s|e)$", "", word)
    return stemmed or word
