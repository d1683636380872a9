"""From a request to what its answer is decoded from: encodings and grammars, made or out of the cache."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from model.cache import ToolCache, ToolEntry, tool_key
from model.errors import ContextLengthError, RequestError, SchemaError
from model.grammar import Grammar, GrammarCompiler
from model.parameters import parameter_keys
from model.prompt import Prompt, encode_messages, encode_tool
from model.response import PARAM, PARAMETERS, Response, read_response
from model.schema import normalise
from model.session import Encoding, Session
from model.tokenizer import Tokenizer
from model.types import GenerationRequest, Message, Tool

# For one request. A tool takes milliseconds, and none more than a second or two; but a megabyte of tools made to be
# slow would keep a thread for minutes.
MAX_COMPILE_SECONDS = 10.0
ENCODE_TOGETHER = 16  # texts per encoder run; sorted by length first, so that little is padding
TOKENS_TOGETHER = 2048  # of them, padding included: 16 texts of 512 would take half a gigabyte for a moment


@dataclass(frozen=True)
class Prepared:
    """A request, ready to be answered: `tools[i]` is of its `tools[i]`, `response` of its `response`.

    `before` is `model.response.Response.before`.
    """

    conversation: Encoding
    tools: list[ToolEntry]
    response: ToolEntry | None
    before: bytes
    prompt_tokens: int
    cached_tokens: int


@dataclass(frozen=True)
class _Declared:
    """A tool, or the `response` that poses for one, and how errors name it: `param` and `schema` are paths."""

    tool: Tool
    title: str
    param: str
    schema: str
    response: Response | None = None


class Preparer:
    """Checks requests and makes what they need. Thread-safe.

    Args:
        tokenizer, session, compiler, cache: the engine's.
        max_tokens: of one text.
    """

    def __init__(
        self, tokenizer: Tokenizer, session: Session, compiler: GrammarCompiler, cache: ToolCache, max_tokens: int
    ) -> None:
        self._tokenizer = tokenizer
        self._session = session
        self._compiler = compiler
        self._cache = cache
        self._max_tokens = max_tokens

    def prepare(self, request: GenerationRequest) -> Prepared:
        """Raises `RequestError` as `model.types.Engine.prepare` does."""
        choice = request.tool_choice
        if choice.mode == "named" and choice.name not in {t.name for t in request.tools}:
            raise RequestError(f"tool_choice names {choice.name!r}, which is not among the tools", "tool_choice")
        prompt = encode_messages(request.messages, self._tokenizer)
        self._check_length(len(prompt.ids), "the messages need", "messages")
        declared = [
            _Declared(tool, f"tool {tool.name!r}", f"tools[{i}]", f"tools[{i}].function.parameters")
            for i, tool in enumerate(request.tools)
        ]
        response = None if request.response is None else read_response(request.response)
        if response is not None:
            title = f"response schema {response.tool.name!r}"
            declared.append(_Declared(response.tool, title, PARAM, PARAMETERS, response))
        keys = [tool_key(d.tool) for d in declared]
        entries = {key: self._cache.get(key) for key in keys}
        cached = sum(len(e.encoding.ids) for key in keys if (e := entries[key]) is not None)
        missing: dict[bytes, _Declared] = {}
        for key, d in zip(keys, declared, strict=True):
            if entries[key] is None:
                missing.setdefault(key, d)
        for key, made in zip(missing, self._make_entries(list(missing.values())), strict=True):
            entries[key] = made
            self._cache.put(key, made)
        [conversation] = self._session.encode([prompt])
        ready = [entry for key in keys if (entry := entries[key]) is not None]
        total = len(prompt.ids) + sum(len(entry.encoding.ids) for entry in ready)
        if response is None:
            return Prepared(conversation, ready, None, b"", total, cached)
        return Prepared(conversation, ready[:-1], ready[-1], response.before, total, cached)

    def pool(self, texts: Sequence[str], param: str) -> tuple[list[list[float]], int]:
        """The vector of each text as a user's message, of unit length, and how many tokens they have together.

        Raises `ContextLengthError`, its `param` `{param}[i]`.
        """
        prompts = [encode_messages((Message("user", text),), self._tokenizer) for text in texts]
        for i, prompt in enumerate(prompts):
            self._check_length(len(prompt.ids), "this text needs", f"{param}[{i}]")
        vectors: dict[int, list[float]] = {}
        for group in _of_like_length(prompts):
            pooled = self._session.pool([prompts[k] for k in group])
            vectors.update(zip(group, pooled.tolist(), strict=True))
        return [vectors[k] for k in range(len(prompts))], sum(len(prompt.ids) for prompt in prompts)

    def _make_entries(self, missing: Sequence[_Declared]) -> list[ToolEntry]:
        """Encode and compile tools; all errors name the place of the tool at fault."""
        prompts: list[Prompt] = []
        grammars = []
        until = time.monotonic() + MAX_COMPILE_SECONDS
        for declared in missing:
            if time.monotonic() > until:
                message = (
                    f"What is declared before takes more than {MAX_COMPILE_SECONDS:g} s to compile; send fewer tools."
                )
                raise RequestError(message, declared.param)
            grammars.append(self._compile(declared))
            prompt = encode_tool(declared.tool, self._tokenizer)
            self._check_length(len(prompt.ids), f"{declared.title} needs", declared.param)
            prompts.append(prompt)
        encodings: dict[int, Encoding] = {}
        for group in _of_like_length(prompts):
            encoded = self._session.encode([prompts[k] for k in group])
            encodings.update(zip(group, encoded, strict=True))
        return [
            ToolEntry(encodings[k], grammar, parameter_keys(prompts[k].names, self._tokenizer))
            for k, grammar in enumerate(grammars)
        ]

    def _compile(self, declared: _Declared) -> Grammar:
        message = ""
        try:
            schema = normalise(declared.tool.parameters, declared.schema)
            message = f"{declared.title}: "
            return self._compiler.compile(schema, declared.schema)
        except SchemaError as error:
            if declared.response is None:
                raise SchemaError(message + error.message, error.param) from error
            param = declared.response.asked(error.param)
            raise SchemaError(f"{declared.title}: {error.message}", param) from error

    def _check_length(self, tokens: int, what: str, param: str) -> None:
        if tokens > self._max_tokens:
            raise ContextLengthError(f"{what} {tokens} tokens; this model reads at most {self._max_tokens}.", param)


def _of_like_length(prompts: Sequence[Prompt]) -> Iterator[list[int]]:
    """Their indices, in groups that are encoded together."""
    group: list[int] = []
    for k in sorted(range(len(prompts)), key=lambda k: len(prompts[k].ids)):
        if group and (len(group) == ENCODE_TOGETHER or (len(group) + 1) * len(prompts[k].ids) > TOKENS_TOGETHER):
            yield group
            group = []
        group.append(k)
    if group:
        yield group
