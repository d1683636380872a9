"""Random schemas, random weights, temperature 1: every call that the engine emits is valid."""

from __future__ import annotations

import json
import random

import pytest
from jsonschema import Draft202012Validator

pytest.importorskip("torch")

from model import load_engine  # noqa: E402
from model.engine import BodkinEngine  # noqa: E402
from model.errors import SchemaError  # noqa: E402
from model.types import GenerationRequest, Tool, ToolChoice  # noqa: E402
from tests.artifact import CITIES, artifact, user  # noqa: E402
from tests.model.test_property_schemas import Schemas, format_checker  # noqa: E402

SCHEMAS = 200
ENDING = 8.0  # else strings without a bound go on for hundreds of tokens


@pytest.fixture(scope="module")
def engine() -> BodkinEngine:
    return load_engine(artifact(ending=ENDING), threads=1)


@pytest.mark.parametrize("block", range(10))
def test_every_call_validates(block: int, engine: BodkinEngine) -> None:
    rng = random.Random(1_000 + block)
    asked = calls = 0
    while asked < SCHEMAS // 10:
        schemas = {f"tool_{i}": Schemas(rng).root() for i in range(2)}
        tools = tuple(Tool(name, rng.choice(CITIES), schema) for name, schema in schemas.items())
        request = GenerationRequest(
            user(rng.choice(CITIES)),
            tools,
            ToolChoice("required"),
            parallel_tool_calls=False,
            max_tokens=300,
            temperature=1.0,
            seed=rng.randrange(1_000),
        )
        try:
            result = engine.generate(request)
        except SchemaError:
            continue
        asked += 1
        for call in result.calls:
            calls += 1
            validator = Draft202012Validator(schemas[call.name], format_checker=format_checker())
            errors = [error.message for error in validator.iter_errors(json.loads(call.arguments))]
            assert not errors, f"{call.arguments}\n{json.dumps(schemas[call.name])}\n{errors}"
        assert result.finish_reason == ("tool_calls" if result.calls else "length")
    assert calls > asked * 0.6
