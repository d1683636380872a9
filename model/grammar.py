"""Schema to grammar, grammar to token masks: the only module that knows outlines and its llguidance engine.

It knows nothing of the network: token ids and bit masks in, token ids and bit masks out. A `GrammarCompiler` belongs to
one tokenizer; it turns a schema normalised by `model.schema` into a `Grammar`, which is immutable and may be cached and
shared between threads; a `Matcher` follows one sequence and belongs to one thread.

The text that a grammar admits is compact JSON, as `json.dumps(value, separators=(",", ":"), ensure_ascii=False)` writes
it, keys in the order in which the schema declares them.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from llguidance import LLMatcher, LLParserLimits, LLTokenizer
from outlines.backends.llguidance import LLGuidanceBackend

from model.errors import ModelError
from model.schema.graph import subschemas, target
from model.schema.record import Located, Refusal

BoolMask = npt.NDArray[np.bool_]
_Build = Callable[[Mapping[str, Any]], "tuple[Grammar | None, str]"]

COMPACT: Mapping[str, Any] = {
    "whitespace_flexible": False,
    "item_separator": ",",
    "key_separator": ":",
    # Without \u a character has one spelling, so that an additional key cannot be a declared one in disguise.
    "json_allowed_escapes": 'nrbtf\\"',
    "coerce_one_of": False,
    "lenient": False,
}
"""Options of the engine's JSON compiler."""

# Work limits of the engine, in its own units; the comments give what one costs on one core. They bound the time that a
# hostile schema takes to compile, and the time of one mask.
MAX_GRAMMAR_SIZE = 200_000
INITIAL_FUEL = 1_000_000  # 20 ms
STEP_FUEL = 200_000  # 15 ms
STEP_ITEMS = 50_000  # 3 ms
MAX_ROW_ITEMS = 10_000  # an object needs four for each optional property
MAX_LEXER_STATES = 50_000  # 1-2 KB each

BASE_BYTES = 60_000
BYTES_PER_SCHEMA_BYTE = 80
MAX_SEARCH_STEPS = 400
MAX_SEARCH_SECONDS = 1.0
MAX_REASON = 160
# Words of the engine's reasons, and the keywords that they are about.
_BOUNDS = ("minimum", "exclusiveMinimum", "maximum", "exclusiveMaximum")
_SPOKEN_OF = (
    ("patternProperty", ("patternProperties",)),
    ("minProperties", ("minProperties",)),
    ("/maxProperties", ("minProperties", "maxProperties")),
    ("maxProperties", ("maxProperties",)),
    ("multipleOf", ("multipleOf",)),
    ("range", _BOUNDS),
    ("regex", ("pattern", "format", "patternProperties", "propertyNames")),
    ("Regex", ("pattern", "format")),
    ("minLength", ("minLength",)),
    ("minItems", ("minItems",)),
    ("required", ("required",)),
)


class GrammarError(ModelError):
    """A matcher was driven against its grammar, or the engine reached a limit: the sequence must be abandoned."""


class _Vocabulary:
    """What the outlines backend needs in place of one of outlines' own model classes."""

    tensor_library_name = "numpy"

    def __init__(self, tokenizer_json: str, vocab_size: int, eos_id: int) -> None:
        self.tokenizer_json = tokenizer_json
        self.vocab_size = vocab_size
        self.eos_id = eos_id


class _Backend(LLGuidanceBackend):
    """outlines' llguidance backend, fed with a `tokenizer.json` instead of a transformers, llama.cpp or MLX model."""

    def _create_llg_tokenizer(self, model: Any) -> LLTokenizer:
        return LLTokenizer(
            _without_spelt_specials(model.tokenizer_json),
            n_vocab=model.vocab_size,
            eos_token=model.eos_id,
            slices=LLTokenizer.json_slices(),
        )


