"""Claims: who draws which picture right now, so that two machines do not pay for the same one.

Knows no plan and no provider. Exact where the store writes conditionally; elsewhere best effort, by settling and reading back.
"""

from __future__ import annotations

import json
import secrets
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from qwenbuild.cache.remote import Remote, RemoteError, claim_name

EXPIRY = 180.0
"""Seconds after which a claim that nobody renewed is dead."""
RENEW = 45.0
SETTLE = 2.0
"""Seconds between writing and reading back, where the store cannot promise who was first."""
SKEW = 600.0
"""Seconds by which machines' clocks may differ."""


@dataclass(frozen=True, slots=True)
class Taken:
    """Another machine holds the claim; `again` seconds from now is a good time to ask again."""

    holder: str
    again: float


@dataclass(slots=True)
class _Mine:
    """A claim of ours: its generation, when it was written, and whether reading back has confirmed it."""

    generation: int
    written: float
    sure: bool


@dataclass(slots=True)
class _Seen:
    """A claim of somebody else's as it was seen first; unchanged for EXPIRY seconds of our own clock, it is dead."""

    text: bytes
    since: float


@dataclass
class Claims:
    """The claims of one build. Methods may be called from threads; `clock` is monotonic and `wall` wall time, in seconds.

    A claim on a key is an object `<key>.<generation>.json`; who finds a dead one writes the next generation, so that
    two who find it at once meet at one name.
    """

    remote: Remote
    clock: Callable[[], float] = time.monotonic
    wall: Callable[[], float] = time.time
    settle: float = SETTLE
    expiry: float = EXPIRY
    holder: str = field(default_factory=lambda: f"{socket.gethostname()[:40]}-{secrets.token_hex(6)}")

    def __post_init__(self) -> None:
        self._mine: dict[str, _Mine] = {}
        self._seen: dict[str, _Seen] = {}
        self._exact: bool | None = None
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._renewer: threading.Thread | None = None

    @property
    def exact(self) -> bool:
        """Whether the store promises who wrote first; tried once: some servers say yes and overwrite. Raises RemoteError."""
        with self._lock:
            if self._exact is None:
                self._exact = self._try_twice()
            return self._exact

    def _try_twice(self) -> bool:
        name = f"claims/trial-{secrets.token_hex(8)}.json"
        try:
            return self.remote.create(name, b"1") is True and self.remote.create(name, b"2") is False
        finally:
            self.remote.delete(name)

    def take(self, key: str) -> Taken | None:
        """Claim a key; None when it is ours now. Raises RemoteError."""
        mine = self._mine.get(key)
        if mine is not None:
            return None if mine.sure else self._read_back(key, mine)
        generation = 0
        while (text := self.remote.get(_name(key, generation))) is not None:
            if not self._is_dead(key, text):
                return Taken(_holder(text), 1.0)
            generation += 1
        return self._write(key, generation)

    def _write(self, key: str, generation: int) -> Taken | None:
        name, text = _name(key, generation), self._text()
        if self.exact:
            if self.remote.create(name, text) is not True:
                return Taken("another machine", 0.2)
            self._keep(key, _Mine(generation, self.clock(), True))
            return None
        self.remote.put(name, text)
        self._keep(key, _Mine(generation, self.clock(), False))
        return Taken(self.holder, self.settle)

    def _read_back(self, key: str, mine: _Mine) -> Taken | None:
        """Best effort: the last writer is believed once everybody's writing has settled."""
        left = mine.written + self.settle - self.clock()
        if left > 0:
            return Taken(self.holder, left)
        text = self.remote.get(_name(key, mine.generation))
        if text is not None and _holder(text) == self.holder:
            mine.sure = True
            return None
        self._mine.pop(key, None)
        return Taken(_holder(text) if text else "another machine", 1.0)

    def release(self, key: str, *, done: bool) -> None:
        """Give a claim up. `done`: the picture is in the store, so that whoever claims next finds it. Raises RemoteError."""
        mine = self._mine.pop(key, None)
        if mine is None:
            return
        if not done:
            self.remote.put(_name(key, mine.generation), self._text(released=True))
            return
        for generation in range(mine.generation, -1, -1):
            self.remote.delete(_name(key, generation))

    def holds(self, key: str) -> bool:
        """Whether a key is claimed by this build."""
        return key in self._mine

    def close(self) -> None:
        """Stop renewing. What is still held expires by itself: an interrupted build may have sent something for it."""
        self._ended.set()
        if self._renewer is not None:
            self._renewer.join()

    def keep(self, key: str) -> None:
        """Leave a claim until it expires: perhaps something was bought that did not arrive yet."""
        self._mine.pop(key, None)

    # ---------------------------------------------------------------- staying alive

    def _keep(self, key: str, mine: _Mine) -> None:
        self._mine[key] = mine
        with self._lock:
            if self._renewer is None:
                self._renewer = threading.Thread(target=self._renew, name="qwenbuild-claims", daemon=True)
                self._renewer.start()

    def _renew(self) -> None:
        while not self._ended.wait(RENEW):
            for key, mine in list(self._mine.items()):
                try:
                    self.remote.put(_name(key, mine.generation), self._text())
                except RemoteError:
                    continue  # tried again at the next turn, well before anybody takes it for dead

    def _text(self, *, released: bool = False) -> bytes:
        now = self.wall()
        said = {"holder": self.holder, "time": round(now, 3), "expires": round(now + self.expiry, 3), "released": released}
        return json.dumps(said, sort_keys=True).encode()

    def _is_dead(self, key: str, text: bytes) -> bool:
        """Given up, long expired, or unchanged for so long of our own clock that a wrong clock there does not matter."""
        said = _said(text)
        if said.get("released") is True or said.get("holder") == self.holder:
            return True
        expires = said.get("expires")
        if isinstance(expires, int | float) and expires < self.wall() - SKEW:
            return True
        seen = self._seen.get(key)
        if seen is None or seen.text != text:
            self._seen[key] = _Seen(text, self.clock())
            return False
        return self.clock() - seen.since > self.expiry


def _name(key: str, generation: int) -> str:
    return f"{claim_name(key).removesuffix('.json')}.{generation}.json"


def _said(text: bytes) -> dict[str, Any]:
    try:
        said = json.loads(text)
    except ValueError:
        return {}
    return said if isinstance(said, dict) else {}


def _holder(text: bytes) -> str:
    return str(_said(text).get("holder", "another machine"))[:80]
