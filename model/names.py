"""What published models are called, and where they lie by default. Light: settings and command lines import it."""

from __future__ import annotations

import os
import re
from pathlib import Path

from model.errors import StoreError

FAMILY = "bodkin-26m"
# Lower case, because some file systems cannot tell the cases apart; nothing hidden, no path.
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")


def is_name(name: str) -> bool:
    """Whether a model may be published as `name`."""
    return _NAME.fullmatch(name) is not None


def check_name(name: str) -> str:
    """`name`, if a model may be published so; raises `StoreError`."""
    if not is_name(name):
        raise StoreError(
            f"{name!r} cannot be a model's name: use lower-case letters, digits, '.', '_' and '-', at most 64, "
            "beginning with a letter or digit"
        )
    return name


def full_name(name: str) -> str:
    """What clients call the model that is published as `name`."""
    return f"{FAMILY}:{name}"


def default_store() -> Path:
    """`bodkin/models` among the user's data, by the XDG base directory specification."""
    data = os.environ.get("XDG_DATA_HOME", "")
    return Path(data if os.path.isabs(data) else os.path.expanduser("~/.local/share")) / "bodkin" / "models"