def _without_spelt_specials(tokenizer_json: str) -> str:
    """`tokenizer_json` with special tokens that no text can spell.

    The engine tokenises forced text by itself, and would write a constant that holds "<end>" with the token that ends
    the sequence. NUL cannot occur in the text of a grammar.
    """
    tokenizer = json.loads(tokenizer_json)
    vocabulary = tokenizer["model"]["vocab"]
    for token in tokenizer["added_tokens"]:
        vocabulary.pop(token["content"], None)
        token["content"] = f"\0{token['id']}"
        vocabulary[token["content"]] = token["id"]
    return json.dumps(tokenizer)


@dataclass(frozen=True)
class Inspection:
    """What the engine makes of a schema: a grammar, or the parts that it refuses.

    They are all there are when the search for them was `complete`; it is cut short where it takes too long.
    """

    grammar: Grammar | None
    faults: tuple[Refusal, ...]
    complete: bool


class GrammarCompiler:
    """Compiles schemas for one tokenizer. Thread-safe.

    Args:
        tokenizer_json: the text of a `tokenizer.json` (not a path).
        vocab_size: width of the masks; at least the tokenizer's own size.
        eos_id: the token that ends a sequence; never part of a value.
    """

    def __init__(self, tokenizer_json: str, vocab_size: int, eos_id: int) -> None:
        vocabulary: Any = _Vocabulary(tokenizer_json, vocab_size, eos_id)
        self._backend = _Backend(vocabulary)
        self._vocab_size = vocab_size
        self._limits = LLParserLimits(
            max_grammar_size=MAX_GRAMMAR_SIZE,
            initial_lexer_fuel=INITIAL_FUEL,
            step_lexer_fuel=STEP_FUEL,
            step_max_items=STEP_ITEMS,
            max_items_in_row=MAX_ROW_ITEMS,
            max_lexer_states=MAX_LEXER_STATES,
            verbose_errors=False,
        )

    def compile(self, schema: Mapping[str, Any], param: str | None = None) -> Grammar:
        """Compile a schema that `model.schema.normalise` returned.

        Raises `SchemaError` with the engine's reason when it refuses, or when the schema is too complex; `param`, the
        path of the schema in the request, is extended to the part at fault.
        """
        grammar, reason = self._build(schema)
        if grammar is None:
            raise next(_Search(self._build, schema, param).faults(reason)).error()
        return grammar

    def inspect(self, schema: Mapping[str, Any], param: str) -> Inspection:
        """`compile`, and all that is wrong with the schema, not only the first."""
        grammar, reason = self._build(schema)
        if grammar is not None:
            return Inspection(grammar, (), True)
        search = _Search(self._build, schema, param)
        return Inspection(None, tuple(search.faults(reason)), not search.over)

    def _build(self, schema: Mapping[str, Any]) -> tuple[Grammar | None, str]:
        """The grammar, or None and the engine's reason."""
        text = json.dumps({**schema, "x-guidance": COMPACT})
        processor = self._backend.get_json_schema_logits_processor(text)
        start = LLMatcher(processor.llg_tokenizer, processor.grammar, log_level=0, limits=self._limits)
        if not start.is_error():
            start.compute_ff_tokens()  # fails when the grammar is too complex to take even the first step
        if start.is_error():
            return None, _reason(start.get_error())
        warnings = start.get_grammar_warnings()
        if warnings:  # the engine reads the schema more liberally than it is written
            return None, warnings[0]
        return Grammar(start, len(text), self._vocab_size), ""


def _reason(error: str) -> str:
    """The engine's words, but for its own mishaps."""
    first = error.splitlines()[0]
    return "it is too complex" if first.startswith("panic") else first[:MAX_REASON]


def _keyword_at_fault(reason: str, part: Mapping[str, Any]) -> str | None:
    """The keyword that the engine speaks of, if the declared schema has it; None if several contradict each other."""
    if isinstance(part, Located):
        for words, keywords in _SPOKEN_OF:
            if words in reason:
                return next((keyword for keyword in keywords if keyword in part.declared), None)
    return None


