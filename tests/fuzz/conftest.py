"""The real server on the shipped model, behind a socket."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.main import create_app
from app.settings import Settings
from model.engine import load_engine
from tests.conftest import serve
from tests.fuzz.profile import SECONDS

ARTIFACT = Path(__file__).resolve().parents[2] / "model" / "artifact"


@pytest.fixture(scope="package")
def url() -> Iterator[str]:
    with serve(create_app(Settings(), load_engine(ARTIFACT, threads=1))) as url:
        yield url


@pytest.fixture(scope="package")
def client(url: str) -> Iterator[httpx.Client]:
    # Always a new connection: one that is idle is closed by the server just when it is wanted again, now and then.
    limits = httpx.Limits(max_keepalive_connections=0)
    with httpx.Client(base_url=url, timeout=SECONDS, limits=limits) as client:
        yield client


@pytest.fixture(scope="package")
def document(client: httpx.Client) -> dict[str, Any]:
    """The OpenAPI document, as the server gives it."""
    found: dict[str, Any] = client.get("/openapi.json").json()
    return found
