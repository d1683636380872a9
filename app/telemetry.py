"""Request ids, OpenAI's headers, the access log, and the last net under unexpected exceptions.

Pure ASGI and outermost: what it opens in `scope["state"]` (`request_id`, and the dict `log`, to which routes add
fields) is there for everything inside, and its log line is written when the last byte of a stream has gone out.
"""

from __future__ import annotations

import json
import logging
import re
import time
import uuid

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.errors import InternalError, error_response

logger = logging.getLogger("bodkin.server")
access_logger = logging.getLogger("bodkin.access")

# The version of OpenAI's REST API, as its own responses state it.
OPENAI_VERSION = "2020-10-01"
# Anything else a client sends as its id could forge log lines or headers.
_SANE_ID = re.compile(r"[A-Za-z0-9._:-]{1,128}")
CLIENT_CLOSED_REQUEST = 499


class TelemetryMiddleware:
    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started = time.perf_counter()
        given = Headers(scope=scope).get("x-request-id", "")
        request_id = given if _SANE_ID.fullmatch(given) else f"req_{uuid.uuid4().hex}"
        log: dict[str, object] = {}
        scope.setdefault("state", {}).update(request_id=request_id, log=log)
        status = 0

        async def send_with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                headers["x-request-id"] = request_id
                headers["openai-processing-ms"] = str(round(1000 * (time.perf_counter() - started)))
                headers["openai-version"] = OPENAI_VERSION
                if status >= 400:
                    headers["x-should-retry"] = "true" if status == 429 or status >= 500 else "false"
            await send(message)

        try:
            await self.app(scope, receive, send_with_headers)
        except ClientDisconnect:
            log["disconnected"] = True
            status = status or CLIENT_CLOSED_REQUEST
        except Exception:
            logger.exception("request %s failed", request_id)
            if status:
                raise  # Half an answer is out: only breaking the connection tells the client so.
            log["error"] = "server_error"
            await error_response(InternalError(request_id))(scope, receive, send_with_headers)
        finally:
            access_logger.info(
                "%s",
                json.dumps(
                    {
                        "request_id": request_id,
                        "method": scope["method"],
                        "path": scope["path"],
                        "status": status,
                        "ms": round(1000 * (time.perf_counter() - started), 1),
                        **log,
                    }
                ),
            )
