"""Checkers of tools, one for each model: read from its artifact, whether the model is loaded or not."""

from __future__ import annotations

import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from app.adapters.contract import Declared
from app.catalog import Catalog, Stamp
from app.errors import InvalidRequestError, NotReadyError
from model.errors import ArtifactError
from model.manifest import parse_manifest
from model.tokenizer import Tokenizer

if TYPE_CHECKING:
    from model.contract import ContractChecker, ToolContract

logger = logging.getLogger("bodkin.contracts")

MAX_KEPT = 8  # some 10 MB each
MAX_SECONDS = 20.0  # for the tools of one request: schemas made to be slow could keep a thread for minutes


def read_checker(folder: Path) -> ContractChecker:
    """The checker of an artifact. Raises `ArtifactError`.

    It imports the grammar engine, which takes a second: the server is to listen before that.
    """
    from model.contract import ContractChecker

    manifest = parse_manifest(folder)
    try:
        tokenizer = Tokenizer.load(folder / "tokenizer.json")
    except Exception as error:  # the tokenizers library raises nothing more precise
        raise ArtifactError(f"{folder / 'tokenizer.json'} cannot be read: {error}") from error
    return ContractChecker(tokenizer, manifest.max_tokens)


class Contracts:
    """Thread-safe; what it does takes too long for the event loop."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._kept: OrderedDict[tuple[Path, Stamp], ContractChecker] = OrderedDict()
        self._lock = threading.Lock()

    def check(self, model: str, tools: Sequence[Declared]) -> list[ToolContract] | None:
        """What becomes of the tools; None if there is no such model.

        Raises `NotReadyError` if the model's artifact is damaged, `InvalidRequestError` if it takes too long.
        """
        checker = self._checker(model)
        if checker is None:
            return None
        until = time.monotonic() + MAX_SECONDS
        contracts: list[ToolContract] = []
        for tool in tools:
            if time.monotonic() > until:
                raise InvalidRequestError(
                    f"Checking the tools before this one took more than {MAX_SECONDS:g} s; send fewer at once.",
                    param=tool.param,
                )
            contracts.append(checker.check(tool.tool, tool.param, tool.schema))
        return contracts

    def _checker(self, model: str) -> ContractChecker | None:
        with self._lock:  # also while one is made, or all that wait for it would make it
            source = self._catalog.look().get(model)
            if source is None:
                return None
            key = source.folder, source.stamp
            if key not in self._kept:
                try:
                    self._kept[key] = read_checker(source.folder)
                except ArtifactError as error:
                    logger.error("tools cannot be checked for %s: %s", model, error)
                    raise NotReadyError("The model's files cannot be read; the server's log says why.") from error
                if len(self._kept) > MAX_KEPT:
                    self._kept.popitem(last=False)
            self._kept.move_to_end(key)
            return self._kept[key]
