"""Everything that can be configured, as environment variables with the prefix `BODKIN_`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from model.errors import StoreError
from model.names import FAMILY, check_name, default_store


class Settings(BaseSettings):
    """Read once at start-up. An empty variable counts as unset, as compose files write them."""

    model_config = SettingsConfigDict(
        env_prefix="BODKIN_", env_ignore_empty=True, frozen=True, use_attribute_docstrings=True, extra="ignore"
    )

    host: str = "127.0.0.1"
    """Address to listen on. `0.0.0.0` opens the server to the network: set keys then."""

    port: int = Field(default=8000, ge=0, le=65535)
    """Port to listen on; 0 takes any free one and prints it."""

    model: str = Field(default=FAMILY, min_length=1)
    """The default model's name on the wire: what clients send as `model`, and what `/v1/models` lists."""

    artifact: Path = Path(__file__).resolve().parent.parent / "model" / "artifact"
    """Folder of the default model: `manifest.json` and the files that it lists. Default: the one shipped with the
    package. When its files are replaced, the server goes over to them."""

    artifacts: Annotated[dict[str, Path], NoDecode] = Field(default={})
    """Folders of further models, as comma-separated `NAME=DIR`. NAME is served as `bodkin-26m:NAME`."""

    store: Path = Field(default_factory=default_store)
    """Where `bodkin models publish` puts models; the current version of each is served as `bodkin-26m:NAME`, and the
    server follows every publication and rollback. Default: `bodkin/models` in XDG_DATA_HOME (`~/.local/share`)."""

    max_models: int = Field(default=8, ge=1)
    """Models loaded at the same time, the default one included. Each takes about 70 MB, and up to 96 MB more for the
    tools that it has seen. Further ones in the store are not loaded: the log names them, requests for them get 503."""

    api_keys: Annotated[tuple[str, ...], NoDecode] = Field(default=(), repr=False)
    """Comma-separated keys; a request must carry one as its bearer token. Empty: every request is let in."""

    max_body_bytes: int = Field(default=1024 * 1024, ge=1024)
    """Largest request body. A longer one is answered 413 and never parsed."""

    threads: int = Field(default=1, ge=1)
    """Threads that one request computes with. The model is small: more threads cost more than they help."""

    max_concurrency: int = Field(default=4, ge=1)
    """Requests generated at the same time; further ones wait in the queue."""

    queue_limit: int = Field(default=256, ge=0)
    """Requests that may wait for their turn. Beyond it: 429 with `retry-after`."""

    log_level: Literal["critical", "error", "warning", "info", "debug"] = "info"
    """How much to log, on standard error. The access log is `info`."""

    @field_validator("api_keys", mode="before")
    @classmethod
    def _split_keys(cls, value: Any) -> Any:
        return tuple(key.strip() for key in value.split(",") if key.strip()) if isinstance(value, str) else value

    @field_validator("artifacts", mode="before")
    @classmethod
    def _split_artifacts(cls, value: Any) -> Any:
        parts = value.split(",") if isinstance(value, str) else value
        if not isinstance(parts, list):
            return value
        folders: dict[str, str] = {}
        for part in filter(None, map(str.strip, parts)):
            name, equals, folder = part.partition("=")
            if not (equals and folder):
                raise ValueError(f"expected NAME=DIR, not {part!r}")
            if name in folders:
                raise ValueError(f"{name!r} is given twice")
            folders[name] = folder
        return folders

    @field_validator("artifacts")
    @classmethod
    def _check_names(cls, value: dict[str, Path]) -> dict[str, Path]:
        try:
            for name in value:
                check_name(name)
        except StoreError as error:
            raise ValueError(str(error)) from None
        return value

    @field_validator("log_level", mode="before")
    @classmethod
    def _lower(cls, value: Any) -> Any:
        return value.lower() if isinstance(value, str) else value


def explain(error: ValidationError, options: frozenset[str] = frozenset()) -> str:
    """One sentence per wrong setting, named the way the user gave it: `options` are those from the command line."""
    sentences = []
    for detail in error.errors(include_url=False, include_context=False):
        field = str(detail["loc"][0])
        # The option `--artifact` fills two settings.
        name = f"--{field.replace('artifacts', 'artifact')}" if field in options else f"BODKIN_{field.upper()}"
        message = detail["msg"].removeprefix("Value error, ")
        reason = message[:1].lower() + message[1:]
        # A key must not reach a log, not even a malformed one.
        given = detail["input"]
        shown = ", ".join(given) if isinstance(given, list) else str(given)
        got = "" if field == "api_keys" else f" (got {shown!r})"
        sentences.append(f"{name}: {reason}{got}.")
    return " ".join(sentences)
