"""`bodkin models`: what is served, and publishing, rolling back and choosing versions in the store."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from app.catalog import Catalog, Source
from app.settings import Settings, explain
from model import store
from model.errors import ArtifactError, ModelError
from model.manifest import FILES, parse_manifest
from model.names import full_name


def models(argv: Sequence[str]) -> int:
    """The exit code: 1 when it could not be done, 2 for a wrong setting."""
    parser = argparse.ArgumentParser(
        prog="bodkin models",
        description="List the models that 'bodkin serve' serves, or change those in the store. Running servers follow.",
        epilog="The store is a folder: BODKIN_STORE, by default bodkin/models in XDG_DATA_HOME (~/.local/share).",
    )
    actions = parser.add_subparsers(dest="action", metavar="ACTION", title="actions (without one: list)")
    publish = actions.add_parser("publish", help="copy an artifact into the store and let servers go over to it")
    publish.add_argument(
        "artifact", type=Path, metavar="DIR", help="folder with manifest.json, as 'bodkin export' makes"
    )
    publish.add_argument("--name", required=True, help="it is served as bodkin-26m:NAME")
    rollback = actions.add_parser("rollback", help="go back to the version before the current one")
    rollback.add_argument("name", metavar="NAME")
    use = actions.add_parser("use", help="go to a version that is kept, an older or a newer one")
    use.add_argument("name", metavar="NAME")
    use.add_argument("version", metavar="VERSION", help="v3, for example")
    options = parser.parse_args(argv)
    try:
        settings = Settings()
    except ValidationError as error:
        print(f"bodkin: {explain(error)}", file=sys.stderr)
        return 2
    try:
        if options.action is None:
            print(table(settings))
        else:
            print(_change(settings.store, options))
    except (ModelError, OSError) as error:
        print(f"bodkin: {error}", file=sys.stderr)
        return 1
    return 0


def _change(folder: Path, options: argparse.Namespace) -> str:
    """Do it; returns what to tell the user."""
    name = options.name.removeprefix(full_name(""))  # as clients call it is fine too
    before = store.current(folder, name)
    if options.action == "publish":
        version = store.publish(options.artifact, folder, name)
    elif options.action == "rollback":
        version = store.rollback(folder, name)
    else:
        version = store.use(folder, name, options.version)
    if version == before:
        return f"{full_name(name)} is at {version} already."
    undo = f" 'bodkin models use {name} {before}' undoes this." if before else ""
    return f"{full_name(name)} is now {version}; servers follow within seconds.{undo}"


def table(settings: Settings) -> str:
    """Every model that a server with these settings would serve, one a line."""
    catalog = Catalog(settings.model, settings.artifact, settings.artifacts, settings.store)
    rows = [("MODEL", "CURRENT", "VERSIONS", "SIZE", "SINCE", "EXACT ANSWERS")]
    for name, source in catalog.look().items():
        kept = store.versions(settings.store, source.folder.parent.name) if source.version else []
        rows.append((name, source.version or "-", " ".join(kept) or "-", *_facts(source)))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows)
    return "\n".join(lines)


def _facts(source: Source) -> tuple[str, str, str]:
    """Size, date and scores of an artifact; of a broken one, what is wrong with it."""
    try:
        info = parse_manifest(source.folder).info
        size = sum((source.folder / name).stat().st_size for name in FILES)
    except (ArtifactError, OSError) as error:
        return "-", "-", str(error)
    since = datetime.fromtimestamp(source.created).strftime("%Y-%m-%d %H:%M")
    return f"{size / 1e6:.1f} MB", since, _scores(info)


def _scores(info: dict[str, Any]) -> str:
    """The exact-answer rate of each whole evaluation set that the manifest has scores of."""
    scores = info.get("scores")
    rates = {
        name.removesuffix("/all"): score["exact"]
        for name, score in (scores.items() if isinstance(scores, dict) else ())
        if ("/" not in name or name.endswith("/all")) and isinstance(score, dict) and "exact" in score
    }
    return ", ".join(f"{name} {rate:.1%}" for name, rate in rates.items()) or "-"
