"""Ways in which people put a request: the material that `briefs` draws from. Weights are relative."""

from __future__ import annotations

from collections.abc import Mapping

STYLES = (
    "plain and direct, as most people type",
    "plain and direct, as most people type",
    "terse: keywords and values, hardly a verb, no politeness",
    "terse imperative, like a command to a device",
    "polite question (could you, would you mind, is it possible to)",
    "chatty: with a reason or a bit of one's day around the request",
    "formal, as in a business e-mail",
    "indirect: states a need or a problem, and the request follows from it",
    "hurried: lower case, missing punctuation, abbreviations (pls, tmrw, asap, w/)",
    "careless typing: one or two typos in each, never inside names, numbers or codes",
    "transcript of speech: no punctuation or capitals, numbers spelled out, fillers (um, like, you know)",
    "transcript of speech in which the speaker corrects a value midway (no wait, I mean); the last one counts",
    "text message: fragments, an emoji here and there",
    "instruction by someone who dictates to staff: precise, complete, in a fixed order of details",
    "values first, then what to do with them",
    "conditional or with a purpose (so that, because, before I leave)",
)

PERSONAS = (
    "an office manager between two meetings",
    "a student on a tight budget",
    "a parent with a child on the arm",
    "a retired teacher",
    "a software engineer",
    "a nurse on night shift",
    "a small-shop owner",
    "a truck driver on a break",
    "a field technician with dirty hands, dictating",
    "a first-time user of the application",
    "a daily power user of the application",
    "a customer-support agent acting for a customer",
    "an accountant at the end of the quarter",
    "a journalist on a deadline",
    "a hobby musician",
    "a project lead who delegates",
    "a researcher who likes to be exact",
    "a tourist far from home",
    "a volunteer who organises an event",
    "a teenager",
    "a chef between lunch and dinner",
    "a lawyer's assistant",
    "a farmer early in the morning",
    "a real-estate agent in a car",
    "a warehouse supervisor",
    "a fitness coach",
    "somebody who is a little annoyed",
    "somebody who is in a very good mood",
)

PLACES = tuple(
    f"with names, places, currencies and units that are usual in {place}"
    for place in (
        "the United States",
        "Britain",
        "Ireland",
        "Canada",
        "Australia",
        "India",
        "Nigeria",
        "Kenya",
        "Germany",
        "France",
        "Spain",
        "Italy",
        "Poland",
        "Sweden",
        "Turkey",
        "Egypt",
        "Brazil",
        "Mexico",
        "Argentina",
        "Japan",
        "South Korea",
        "Vietnam",
        "Singapore",
        "South Africa",
    )
)

LANGUAGE: Mapping[str, float] = {
    "everyday English of a native speaker": 6,
    "simple English, short common words, as of a child or a beginner": 1,
    "English of a non-native speaker: small slips in articles, tenses and prepositions, but clear": 2,
    "educated English with a rich vocabulary": 1,
    "the jargon and abbreviations that insiders of the field use": 1,
    "regional or colloquial English": 1,
}

LENGTHS: Mapping[str, float] = {
    "3 to 7 words": 2,
    "one short sentence of 6 to 12 words": 5,
    "one sentence of 10 to 20 words": 4,
    "two sentences, about 20 to 30 words": 2,
    "three or four sentences, of which only some matter for the request": 1,
    "mixed: from four words to three sentences": 3,
}

SHORT_LENGTHS: Mapping[str, float] = {
    "the last turn has 2 to 6 words": 2,
    "the last turn has 5 to 12 words": 4,
    "the last turn is one or two sentences": 2,
}

EXPRESSION: Mapping[str, float] = {
    "Said directly: each value stands in the words as the function needs it, dates with their year.": 10,
    "Said directly, but spread over the request and among details that are no values of the function.": 3,
    "Numbers, dates and times as people say them: spelled out, with their scale (2k, one and a half million), half "
    "past seven, the 3rd of May.": 3,
    "Several candidates are mentioned and one is chosen (not the small one, the large one), or one is excluded.": 1,
    "Relative where the function has dates, times or amounts (tomorrow at nine, in two hours, twice as many as 6); "
    "otherwise said directly. Where a relative date could not be known, the user also mentions what day it is, with "
    "month and year.": 2,
    "In other units than the function's, where it has units (half an hour for minutes, a dozen, 1.5 km for metres); "
    "otherwise said directly.": 1,
    "Choices from a list are implied by meaning, never by the listed word (it is freezing in here; this cannot wait); "
    "names, numbers and texts are said directly.": 3,
}


def weighted(options: Mapping[str, float]) -> tuple[list[str], list[float]]:
    """Population and weights, as `random.choices` takes them."""
    return list(options), list(options.values())
