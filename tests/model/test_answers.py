"""Answers as JSON text, and log probabilities: random weights keep the rules, the shipped ones make sense."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from jsonschema import Draft202012Validator

pytest.importorskip("torch")

from model import load_engine  # noqa: E402
from model.decoder import best  # noqa: E402
from model.engine import BodkinEngine  # noqa: E402
from model.errors import ContextLengthError, SchemaError  # noqa: E402
from model.prompt import encode_messages, encode_tool  # noqa: E402
from model.response import read_response  # noqa: E402
from model.types import (  # noqa: E402
    ArgumentsDelta,
    CallStarted,
    Event,
    Finished,
    GenerationRequest,
    GenerationResult,
    TextDelta,
    Tool,
    ToolChoice,
)
from tests.artifact import CITIES, TOOLS, WEATHER, artifact, calibrated, tool, user  # noqa: E402
from tests.model.test_engine import requests  # noqa: E402
from tests.model.test_property_engine import ENDING  # noqa: E402
from tests.model.test_property_schemas import Schemas, format_checker  # noqa: E402

PERSON = tool(
    "person",
    "A person.",
    ("name", "age"),
    name={"type": "string", "maxLength": 12, "description": "Name of the person"},
    age={"type": "integer", "minimum": 0, "maximum": 120},
    cities={"type": "array", "items": {"type": "string", "maxLength": 8}, "maxItems": 2},
)
NAMES = Tool("names", "", {"type": "array", "items": {"type": "string", "maxLength": 8}, "maxItems": 3})
MOOD = Tool("mood", "", {"enum": ["good", "bad", None, 3]})


@pytest.fixture(scope="module")
def engine() -> BodkinEngine:
    return load_engine(calibrated(), threads=1)


@pytest.fixture(scope="module")
def ending() -> BodkinEngine:
    return load_engine(artifact(ending=ENDING), threads=1)


def ask(text: str, response: Tool, **fields: Any) -> GenerationRequest:
    return GenerationRequest(user(text), (), response=response, **fields)


def folded(events: list[Event]) -> GenerationResult:
    """The result; checks that what was streamed is what it says."""
    last = events[-1]
    assert isinstance(last, Finished)
    result = last.result
    texts = [event for event in events if isinstance(event, TextDelta)]
    deltas = [event for event in events if isinstance(event, ArgumentsDelta)]
    assert not (texts and deltas)
    assert len(texts) + len(deltas) + sum(isinstance(event, CallStarted) for event in events) == len(events) - 1
    assert "".join(event.text for event in texts) == (result.text or "")
    streamed = tuple(token for event in (*texts, *deltas) for token in event.logprobs)
    assert streamed == (result.logprobs or ())
    return result


@pytest.mark.parametrize("response", [PERSON, NAMES, MOOD], ids=lambda r: r.name)
def test_a_text_is_valid_and_streamed(response: Tool, engine: BodkinEngine) -> None:
    validator = Draft202012Validator(response.parameters)
    texts = set()
    for seed, city in enumerate(CITIES):
        result = folded(list(engine.stream(ask(city, response, temperature=2.5, seed=seed))))
        assert result.text is not None
        validator.validate(json.loads(result.text))
        assert (result.calls, result.confidences, result.evidence, result.finish_reason) == ((), (), (), "stop")
        assert result.confidence is not None and 0.0 < result.confidence < 1.0
        assert result.text_evidence
        texts.add(result.text)
    assert len(texts) > 1


@pytest.mark.parametrize("block", range(5))
def test_every_text_validates(block: int, ending: BodkinEngine) -> None:
    """Random schemas, random weights, temperature 1."""
    rng = random.Random(2_000 + block)
    asked = whole = 0
    while asked < 12:
        schemas = Schemas(rng)
        schema, root = schemas.root(), schemas.any(1)
        if isinstance(root, dict) and rng.random() < 0.6:
            schema = {**root, "$defs": schema["$defs"]}  # not necessarily of an object
        request = ask(
            rng.choice(CITIES),
            Tool("answer", "", schema),
            max_tokens=300,
            temperature=1.0,
            seed=rng.randrange(1_000),
            top_logprobs=rng.choice((None, 0, 3)),
        )
        try:
            result = folded(list(ending.stream(request)))
        except SchemaError as error:
            assert error.param is not None and error.param.startswith("response.parameters")
            continue
        asked += 1
        assert result.text is not None
        if result.finish_reason == "length":
            continue
        whole += 1
        validator = Draft202012Validator(schema, format_checker=format_checker())
        errors = [error.message for error in validator.iter_errors(json.loads(result.text))]
        assert not errors, f"{result.text}\n{json.dumps(schema)}\n{errors}"
        if result.logprobs is not None:
            assert b"".join(token.token for token in result.logprobs).decode() == result.text
    assert whole > asked * 0.6


def test_a_text_only_where_there_is_no_call(engine: BodkinEngine) -> None:
    asked = requests(60, max_tokens=1)  # enough to see whether the model wants a call at all
    without = [r for r in asked if engine.generate(r).finish_reason == "stop"]
    assert without
    for request in without:
        result = folded(list(engine.stream(replace(request, response=PERSON, max_tokens=400))))
        assert (result.calls, result.finish_reason) == ((), "stop")
        Draft202012Validator(PERSON.parameters).validate(json.loads(result.text or ""))
        assert result.trace is not None and result.trace.none is not None
    for request in [r for r in asked if r not in without][:3]:
        plain = replace(request, max_tokens=400)
        before, result = engine.generate(plain), folded(list(engine.stream(replace(plain, response=PERSON))))
        assert result.calls == before.calls != ()
        assert result.text is None
    cut = folded(list(engine.stream(replace(asked[0], response=PERSON))))
    assert (cut.calls, cut.text, cut.finish_reason) == ((), None, "length")


@pytest.mark.parametrize("choice", [ToolChoice("required"), ToolChoice("named", WEATHER.name)])
def test_where_a_call_must_be_there_is_no_text(choice: ToolChoice, engine: BodkinEngine) -> None:
    request = GenerationRequest(user("Paris"), TOOLS, choice, max_tokens=400, response=PERSON)
    result = folded(list(engine.stream(request)))
    assert result.calls and result.text is None


def test_where_no_call_may_be_there_is_a_text(engine: BodkinEngine) -> None:
    request = GenerationRequest(user("Paris"), TOOLS, ToolChoice("none"), response=PERSON)
    result, alone = engine.generate(request), engine.generate(replace(request, tools=()))
    assert (result.text, result.confidence) == (alone.text, alone.confidence)
    assert result.trace is not None and result.trace.none is None


def test_a_text_is_what_the_same_tool_would_be_called_with(engine: BodkinEngine) -> None:
    for city in CITIES:
        call = GenerationRequest(user(city), (PERSON,), ToolChoice("named", PERSON.name))
        text, called = engine.generate(ask(city, PERSON)), engine.generate(call)
        assert [text.text] == [c.arguments for c in called.calls]
        assert text.trace is not None and called.trace is not None
        assert text.trace.text == called.trace.calls[0]
        assert text.text_evidence == called.evidence[0]
        assert text.usage == replace(called.usage, cached_tokens=text.usage.cached_tokens)


def test_the_response_is_read_and_cached_like_a_tool(engine: BodkinEngine) -> None:
    fresh = load_engine(calibrated(), threads=1)
    first, again = (fresh.generate(ask("Paris", NAMES)).usage for _ in range(2))
    tokens = len(encode_tool(read_response(NAMES).tool, engine.tokenizer).ids)
    messages = len(encode_messages(user("Paris"), engine.tokenizer).ids)
    assert (first.prompt_tokens, first.cached_tokens) == (tokens + messages, 0)
    assert (again.prompt_tokens, again.cached_tokens) == (tokens + messages, tokens)
    assert fresh.generate(ask("Paris", PERSON)).usage.cached_tokens == 0
    called = fresh.generate(GenerationRequest(user("Paris"), (PERSON,), ToolChoice("required"), max_tokens=400))
    assert called.usage.cached_tokens > 0


@pytest.mark.parametrize("response", [PERSON, NAMES], ids=lambda r: r.name)
def test_a_budget_cuts_a_text(response: Tool, engine: BodkinEngine) -> None:
    whole = engine.generate(ask("東京 Zürich", response, top_logprobs=1, temperature=1.5, seed=1))
    needed = whole.usage.completion_tokens
    assert whole.text is not None and whole.logprobs is not None
    for budget in range(needed + 1):
        request = ask("東京 Zürich", response, top_logprobs=1, temperature=1.5, seed=1, max_tokens=budget)
        cut = folded(list(engine.stream(request)))
        assert cut.usage.completion_tokens <= budget
        assert cut.text is not None and whole.text.startswith(cut.text)
        assert cut.logprobs == whole.logprobs[: len(cut.logprobs or ())]
        assert cut.text_evidence == whole.text_evidence[: len(cut.text_evidence)]
        assert (cut.finish_reason == "length") == (budget < needed)
        if budget < needed:
            assert cut.confidence == 0.0
            assert cut.trace is not None and cut.trace.text is None
    assert cut == replace(whole, usage=cut.usage)


PATH = "response.parameters.properties.a.properties.x"


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "string", "pattern": "(?=a)b"},
        {"not": {"type": "string"}},
        # What only the grammar engine can tell.
        {"allOf": [{"type": "string", "pattern": p} for p in ("^a$", "^b$")]},
    ],
)
@pytest.mark.parametrize("choice", ["auto", "required", "none"])
def test_a_response_is_refused_where_it_is_at_fault(engine: BodkinEngine, schema: Any, choice: Any) -> None:
    inner = {"type": "object", "properties": {"x": schema}, "required": ["x"]}
    for root, path in ((tool("broken", "", ("a",), a=inner), PATH), (None, "response.parameters.items.properties.x")):
        response = root or Tool("broken", "", {"type": "array", "items": inner, "minItems": 1})
        with pytest.raises(SchemaError, match="response schema 'broken'") as caught:
            engine.prepare(GenerationRequest(user("Paris"), TOOLS, ToolChoice(choice), response=response))
        assert caught.value.param is not None and caught.value.param.startswith(path)


def test_an_answer_that_no_value_satisfies_is_refused(engine: BodkinEngine) -> None:
    with pytest.raises(SchemaError) as caught:
        engine.prepare(ask("Paris", Tool("x", "", {"allOf": [{"type": "string"}, {"type": "integer"}]})))
    assert caught.value.param is not None and caught.value.param.startswith("response.parameters")
    assert ".properties" not in caught.value.param


def test_a_response_that_is_too_long(engine: BodkinEngine) -> None:
    with pytest.raises(ContextLengthError, match="response schema 'long' needs") as caught:
        engine.prepare(ask("Paris", tool("long", "city " * 600, x={"type": "string"})))
    assert caught.value.param == "response"


def test_recursive_answers(ending: BodkinEngine) -> None:
    node = {
        "type": "object",
        "properties": {"next": {"anyOf": [{"$ref": "#"}, {"type": "null"}]}},
        "required": ["next"],
    }
    tree = {"type": "array", "items": {"$ref": "#"}, "maxItems": 2}
    for schema in (node, tree):
        for seed in range(4):
            request = ask("Paris", Tool("tree", "", schema), max_tokens=200, temperature=1.0, seed=seed)
            result = ending.generate(request)
            assert result.text is not None
            if result.finish_reason == "stop":
                Draft202012Validator(schema).validate(json.loads(result.text))


# Log probabilities --------------------------------------------------------------------------------------------------


def test_log_probabilities_add_up_to_the_trace(engine: BodkinEngine) -> None:
    for request in (
        *requests(6, seed=2, top_logprobs=2, parallel_tool_calls=False),
        ask("Rome", PERSON, top_logprobs=2),
    ):
        result = folded(list(engine.stream(request)))
        assert result.trace is not None and result.logprobs is not None
        if result.finish_reason == "length":
            continue
        traces = [result.trace.text] if result.trace.text else result.trace.calls
        uncertain = [token.logprob for token in result.logprobs if token.logprob < 0.0]
        assert uncertain == pytest.approx([log for trace in traces for log in trace.tokens if log < 0.0])
        written = result.text or "".join(call.arguments for call in result.calls)
        assert b"".join(token.token for token in result.logprobs).decode() == written
        assert len(result.logprobs) == result.usage.completion_tokens


def test_alternatives_are_the_best_admitted(engine: BodkinEngine) -> None:
    several = 0
    for request in requests(8, seed=4, top_logprobs=3, tool_choice=ToolChoice("required")):
        for token in engine.generate(request).logprobs or ():
            logs = [log for _, log in token.alternatives]
            assert logs == sorted(logs, reverse=True) and all(-100.0 < log <= 0.0 for log in logs)
            assert 1 <= len(logs) <= 3 and len({alternative for alternative, _ in token.alternatives}) == len(logs)
            assert token.alternatives[0] == (token.token, token.logprob)  # greedy
            several += len(logs) > 1
    assert several > 20


def test_best_is_before_masking_but_of_what_is_admitted() -> None:
    probabilities = np.array([0.4, 0.3, 0.0, 0.2, 0.1], np.float32)
    allowed = np.array([0.0, 0.3, 0.0, 0.2, 0.1], np.float32)
    assert best(allowed, probabilities, 2) == ((1, pytest.approx(0.3)), (3, pytest.approx(0.2)))
    assert len(best(allowed, probabilities, 9)) == 3


def test_a_token_that_was_drawn_is_an_alternative_only_when_it_is_one_of_the_best(engine: BodkinEngine) -> None:
    outside = 0
    for request in requests(12, seed=5, top_logprobs=1, temperature=2.0, tool_choice=ToolChoice("required")):
        for token in engine.generate(replace(request, seed=1)).logprobs or ():
            [(best_token, best_log)] = token.alternatives
            assert (best_token == token.token) or best_log >= token.logprob
            outside += best_token != token.token
    assert outside > 10


def test_asking_changes_nothing_else(engine: BodkinEngine) -> None:
    for request in requests(6, seed=6):
        plain = engine.generate(request)
        assert plain.logprobs is None
        for top in (0, 5):
            asked = engine.generate(replace(request, top_logprobs=top))
            assert replace(asked, logprobs=None, usage=plain.usage) == plain


# The shipped model --------------------------------------------------------------------------------------------------


def test_the_shipped_model_reads_a_person(shipped: BodkinEngine) -> None:
    properties = {"name": {"type": "string"}, "age": {"type": "integer"}, "city": {"type": "string"}}
    person = Tool("person", "", {"type": "object", "properties": properties, "required": ["name", "age"]})
    result = shipped.generate(ask("My name is Anna Smith, I am 34 and live in Rome.", person))
    assert result.text == '{"name":"Anna Smith","age":34,"city":"Rome"}'
    assert [e.source and e.source.text for e in result.text_evidence] == ["Anna Smith", "34", "Rome"]


def test_the_shipped_model_reads_a_list(shipped: BodkinEngine) -> None:
    """The name of what is asked for tells the model what to look for."""
    cities = Tool("cities", "", {"type": "array", "items": {"type": "string"}})
    result = shipped.generate(ask("I love this phone, bought in Berlin and Paris!", cities))
    assert result.text == '["Berlin","Paris"]'
    assert [e.path for e in result.text_evidence] == ["/0", "/1"]


@pytest.mark.parametrize(
    "text",
    [
        "Return JSON",
        "My name is Anna Smith, I am 34 and live in Rome. Answer in JSON.",
        "Give me a JSON object with the three largest cities of France, their population and mayors, and so on.",
        "json " * 200,
        "a a a a a a a a a a a a a json",
        "list list list list [1,[2,[3,[4",
        "[[[[[[[[ {{{{{{{{ a:",
        '{"a": {"b": {"c": [1, 2, {"d": 3}]}}} copy this json',
    ],
)
def test_any_object_comes_to_an_end(text: str, shipped: BodkinEngine) -> None:
    result = shipped.generate(ask(text, Tool("response", "", {"type": "object"})))
    assert result.finish_reason == "stop"
    assert isinstance(json.loads(result.text or ""), dict)
