"""OpenTriviaQA (CC BY-SA 4.0): general-knowledge questions, which no tool answers. They teach when not to call."""

from __future__ import annotations

import random
from pathlib import Path

from model.types import Message
from training.data.example import Example
from training.data.sources.reading import read_lines


def load(count: int, root: Path | None = None) -> list[Example]:
    """`count` questions, chosen by a fixed seed, without tools and calls."""
    questions = [str(row["question"]) for row in read_lines("open-trivia-qa/trivia.jsonl.gz", root)]
    chosen = random.Random("trivia").sample(questions, min(count, len(questions)))
    return [Example("trivia", "trivia", (Message("user", q),), (), ()) for q in chosen]
