"""What the teacher makes of Gemini's errors: what it waits for, and what it says about the rest."""

from __future__ import annotations

import json
import threading
import time
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from model.types import Tool
from tests.training.gemini_server import (
    JSON,
    LOST,
    Refusal,
    call,
    candidate,
    day_used_up,
    gemini_server,
    rate_limited,
    response,
    unavailable,
)
from tests.training.local_gemini import TIMER, WEATHER, Sleeper, at_gemini, question
from training.teacher.base import QuotaError, TeacherError
from training.teacher.gemini import GeminiTeacher
from training.teacher.gemini_session import ATTEMPTS

pytestmark = pytest.mark.integration


def oslo(body: JSON) -> JSON:
    return response(candidate(call("get_weather", city="Oslo")))


# Waiting --------------------------------------------------------------------------------------------------------------


def test_a_rate_limit_is_waited_for_as_long_as_the_server_says() -> None:
    with at_gemini(oslo) as (teacher, server, sleeper):
        server.faults = [rate_limited("7.5s")]
        assert teacher.answer(question(), 1)[0].calls
    assert len(server.requests) == 2
    # What was asked for, and jitter on top so that not all threads come back at once.
    assert 7.5 <= sleeper.slept[0] <= 8.5


@pytest.mark.parametrize(
    ("after", "least", "most"),
    [
        ("12", 12, 13),
        (600, 590, 601),
        (-60, 0, 1),
        ("soon", 0, 1),
    ],
)
def test_retry_after_in_seconds_or_as_a_date(after: str | int, least: float, most: float) -> None:
    """A number stands for the date so many seconds from now."""
    header = after if isinstance(after, str) else formatdate(time.time() + after, usegmt=True)
    with at_gemini(oslo) as (teacher, server, sleeper):
        server.faults = [Refusal(503, "Later.", "UNAVAILABLE", headers={"retry-after": header})]
        assert teacher.answer(question(), 1)[0].calls
        assert least <= sleeper.slept[0] <= most


@pytest.mark.parametrize("code", [500, 502, 503, 504])
def test_a_server_that_fails_is_asked_again_with_growing_jitter(code: int) -> None:
    with at_gemini(oslo) as (teacher, server, sleeper):
        server.faults = [unavailable(code)] * 4
        assert teacher.answer(question(), 1)[0].calls
    assert len(server.answered) == 1
    assert all(0 <= slept <= 2**i for i, slept in enumerate(sleeper.slept))
    assert len(set(sleeper.slept)) == 4


def test_a_lost_connection_is_tried_again() -> None:
    with at_gemini(oslo) as (teacher, server, _):
        server.faults = [LOST]
        assert teacher.answer(question(), 1)[0].calls
    assert len(server.requests) == 2


def test_a_rate_limit_holds_the_other_threads_too() -> None:
    slept: list[float] = []

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        if len(slept) == 1:  # while the one that was refused waits, another comes
            assert teacher.answer(question("Weather in Rome?"), 1)[0].calls

    with gemini_server(oslo) as server:
        server.faults = [rate_limited("40s")]
        teacher = GeminiTeacher(api_key=server.key, base_url=server.url, clock=lambda: 0.0, sleep=sleep)
        teacher.answer(question(), 1)
        teacher.close()
    assert slept[1] == 40


def test_requests_per_minute() -> None:
    with at_gemini(oslo, requests_per_minute=30) as (teacher, server, sleeper):
        for _ in range(3):
            teacher.answer(question(), 1)
        assert sleeper.slept == pytest.approx([2, 2])


# Giving up ------------------------------------------------------------------------------------------------------------


def test_a_rate_limit_without_end_is_a_quota() -> None:
    with at_gemini(oslo) as (teacher, server, _):
        server.faults = [rate_limited()] * ATTEMPTS
        with pytest.raises(QuotaError, match="go on later, or with fewer requests a minute"):
            teacher.answer(question(), 1)
    assert len(server.requests) == ATTEMPTS


def test_an_outage_without_end() -> None:
    with at_gemini(oslo) as (teacher, server, _):
        server.faults = [unavailable()] * ATTEMPTS
        with pytest.raises(TeacherError, match=r"does not answer \(503 after many tries: The model is overloaded") as e:
            teacher.answer(question(), 1)
    assert not isinstance(e.value, QuotaError)


def old_style_day() -> Refusal:
    metadata = {"quota_limit": "GenerateContentRequestsPerDay", "quota_limit_value": "50"}
    return Refusal(429, "Quota exceeded.", "RESOURCE_EXHAUSTED", [("ErrorInfo", {"metadata": metadata})])


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        (day_used_up(), r"Today's quota for gemini-2\.5-flash-lite is used up \(GenerateRequestsPerDay.*, 250\)"),
        (old_style_day(), r"Today's quota .* is used up \(GenerateContentRequestsPerDay, 50\)"),
        (day_used_up(value="0"), "The plan of this key has no quota for gemini-2.5-flash-lite .*: enable billing"),
        (rate_limited("43200s"), "asks to wait for 720 minutes"),
        (
            Refusal(429, "Your prepayment credits are depleted.", "RESOURCE_EXHAUSTED"),
            "not paid for any more: Your prep",
        ),
        (Refusal(402, "Billing is off.", "FAILED_PRECONDITION"), "not paid for any more: Billing is off."),
    ],
)
def test_a_quota_that_no_waiting_mends_ends_it_at_once(fault: Refusal, message: str) -> None:
    with at_gemini(oslo) as (teacher, server, sleeper):
        server.faults = [fault]
        with pytest.raises(QuotaError, match=message):
            teacher.answer(question(), 1)
    assert (len(server.requests), sleeper.slept) == (1, [])


