"""The installed package's version."""

from __future__ import annotations

import importlib.metadata


def version() -> str:
    try:
        return importlib.metadata.version("bodkin")
    except importlib.metadata.PackageNotFoundError:
        return "0+source"  # run from a checkout that was never installed
