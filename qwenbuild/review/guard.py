"""Who may talk to the review: this machine's own browser, with this run's token, from the review's own page.

Knows no route. Loopback alone is no protection: any page in the same browser can send requests to it, and a name that
resolves to 127.0.0.1 makes that page look like this origin; so the Host, the Origin and a secret are all demanded.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from http.cookies import CookieError, SimpleCookie

from starlette.datastructures import QueryParams
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

SAFE = ("GET", "HEAD")
HEADERS = {
    "cache-control": "no-store",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
}
"""On every answer."""


class RequestGuard:
    """Refuses what is not for us, before any route sees it."""

    def __init__(self, app: ASGIApp, token: str, port: int) -> None:
        self._app, self._token, self._port = app, token, port
        self._hosts = {f"127.0.0.1:{port}", f"localhost:{port}"}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a refusal, or pass the request on."""
        if scope["type"] != "http":
            return
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}

        async def sealed(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), *((k.encode(), v.encode()) for k, v in HEADERS.items())]
            await send(message)

        answer = self._refusal(scope, headers) or self._admission(scope, headers)
        await (answer or self._app)(scope, receive, sealed)

    def _refusal(self, scope: Scope, headers: Mapping[str, str]) -> Response | None:
        """What is wrong with where a request comes from, or None."""
        host = headers.get("host", "")
        if host not in self._hosts:
            return _no(421, "This is not the host that the review serves.")
        origin = headers.get("origin")
        if origin is not None and origin != f"http://{host}":
            return _no(403, "The request came from another page; the review answers only its own.")
        if scope["method"] not in SAFE and origin is None:
            return _no(403, "A request that changes something must name its origin.")
        if headers.get("sec-fetch-site", "none") in ("cross-site", "same-site") and scope["path"] != "/":
            return _no(403, "The request came from another site; the review answers only its own page.")
        return None

    def _admission(self, scope: Scope, headers: Mapping[str, str]) -> Response | None:
        """The token in the address becomes a cookie; everything else needs the cookie."""
        token = QueryParams(scope["query_string"]).get("token")
        if scope["path"] == "/" and token is not None and self._is_token(token):
            entered = RedirectResponse("/", 303)
            entered.set_cookie(self._name, self._token, httponly=True, samesite="strict", path="/")
            return entered
        if self._is_token(self._cookie(headers.get("cookie", ""))):
            return None
        return _no(403, "Open the address that `qwenbuild review` printed: it carries this run's token.")

    @property
    def _name(self) -> str:
        """Cookies are shared by all ports of a host: each review has one of its own."""
        return f"qwenbuild-review-{self._port}"

    def _cookie(self, text: str) -> str:
        try:
            morsel = SimpleCookie(text).get(self._name)
        except CookieError:
            return ""
        return morsel.value if morsel is not None else ""

    def _is_token(self, text: str) -> bool:
        return hmac.compare_digest(text.encode(), self._token.encode())


def _no(status: int, words: str) -> Response:
    return PlainTextResponse(words + "\n", status)
