"""The neutral request and result types that every part of Bodkin speaks.

Plain frozen dataclasses: no HTTP, no pydantic, no tensors. `app` translates the wire formats into a
`GenerationRequest`; the engine answers with a stream of `Event`s that ends in a `GenerationResult`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
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
    """What to answer and within which limits. `temperature` 0 is greedy; `max_tokens` counts generated tokens.

    `response` asks for an answer as JSON text where there is no call: the schema of the answer, posing as a tool whose
    arguments are the answer. Without it, an answer without calls has no text.

    `top_logprobs` asks for the log probability of every token that is written, with as many alternatives; None for
    neither.
    """

    messages: tuple[Message, ...]
    tools: tuple[Tool, ...]
    tool_choice: ToolChoice = ToolChoice()
    parallel_tool_calls: bool = True
    max_tokens: int | None = None
    temperature: float = 0.0
    top_p: float = 1.0
    seed: int | None = None
    response: Tool | None = None
    top_logprobs: int | None = None


@dataclass(frozen=True)
class Usage:
    """Token counts. `cached_tokens` are the prompt tokens whose encoding came from the cache."""

    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int = 0


@dataclass(frozen=True)
class TokenLogprob:
    """A token that was written, and its log probability: natural, none above 0, and 0 where the grammar forced it.

    `alternatives` are the most probable of those that the grammar admitted in its place, itself among them, best first:
    as many as `top_logprobs` says. Tokens are bytes: one character may be spread over several of them.
    """

    token: bytes
    logprob: float
    alternatives: tuple[tuple[bytes, float], ...] = ()


@dataclass(frozen=True)
class Span:
    """A piece of a request: `messages[message].text[start:end]`, which is `text`."""

    message: int
    start: int
    end: int
    text: str


@dataclass(frozen=True)
class Evidence:
    """Where one value of the arguments comes from.

    `path` is the value's JSON pointer (RFC 6901) in the arguments object, such as `/guests/0/name`; values are strings,
    numbers, booleans and null, and empty arrays and objects. `source` is the text of the conversation that the model
    copied it from, None when it wrote it by itself. `found` tells whether the value occurs in the conversation at all,
    as it stands or in another spelling of the same (`model.spelling`). True, false and null hardly ever do, and empty
    values never: a request says "turn it on", not "true". A source of a value that is not found is a piece of it.
    """

    path: str
    found: bool
    source: Span | None


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
    was allowed, or the budget ended. `calls` are traces of the finished calls. `text` is that of a whole text,
    which poses for a call that NONE is the only alternative to; None without one.
    """

    calls: tuple[CallTrace, ...]
    none: float | None
    text: CallTrace | None = None


@dataclass(frozen=True)
class GenerationResult:
    """The answer. `confidences[i]` is the probability that `calls[i]` is right, `confidence` that the whole answer is.

    They are None when the engine's weights have not been calibrated: nothing else may pose as a probability. A cut
    answer is not one, so its confidence is 0. That of a text is that it is right and that no call is.

    `finish_reason` is derived from what was emitted: "length" when the budget cut a call, which is then absent from
    `calls` but was (partly) streamed; "tool_calls" when there are calls; "stop" otherwise.

    `text` is the JSON that answers a request with a `response`; None when there are calls, and without a `response`.
    One that the budget cut is there as far as it goes, with "length".

    `evidence[i]` is of the values of `calls[i]`, in the order in which they are written; `text_evidence` of those of
    `text`. `logprobs` are of all tokens written (of the calls' arguments, in order, or of `text`), a cut call's
    included; None when the request did not ask for them.
    """

    calls: tuple[ToolCall, ...]
    confidences: tuple[float | None, ...]
    confidence: float | None
    finish_reason: FinishReason
    usage: Usage
    trace: Trace | None = field(default=None, compare=False)
    text: str | None = None
    evidence: tuple[tuple[Evidence, ...], ...] = ()
    text_evidence: tuple[Evidence, ...] = ()
    logprobs: tuple[TokenLogprob, ...] | None = None


@dataclass(frozen=True)
class CallStarted:
    """The `index`-th call begins; its tool is decided."""

    index: int
    name: str


@dataclass(frozen=True)
class ArgumentsDelta:
    """The next piece of the `index`-th call's arguments text, and its tokens when the request asked for `logprobs`."""

    index: int
    text: str
    logprobs: tuple[TokenLogprob, ...] = ()


@dataclass(frozen=True)
class TextDelta:
    """The next piece of the answer's text, and its tokens when the request asked for `logprobs`."""

    text: str
    logprobs: tuple[TokenLogprob, ...] = ()


@dataclass(frozen=True)
class Finished:
    """The last event of every stream."""

    result: GenerationResult


Event = CallStarted | ArgumentsDelta | TextDelta | Finished


@dataclass(frozen=True)
class Embeddings:
    """Vectors of texts, of unit length and equal width, and how many tokens were read for them."""

    vectors: tuple[tuple[float, ...], ...]
    tokens: int


class Engine(Protocol):
    """What `app` needs of a model. Thread-safe; both methods block (numpy and ONNX Runtime underneath)."""

    def prepare(self, request: GenerationRequest) -> None:
        """Check everything that can be refused (tool schemas, context length) before any output is produced.

        Raises `model.errors.RequestError`, its `param` in the terms of the request: `tools[2].function.parameters…`,
        `response.parameters…`, `messages`. Warms the per-tool caches, so that a `stream` right after is fast.
        """

    def stream(self, request: GenerationRequest) -> Iterator[Event]:
        """Generate: zero or more calls, or pieces of a text, then exactly one `Finished`. Raises as `prepare` does."""

    def generate(self, request: GenerationRequest) -> GenerationResult:
        """`stream`, folded into its result."""

    def embed(self, texts: Sequence[str]) -> Embeddings:
        """A vector of each text. Raises `model.errors.ContextLengthError`, its `param` naming the text: `input[3]`."""
