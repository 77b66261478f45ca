"""Claims: who draws which picture right now, so that two machines do not pay for the same one.

Knows no plan and no provider. Exact where the store writes conditionally; elsewhere best effort, by settling and reading back.
No time that another machine wrote is compared with anything: a claim lives as long as it is seen to change.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import secrets
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from qwenbuild.remote.store import Remote, RemoteError, claim_name

LEASE_S = 180.0
"""A claim that stood unchanged for so long of the reader's own clock is dead."""
RENEW_S = 45.0
MARGIN_S = 60.0
"""So long before the end of its lease nothing is bought under a claim any more."""
SETTLE_S = 2.0
"""Between writing and reading back, where the store cannot promise who was first."""
SLOW_SETTLE_S = 60.0
"""The same after a slow write, which may have covered a claim that was sure already: its holder renews it meanwhile."""
WAIT_LIMIT_S = 1800.0
"""So long a build waits for one picture of another machine; then it is an error, and the next build asks again."""
POLL_S = 1.0
CLOSE_S = 10.0
"""So long the end of a build waits for a renewal that is under way."""
GENERATIONS_MAX = 256
UNKEPT_MAX = 3
"""So many claims in a row may be gone when they are read back; then the store keeps nothing."""
VERSION = 1


def uptime() -> float:
    """Seconds of a clock that nobody sets and that runs on while the machine sleeps, where the system has one."""
    number = getattr(time, "CLOCK_BOOTTIME", getattr(time, "CLOCK_MONOTONIC", None))
    return time.monotonic() if number is None else time.clock_gettime(number)


@dataclass(frozen=True, slots=True)
class HeldClaim:
    """Another machine holds the claim; `again` seconds from now is a good time to ask again."""

    holder: str
    again: float


@dataclass(frozen=True, slots=True)
class _Claim:
    """What a claim in the store says."""

    holder: str
    released: bool


@dataclass(slots=True)
class _OwnClaim:
    """A claim of ours. `renewed`: when the last write that is known to have arrived was begun.

    `sure`: reading back has confirmed it, which is tried from `due` on. `lost`: it was once too old to be relied on.
    """

    generation: int
    renewed: float
    due: float = 0.0
    sure: bool = False
    lost: bool = False
    lock: threading.Lock = field(default_factory=threading.Lock)


@dataclass(frozen=True, slots=True)
class _Seen:
    """A claim of somebody else's, and until when it is known to have stood like this at least."""

    text: bytes
    since: float


