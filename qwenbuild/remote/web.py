"""A shared cache behind plain GET, HEAD, PUT and DELETE, as a web server with DAV or a Bazel-style cache serves it.

Knows no digest and no key. Credentials come from QWENBUILD_REMOTE_TOKEN, or a user and password in the address; never netrc.
"""

from __future__ import annotations

import ipaddress
import time
from collections.abc import Iterator, Mapping
from urllib.parse import quote, unquote, urlsplit

from qwenbuild.errors import InputError
from qwenbuild.remote.store import OBJECT_BYTES_MAX, RemoteError, StoredObject, Unlisted
from qwenbuild.transport.environment import checked_context, proxy_for
from qwenbuild.transport.library import httpx

TRIES = 3
PAUSES_S = (0.2, 1.0)
"""Seconds before a request that failed on the server's side is made again."""
AT_ONCE = 32
DEADLINE_S = 300.0
"""Seconds for one request as a whole, all tries: a server that sends a byte now and then would hold it for ever."""
DONE = {"GET": (200,), "HEAD": (200,), "PUT": (200, 201, 204), "DELETE": (200, 202, 204)}
"""What counts as done; every other answer but "not there" is an error, half an answer (206) too."""


class Web:
    """One address; connections are kept and shared by threads."""

    def __init__(self, url: str, environ: Mapping[str, str]) -> None:
        parts = urlsplit(url)
        if parts.scheme == "http" and not _is_loopback(parts.hostname or ""):
            raise InputError(f"{_shown(url)} must be https://; http:// is for this machine only", code="remote-url")
        self.url = _shown(url)
        self._base = self.url.rstrip("/")
        self._client = httpx.Client(
            verify=checked_context(httpx.create_ssl_context),
            proxy=proxy_for(parts.scheme, parts.hostname or ""),
            trust_env=False,
            auth=_credentials(url, environ),
            headers={"Accept-Encoding": "identity", "Cache-Control": "no-cache", "User-Agent": "qwenbuild"},
            timeout=httpx.Timeout(60, connect=10),
            limits=httpx.Limits(max_connections=AT_ONCE, max_keepalive_connections=AT_ONCE),
            follow_redirects=False,
        )

    def get(self, name: str) -> bytes | None:
        """The bytes of a name; what is cut short is an error."""
        answer = self._ask("GET", name)
        return None if answer is None else answer.content

    def size(self, name: str) -> int | None:
        """The size that the server announces, 0 when it announces none."""
        answer = self._ask("HEAD", name)
        length = "0" if answer is None else answer.headers.get("content-length", "0")
        return None if answer is None else int(length) if length.isdecimal() else 0

    def put(self, name: str, data: bytes) -> None:
        """Write or overwrite."""
        if self._ask("PUT", name, data) is None:
            raise RemoteError(
                f"the shared cache {self.url} does not accept PUT at {name}: is writing enabled?", code="remote-put"
            )

    def create(self, name: str, data: bytes) -> bool | None:
        """Plain web servers cannot promise that: unknown."""
        return None

    def delete(self, name: str) -> None:
        """Remove a name."""
        self._ask("DELETE", name)

    def list(self, prefix: str) -> Iterator[StoredObject]:
        """Web servers do not list."""
        raise Unlisted(f"the shared cache {self.url} cannot list what it holds", code="remote-list")

    def close(self) -> None:
        """Close connections."""
        self._client.close()

    def _ask(self, method: str, name: str, data: bytes | None = None) -> httpx.Response | None:
        """The answer, None for "not there". Raises RemoteError."""
        error = RemoteError("never asked")
        until = time.monotonic() + DEADLINE_S
        for attempt in range(TRIES):
            if attempt:
                time.sleep(PAUSES_S[attempt - 1])
            if attempt and time.monotonic() > until:
                break
            try:
                answer = self._answer(method, name, data, until)
            except httpx.HTTPError as fault:
                error = self._error(name, f"{type(fault).__name__}: {fault}" if str(fault) else type(fault).__name__)
                continue
            if answer.status_code in (404, 410):
                return None
            if answer.status_code in DONE[method]:
                return answer
            error = self._refused(name, answer)
            if answer.status_code < 500 and answer.status_code not in (408, 429):
                break
        raise error

    def _answer(self, method: str, name: str, data: bytes | None, until: float) -> httpx.Response:
        """One answer, read to its end within bounds of size and time."""
        with self._client.stream(method, f"{self._base}/{quote(name)}", content=data) as answer:
            body = bytearray()
            for chunk in answer.iter_raw():
                body += chunk
                if len(body) > OBJECT_BYTES_MAX:
                    raise RemoteError(f"{name} in {self.url} is too large", code="remote-size")
                if time.monotonic() > until:
                    raise httpx.ReadTimeout(f"not complete within {DEADLINE_S:.0f} seconds")
        return httpx.Response(answer.status_code, headers=answer.headers, content=bytes(body))

    def _refused(self, name: str, answer: httpx.Response) -> RemoteError:
        if answer.status_code in (401, 403):
            words = (
                "refused the credentials. QWENBUILD_REMOTE_TOKEN is sent to the host of QWENBUILD_REMOTE, "
                "or to the one that QWENBUILD_REMOTE_HOST names, and to no host that only a manifest names"
            )
            return RemoteError(f"the shared cache {self.url} {words}", code="remote-credentials")
        return self._error(name, f"HTTP {answer.status_code}")

    def _error(self, name: str, why: str) -> RemoteError:
        return RemoteError(f"the shared cache {self.url} did not answer for {name}: {why}", code="remote-io")


def _shown(url: str) -> str:
    """The address without credentials."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    return parts._replace(netloc=host).geturl()


def _credentials(url: str, environ: Mapping[str, str]) -> httpx.Auth | None:
    token = environ.get("QWENBUILD_REMOTE_TOKEN", "").strip()
    parts = urlsplit(url)
    if token and _belongs(parts.hostname or "", environ):
        return _Bearer(token)
    return httpx.BasicAuth(unquote(parts.username), unquote(parts.password or "")) if parts.username else None


def _belongs(host: str, environ: Mapping[str, str]) -> bool:
    """Whether the token may be sent to this host: the environment names it, or it is this machine. A manifest that somebody
    else wrote may name any address, and must not learn the token by it.
    """
    remote_host = urlsplit(environ.get("QWENBUILD_REMOTE", "").strip()).hostname
    own = environ.get("QWENBUILD_REMOTE_HOST", "").strip().lower()
    return _is_loopback(host) or host in (remote_host, own)


class _Bearer(httpx.Auth):
    """A token in the Authorization header; the client's own netrc is never looked at where an Auth is given."""

    def __init__(self, token: str) -> None:
        self._token = token

    def __repr__(self) -> str:
        return "Bearer ***"

    def auth_flow(self, request: httpx.Request) -> Iterator[httpx.Request]:  # type: ignore[override]
        request.headers["Authorization"] = f"Bearer {self._token}"
        yield request


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
