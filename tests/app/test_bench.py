"""The benchmark's pieces, against a server with a fake engine: that it measures, not what."""

from __future__ import annotations

import json

import jsonschema
import pytest

pytest.importorskip("psutil")

from bench.latency import Timing, main, timing
from bench.workload import WARM_REQUESTS, WARM_TOOLS, cold_tools


def test_timing() -> None:
    assert timing((float(ms), ms % 4 == 0) for ms in range(1, 101)) == Timing(50.5, 95.05, 100, 0.25)


def test_cold_tools_never_repeat() -> None:
    tools = [tool for tool, _ in cold_tools(0)]
    assert len(tools) == len({tool["function"]["name"] for tool in tools}) == 1920
    assert [tool for tool, _ in cold_tools(1)][:4] != tools[:4]


def test_the_schemas_are_schemas() -> None:
    for tool in [*WARM_TOOLS, *(tool for tool, _ in list(cold_tools(0))[:200])]:
        jsonschema.Draft202012Validator.check_schema(tool["function"]["parameters"])
    assert len(WARM_REQUESTS) == len(set(WARM_REQUESTS))


def test_json(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--url", url, "--requests", "8", "--clients", "4", "--seconds", "0.2"]
    assert main([*arguments, "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["warm_5_tools"]["requests"] == result["cold_4_tools"]["requests"] == 8
    assert result["warm_200_tools"]["called"] == 1.0
    assert result["throughput_per_s"] > 0
    assert result["rss_mb"] is None

    assert main(arguments) == 0
    assert "16 clients" not in (table := capsys.readouterr().out)
    assert "4 clients at once" in table
