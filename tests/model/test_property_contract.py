"""A tool is reported as servable if and only if the engine accepts it, and refused for the engine's reason."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("torch")

from model import load_engine  # noqa: E402
from model.contract import ContractChecker  # noqa: E402
from model.engine import BodkinEngine  # noqa: E402
from model.errors import RequestError  # noqa: E402
from model.types import GenerationRequest, Tool, ToolChoice  # noqa: E402
from tests.artifact import artifact, user  # noqa: E402
from tests.model import schema_strategies as s  # noqa: E402
from tests.model.test_conformance import KEYWORDS, STEADY  # noqa: E402
from tests.model.test_contract import FAULTS, junk, tool_of  # noqa: E402
from tests.model.test_property_schemas import Schemas  # noqa: E402

CONFLICTS = [
    {"type": "string"},
    {"type": "integer"},
    {"minLength": 3},
    {"maxLength": 2},
    {"enum": ["a", 5]},
    {"const": 5},
]


@pytest.fixture(scope="module")
def engine() -> BodkinEngine:
    return load_engine(artifact(), threads=1)


@pytest.fixture(scope="module")
def checker(engine: BodkinEngine) -> ContractChecker:
    return ContractChecker(engine.tokenizer, engine.manifest.max_tokens)


@st.composite
def required(draw: st.DrawFn) -> dict[str, object]:
    """A parameter that must be written, but perhaps cannot be."""
    parts = draw(st.lists(st.sampled_from(CONFLICTS) | s.leaves, min_size=1, max_size=3))
    return {"type": "object", "properties": {"a": {"allOf": parts}}, "required": ["a"]}


parameters = st.one_of(
    junk(),
    required(),
    st.integers(0, 10_000).map(lambda seed: Schemas(random.Random(seed)).root()),
    st.lists(st.sampled_from(list(FAULTS)), max_size=2).map(tool_of),
    st.one_of([KEYWORDS[keyword] for keyword in KEYWORDS]).map(lambda schema: {"properties": {"v": schema}}),
)
descriptions = st.sampled_from(["", "Current weather of a city.", "word " * 120, "word " * 700])


@settings(STEADY, max_examples=120)
@given(schema=parameters, description=descriptions)
def test_servable_is_what_the_engine_accepts(
    schema: dict[str, object], description: str, engine: BodkinEngine, checker: ContractChecker
) -> None:
    tool = Tool("t", description, schema)
    contract = checker.check(tool, "tools[0]", "tools[0].function.parameters")
    try:
        engine.prepare(GenerationRequest(user("hello"), (tool,), ToolChoice("required")))
    except RequestError as error:
        assert not contract.servable
        assert error.param == contract.refusals[0].param
        assert contract.refusals[0].message.split(" tokens")[0].split()[-1] in error.message
    else:
        assert contract.servable


def test_compiling_has_a_time_limit(engine: BodkinEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    tools = tuple(Tool(f"limited_{i}", "", tool_of(["fine"])) for i in range(2))
    monkeypatch.setattr("model.preparation.MAX_COMPILE_SECONDS", -1.0)
    with pytest.raises(RequestError) as caught:
        engine.prepare(GenerationRequest(user("hello"), tools, ToolChoice("required")))
    assert caught.value.param == "tools[0]"