class _Search:
    """For the parts of one schema that the engine refuses, one after the other.

    It goes down from the whole to a part that the engine still refuses, for as long as there is one. References are
    followed; a definition that is being searched counts as harmless inside itself. What was found is left out, and the
    search begins again, until the engine takes the rest or it has lasted too long.
    """

    def __init__(self, build: _Build, schema: Mapping[str, Any], param: str | None) -> None:
        self._build = build
        self._schema = schema
        self._param = param or ""
        self._definitions: dict[str, Any] = schema.get("$defs", {})
        self._left_out: set[int] = set()
        self._steps = 0
        self._until = time.monotonic() + MAX_SEARCH_SECONDS

    @property
    def over(self) -> bool:
        """Whether it has lasted too long, so that what was found last need not be a smallest part, nor be the last."""
        return self._steps >= MAX_SEARCH_STEPS or time.monotonic() >= self._until

    def faults(self, reason: str) -> Iterator[Refusal]:
        """One for each part; `reason` is why the engine refuses the whole."""
        while reason:
            part, why, path = self._smallest(reason)
            keyword = _keyword_at_fault(why, part)
            param = path if keyword is None else f"{path}.{keyword}"
            yield Refusal(path, keyword, param, f"The schema cannot be enforced: {why}.")
            if self.over or part is self._schema:
                return
            self._left_out.add(id(part))
            reason = self._refusal(self._schema, set())

    def _smallest(self, reason: str) -> tuple[Mapping[str, Any], str, str]:
        """The first smallest part, why the engine refuses it, and where it stands in the declared schema."""
        inside: set[str] = set()
        part, path = self._schema, self._param
        parts = self._below(part, inside)
        while not self.over and (below := next(parts, None)) is not None:
            self._steps += 1
            if why := self._refusal(below, inside):
                part, reason, parts = below, why, self._below(below, inside)
                path = below.path if isinstance(below, Located) else path
        return part, reason, path

    def _refusal(self, part: Mapping[str, Any], inside: set[str]) -> str:
        definitions = {name: {} if name in inside else self._kept(d) for name, d in self._definitions.items()}
        kept = self._kept({key: value for key, value in part.items() if key != "$defs"})
        return self._build({**kept, "$defs": definitions})[1]

    def _kept(self, part: Any) -> Any:
        """`part` as plain JSON, with what is left out replaced by "any value"."""
        if id(part) in self._left_out:
            return {}
        if isinstance(part, Mapping):
            kept = {key: self._kept(value) for key, value in part.items()}
            if "anyOf" in part:
                # Beside an option that admits any value the engine would not look at the others.
                others = [self._kept(option) for option in part["anyOf"] if not self._is_left_out(option)]
                kept["anyOf"] = others or [{}]
            return kept
        return [self._kept(value) for value in part] if isinstance(part, list) else part

    def _is_left_out(self, part: Any) -> bool:
        if isinstance(part, Mapping) and part.keys() == {"$ref"}:
            part = self._definitions.get(target(part))
        return id(part) in self._left_out

    def _below(self, part: Mapping[str, Any], inside: set[str]) -> Iterator[Mapping[str, Any]]:
        """The subschemas directly below `part` that are still in it."""
        for below in subschemas(part):
            if isinstance(below, Mapping) and id(below) not in self._left_out:
                yield below
        if "$ref" in part and target(part) not in inside:
            inside.add(target(part))
            definition = self._definitions.get(target(part))
            if isinstance(definition, Mapping) and id(definition) not in self._left_out:
                yield definition