def test_a_wrong_key() -> None:
    with at_gemini(oslo, api_key="wrong-secret") as (teacher, server, sleeper):
        with pytest.raises(TeacherError, match="does not accept the key in GEMINI_API_KEY or GOOGLE_API_KEY") as e:
            teacher.answer(question(), 1)
    assert "wrong-secret" not in str(e.value)
    assert (len(server.requests), sleeper.slept) == (1, [])


def test_no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("GEMINI_API_KEY", "GOOGLE_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(TeacherError, match="There is no key for Gemini: set GEMINI_API_KEY"):
        GeminiTeacher()


@pytest.mark.parametrize("name", ["GEMINI_API_KEY", "GOOGLE_API_KEY"])
def test_the_key_is_taken_from_the_environment(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for other in ("GEMINI_API_KEY", "GOOGLE_API_KEY"):
        monkeypatch.delenv(other, raising=False)
    monkeypatch.setenv(name, "test-key")
    with at_gemini(oslo, api_key=None) as (teacher, _, _):
        assert teacher.answer(question(), 1)[0].calls


def test_an_unknown_model() -> None:
    with at_gemini(oslo, "gemini-0-tiny") as (teacher, _, _):
        with pytest.raises(TeacherError, match="no model 'gemini-0-tiny' for this key: .*gemini-api/docs/models"):
            teacher.answer(question(), 1)


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        (Refusal(401, "Expired.", "UNAUTHENTICATED"), "does not accept the key"),
        (
            Refusal(403, "Your API key was reported as leaked.", "PERMISSION_DENIED"),
            "does not let this key in: Your API",
        ),
        (
            Refusal(400, "User location is not supported for the API use.", "FAILED_PRECONDITION"),
            "not available in this region or with this plan: User location",
        ),
        (
            Refusal(400, "* GenerateContentRequest.tools[0].function_declarations[1].parameters: should be non-empty"),
            "refuses the tool 'set timer': ",
        ),
        (Refusal(400, "The input token count exceeds the maximum."), r"refuses the request \(400\): The input token"),
        (Refusal(413, "Too large.", "OUT_OF_RANGE"), r"refuses the request \(413\): Too large"),
    ],
)
def test_what_the_user_is_to_mend_is_explained_at_once(fault: Refusal, message: str) -> None:
    with at_gemini(oslo) as (teacher, server, sleeper):
        server.faults = [fault]
        with pytest.raises(TeacherError, match=message):
            teacher.answer(question("Weather?", WEATHER, TIMER), 1)
    assert (len(server.requests), sleeper.slept) == (1, [])


def test_a_name_that_gemini_would_refuse_never_gets_there() -> None:
    strange = Tool("wie ist das Wetter?", "", {"type": "object", "properties": {}})
    with at_gemini(lambda body: response(candidate(call(body["tools"][0]["functionDeclarations"][0]["name"])))) as (
        teacher,
        _,
        _,
    ):
        assert teacher.answer(question("Wetter?", strange), 1)[0].calls[0].name == strange.name


def test_nobody_at_the_address() -> None:
    sleeper = Sleeper()
    with HTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as unused:
        port = unused.server_port
    teacher = GeminiTeacher(api_key="k", base_url=f"http://127.0.0.1:{port}", sleep=sleeper.sleep)
    with pytest.raises(TeacherError, match="cannot be reached .ConnectError: "):
        teacher.answer(question(), 1)
    assert len(sleeper.slept) == ATTEMPTS - 1
    teacher.close()


def test_an_address_that_is_none() -> None:
    teacher = GeminiTeacher(api_key="k", base_url="gemini.example", sleep=lambda _: pytest.fail("waited"))
    with pytest.raises(TeacherError, match="cannot be reached .UnsupportedProtocol"):
        teacher.answer(question(), 1)
    teacher.close()


def test_somebody_else_at_the_address() -> None:
    class Portal(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            page = b"<html>Log in to the guest network</html>"
            self.send_response(200)
            self.send_header("content-length", str(len(page)))
            self.end_headers()
            self.wfile.write(page)

        def log_message(self, format: str, *args: object) -> None:
            """Quiet."""

    with HTTPServer(("127.0.0.1", 0), Portal) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        teacher = GeminiTeacher(api_key="k", base_url=f"http://127.0.0.1:{server.server_port}", sleep=lambda _: None)
        try:
            with pytest.raises(TeacherError, match="does not speak its protocol"):
                teacher.answer(question(), 1)
        finally:
            teacher.close()
            server.shutdown()
            thread.join()


def test_an_error_that_is_no_json() -> None:
    class Broken(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            self.send_response(403, "Forbidden")
            self.send_header("content-length", "5")
            self.end_headers()
            self.wfile.write(b"nope\n")

        def log_message(self, format: str, *args: object) -> None:
            """Quiet."""

    with HTTPServer(("127.0.0.1", 0), Broken) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        teacher = GeminiTeacher(api_key="k", base_url=f"http://127.0.0.1:{server.server_port}")
        try:
            with pytest.raises(TeacherError, match="does not let this key in: nope"):
                teacher.answer(question(), 1)
        finally:
            teacher.close()
            server.shutdown()
            thread.join()


def test_messages_are_one_line() -> None:
    with at_gemini(oslo) as (teacher, server, _):
        server.faults = [Refusal(400, "One.\n* Two.\n" + "x" * 5_000)]
        with pytest.raises(TeacherError) as e:
            teacher.answer(question(), 1)
    assert "\n" not in str(e.value)
    assert len(str(e.value)) < 700
    assert json.dumps(str(e.value))
