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
class CallTrace:
    """How probable one call was to the model while it wrote it: natural logarithms, none above 0.

    `route` is of the tool at its slot, among the candidates and NONE, before `tool_choice` masks any; `tokens` of each
    argument token that was not certain, as those are that the grammar forces.
    """

    route: float
    tokens: tuple[float, ...]


@dataclass(frozen=True)
class Trace:
    """What the model's answer says about its own certainty, and what a confidence is computed from.

    `none` is the log probability of NONE at the slot that ended the answer; None when no slot did: no call or only one
    was allowed, or the budget ended. `calls` are traces of the finished calls.
    """

    calls: tuple[CallTrace, ...]
    none: float | None


@dataclass(frozen=True)
class GenerationResult:
    """The answer. `confidences[i]` is the probability that `calls[i]` is right, `confidence` that the whole answer is.

    They are None when the engine's weights have not been calibrated: nothing else may pose as a probability. A cut
    answer is not one, so its confidence is 0.

    `finish_reason` is derived from what was emitted: "length" when the budget cut a call, which is then absent from
    `calls` but was (partly) streamed; "tool_calls" when there are calls; "stop" otherwise.
    """

    calls: tuple[ToolCall, ...]
    confidences: tuple[float | None, ...]
    confidence: float | None
    finish_reason: FinishReason
    usage: Usage
    trace: Trace | None = field(default=None, compare=False)


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
