"""A local server that speaks Gemini's REST protocol, for the real google-genai client.

It is as strict as Gemini where that matters: keys, models and what each accepts, names of functions, order of turns.
What it answers is up to a brain: a function from a request's body to a response's body, which may raise a `Refusal`.

    with gemini_server(lambda body: response(candidate(call("get_weather", city="Paris")))) as server:
        teacher = GeminiTeacher(api_key=server.key, base_url=server.url)
        ...
        assert len(server.answered) == 1

`server.requests` has everything that was sent, `server.answered` what was paid for: the bodies that got a response,
alone or in a batch.
"""

from __future__ import annotations

import contextlib
import json
import re
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

JSON = dict[str, Any]
Brain = Callable[[JSON], JSON]


@dataclass(frozen=True)
class Model:
    """What a model accepts: thinking budgets from `budget` on, or `levels`, or neither."""

    candidates: int = 8
    logprobs: bool = True
    budget: int | None = None
    levels: frozenset[str] = frozenset()


MODELS: Mapping[str, Model] = {
    "gemini-2.0-flash": Model(),
    "gemini-2.5-flash-lite": Model(budget=0),
    "gemini-2.5-pro": Model(budget=128, logprobs=False),
    "gemini-3.5-flash-lite": Model(1, False, levels=frozenset({"MINIMAL", "LOW", "MEDIUM", "HIGH"})),
    "gemini-3.8-flash": Model(1, False, levels=frozenset({"LOW", "MEDIUM", "HIGH"})),
}


# Errors ---------------------------------------------------------------------------------------------------------------


