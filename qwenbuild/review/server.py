"""Serve a review on loopback until Ctrl-C: a bound socket, a token, uvicorn, and a watch on the project's files.

Knows no route and no card.
"""

from __future__ import annotations

import secrets
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

import uvicorn

from qwenbuild.errors import QwenbuildError
from qwenbuild.project.options import Options
from qwenbuild.review.app import make_app
from qwenbuild.review.guard import RequestGuard
from qwenbuild.review.session import Session

HOST = "127.0.0.1"
LOOK_INTERVAL_S = 1.0
"""Seconds between two looks at the files whose change makes another state."""


@dataclass(frozen=True, slots=True)
class ServedReview:
    """A review that listens. `url` carries the token; `origin` does not."""

    session: Session
    port: int
    token: str

    @property
    def origin(self) -> str:
        """The address without the token."""
        return f"http://{HOST}:{self.port}"

    @property
    def url(self) -> str:
        """The address to open."""
        return f"{self.origin}/?token={self.token}"


def review(
    options: Options, port: int, on_ready: Callable[[ServedReview], None], *, against: str = "", choosing: bool = True
) -> int:
    """Serve until SIGINT or SIGTERM; `on_ready` is called once it listens. A build that runs is waited for.

    Without `choosing` the page only looks. Raises InputError, CacheError before it serves; OSError when the port is taken.
    """
    session = Session(options, against)
    with _bound(port) as listening, _watching(session):
        served, server = _server(session, listening, choosing=choosing)
        on_ready(served)
        with suppress(KeyboardInterrupt):
            server.run(sockets=[listening])
        session.wait()
    return 0


@contextmanager
def serve(options: Options, port: int = 0, *, against: str = "", choosing: bool = True) -> Iterator[ServedReview]:
    """Serve in a thread for as long as the block runs."""
    session = Session(options, against)
    with _bound(port) as listening, _watching(session):
        served, server = _server(session, listening, choosing=choosing)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, name="review")
        thread.start()
        try:
            yield served
        finally:
            server.leave()
            thread.join()
            session.wait()


class Server(uvicorn.Server):
    """Uvicorn that says goodbye: the tabs' streams never end by themselves."""

    def __init__(self, config: uvicorn.Config, session: Session) -> None:
        super().__init__(config)
        self._session = session

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """A signal: end the streams too."""
        self._session.tell({"type": "ended"})
        super().handle_exit(sig, frame)

    def leave(self) -> None:
        """End, asked from another thread."""
        self._session.tell({"type": "ended"})
        self.should_exit = True


def _server(session: Session, listening: socket.socket, *, choosing: bool) -> tuple[ServedReview, Server]:
    served = ServedReview(session, listening.getsockname()[1], secrets.token_urlsafe(24))
    config = uvicorn.Config(
        RequestGuard(make_app(session, choosing=choosing), served.token, served.port),
        log_config=None,
        access_log=False,
        lifespan="off",
        server_header=False,
        timeout_graceful_shutdown=1,
    )
    return served, Server(config, session)


@contextmanager
def _bound(port: int) -> Iterator[socket.socket]:
    """A listening socket on loopback; nobody else on this machine's networks can reach it."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((HOST, port))
        listening.listen(128)
        yield listening


@contextmanager
def _watching(session: Session) -> Iterator[None]:
    """Look at the files now and then: builds, the command line and editors write them too."""
    ended = threading.Event()

    def watch() -> None:
        before, pause = _signature(session.watched()), LOOK_INTERVAL_S
        while not ended.wait(pause):
            now, pause = _signature(session.watched()), LOOK_INTERVAL_S
            if now != before:
                before, began = now, time.monotonic()
                look_again(session)
                pause = max(LOOK_INTERVAL_S, 2 * (time.monotonic() - began))

    thread = threading.Thread(target=watch, name="watch", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def look_again(session: Session) -> None:
    """Refresh; what is wrong with the files is said to every tab, and the page keeps what it has."""
    try:
        session.refresh()
    except (QwenbuildError, OSError) as error:
        session.tell({"type": "problem", "words": str(error)})


def _signature(paths: tuple[Path, ...]) -> tuple[tuple[int, int], ...]:
    return tuple(_stat(path) for path in paths)


def _stat(path: Path) -> tuple[int, int]:
    try:
        status = path.stat()
    except OSError:
        return (0, 0)
    return (status.st_mtime_ns, status.st_size)
