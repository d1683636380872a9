"""The real engine on a tiny network with random weights: whatever such a network wants, the rules hold."""

from __future__ import annotations

import json
import math
import random
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from jsonschema import Draft202012Validator

pytest.importorskip("torch")

from model import load_engine  # noqa: E402
from model.engine import CANDIDATES, MAX_CALLS, BodkinEngine  # noqa: E402
from model.errors import ContextLengthError, RequestError, SchemaError  # noqa: E402
from model.manifest import read_manifest, set_calibration  # noqa: E402
from model.prompt import encode_messages, encode_tool  # noqa: E402
from model.tokenizer import NONE  # noqa: E402
from model.types import (  # noqa: E402
    ArgumentsDelta,
    CallStarted,
    Event,
    Finished,
    GenerationRequest,
    GenerationResult,
    Message,
    Tool,
    ToolCall,
    ToolChoice,
)
from tests.artifact import (  # noqa: E402
    CITIES,
    SENTENCES,
    TOOLS,
    WEATHER,
    artifact,
    calibrated,
    random_network,
    tokenizer,
    tool,
    user,
)
from training.export import export  # noqa: E402

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def engine() -> BodkinEngine:
    return load_engine(calibrated(), threads=1)


def requests(count: int, seed: int = 0, **fields: Any) -> list[GenerationRequest]:
    """Requests of random words, for some or all of the tools."""
    rng = random.Random(seed)
    vocabulary = [*CITIES, *(word for sentence in SENTENCES for word in sentence.split())]
    return [
        GenerationRequest(
            user(" ".join(rng.choices(vocabulary, k=rng.randint(2, 12)))),
            tuple(rng.sample(TOOLS, rng.randint(1, len(TOOLS)))),
            **{"max_tokens": 400, **fields},
        )
        for _ in range(count)
    ]


def answers(engine: BodkinEngine, asked: list[GenerationRequest]) -> list[tuple[ToolCall, ...]]:
    return [engine.generate(request).calls for request in asked]


def numbers(result: GenerationResult) -> list[float]:
    """The confidence of the whole and that of each call, all of which there are."""
    found = [c for c in (result.confidence, *result.confidences) if c is not None]
    assert len(found) == 1 + len(result.calls)
    return found


def named(name: str) -> ToolChoice:
    return ToolChoice("named", name)


def assert_near(a: GenerationResult, b: GenerationResult) -> None:
    """Equal but for rounding: another number of rows or padding changes the last bits."""
    assert replace(a, confidences=(), confidence=0.0) == replace(b, confidences=(), confidence=0.0)
    assert a.confidences == pytest.approx(b.confidences, rel=1e-3)
    assert a.confidence == pytest.approx(b.confidence, rel=1e-3)


def test_auto_gives_valid_calls_and_sometimes_none(engine: BodkinEngine) -> None:
    counts = set()
    for request in requests(30):
        result = engine.generate(request)
        schemas = {t.name: t.parameters for t in request.tools}
        for call in result.calls:
            Draft202012Validator(schemas[call.name]).validate(json.loads(call.arguments))
        assert result.finish_reason == "length" or (result.finish_reason == "tool_calls") == bool(result.calls)
        assert len(result.confidences) == len(result.calls) <= MAX_CALLS
        assert all(0.0 <= c <= 1.0 for c in numbers(result))
        if result.finish_reason == "tool_calls":
            whole, *each = numbers(result)
            assert whole == pytest.approx(math.prod(each), abs=2e-6)
        counts.add(len(result.calls))
    assert 0 in counts and max(counts) > 1  # the random network does all of it


def test_confidence_of_no_call_is_that_of_none(engine: BodkinEngine) -> None:
    [result] = [r for r in map(engine.generate, requests(30)) if r.finish_reason == "stop"][:1]
    assert 0.0 < numbers(result)[0] < 1.0
    assert result.usage.completion_tokens == 0


def test_an_artifact_that_is_not_calibrated_claims_no_confidence(engine: BodkinEngine) -> None:
    plain = load_engine(artifact(), threads=1)
    for request in (*requests(6), replace(requests(1)[0], max_tokens=1), GenerationRequest(user("Paris"), ())):
        result, other = plain.generate(request), engine.generate(request)
        assert result.confidence is None
        assert result.confidences == (None,) * len(result.calls)
        assert (result.calls, result.trace) == (other.calls, other.trace)