class Grammar:
    """A compiled schema. Immutable; `matcher()` is a cheap copy of the prepared start state."""

    __slots__ = ("_start", "_vocab_size", "nbytes")

    def __init__(self, start: LLMatcher, schema_bytes: int, vocab_size: int) -> None:
        self._start = start
        self._vocab_size = vocab_size
        self.nbytes = BASE_BYTES + BYTES_PER_SCHEMA_BYTE * schema_bytes
        """What the grammar occupies, roughly: the engine does not tell."""

    def matcher(self) -> Matcher:
        """A matcher at the start of a sequence."""
        return Matcher(self._start.deep_copy(), self._vocab_size)


class Matcher:
    """Follows one sequence through a grammar. Every method raises `GrammarError` once the sequence has left it."""

    __slots__ = ("_engine", "_vocab_size", "_bits", "_mask", "_mask_is_current")

    def __init__(self, engine: LLMatcher, vocab_size: int) -> None:
        self._engine = engine
        self._vocab_size = vocab_size
        self._bits = np.zeros((vocab_size + 31) // 32, dtype=np.uint32)
        self._mask: BoolMask = np.zeros(vocab_size, dtype=np.bool_)
        self._mask_is_current = False

    @property
    def may_stop(self) -> bool:
        """Whether the text so far is a complete value of the schema."""
        self._check()
        return bool(self._engine.is_accepting())

    @property
    def finished(self) -> bool:
        """Whether the value is complete and nothing but the end token can follow."""
        self._check()
        return bool(self._engine.is_stopped())

    def forced(self) -> list[int]:
        """The tokens that must come next, as the tokenizer writes them; `[]` at a choice and at the end of the value.

        They are not consumed: pass them to `accept`. Where free text could go on inside the last token, that token is
        left out, so that a run never ends in the middle of one.
        """
        if self.finished:
            return []
        tokens: list[int] = self._engine.compute_ff_tokens()
        if tokens:
            return tokens
        allowed = np.flatnonzero(self.allowed())
        return [int(allowed[0])] if len(allowed) == 1 else []

    def allowed(self) -> BoolMask:
        """Which tokens may come next: bool [vocab_size]. The array is overwritten by later calls."""
        if not self._mask_is_current:
            self._check()
            self._engine.unsafe_compute_mask_ptr(self._bits.ctypes.data, self._bits.nbytes)
            self._check()
            bits = np.unpackbits(self._bits.view(np.uint8), bitorder="little", count=self._vocab_size)
            np.copyto(self._mask, bits.view(np.bool_))
            self._mask_is_current = True
        return self._mask

    def accept(self, tokens: Sequence[int]) -> None:
        """Consume `tokens`. Raises `GrammarError` when one of them is not allowed; the matcher is then unusable."""
        self._mask_is_current = False
        self._engine.consume_tokens(list(tokens))
        self._check()

    def _check(self) -> None:
        if self._engine.is_error():
            raise GrammarError(self._engine.get_error().splitlines()[0])


def free_mask(grammar: Grammar, token_ids: Sequence[int]) -> list[bool]:
    """Which tokens of a gold value are the model's choices (True) and which the grammar writes by itself (False).

    Raises ValueError, naming the position, when the value is not one of the grammar's or is not complete.
    """
    matcher = grammar.matcher()
    free: list[bool] = []
    while len(free) < len(token_ids):
        position = len(free)
        try:
            forced = matcher.forced()
            run = _common_prefix(forced, token_ids[position:])
            # Forced text that the gold value splits into other tokens is still no choice.
            step = token_ids[position : position + max(run, 1)]
            matcher.accept(step)
        except GrammarError as error:
            raise ValueError(f"token {position} ({token_ids[position]}) is not allowed here: {error}") from error
        free.extend([not forced] * len(step))
    if not matcher.may_stop:
        raise ValueError(f"the value is not complete after {len(token_ids)} tokens")
    return free


def _common_prefix(a: Sequence[int], b: Sequence[int]) -> int:
    for i, (x, y) in enumerate(zip(a, b, strict=False)):
        if x != y:
            return i
    return min(len(a), len(b))
