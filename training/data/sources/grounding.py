"""Is a value said in a text? An argument that the conversation does not support must not be taught."""

from __future__ import annotations

import re

_UNITS = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
    "eighteen nineteen"
).split()
_TENS = "twenty thirty forty fifty sixty seventy eighty ninety".split()
_NUMBERS = {word: value for value, word in enumerate(_UNITS)} | {word: 10 * (i + 2) for i, word in enumerate(_TENS)}
_SCALES = {"hundred": 100, "thousand": 1_000, "million": 1_000_000}
_TOKEN = re.compile(r"\d+(?:\.\d+)?|[^\W\d_]+")
_DIGIT_COMMA = re.compile(r"(?<=\d),(?=\d{3}\b)")


def tokens(text: str) -> list[str]:
    """Lower-case words and numbers; separators and punctuation fall away, number words become digits.

    >>> tokens("Twenty-five Days, $1,200.50")
    ['25', 'days', '1200.50']
    """
    words = _TOKEN.findall(_DIGIT_COMMA.sub("", text.lower()))
    result: list[str] = []
    i = 0
    while i < len(words):
        value, used = _spoken_number(words, i)
        result.append(str(value) if used else words[i])
        i += used or 1
    return result


def _spoken_number(words: list[str], start: int) -> tuple[int, int]:
    """The number spelled out at `start` and how many words it takes (0 when there is none)."""
    total = current = 0
    i = start
    while i < len(words):
        word = words[i]
        if word in _NUMBERS and (current == 0 or current % 100 == 0 or (current % 10 == 0 and _NUMBERS[word] < 10)):
            # "one two" are two numbers, "twenty two" and "hundred two" are one.
            if i > start and current == 0 and words[i - 1] in _NUMBERS:
                break
            current += _NUMBERS[word]
        elif word in _SCALES and i > start:
            current = (current or 1) * _SCALES[word]
            if word != "hundred":
                total, current = total + current, 0
        elif (
            word == "and"
            and i > start
            and words[i - 1] in _SCALES
            and words[i + 1 : i + 2]
            and words[i + 1] in _NUMBERS
        ):
            pass
        else:
            break
        i += 1
    return total + current, i - start


def number(text: str) -> float | int | None:
    """The single number in `text`, written in digits or words."""
    found = [token for token in tokens(text) if token[0].isdigit()]
    if len(found) != 1:
        return None
    return float(found[0]) if "." in found[0] else int(found[0])


def locate(value: str, text: str) -> str | None:
    """`value` as it literally stands in `text` (any case, whole words), the last occurrence; None when it does not."""
    if not value.strip():
        return None
    words = [re.sub("['’]", "['’]", re.escape(word)) for word in value.split()]
    pattern = r"(?<!\w)" + r"\s+".join(words) + r"(?!\w)"
    matches = re.findall(pattern, text, re.IGNORECASE)
    return matches[-1] if matches else None


def mentions(value: object, text: str) -> bool:
    """Whether `text` says `value`, up to case, separators, number words and plural endings."""
    if isinstance(value, bool):
        return False
    if isinstance(value, int | float):
        return any(token[0].isdigit() and float(token) == value for token in tokens(text))
    wanted = [_stem(token) for token in tokens(str(value))]
    have = [_stem(token) for token in tokens(text)]
    return bool(wanted) and any(have[i : i + len(wanted)] == wanted for i in range(len(have) - len(wanted) + 1))


def _stem(token: str) -> str:
    return token[:-1] if len(token) > 3 and token.endswith("s") else token