def test_new_weights_do_not_keep_the_calibration_of_the_old(tmp_path: Path) -> None:
    shutil.copytree(calibrated(), tmp_path / "artifact")
    old = read_manifest(tmp_path / "artifact").calibration
    assert old is not None
    export(random_network(2), tokenizer(), tmp_path / "artifact", int8=False, info={})
    set_calibration(tmp_path / "artifact", old)
    [request] = requests(1)
    assert load_engine(tmp_path / "artifact", threads=1).generate(request).confidence is None
    assert load_engine(calibrated(), threads=1).generate(request).confidence is not None


def test_the_trace_adds_up_to_the_confidence(engine: BodkinEngine) -> None:
    for request in requests(12, seed=1):
        result = engine.generate(request)
        trace = result.trace
        assert trace is not None
        assert len(trace.calls) == len(result.calls)
        logs = [c.route + sum(c.tokens) for c in trace.calls]
        assert all(log <= 0.0 for call in trace.calls for log in (call.route, *call.tokens))
        _, *each = numbers(result)
        assert each == pytest.approx([math.exp(log) for log in logs], abs=2e-6)
        assert (trace.none is not None) == (result.finish_reason != "length" and len(result.calls) < MAX_CALLS)


def test_without_a_choice_there_is_nothing_to_doubt(engine: BodkinEngine) -> None:
    [request] = requests(1, tool_choice=ToolChoice("none"))
    assert engine.generate(request).confidence == 1.0


def test_none_never_calls(engine: BodkinEngine) -> None:
    for request in requests(10, tool_choice=ToolChoice("none")):
        result = engine.generate(request)
        assert (result.calls, result.finish_reason) == ((), "stop")


def test_required_always_calls(engine: BodkinEngine) -> None:
    asked = requests(60)
    without = [r for r in asked if not engine.generate(r).calls]
    assert without
    results = [engine.generate(replace(r, tool_choice=ToolChoice("required"))) for r in without]
    for result in results:
        assert result.calls
        assert numbers(result)[0] < 0.5  # it wanted NONE, and says so
    assert any(len(r.calls) < MAX_CALLS and r.finish_reason == "tool_calls" for r in results)  # one is enough


def test_named_calls_that_tool_once(engine: BodkinEngine) -> None:
    for request in requests(10):
        for t in request.tools:
            [call] = engine.generate(replace(request, tool_choice=named(t.name))).calls
            assert call.name == t.name


def test_a_forced_tool_does_not_look_certain(engine: BodkinEngine) -> None:
    for t in TOOLS:
        request = GenerationRequest(user("Paris"), TOOLS, tool_choice=named(t.name), max_tokens=400)
        assert numbers(engine.generate(request))[0] < 0.999


def test_an_unknown_name_is_refused(engine: BodkinEngine) -> None:
    with pytest.raises(RequestError, match="'nope'") as caught:
        engine.generate(GenerationRequest(user("Paris"), TOOLS, tool_choice=named("nope")))
    assert caught.value.param == "tool_choice"


def test_prepare_refuses_an_unknown_name(engine: BodkinEngine) -> None:
    with pytest.raises(RequestError, match="'nope'"):
        engine.prepare(GenerationRequest(user("Paris"), TOOLS, tool_choice=named("nope")))


@pytest.mark.parametrize("mode", ["auto", "required", "none"])
def test_no_tools_no_calls(engine: BodkinEngine, mode: Any) -> None:
    result = engine.generate(GenerationRequest(user("Paris"), (), tool_choice=ToolChoice(mode)))
    assert (result.calls, result.finish_reason) == ((), "stop")


def test_without_parallel_calls_the_first_is_the_only_one(engine: BodkinEngine) -> None:
    several = 0
    for request in requests(30):
        calls = engine.generate(request).calls
        assert engine.generate(replace(request, parallel_tool_calls=False)).calls == calls[:1]
        several += len(calls) > 1
    assert several > 3


