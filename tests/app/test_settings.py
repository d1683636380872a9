from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from app.settings import Settings, explain


def test_defaults() -> None:
    settings = Settings()
    assert (settings.host, settings.port, settings.model) == ("127.0.0.1", 8000, "bodkin-26m")
    assert settings.artifact.parts[-2:] == ("model", "artifact")
    assert settings.api_keys == ()
    assert settings.max_body_bytes == 1024 * 1024
    assert settings.threads >= 1


def test_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BODKIN_PORT", "9000")
    monkeypatch.setenv("BODKIN_API_KEYS", " one, two,,")
    monkeypatch.setenv("BODKIN_LOG_LEVEL", "DEBUG")
    monkeypatch.setenv("BODKIN_ARTIFACT", "/models/mine")
    monkeypatch.setenv("BODKIN_HOST", "")
    settings = Settings()
    assert settings.port == 9000
    assert settings.api_keys == ("one", "two")
    assert settings.log_level == "debug"
    assert settings.artifact == Path("/models/mine")
    assert settings.host == "127.0.0.1", "an empty variable counts as unset"


def test_options_win_over_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BODKIN_PORT", "9000")
    assert Settings(port=9001).port == 9001


def test_folders_of_further_models(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BODKIN_ARTIFACTS", "shop=/models/shop, desk=runs/a=b/artifact,")
    assert Settings().artifacts == {"shop": Path("/models/shop"), "desk": Path("runs/a=b/artifact")}
    monkeypatch.setenv("BODKIN_ARTIFACTS", "")
    assert Settings().artifacts == {}


def test_the_store(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", "/data")
    assert Settings().store == Path("/data/bodkin/models")
    monkeypatch.setenv("BODKIN_STORE", "/models")
    assert Settings().store == Path("/models")


def test_every_field_is_documented() -> None:
    undocumented = [name for name, field in Settings.model_fields.items() if not field.description]
    assert undocumented == []


def test_keys_do_not_show() -> None:
    assert "secret" not in repr(Settings(api_keys=("secret",)))


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("BODKIN_PORT", "http", "BODKIN_PORT: input should be a valid integer, unable to parse string as an integer"),
        ("BODKIN_PORT", "70000", "BODKIN_PORT: input should be less than or equal to 65535 (got '70000')."),
        ("BODKIN_THREADS", "0", "BODKIN_THREADS: input should be greater than or equal to 1 (got '0')."),
        ("BODKIN_LOG_LEVEL", "loud", "BODKIN_LOG_LEVEL: input should be 'critical',"),
        ("BODKIN_MAX_MODELS", "0", "BODKIN_MAX_MODELS: input should be greater than or equal to 1 (got '0')."),
        ("BODKIN_ARTIFACTS", "/models/shop", "BODKIN_ARTIFACTS: expected NAME=DIR, not '/models/shop' (got "),
        ("BODKIN_ARTIFACTS", "shop=", "BODKIN_ARTIFACTS: expected NAME=DIR, not 'shop=' (got "),
        ("BODKIN_ARTIFACTS", "a=/x,a=/y", "BODKIN_ARTIFACTS: 'a' is given twice (got "),
        ("BODKIN_ARTIFACTS", "My Shop=/x", "BODKIN_ARTIFACTS: 'My Shop' cannot be a model's name: use lower-case"),
    ],
)
def test_malformed_variables_are_named(monkeypatch: pytest.MonkeyPatch, name: str, value: str, sentence: str) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(ValidationError) as caught:
        Settings()
    assert explain(caught.value).startswith(sentence)


def test_malformed_options_are_named_as_options() -> None:
    with pytest.raises(ValidationError) as caught:
        Settings(port=-1)
    assert explain(caught.value, frozenset({"port"})).startswith("--port: ")
