"""What to say about an address that is not served: most often it is nearly one that is, or one of OpenAI's others."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping

_BASE_URL = "The client's base_url has to end in /v1, once."
_TEXT_ONLY = "Bodkin reads and writes text only."
_NOTHING_KEPT = "Bodkin keeps nothing between requests."
# OpenAI's endpoints by the first part of their address, and why they are not here or what to do instead.
_ELSEWHERE = {
    "completions": "Bodkin writes tool calls and JSON, no free text: declare 'tools' or a schema and "
    "use POST /v1/chat/completions.",
    "assistants": f"{_NOTHING_KEPT} An assistant's tools and messages go into each request.",
    "threads": f"{_NOTHING_KEPT} A thread's messages go into each request.",
    "conversations": f"{_NOTHING_KEPT} A conversation's messages go into each request.",
    "files": _NOTHING_KEPT,
    "uploads": _NOTHING_KEPT,
    "vector_stores": _NOTHING_KEPT,
    "batches": f"{_NOTHING_KEPT} Send the requests of a batch one by one; they cost nothing.",
    "fine_tuning": "To teach a model your own tools, run 'bodkin distil'.",
    "audio": _TEXT_ONLY,
    "images": _TEXT_ONLY,
    "videos": _TEXT_ONLY,
    "realtime": _TEXT_ONLY,
    "moderations": "Bodkin does not judge texts.",
}


def advice(path: str, served: Mapping[str, str]) -> str:
    """One or two sentences for a client that asked for `path`.

    `served` are the addresses that there are, as OpenAPI writes them (`/v1/models/{model}`), each with its method.
    """
    tidy = "/" + "/".join(filter(None, path.split("/")))
    for address, method in served.items():
        # Also behind something else, as when /v1 is missing, doubled, or the client thinks that it talks to Azure.
        pattern = re.sub(r"\\{\w+\\}", ".+", re.escape(address.removeprefix("/v1")))
        if found := re.search(rf"{pattern}\Z", tidy):
            meant = "/v1" + tidy[found.start() :]
            return f"Did you mean {method} {meant}?" + ("" if meant == tidy else f" {_BASE_URL}")
    instead = _ELSEWHERE.get(tidy.removeprefix("/v1").lstrip("/").partition("/")[0])
    if not instead and (near := difflib.get_close_matches(tidy, served, 1, 0.9)):
        return f"Did you mean {served[near[0]]} {near[0]}?"
    plain = ", ".join(f"{method} {address}" for address, method in served.items() if "{" not in address)
    return f"{instead} This server has {plain}." if instead else f"This server has {plain}."