def test_a_budget_cuts_and_leaves_no_half_call(engine: BodkinEngine) -> None:
    pairs = ((r, engine.generate(r)) for r in requests(50))
    request, whole = next((r, w) for r, w in pairs if len(w.calls) > 1 and w.finish_reason == "tool_calls")
    needed = whole.usage.completion_tokens
    assert engine.generate(replace(request, max_tokens=needed)) == whole
    kept = set()
    for budget in range(1, needed):
        cut = engine.generate(replace(request, max_tokens=budget))
        assert cut.finish_reason == "length"
        assert cut.usage.completion_tokens <= budget
        assert cut.confidence == 0.0
        assert cut.calls == whole.calls[: len(cut.calls)]
        kept.add(len(cut.calls))
    # All of them where the budget cuts a repetition, which would not have been a call.
    assert kept - {len(whole.calls)} == set(range(len(whole.calls)))


def test_cached_equals_uncached(engine: BodkinEngine) -> None:
    fresh = load_engine(calibrated(), threads=1)
    for request in requests(12, seed=3):
        first, again = fresh.generate(request), fresh.generate(request)
        tool_tokens = sum(len(encode_tool(t, engine.tokenizer).ids) for t in request.tools)
        assert again.usage.cached_tokens == tool_tokens
        message_tokens = len(encode_messages(request.messages, engine.tokenizer).ids)
        assert again.usage.prompt_tokens == first.usage.prompt_tokens == tool_tokens + message_tokens
        assert_near(replace(first, usage=again.usage), again)


def test_a_cache_of_nothing_serves_all_the_same(engine: BodkinEngine) -> None:
    from model.engine import load_engine as load

    small = load(calibrated(), threads=1, cache_bytes=1)
    for request in requests(10, seed=4):
        result = small.generate(request)
        assert result.usage.cached_tokens == 0
        assert_near(result, replace(engine.generate(request), usage=result.usage))
    assert len(small._cache) == 0


def test_the_cache_evicts_by_bytes() -> None:
    from model.engine import load_engine as load

    def size(tools: tuple[Tool, ...]) -> int:
        probe = load(calibrated(), threads=1)
        probe.prepare(GenerationRequest(user("Paris"), tools))
        return probe._cache.nbytes

    bound = max(size(TOOLS[:2]), size(TOOLS[1:3]))  # any two neighbours, but not three
    small = load(calibrated(), threads=1, cache_bytes=bound)
    ask = [GenerationRequest(user("Paris"), (t,), tool_choice=ToolChoice("none")) for t in TOOLS[:3]]
    for request in ask[:2]:
        small.prepare(request)
    assert [small.generate(r).usage.cached_tokens > 0 for r in ask[:2]] == [True, True]
    small.prepare(ask[2])  # pushes the first out
    assert 0 < small._cache.nbytes <= bound
    assert [small.generate(r).usage.cached_tokens > 0 for r in (ask[2], ask[1], ask[0])] == [True, True, False]


def test_a_tool_is_encoded_the_same_in_any_company() -> None:
    def encodings(tools: tuple[Tool, ...]) -> dict[str, Any]:
        prepared = load_engine(calibrated(), threads=1)._prepare(GenerationRequest(user("Paris"), tools))
        return {t.name: e.encoding for t, e in zip(tools, prepared.tools, strict=True)}

    crowd = tuple(tool(f"tool_{i}", "Send the report. " * (i % 9), x={"type": "string"}) for i in range(40))
    alone, reversed_, many = encodings((WEATHER,)), encodings(TOOLS[::-1]), encodings((*crowd, WEATHER))
    for other in (reversed_, many):
        for field in ("pooled", "keys", "values", "copy_keys"):
            a, b = getattr(alone["get_weather"], field), getattr(other["get_weather"], field)
            np.testing.assert_allclose(a, b, atol=2e-4)
        assert np.array_equal(alone["get_weather"].ids, other["get_weather"].ids)


def test_the_order_of_tools_changes_nothing(engine: BodkinEngine) -> None:
    rng = random.Random(0)
    for request in requests(12, seed=5):
        shuffled = replace(request, tools=tuple(rng.sample(request.tools, len(request.tools))))
        assert_near(replace(engine.generate(shuffled), usage=(plain := engine.generate(request)).usage), plain)


