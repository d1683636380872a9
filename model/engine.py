"""Joins the parts: from a request to calls."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from model.answer import Answer
from model.cache import ToolCache, ToolEntry
from model.confidence import read_calibration
from model.decoder import BudgetSpent, Decoder
from model.evidence import Witness
from model.grammar import GrammarCompiler
from model.manifest import Manifest, read_manifest
from model.parameters import ParameterTracker
from model.preparation import Prepared, Preparer
from model.repeats import Repeats
from model.sampling import Sampler
from model.session import Session
from model.tokenizer import END, Tokenizer
from model.types import (
    ArgumentsDelta,
    CallStarted,
    Embeddings,
    Event,
    Finished,
    GenerationRequest,
    GenerationResult,
    TextDelta,
    ToolCall,
    Usage,
)
from model.writing import Piece, Writing

CANDIDATES = 8  # tools that the decoder scores; retrieval by vectors picks them from all that are declared
MAX_CALLS = 16  # a bound on a runaway list of calls, far above what people ask for in one sentence
MAX_ARGUMENT_TOKENS = 512  # when the request sets no budget
CACHE_BYTES = 96 << 20


def load_engine(folder: Path, threads: int = 2, cache_bytes: int = CACHE_BYTES) -> BodkinEngine:
    """The engine of an artifact folder. Raises `ArtifactError` or `RuntimeMissingError`."""
    return BodkinEngine(folder, read_manifest(folder), threads, cache_bytes)


class BodkinEngine:
    """`model.types.Engine` on ONNX Runtime. Thread-safe."""

    def __init__(self, folder: Path, manifest: Manifest, threads: int, cache_bytes: int) -> None:
        self.manifest = manifest
        self.tokenizer = Tokenizer.load(folder / "tokenizer.json")
        self._session = Session(folder, self.tokenizer, manifest.sizes, threads, half=manifest.precision == "int8")
        compiler = GrammarCompiler(self.tokenizer.json_text, self.tokenizer.vocab_size, END)
        self._cache = ToolCache(cache_bytes)
        self._preparer = Preparer(self.tokenizer, self._session, compiler, self._cache, max_tokens=manifest.max_tokens)
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
        """Route and fill until NONE, or until a call is made again; see `model.types.Engine` and `model.repeats`.

        Where a call is demanded, another tool's is made instead of one that was made, if there is another tool.

        A text is filled where the first call would be, when the model chose NONE there or may not call. One that is no
        object is written as the only property of one; the tokens around it count, as all that are generated do.
        """
        prepared = self._prepare(request)
        sampler = Sampler(request.temperature, request.top_p, request.seed)
        budget = MAX_ARGUMENT_TOKENS if request.max_tokens is None else request.max_tokens
        decoder, written = self._decoder(request, prepared, sampler, budget), 0
        repeats = Repeats(request.messages)
        witness = Witness(request.messages, prepared.conversation.ids, self.tokenizer.sizes)
        answer = Answer(request, witness, self.tokenizer)
        choice = request.tool_choice
        candidates = self._candidates(request, prepared)
        encodings = [prepared.tools[i].encoding for i in candidates]
        most = _most_calls(request) if candidates else 0
        while len(answer.calls) < most and not answer.cut:
            must = choice.mode in ("required", "named") and not answer.calls
            anyway = must and len(candidates) == 1  # a call that was made already is better than none
            route = decoder.route(encodings, allow_none=not must)
            if route.choice is None:
                answer.add_none(route.none)
                break
            tool = candidates[route.choice]
            name, number = request.tools[tool].name, len(answer.calls)
            writing = answer.writing()
            held: list[Event] = [CallStarted(number, name)]  # while the call may still be one that was made already
            if anyway or not repeats.possible(name, ""):
                yield held.pop()
            for piece in self._write(decoder, prepared.tools[tool], writing):
                held.append(ArgumentsDelta(number, piece.text, piece.logprobs))
                if anyway or not repeats.possible(name, writing.text):
                    yield from held
                    held.clear()
            if held and not writing.cut and ToolCall(name, writing.text) in repeats:
                # Nothing is to be written behind a call that is not made.
                written += decoder.written
                decoder = self._decoder(request, prepared, sampler, budget - written)
                if must:  # then by another tool
                    candidates.remove(tool)
                    encodings.pop(route.choice)
                    continue
                answer.add_none(route.none)
                break
            yield from held
            answer.add_call(name, route.probability, writing)
            repeats.add(answer.calls[-1:])
        may_be_text = choice.mode in ("auto", "none") and not answer.calls and not answer.cut
        if prepared.response is not None and may_be_text:
            # It is filled whatever the model prefers: this opens its slot.
            route = decoder.route([prepared.response.encoding], allow_none=False)
            writing = answer.writing(prepared.before)
            for piece in self._write(decoder, prepared.response, writing):
                yield TextDelta(piece.text, piece.logprobs)
            answer.add_text(route.probability, writing)
        usage = Usage(prepared.prompt_tokens, written + decoder.written, prepared.cached_tokens)
        yield Finished(answer.result(self._calibration, usage))

    def embed(self, texts: Sequence[str]) -> Embeddings:
        """The vectors by which tools are retrieved, of texts read as a user's message; see `model.types.Engine`."""
        vectors, tokens = self._preparer.pool(texts, "input")
        return Embeddings(tuple(map(tuple, vectors)), tokens)

    def _decoder(self, request: GenerationRequest, prepared: Prepared, sampler: Sampler, budget: int) -> Decoder:
        return Decoder(self._session, prepared.conversation, sampler, budget, request.top_logprobs or 0)

    def _write(self, decoder: Decoder, entry: ToolEntry, writing: Writing) -> Iterator[Piece]:
        """Fill `entry`'s arguments into `writing`, and give what is new."""
        tracker = ParameterTracker(self.tokenizer, entry.keys)
        try:
            for written in decoder.fill(entry.grammar, tracker):
                if piece := writing.feed(written):
                    yield piece
        except BudgetSpent:
            writing.cut = True
        if piece := writing.end():
            yield piece

    def _candidates(self, request: GenerationRequest, prepared: Prepared) -> list[int]:
        """Indices of the tools to score: the named one, or those nearest to the conversation."""
        if request.tool_choice.mode == "named":
            return [next(i for i, t in enumerate(request.tools) if t.name == request.tool_choice.name)]
        if not prepared.tools:
            return []
        similarity = np.stack([t.encoding.pooled for t in prepared.tools]) @ prepared.conversation.pooled
        return [int(i) for i in np.argsort(-similarity, kind="stable")[:CANDIDATES]]

    def _prepare(self, request: GenerationRequest) -> Prepared:
        return self._preparer.prepare(request)


def _most_calls(request: GenerationRequest) -> int:
    mode = request.tool_choice.mode
    if mode == "none":
        return 0
    return 1 if mode == "named" or not request.parallel_tool_calls else MAX_CALLS