@dataclass
class Claims:
    """The claims of one build. Methods may be called from threads. `clock` never goes back; `wall` is only written down.

    A claim on a key is an object `<key>.<generation>.json`; who finds a dead one writes the next generation, so that
    two who find it at once meet at one name, and no name is ever used for a second claim.
    """

    remote: Remote
    clock: Callable[[], float] = uptime
    wall: Callable[[], float] = time.time
    settle: float = SETTLE_S
    lease: float = LEASE_S
    holder: str = field(default_factory=lambda: f"{socket.gethostname()[:40]}-{secrets.token_hex(6)}")

    def __post_init__(self) -> None:
        self._own: dict[str, _OwnClaim] = {}
        self._seen: dict[str, _Seen] = {}
        self._waiting: dict[str, float] = {}
        self._unkept: dict[str, int] = {}
        self._exact: bool | None = None
        self._numbers = itertools.count()
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

    # ---------------------------------------------------------------- taking

    def take(self, key: str) -> HeldClaim | None:
        """Claim a key; None when it is ours now.

        Raises RemoteError: the store fails, holds something else than a claim, or WAIT_LIMIT_S have been waited.
        """
        held = self._take(key)
        if held is None:
            self._waiting.pop(key, None)
            return None
        now = self.clock()
        if now - self._waiting.setdefault(key, now) > WAIT_LIMIT_S:
            del self._waiting[key]
            words = f"{held.holder} has held the claim on {key[:12]} for {WAIT_LIMIT_S / 60:.0f} minutes"
            raise RemoteError(f"{words}: is it still at work? The next build asks again", code="remote-claimed")
        return held

    def _take(self, key: str) -> HeldClaim | None:
        own = self._own.get(key)
        if own is not None and not own.sure:
            return self._read_back(key, own)
        if self.secure(key):
            return None
        self._own.pop(key, None)
        for generation in range(GENERATIONS_MAX):
            asked_at = self.clock()
            text = self.remote.get(_name(key, generation))
            if text is None:
                return self._write(key, generation, asked_at)
            claim = self._claim(key, generation, text)
            if not self._is_dead(_name(key, generation), claim, text, asked_at):
                return HeldClaim(claim.holder, POLL_S)
        words = f"{self.remote.url} holds {GENERATIONS_MAX} claims on {key[:12]} that were given up"
        raise RemoteError(f"{words}: `qwenbuild cache gc --remote` removes them, or delete them there", code="remote-claimed")

    def _write(self, key: str, generation: int, asked_at: float) -> HeldClaim | None:
        text, begun = self._text(), self.clock()
        if self.exact:
            return self._created(key, generation, text, begun)
        self.remote.put(_name(key, generation), text)
        now = self.clock()
        settle = self.settle if now - asked_at <= self.settle / 2 else max(self.settle, SLOW_SETTLE_S)
        self._own[key] = _OwnClaim(generation, begun, now + settle)
        return HeldClaim(self.holder, settle)

    def _created(self, key: str, generation: int, text: bytes, begun: float) -> HeldClaim | None:
        """A refused write may still be ours, where the store's client wrote twice: what counts is what stands there."""
        written = self.remote.create(_name(key, generation), text)
        stored = self.remote.get(_name(key, generation))
        if stored == text:
            self._confirm(key, _OwnClaim(generation, begun))
            return None
        if stored is None and written:
            raise self._unkept_error(key)
        holder = self._claim(key, generation, stored).holder if stored is not None else "another machine"
        return HeldClaim(holder, POLL_S)

    def _read_back(self, key: str, own: _OwnClaim) -> HeldClaim | None:
        """Best effort: the last writer is believed once everybody's writing has settled."""
        left = own.due - self.clock()
        if left > 0:
            return HeldClaim(self.holder, left)
        text = self.remote.get(_name(key, own.generation))
        claim = None if text is None else self._claim(key, own.generation, text)
        if claim is not None and claim.holder == self.holder:
            self._unkept.pop(key, None)
            self._confirm(key, own)
            return None
        self._own.pop(key, None)
        if claim is not None:
            return HeldClaim(claim.holder, POLL_S)
        self._unkept[key] = self._unkept.get(key, 0) + 1
        if self._unkept[key] >= UNKEPT_MAX:
            raise self._unkept_error(key)
        return HeldClaim("another machine", POLL_S)

    def _unkept_error(self, key: str) -> RemoteError:
        words = f"the shared cache {self.remote.url} acknowledged a claim on {key[:12]} but did not keep it"
        return RemoteError(words, code="remote-unkept")

    # ---------------------------------------------------------------- holding

    def holds(self, key: str) -> bool:
        """Whether a key is claimed by this build."""
        return key in self._own

    def secure(self, key: str) -> bool:
        """Whether a purchase may begin under our claim: nobody who watches it can take it for dead for a while yet."""
        own = self._own.get(key)
        return own is not None and own.sure and not own.lost and self.clock() - own.renewed < self.lease - MARGIN_S

    def release(self, key: str, *, done: bool) -> None:
        """Give a claim up. `done`: the picture is in the store, so that whoever claims next finds it. Raises RemoteError."""
        own = self._own.pop(key, None)
        if own is None:
            return
        with own.lock:
            if not done:
                self.remote.put(_name(key, own.generation), self._text(released=True))
                return
            for generation in range(own.generation, -1, -1):
                self.remote.delete(_name(key, generation))

    def keep(self, key: str) -> None:
        """Leave a claim until it is dead: perhaps something was bought that did not arrive yet."""
        self._own.pop(key, None)

    def close(self) -> None:
        """Stop renewing. What is still held dies by itself: an interrupted build may have sent something for it."""
        self._ended.set()
        if self._renewer is not None:
            self._renewer.join(CLOSE_S)

    # ---------------------------------------------------------------- staying alive

    def _confirm(self, key: str, own: _OwnClaim) -> None:
        own.sure = True
        self._own[key] = own
        with self._lock:
            if self._renewer is None:
                self._renewer = threading.Thread(target=self._keep_renewing, name="qwenbuild-claims", daemon=True)
                self._renewer.start()

    def _keep_renewing(self) -> None:
        while not self._ended.wait(RENEW_S):
            with contextlib.suppress(Exception):
                self.renew()

    def renew(self) -> None:
        """Renew every claim that is surely ours, each in a thread of its own: one that hangs must not let the others die.

        What a store raises is nobody's here: the next turn tries again, and `secure` tells when that was too late.
        """
        claims = [(key, own) for key, own in list(self._own.items()) if own.sure]
        threads = [threading.Thread(target=self._try_renewing, args=pair, daemon=True) for pair in claims]
        for thread in threads:
            thread.start()
        until = time.monotonic() + RENEW_S
        for thread in threads:
            thread.join(max(0.0, until - time.monotonic()))

    def _try_renewing(self, key: str, own: _OwnClaim) -> None:
        if not own.lock.acquire(blocking=False):
            return
        try:
            if self._own.get(key) is own:
                self._renew(key, own)
        except Exception:  # whatever a store raises, in whatever way: the next turn tries again
            return
        finally:
            own.lock.release()

    def _renew(self, key: str, own: _OwnClaim) -> None:
        """A renewal counts from its beginning, and only when it is read back; what is renewed late stays lost."""
        text, begun = self._text(), self.clock()
        self.remote.put(_name(key, own.generation), text)
        if self.remote.get(_name(key, own.generation)) != text:
            return
        own.lost = own.lost or self.clock() - own.renewed >= self.lease - MARGIN_S
        own.renewed = begun

    # ---------------------------------------------------------------- what a claim says

    def _text(self, *, released: bool = False) -> bytes:
        """Never twice the same, whatever the clock says: that is how others see that we live."""
        claim = {
            "v": VERSION,
            "holder": self.holder,
            "time": round(self.wall(), 3),
            "number": next(self._numbers),
            "released": released,
        }
        return json.dumps(claim, sort_keys=True).encode()

    def _claim(self, key: str, generation: int, text: bytes) -> _Claim:
        """What a claim says. Raises RemoteError for everything that is none: it might hide one."""
        try:
            claim = json.loads(text)
        except (ValueError, RecursionError):
            claim = None
        version = claim.get("v", VERSION) if isinstance(claim, dict) else None
        where = f"{_name(key, generation)} in the shared cache {self.remote.url}"
        if isinstance(version, int) and version > VERSION:
            raise RemoteError(f"{where} was written by a newer qwenbuild: update this one", code="remote-version")
        holder = claim.get("holder") if isinstance(claim, dict) else None
        released = claim.get("released") if isinstance(claim, dict) else None
        if version != VERSION or not isinstance(holder, str) or not holder or not isinstance(released, bool):
            words = "is not a readable claim: check what is stored there; if nobody is drawing it, delete that object"
            raise RemoteError(f"{where} {words}", code="remote-unreadable")
        return _Claim(holder[:80], released)

    def _is_dead(self, name: str, claim: _Claim, text: bytes, asked_at: float) -> bool:
        """Given up, or an older one of this build, or unchanged for a lease of our own clock, from reading to asking again."""
        if claim.released or claim.holder == self.holder:
            return True
        seen = self._seen.get(name)
        if seen is None or seen.text != text:
            self._seen[name] = _Seen(text, self.clock())
            return False
        return asked_at - seen.since > self.lease


def _name(key: str, generation: int) -> str:
    return f"{claim_name(key).removesuffix('.json')}.{generation}.json"