def test_far_tools_do_not_matter(engine: BodkinEngine) -> None:
    """Beyond the candidates, tools are not looked at."""
    crowd = tuple(tool(f"tool_{i}", SENTENCES[i % len(SENTENCES)], x={"type": "boolean"}) for i in range(30))
    for request in requests(6, seed=6):
        conversation = engine._prepare(request).conversation
        entries = engine._prepare(replace(request, tools=crowd)).tools
        similarity = [float(e.encoding.pooled @ conversation.pooled) for e in entries]
        near = [crowd[i] for i in np.argsort(np.negative(similarity), kind="stable")[:CANDIDATES]]
        some, all_ = (engine.generate(replace(request, tools=tuple(tools))) for tools in (near, crowd))
        assert_near(replace(some, usage=all_.usage), all_)


def test_a_tool_beyond_the_candidates_can_still_be_named(engine: BodkinEngine) -> None:
    crowd = tuple(tool(f"tool_{i}", SENTENCES[i % len(SENTENCES)], x={"type": "boolean"}) for i in range(12))
    for t in crowd:
        request = GenerationRequest(user("Paris"), crowd, tool_choice=named(t.name))
        assert [c.name for c in engine.generate(request).calls] == [t.name]


def folded(events: list[Event]) -> list[tuple[str, str]]:
    """The calls as a client would put them together; checks the order of events."""
    calls: list[tuple[str, str]] = []
    for event in events[:-1]:
        if isinstance(event, CallStarted):
            assert event.index == len(calls)
            calls.append((event.name, ""))
        else:
            assert isinstance(event, ArgumentsDelta)
            assert event.index == len(calls) - 1
            assert event.text
            calls[-1] = (calls[-1][0], calls[-1][1] + event.text)
    return calls


def test_a_stream_adds_up_to_its_result(engine: BodkinEngine) -> None:
    wide = 0
    for request in requests(20, seed=7):
        for seed in (1, 2):
            warm = replace(request, temperature=1.5, seed=seed)
            events = list(engine.stream(warm))
            last = events[-1]
            assert isinstance(last, Finished)
            pieces = folded(events)
            whole = [(c.name, c.arguments) for c in last.result.calls]
            assert pieces[: len(whole)] == whole
            assert len(pieces) - len(whole) == (last.result.finish_reason == "length")
            deltas = [event.text for event in events if isinstance(event, ArgumentsDelta)]
            assert not any("\ufffd" in text for text in deltas)  # no character in halves
            wide += any(ord(character) > 127 for text in deltas for character in text)
    assert wide > 8


def test_generate_is_the_stream_folded(engine: BodkinEngine) -> None:
    for request in requests(5):
        last = list(engine.stream(request))[-1]
        assert isinstance(last, Finished)
        assert engine.generate(request) == last.result


def test_a_seed_repeats_and_another_differs(engine: BodkinEngine) -> None:
    warm = requests(12, seed=8, temperature=1.0)
    first, again, other = ([replace(r, seed=s) for r in warm] for s in (1, 1, 2))
    assert answers(engine, first) == answers(engine, again) != answers(engine, other)


def test_greedy_needs_no_seed(engine: BodkinEngine) -> None:
    asked = requests(12, seed=8)
    assert answers(engine, asked) == answers(engine, [replace(r, seed=5) for r in asked])


def test_eight_threads_answer_as_one() -> None:
    asked = requests(32, seed=9)
    expected = answers(load_engine(calibrated(), threads=1), asked)
    shared = load_engine(calibrated(), threads=1)  # cold: the threads race to fill its cache
    with ThreadPoolExecutor(8) as pool:
        assert [r.calls for r in pool.map(shared.generate, asked)] == expected


