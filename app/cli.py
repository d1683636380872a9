"""The console command `bodkin`.

`serve`, `models` and `tools` are built in. Other installed packages of the project add subcommands through the
entry-point group `bodkin.commands`; each value is a function `main(argv: list[str]) -> int`. So this module needs to
know none of them.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import sys
from collections.abc import Sequence
from typing import Any

from pydantic import ValidationError

from app.settings import Settings, explain
from app.version import version

COMMANDS = "bodkin.commands"


def main(argv: Sequence[str] | None = None) -> int:
    argv = list(sys.argv[1:] if argv is None else argv)
    plugins = {entry.name: entry for entry in importlib.metadata.entry_points(group=COMMANDS)}
    parser = argparse.ArgumentParser(
        prog="bodkin",
        description="OpenAI's function calling, answered on this machine.",
        epilog="'bodkin COMMAND --help' explains a command.",
    )
    parser.add_argument("--version", action="version", version=f"bodkin {version()}")
    names = ["serve", "models", "tools", *sorted(plugins.keys() - {"serve", "models", "tools"})]
    parser.add_argument("command", choices=names, metavar="COMMAND", help=f"one of: {', '.join(names)}")
    parser.add_argument("arguments", nargs=argparse.REMAINDER, help="the command's own options")
    if not argv:
        parser.print_help()
        return 2
    options = parser.parse_args(argv)
    if options.command == "serve":
        return serve(options.arguments)
    if options.command == "models":
        from app.models_cli import models

        return models(options.arguments)
    if options.command == "tools":
        from app.tools_cli import tools

        return tools(options.arguments)
    return _run_plugin(plugins[options.command], options.arguments)


def serve(argv: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="bodkin serve",
        description="Serve the OpenAI-compatible API.",
        epilog="Every setting is also an environment variable, BODKIN_PORT for example; options win.",
    )
    parser.add_argument("--host", help="address to listen on (127.0.0.1)")
    parser.add_argument("--port", type=int, help="port to listen on; 0 takes a free one (8000)")
    parser.add_argument(
        "--artifact",
        action="append",
        metavar="[NAME=]DIR",
        help="folder of the default model (the one shipped with the package); with NAME=, of a further model, which is "
        "served as bodkin-26m:NAME. May be repeated",
    )
    parser.add_argument("--model", help="the default model's name on the wire (bodkin-26m)")
    options = vars(parser.parse_args(argv))
    folders = options.pop("artifact") or []
    named = [text for text in folders if "=" in text and "/" not in text.partition("=")[0]]
    bare = [text for text in folders if text not in named]
    if len(bare) > 1:
        print("bodkin: --artifact: one folder may go without a name; write the others as NAME=DIR.", file=sys.stderr)
        return 2
    options |= {"artifact": bare[0] if bare else None, "artifacts": named or None}
    given: dict[str, Any] = {name: value for name, value in options.items() if value is not None}
    try:
        settings = Settings(**given)
    except ValidationError as error:
        print(f"bodkin: {explain(error, frozenset(given))}", file=sys.stderr)
        return 2
    # Imports the web framework, which `--help` and other commands can do without.
    from app.serve import run

    return run(settings)


def _run_plugin(entry: importlib.metadata.EntryPoint, argv: list[str]) -> int:
    try:
        command = entry.load()
    except ModuleNotFoundError as error:
        # An entry point may name the extra it needs: `training.cli:main [training]`.
        remedy = f"; install bodkin[{','.join(entry.extras)}]" if entry.extras else ""
        print(f"bodkin: '{entry.name}' needs the package '{error.name}', which is missing{remedy}.", file=sys.stderr)
        return 1
    code: int = command(argv)
    return code