class Refusal(Exception):
    """An error in Google's shape; `details` are (type, fields) of google.rpc messages."""

    def __init__(
        self,
        code: int,
        message: str,
        status: str = "INVALID_ARGUMENT",
        details: Sequence[tuple[str, JSON]] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.headers = dict(headers or {})
        self.error: JSON = {"code": code, "message": message, "status": status}
        if details:
            self.error["details"] = [
                {"@type": f"type.googleapis.com/google.rpc.{kind}", **fields} for kind, fields in details
            ]


def rate_limited(delay: str | None = "0.2s", headers: Mapping[str, str] | None = None) -> Refusal:
    """Too many requests in a minute."""
    quota = ("QuotaFailure", {"violations": [{"quotaId": "GenerateRequestsPerMinutePerProjectPerModel-FreeTier"}]})
    details = [quota, *([("RetryInfo", {"retryDelay": delay})] if delay else [])]
    return Refusal(
        429, "You exceeded your current quota, please check your plan.", "RESOURCE_EXHAUSTED", details, headers
    )


def day_used_up(value: str = "250") -> Refusal:
    """Too many in a day. Gemini then tells to come back in seconds, too."""
    quota = {"quotaId": "GenerateRequestsPerDayPerProjectPerModel-FreeTier", "quotaValue": value}
    details: list[tuple[str, JSON]] = [("QuotaFailure", {"violations": [quota]}), ("RetryInfo", {"retryDelay": "36s"})]
    return Refusal(429, "You exceeded your current quota, please check your plan.", "RESOURCE_EXHAUSTED", details)


def unavailable(code: int = 503) -> Refusal:
    return Refusal(code, "The model is overloaded. Please try again later.", "UNAVAILABLE")


# Responses ------------------------------------------------------------------------------------------------------------


def call(name: str, /, **args: Any) -> JSON:
    """A part that calls a function."""
    return {"functionCall": {"name": name, "args": args}}


def text(words: str) -> JSON:
    """A part that says something."""
    return {"text": words}


def candidate(*parts: JSON, finish: str = "STOP", logprob: float | None = None) -> JSON:
    out: JSON = {"content": {"role": "model", "parts": list(parts)}, "finishReason": finish}
    return out | ({"avgLogprobs": logprob} if logprob is not None else {})


def response(*candidates: JSON, **more: Any) -> JSON:
    """A whole response; the server adds the usage where `more` does not have it."""
    return {"candidates": [{**each, "index": i} for i, each in enumerate(candidates)], **more}


def prompt_blocked(reason: str = "PROHIBITED_CONTENT") -> JSON:
    return {"promptFeedback": {"blockReason": reason}}


# The server -----------------------------------------------------------------------------------------------------------

LOST = "the response is lost on the way"


@dataclass(frozen=True)
class Sent:
    """A request: `method` is generateContent, batchGenerateContent, batches.get or batches.list."""

    method: str
    target: str
    body: JSON


@dataclass
class _Job:
    metadata: JSON
    requests: list[JSON]
    polls: int


@dataclass
class GeminiServer:
    """What tests set and see. `faults` meet the next requests, one each: an error, `LOST` afterwards, or None."""

    brain: Brain
    key: str
    models: Mapping[str, Model]
    url: str = ""
    requests: list[Sent] = field(default_factory=list)
    answered: list[JSON] = field(default_factory=list)
    faults: list[Refusal | str | None] = field(default_factory=list)
    polls: int = 1  # for which a batch is found running
    batch_state: str = "BATCH_STATE_SUCCEEDED"  # in which it ends
    _jobs: dict[str, _Job] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def sent(self, method: str) -> list[JSON]:
        """The bodies of a method's requests."""
        return [request.body for request in self.requests if request.method == method]

    def reply(self, http: str, path: str, body: JSON, key: str | None) -> JSON:
        """The body of the answer. Raises `Refusal`, and `ConnectionError` for one that is to be lost."""
        path = path.partition("?")[0]
        match = re.fullmatch(r"/v1(?:beta)?/(?:models/([^/:]+):(\w+)|batches(?:/(\w+))?)", path)
        if not match:
            raise Refusal(404, f"There is nothing at {path}.", "NOT_FOUND")
        model, method, job = match.groups()
        method = method or ("batches.get" if job else "batches.list")
        with self._lock:
            self.requests.append(Sent(method, model or job or "", body))
            fault = self.faults.pop(0) if self.faults else None
        if isinstance(fault, Refusal):
            raise fault
        if key != self.key:
            reason = ("ErrorInfo", {"reason": "API_KEY_INVALID", "domain": "googleapis.com"})
            raise Refusal(400, "API key not valid. Please pass a valid API key.", details=[reason])
        answer = self._answer(method, model, job, body)
        if fault == LOST:
            raise ConnectionError
        return answer

    def _answer(self, method: str, model: str, job: str, body: JSON) -> JSON:
        if method == "batches.list":
            return {"operations": [self._operation(name, with_answers=False) for name in self._jobs]}
        if method == "batches.get":
            return self._poll(job)
        if model not in self.models:
            raise Refusal(404, f"models/{model} is not found for API version v1beta.", "NOT_FOUND")
        if method == "batchGenerateContent":
            return self._create(model, body["batch"])
        return self.generate(model, body)

    def generate(self, model: str, body: JSON) -> JSON:
        _check(body, model, self.models[model])
        answer = self.brain(body)
        with self._lock:
            self.answered.append(body)
        if "usageMetadata" not in answer:
            prompt, written = len(json.dumps(body)) // 4, len(json.dumps(answer.get("candidates", ()))) // 4
            answer["usageMetadata"] = {"promptTokenCount": prompt, "candidatesTokenCount": written}
        return {**answer, "modelVersion": model}

    # Batches

    def _create(self, model: str, batch: JSON) -> JSON:
        requests = [each["request"] for each in batch["inputConfig"]["requests"]["requests"]]
        with self._lock:
            name = f"job{len(self._jobs)}"
            metadata = {"model": f"models/{model}", "displayName": batch["displayName"], "state": "BATCH_STATE_PENDING"}
            self._jobs[name] = _Job(metadata, requests, self.polls)
        return self._operation(name)

    def _poll(self, name: str) -> JSON:
        if name not in self._jobs:
            raise Refusal(404, f"Batch {name} does not exist.", "NOT_FOUND")
        job = self._jobs[name]
        if job.polls > 0:
            job.polls -= 1
            job.metadata["state"] = "BATCH_STATE_RUNNING"
        elif job.metadata["state"] != self.batch_state:
            job.metadata["state"] = self.batch_state
            if self.batch_state in ("BATCH_STATE_SUCCEEDED", "JOB_STATE_PARTIALLY_SUCCEEDED"):
                model = job.metadata["model"].removeprefix("models/")
                answers = [self._inlined(model, request) for request in job.requests]
                job.metadata["output"] = {"inlinedResponses": {"inlinedResponses": answers}}
        return self._operation(name)

    def _inlined(self, model: str, request: JSON) -> JSON:
        try:
            return {"response": self.generate(model, request)}
        except Refusal as refusal:
            return {"error": {"code": refusal.code, "message": refusal.error["message"]}}

    def _operation(self, name: str, with_answers: bool = True) -> JSON:
        metadata = self._jobs[name].metadata
        shown = metadata if with_answers else {key: value for key, value in metadata.items() if key != "output"}
        return {"name": f"batches/{name}", "metadata": {**shown, "name": f"batches/{name}"}}


@contextlib.contextmanager
def gemini_server(
    brain: Brain, *, key: str = "test-key", models: Mapping[str, Model] = MODELS
) -> Iterator[GeminiServer]:
    """A running server, on a port of its own."""
    state = GeminiServer(brain, key, models)

    class Server(ThreadingHTTPServer):
        daemon_threads = True  # those of connections that clients keep open
        request_queue_size = 128

    class Handler(_Handler):
        server_state = state

    http = Server(("127.0.0.1", 0), Handler)
    state.url = f"http://127.0.0.1:{http.server_port}"
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield state
    finally:
        http.shutdown()
        thread.join()
        http.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = 2**16  # headers and body leave together
    server_state: GeminiServer

    def do_GET(self) -> None:
        self._respond()

    def do_POST(self) -> None:
        self._respond()

    def _respond(self) -> None:
        length = int(self.headers.get("content-length") or 0)
        body = json.loads(self.rfile.read(length) or b"{}")
        try:
            code, headers = 200, {}
            answer = self.server_state.reply(self.command, self.path, body, self.headers.get("x-goog-api-key"))
        except Refusal as refusal:
            code, headers, answer = refusal.code, refusal.headers, {"error": refusal.error}
        except ConnectionError:
            self.close_connection = True
            return
        data = json.dumps(answer).encode()
        self.send_response(code)
        for name, value in {"content-type": "application/json", "content-length": str(len(data)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: Any) -> None:
        """Quiet."""


# What Gemini refuses --------------------------------------------------------------------------------------------------


def _field(message: JSON, name: str) -> Any:
    """A field by its JSON name; protobuf takes the snake_case one, too, and google-genai sends some so."""
    return message.get(name, message.get(re.sub("[A-Z]", lambda c: f"_{c.group().lower()}", name)))


def _check(body: JSON, name: str, model: Model) -> None:
    config = body.get("generationConfig", {})
    if _field(config, "responseLogprobs") and not model.logprobs:
        raise Refusal(400, f"Logprobs is not enabled for models/{name}")
    candidates = _field(config, "candidateCount") or 1
    if candidates > 1 and model.candidates == 1:
        raise Refusal(400, "Multiple candidates is not enabled for this model")
    if candidates > model.candidates:
        raise Refusal(400, f"candidateCount must be at most {model.candidates}, not {candidates}")
    _check_thinking(_field(config, "thinkingConfig") or {}, model)
    for tool in body.get("tools", ()):
        for index, function in enumerate(_field(tool, "functionDeclarations") or ()):
            if not re.fullmatch(r"[A-Za-z_][\w.:-]{0,63}", function["name"], re.ASCII):
                where = f"tools[0].function_declarations[{index}].name"
                raise Refusal(400, f"* GenerateContentRequest.{where}: [FIELD_INVALID] Invalid function name.")
    _check_turns(body["contents"], signed=bool(model.levels))


def _check_thinking(thinking: JSON, model: Model) -> None:
    budget, level = _field(thinking, "thinkingBudget"), _field(thinking, "thinkingLevel")
    if budget is not None and model.budget is None:
        raise Refusal(400, "Thinking budget is not supported for this model.")
    if budget is not None and budget < model.budget:
        raise Refusal(400, f"Budget {budget} is invalid. This model only works in thinking mode.")
    if level is not None and level not in model.levels:
        raise Refusal(400, f"Thinking level {level} is not supported for this model.")


def _check_turns(turns: list[JSON], signed: bool) -> None:
    if turns[-1]["role"] != "user":
        raise Refusal(400, "Please ensure that the last turn is of the user.")
    for turn, after in zip(turns, [*turns[1:], None], strict=True):
        calls = [part for part in turn["parts"] if "functionCall" in part]
        results = [part for part in after["parts"] if "functionResponse" in part] if after else []
        if len(calls) != len(results):
            raise Refusal(
                400,
                "Please ensure that the number of function response parts is equal to the number of function call "
                "parts of the function call turn.",
            )
        if signed and calls and "thoughtSignature" not in calls[0]:
            raise Refusal(400, "Function call is missing a thought_signature in functionCall parts.")