def test_messages_that_are_too_long(engine: BodkinEngine) -> None:
    limit = engine.manifest.max_tokens
    fits = user("a " * (limit // 2 - 1))
    while len(encode_messages(fits, engine.tokenizer).ids) < limit:
        fits = user(fits[0].text + "?")
    assert len(encode_messages(fits, engine.tokenizer).ids) == limit
    engine.prepare(GenerationRequest(fits, TOOLS))
    with pytest.raises(ContextLengthError, match=rf"{limit + 1} tokens.* {limit}") as caught:
        engine.prepare(GenerationRequest(user(fits[0].text + "?"), TOOLS))
    assert caught.value.param == "messages"


def test_a_tool_that_is_too_long(engine: BodkinEngine) -> None:
    long = tool("long", "city " * 600, x={"type": "string"})
    with pytest.raises(ContextLengthError, match="'long'") as caught:
        engine.prepare(GenerationRequest(user("Paris"), (*TOOLS, long)))
    assert caught.value.param == "tools[4]"
    engine.prepare(GenerationRequest(user("Paris"), TOOLS))


PATH = "tools[2].function.parameters.properties.a.properties.x"


@pytest.mark.parametrize(
    ("schema", "param"),
    [
        ({"type": "string", "pattern": "(?=a)b"}, PATH),
        ({"not": {"type": "string"}}, PATH),
        ({"type": "integer", "multipleOf": 0}, PATH),
        # What only the grammar engine can tell.
        ({"allOf": [{"type": "string", "pattern": p} for p in ("^a$", "^b$")]}, PATH),
    ],
)
def test_a_schema_is_refused_where_it_is_at_fault(engine: BodkinEngine, schema: Any, param: str) -> None:
    broken = tool("broken", "", ("a",), a={"type": "object", "properties": {"x": schema}, "required": ["x"]})
    with pytest.raises(SchemaError) as caught:
        engine.prepare(GenerationRequest(user("Paris"), (*TOOLS[:2], broken)))
    assert caught.value.param is not None and caught.value.param.startswith(param)


def test_a_refused_request_leaves_the_engine_as_it_was(engine: BodkinEngine) -> None:
    [before] = answers(engine, requests(1))
    with pytest.raises(SchemaError):
        engine.prepare(GenerationRequest(user("Paris"), (tool("broken", "", x={"not": {}}),)))
    assert answers(engine, requests(1)) == [before]


def test_an_earlier_turn_changes_what_is_read(engine: BodkinEngine) -> None:
    plain = engine._prepare(GenerationRequest(user("And there?"), TOOLS)).conversation
    turns = (Message("user", "Paris"), Message("assistant", "", (ToolCall("get_weather", '{"city":"Paris"}'),)))
    longer = engine._prepare(GenerationRequest((*turns, *user("And there?")), TOOLS)).conversation
    assert len(longer.ids) > len(plain.ids)
    assert np.abs(longer.pooled - plain.pooled).max() > 1e-3


def test_special_tokens_in_a_request_are_text(engine: BodkinEngine) -> None:
    conversation = engine._prepare(GenerationRequest(user("<none> <end>"), TOOLS)).conversation
    assert conversation.ids.tolist().count(NONE) == 0


def test_float16_encodings_of_an_int8_artifact_are_half_the_size(engine: BodkinEngine) -> None:
    small = load_engine(artifact(int8=True), threads=1)
    request = GenerationRequest(user("Paris"), (WEATHER,))
    sizes = [e._prepare(request).conversation.keys.nbytes for e in (engine, small)]
    assert sizes[0] == 2 * sizes[1]


SERVE = """
import sys
from pathlib import Path
from model import load_engine
from model.types import GenerationRequest, Message, Tool, ToolChoice
engine = load_engine(Path(sys.argv[1]), threads=1)
tool = Tool("ping", "", {"type": "object", "properties": {"x": {"type": "boolean"}}, "required": ["x"]})
result = engine.generate(GenerationRequest((Message("user", "Paris"),), (tool,), ToolChoice("required")))
assert result.calls, result
print(sorted({"torch", "transformers", "onnx", "fastapi", "training", "app"} & set(sys.modules)))
"""


def test_serving_imports_neither_torch_nor_transformers() -> None:
    done = subprocess.run(
        [sys.executable, "-c", SERVE, str(calibrated())], cwd=ROOT, capture_output=True, text=True, timeout=120
    )
    assert (done.returncode, done.stdout.strip()) == (0, "[]"), done.stderr
