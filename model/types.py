"""The neutral request and result types that every part of Bodkin speaks.

Plain frozen dataclasses: no HTTP, no pydantic, no tensors. `app` translates the wire formats into a
`GenerationRequest`; the engine answers with a stream of `Event`s that ends in a `GenerationResult`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

Role = Literal["system", "user", "assistant", "tool"]
FinishReason = Literal["tool_calls", "stop", "length"]
JSONSchema = Mapping[str, Any]


@dataclass(frozen=True)
class ToolCall:
    """One call: the function's name and its arguments as compact JSON text."""

    name: str
    arguments: str


@dataclass(frozen=True)
class Message:
    """One turn. `text` is "" for an assistant turn that only made calls; `name` is the tool behind a `tool` turn."""

    role: Role
    text: str
    tool_calls: tuple[ToolCall, ...] = ()
    name: str | None = None


@dataclass(frozen=True)
class Tool:
    """A declared function. `parameters` is the JSON Schema of its arguments object."""

    name: str
    description: str = ""
    parameters: JSONSchema = field(default_factory=lambda: {"type": "object", "properties": {}})


@dataclass(frozen=True)
class ToolChoice:
    """OpenAI's `tool_choice`. `name` is set exactly when `mode` is "named"."""

    mode: Literal["auto", "none", "required", "named"] = "auto"
    name: str | None = None


@dataclass(frozen=True)
class GenerationRequest:
    """What to answer and within which limits. `temperature` 0 is greedy; `max_tokens` counts generated tokens."""

    messages: tuple[Message, ...]
    tools: tuple[Tool, ...]
    tool_choice: ToolChoice = ToolChoice()
    parallel_tool_calls: bool = True
    max_tokens: int | None = None
    temperature: float = 0.0
    top_p: float = 1.0
    seed: int | None = None


@dataclass(frozen=True)
class Usage:
    """Token counts. `cached_tokens` are the prompt tokens whose encoding came from the cache."""

    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int = 0


@dataclass(frozen=True)
class GenerationResult:
    """The answer. `confidences[i]` belongs to `calls[i]`; `confidence` is that of the whole answer, in [0, 1].

    `finish_reason` is derived from what was emitted: "length" when the budget cut a call, which is then absent from
    `calls` but was (partly) streamed; "tool_calls" when there are calls; "stop" otherwise.
    """

    calls: tuple[ToolCall, ...]
    confidences: tuple[float, ...]
    confidence: float
    finish_reason: FinishReason
    usage: Usage


@dataclass(frozen=True)
class CallStarted:
    """The `index`-th call begins; its tool is decided."""

    index: int
    name: str


@dataclass(frozen=True)
class ArgumentsDelta:
    """The next piece of the `index`-th call's arguments text."""

    index: int
    text: str


@dataclass(frozen=True)
class Finished:
    """The last event of every stream."""

    result: GenerationResult


Event = CallStarted | ArgumentsDelta | Finished


class Engine(Protocol):
    """What `app` needs of a model. Thread-safe; both methods block (numpy and ONNX Runtime underneath)."""

    def prepare(self, request: GenerationRequest) -> None:
        """Check everything that can be refused (tool schemas, context length) before any output is produced.

        Raises `model.errors.RequestError`. Warms the per-tool caches, so that a `stream` right after is fast.
        """

    def stream(self, request: GenerationRequest) -> Iterator[Event]:
        """Generate: zero or more calls as events, then exactly one `Finished`. Raises as `prepare` does."""

    def generate(self, request: GenerationRequest) -> GenerationResult:
        """`stream`, folded into its result."""
