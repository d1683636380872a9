"""Snips 2017-06: voice-assistant commands of seven intents, here seven tools written by hand.

Format: per intent a JSON file {intent: [{data: [{text, entity?}]}]}; the texts join to the utterance.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from model.types import Message
from training.data.example import Example
from training.data.sources.accept import accept
from training.data.sources.naming import Style
from training.data.sources.reading import read_json
from training.data.sources.spans import Parameter, Span, SpanTool, call

SEED = 0
CAP = 400
_STYLES: tuple[Style, ...] = ("snake", "snake", "camel")
# Words that only repeat what the tool is for ("book a restaurant"): nobody passes them on.
_GENERIC = {"restaurant_type": {"restaurant", "restaurants"}, "movie_type": {"movie", "movies", "film", "films"}}

TOOLS = {
    "AddToPlaylist": SpanTool(
        "add_to_playlist",
        "Add a song, an album or an artist's music to a playlist.",
        (
            Parameter("playlist", "Name of the playlist.", ("playlist",), required=True),
            Parameter("item", "Title of the song or album to add.", ("entity_name",)),
            Parameter("artist", "Artist whose music is added.", ("artist",)),
            Parameter("item_type", "Kind of item, such as song or album.", ("music_item",)),
        ),
        unless=r"'s\b.*\bplaylist",
        ignore=frozenset({"playlist_owner"}),
    ),
    "BookRestaurant": SpanTool(
        "book_restaurant",
        "Book a table at a restaurant.",
        (
            Parameter("restaurant_name", "Name of the restaurant.", ("restaurant_name",)),
            Parameter("restaurant_type", "Kind of place, such as brasserie or bar.", ("restaurant_type",)),
            Parameter("cuisine", "Cuisine the guests want.", ("cuisine",)),
            Parameter("dish", "Dish that the place should serve.", ("served_dish",)),
            Parameter("party_size", "Number of people.", ("party_size_number",), type="integer"),
            Parameter("guests", "Who comes, when named rather than counted.", ("party_size_description",)),
            Parameter("time", "When the table is wanted, as said.", ("timeRange",)),
            Parameter("location", "City, state or country.", ("city", "state", "country")),
            Parameter("near", "A place that the restaurant should be close to.", ("poi",)),
            Parameter("facility", "A facility that the place should have.", ("facility",)),
        ),
        ignore=frozenset({"spatial_relation", "sort"}),
    ),
    "GetWeather": SpanTool(
        "get_weather",
        "Get the weather forecast for a place and a time.",
        (
            Parameter(
                "location", "Place of the forecast.", ("city", "state", "country", "geographic_poi", "current_location")
            ),
            Parameter("time", "Day or time of the forecast, as said.", ("timeRange",)),
            Parameter(
                "condition",
                "The condition asked about, such as rain.",
                ("condition_description", "condition_temperature"),
            ),
        ),
        ignore=frozenset({"spatial_relation"}),
    ),
    "PlayMusic": SpanTool(
        "play_music",
        "Play music, chosen by any of title, artist, album, playlist, genre or year.",
        (
            Parameter("track", "Title of the song.", ("track",)),
            Parameter("artist", "Artist or band.", ("artist",)),
            Parameter("album", "Title of the album.", ("album",)),
            Parameter("playlist", "Name of the playlist.", ("playlist",)),
            Parameter("genre", "Music genre.", ("genre",)),
            Parameter("year", "Year or decade of the music, as said.", ("year",)),
            Parameter("service", "Streaming service to play it on.", ("service",)),
            Parameter("sort", "Selection such as top, newest or best.", ("sort",)),
        ),
        ignore=frozenset({"music_item"}),
    ),
    "RateBook": SpanTool(
        "rate_book",
        "Give a book a rating.",
        (
            Parameter("title", "Title of the book, if named.", ("object_name",)),
            Parameter("rating", "The rating given.", ("rating_value",), type="integer", required=True),
            Parameter("max_rating", "The best possible rating, if said.", ("best_rating",), type="integer"),
            Parameter("selection", "Which book, when not named: this, current, previous.", ("object_select",)),
            Parameter("series_part", "Part of a series, such as saga or chapter.", ("object_part_of_series_type",)),
        ),
        ignore=frozenset({"object_type", "rating_unit"}),
    ),
    "SearchCreativeWork": SpanTool(
        "search_creative_work",
        "Find a creative work, such as a book, a song, a show or a game, by its title.",
        (
            Parameter("title", "Title of the work.", ("object_name",), required=True),
            Parameter("type", "Kind of work, such as TV show, album or painting.", ("object_type",)),
        ),
    ),
    "SearchScreeningEvent": SpanTool(
        "find_movie_screenings",
        "Find out when and where movies are shown.",
        (
            Parameter("movie", "Title of the movie.", ("movie_name",)),
            Parameter("cinema", "Name of the cinema.", ("location_name",)),
            Parameter("venue_type", "Kind of venue, such as movie theatre.", ("object_location_type",)),
            Parameter("movie_type", "Kind of movie, such as films or animated movies.", ("movie_type",)),
            Parameter("time", "When, as said.", ("timeRange",)),
            Parameter("distance", "How near, as said.", ("spatial_relation",)),
        ),
        ignore=frozenset({"object_type"}),
    ),
}


def load(root: Path | None = None) -> Iterator[Example]:
    yield from accept(_examples(root, TOOLS, _STYLES, CAP), root)


def load_all(intent: str, root: Path | None = None) -> Iterator[Example]:
    """Every utterance of one intent, with its tool in snake_case."""
    yield from accept(_examples(root, {intent: TOOLS[intent]}, ("snake",), None), root)


def _examples(
    root: Path | None, tools: Mapping[str, SpanTool], styles: Sequence[Style], cap: int | None
) -> Iterator[Example]:
    for intent, tool in tools.items():
        rows: list[dict[str, Any]] = []
        for file in (f"train_{intent}_full", f"validate_{intent}"):
            rows += read_json(f"snips/{intent}/{file}.json.gz", root)[intent]
        rng = random.Random(f"{SEED}:{intent}")
        rng.shuffle(rows)
        made = 0
        for row in rows:
            text, spans = _utterance(row["data"])
            style = rng.choice(styles)
            answer = call(tool, text, spans, style)
            if answer is not None and (cap is None or made < cap):
                made += 1
                yield Example("snips", f"snips:{intent}", (Message("user", text),), (tool.styled[style],), (answer,))


def _utterance(pieces: list[dict[str, str]]) -> tuple[str, list[Span]]:
    text, spans = "", []
    for piece in pieces:
        if "entity" in piece and piece["text"].lower() not in _GENERIC.get(piece["entity"], ()):
            spans.append(Span(piece["entity"], len(text), len(text) + len(piece["text"])))
        text += piece["text"]
    # Spans index into the text, so only its end may be trimmed.
    return text.rstrip(), spans
