"""Bearer keys. Checked before anything of the request is read, so that strangers cost nothing."""

from __future__ import annotations

import hmac
from collections.abc import Sequence

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from app.errors import AuthenticationError, error_response


def check_key(authorization: str | None, keys: Sequence[str]) -> None:
    """Raise `AuthenticationError` unless the header carries one of `keys`. No keys: everybody may come in."""
    if not keys:
        return
    scheme, _, token = (authorization or "").partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise AuthenticationError(
            "You didn't provide an API key. Send it as a bearer token: 'Authorization: Bearer YOUR_KEY'."
        )
    given = token.strip().encode()
    # Every key is compared in full: the time taken tells neither which key matched nor how much of it.
    matches = [hmac.compare_digest(given, key.encode()) for key in keys]
    if not any(matches):
        raise AuthenticationError("Incorrect API key provided.")


class AuthMiddleware:
    """Guards everything under `/v1`. Health probes and the documentation stay open."""

    def __init__(self, app: ASGIApp, keys: Sequence[str]) -> None:
        self.app = app
        self.keys = keys

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"].startswith("/v1"):
            try:
                check_key(Headers(scope=scope).get("authorization"), self.keys)
            except AuthenticationError as error:
                scope["state"]["log"]["error"] = error.code
                await error_response(error)(scope, receive, send)
                return
        await self.app(scope, receive, send)
