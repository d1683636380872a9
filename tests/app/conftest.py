"""The application around a FakeEngine, in process and on a socket."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from fastapi.testclient import TestClient

from app.main import create_app
from app.settings import Settings
from tests.conftest import FakeEngine, serve


@pytest.fixture
def settings() -> Settings:
    return Settings(threads=1)


@pytest.fixture
def client(settings: Settings, engine: FakeEngine) -> Iterator[TestClient]:
    with TestClient(create_app(settings, engine), raise_server_exceptions=False) as client:
        yield client


@pytest.fixture
def url(settings: Settings, engine: FakeEngine) -> Iterator[str]:
    with serve(create_app(settings, engine)) as url:
        yield url
