"""Joins the parts: from a request to calls."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from model.cache import ToolCache, ToolEntry, tool_key
from model.confidence import read_calibration
from model.decoder import BudgetSpent, Decoder
from model.errors import ContextLengthError, RequestError, SchemaError
from model.grammar import GrammarCompiler
from model.manifest import Manifest, read_manifest
from model.parameters import ParameterTracker, parameter_keys
from model.prompt import Prompt, encode_messages, encode_tool
from model.sampling import Sampler
from model.schema import normalise
from model.session import Encoding, Session
from model.tokenizer import END, Tokenizer
from model.types import (
    ArgumentsDelta,
    CallStarted,
    CallTrace,
    Event,
    Finished,
    FinishReason,
    GenerationRequest,
    GenerationResult,
    Tool,
    ToolCall,
    Trace,
    Usage,
)

CANDIDATES = 8  # tools that the decoder scores; retrieval by vectors picks them from all that are declared
MAX_CALLS = 16  # a bound on a runaway list of calls, far above what people ask for in one sentence
MAX_ARGUMENT_TOKENS = 512  # when the request sets no budget
CACHE_BYTES = 96 << 20
ENCODE_TOGETHER = 16  # tools per encoder run; sorted by length first, so that little is padding


def load_engine(folder: Path, threads: int = 2, cache_bytes: int = CACHE_BYTES) -> BodkinEngine:
    """The engine of an artifact folder. Raises `ArtifactError` or `RuntimeMissingError`."""
    return BodkinEngine(folder, read_manifest(folder), threads, cache_bytes)


@dataclass(frozen=True)
class _Prepared:
    conversation: Encoding
    tools: list[ToolEntry]
    prompt_tokens: int
    cached_tokens: int


class BodkinEngine:
    """`model.types.Engine` on ONNX Runtime. Thread-safe."""

    def __init__(self, folder: Path, manifest: Manifest, threads: int, cache_bytes: int) -> None:
        self.manifest = manifest
        self.tokenizer = Tokenizer.load(folder / "tokenizer.json")
        self._session = Session(folder, self.tokenizer, manifest.sizes, threads, half=manifest.precision == "int8")
        self._compiler = GrammarCompiler(self.tokenizer.json_text, self.tokenizer.vocab_size, END)
        self._cache = ToolCache(cache_bytes)
        self._calibration = read_calibration(manifest)

    def prepare(self, request: GenerationRequest) -> None:
        """Refuse what can be refused, and warm the cache."""
        self._prepare(request)

    def generate(self, request: GenerationRequest) -> GenerationResult:
        """`stream`, folded into its result."""
        for event in self.stream(request):
            if isinstance(event, Finished):
                return event.result
        raise AssertionError("a stream ends in Finished")

    def stream(self, request: GenerationRequest) -> Iterator[Event]:
        """Route and fill until NONE; see `model.types.Engine`."""
        prepared = self._prepare(request)
        sampler = Sampler(request.temperature, request.top_p, request.seed)
        budget = MAX_ARGUMENT_TOKENS if request.max_tokens is None else request.max_tokens
        decoder = Decoder(self._session, prepared.conversation, sampler, budget)
        calls: list[ToolCall] = []
        traces: list[CallTrace] = []
        reason: FinishReason = "stop"
        choice = request.tool_choice
        candidates = self._candidates(request, prepared)
        most = (
            0
            if choice.mode == "none"
            else 1
            if choice.mode == "named" or not request.parallel_tool_calls
            else MAX_CALLS
        )
        none: float | None = None
        while candidates and len(calls) < most:
            must = choice.mode in ("required", "named") and not calls
            encodings = [prepared.tools[i].encoding for i in candidates]
            route = decoder.route(encodings, allow_none=not must)
            if route.choice is None:
                none = _log(route.probability)
                break
            index = candidates[route.choice]
            name, entry = request.tools[index].name, prepared.tools[index]
            tracker = ParameterTracker(self.tokenizer, entry.keys)
            yield CallStarted(len(calls), name)
            logs: list[float] = []
            ids: list[int] = []
            sent = ""
            try:
                for tokens, probability in decoder.fill(entry.grammar, tracker):
                    ids += tokens
                    if probability < 1.0:
                        logs.append(_log(probability))
                    # A character may need several tokens: what is not whole yet waits for the next one.
                    text = self.tokenizer.decode(ids)
                    whole = text.rstrip("\ufffd") if text.endswith("\ufffd") else text
                    if len(whole) > len(sent):
                        yield ArgumentsDelta(len(calls), whole[len(sent) :])
                        sent = whole
            except BudgetSpent:
                reason = "length"
                break
            calls.append(ToolCall(name, self.tokenizer.decode(ids)))
            traces.append(CallTrace(_log(route.probability), tuple(logs)))
        if calls and reason != "length":
            reason = "tool_calls"
        usage = Usage(prepared.prompt_tokens, decoder.written, prepared.cached_tokens)
        trace = Trace(tuple(traces), none)
        confidences = tuple(self._calibration.of_call(t) for t in traces)
        confidence = self._calibration.of_answer(request.messages, calls, trace, reason)
        yield Finished(GenerationResult(tuple(calls), confidences, confidence, reason, usage, trace))

    def _candidates(self, request: GenerationRequest, prepared: _Prepared) -> list[int]:
        """Indices of the tools to score: the named one, or those nearest to the conversation."""
        if request.tool_choice.mode == "named":
            return [next(i for i, t in enumerate(request.tools) if t.name == request.tool_choice.name)]
        if not prepared.tools:
            return []
        similarity = np.stack([t.encoding.pooled for t in prepared.tools]) @ prepared.conversation.pooled
        return [int(i) for i in np.argsort(-similarity, kind="stable")[:CANDIDATES]]

    def _prepare(self, request: GenerationRequest) -> _Prepared:
        choice = request.tool_choice
        if choice.mode == "named" and choice.name not in {t.name for t in request.tools}:
            raise RequestError(f"tool_choice names {choice.name!r}, which is not among the tools", "tool_choice")
        prompt = encode_messages(request.messages, self.tokenizer)
        self._check_length(len(prompt.ids), "the messages need", "messages")
        keys = [tool_key(tool) for tool in request.tools]
        entries = {key: self._cache.get(key) for key in keys}
        cached = sum(len(e.encoding.ids) for key in keys if (e := entries[key]) is not None)
        missing = {key: i for i, key in enumerate(keys) if entries[key] is None}
        made = self._make_entries([(i, request.tools[i]) for i in missing.values()])
        for key, new in zip(missing, made, strict=True):
            entries[key] = new
            self._cache.put(key, new)
        [conversation] = self._session.encode([prompt])
        tools = [entry for key in keys if (entry := entries[key]) is not None]
        total = len(prompt.ids) + sum(len(t.encoding.ids) for t in tools)
        return _Prepared(conversation, tools, total, cached)

    def _make_entries(self, tools: list[tuple[int, Tool]]) -> list[ToolEntry]:
        """Encode and compile tools, given with their place in the request; all errors name that place."""
        prompts: list[Prompt] = []
        grammars = []
        for i, tool in tools:
            path = f"tools[{i}].function.parameters"
            schema = normalise(tool.parameters, path)
            try:
                grammars.append(self._compiler.compile(schema, path))
            except SchemaError as error:
                raise SchemaError(f"tool {tool.name!r}: {error.message}", error.param) from error
            prompt = encode_tool(tool, self.tokenizer)
            self._check_length(len(prompt.ids), f"tool {tool.name!r} needs", f"tools[{i}]")
            prompts.append(prompt)
        encodings: dict[int, Encoding] = {}
        order = sorted(range(len(prompts)), key=lambda k: len(prompts[k].ids))
        for start in range(0, len(order), ENCODE_TOGETHER):
            group = order[start : start + ENCODE_TOGETHER]
            encoded = self._session.encode([prompts[k] for k in group])
            encodings.update(zip(group, encoded, strict=True))
        return [
            ToolEntry(encodings[k], grammar, parameter_keys(prompts[k].names, self.tokenizer))
            for k, grammar in enumerate(grammars)
        ]

    def _check_length(self, tokens: int, what: str, param: str) -> None:
        if tokens > self.manifest.max_tokens:
            raise ContextLengthError(
                f"{what} {tokens} tokens; this model reads at most {self.manifest.max_tokens}.", param
            )


def _log(probability: float) -> float:
    """Natural logarithm; a probability that underflowed counts as a very small one."""
    return math.log(max(probability, 1e-30))
