"""The console command `bodkin`.

`serve` is built in. Other installed packages of the project add subcommands through the entry-point group
`bodkin.commands`; each value is a function `main(argv: list[str]) -> int`. So this module needs to know none of them.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import sys
from collections.abc import Sequence
from pathlib import Path

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
    names = ["serve", *sorted(plugins.keys() - {"serve"})]
    parser.add_argument("command", choices=names, metavar="COMMAND", help=f"one of: {', '.join(names)}")
    parser.add_argument("arguments", nargs=argparse.REMAINDER, help="the command's own options")
    if not argv:
        parser.print_help()
        return 2
    options = parser.parse_args(argv)
    if options.command == "serve":
        return serve(options.arguments)
    return _run_plugin(plugins[options.command], options.arguments)


def serve(argv: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="bodkin serve",
        description="Serve the OpenAI-compatible API.",
        epilog="Every setting is also an environment variable, BODKIN_PORT for example; options win.",
    )
    parser.add_argument("--host", help="address to listen on (127.0.0.1)")
    parser.add_argument("--port", type=int, help="port to listen on; 0 takes a free one (8000)")
    parser.add_argument("--artifact", type=Path, help="folder of the model (the one shipped with the package)")
    parser.add_argument("--model", help="the model's name on the wire (bodkin-26m)")
    given = {name: value for name, value in vars(parser.parse_args(argv)).items() if value is not None}
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
