"""The shared cache during one run: pictures fetched before it, claims around each purchase, results pushed after it.

Knows no plan's reasons and no store's kind; every error says that it bought nothing.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field

from qwenbuild.errors import CacheError
from qwenbuild.later import later
from qwenbuild.model import ActionResult, Outcome, OutcomeKind
from qwenbuild.planning.planner import Planned
from qwenbuild.planning.remote_pictures import RemotePictures, address, environ_of, needed, pushes, size_words, team_key
from qwenbuild.ports import Event, Reporter
from qwenbuild.project.options import Options
from qwenbuild.remote.addresses import open_remote
from qwenbuild.remote.claims import LEASE_S, SETTLE_S, WAIT_LIMIT_S, Claims, HeldClaim
from qwenbuild.remote.store import Remote, RemoteError, require_version, start
from qwenbuild.remote.transfer import doubt_of, fetch, pictureless, receipt, send, verified

with later:
    from qwenbuild import images

REPORT_INTERVAL_S = 5.0
"""Seconds between words on how far a transfer is."""


@dataclass
class Link:
    """What a run has of the shared cache. Without a `remote` it has nothing, and asks nobody.

    `starting`: this build may make an empty place a shared cache, before it buys anything.
    """

    planned: Planned
    reporter: Reporter
    remote: Remote | None = None
    team: bytes = b""
    claims: Claims | None = None
    starting: bool = False
    errors: dict[str, RemoteError] = field(default_factory=dict)
    waited: set[str] = field(default_factory=set)
    _opening: threading.Lock = field(default_factory=threading.Lock)
    _opened: RemoteError | bool = False

    @property
    def shared(self) -> RemotePictures:
        """What the plan was told."""
        return self.planned.shared

    @property
    def concerned(self) -> bool:
        """Whether there is anything to ask before a purchase, or to say after it."""
        return self.remote is not None or bool(self.shared.blocked)

    # ---------------------------------------------------------------- pictures of the plan

    def bring(self) -> None:
        """Fetch everything that the plan takes from the shared cache; errors are remembered for the entries they concern."""
        if self.remote is None or not self.shared.queried:
            return
        has = self.planned.cache.has_blob
        pictures = {digest: recorded for digest, recorded in needed(self.planned.plan, self.shared).items() if not has(digest)}
        if not pictures:
            return
        total = sum(self.shared.sizes.get(digest, 0) for digest in pictures)
        progress = TransferProgress(
            self.reporter, f"shared cache: fetching {len(pictures):,} files, {size_words(total)}", len(pictures), total
        )
        try:
            self._open(self.remote)
        except RemoteError as error:
            self.errors.update(dict.fromkeys(pictures, error))
            return
        moved = fetch(self.remote, self.planned.cache, pictures, progress)
        self.errors.update(moved.failed)
        for digest in moved.absent:
            self.errors[digest] = RemoteError(f"{self.remote.url} had {digest[:12]} when the plan was made, and has it no more")
        progress.done(moved.bytes, len(moved.done))

    def fetch(self, digest: str) -> bytes | None:
        """The bytes of a digest that the plan counts on, None when it does not. Raises RemoteError."""
        error = self.errors.get(digest)
        if error is None and self.remote is not None and digest in self.shared:
            try:
                return verified(self.remote, digest)
            except RemoteError as fault:
                error = self.errors[digest] = fault
        if error is not None:
            words = f"cannot tell whether its picture can still be had, so nothing was bought: {error}"
            raise RemoteError(words, code="cannot-tell")
        return None

    def _open(self, remote: Remote) -> None:
        """See once in a run that this is a shared cache, or make it one. Raises RemoteError, the same for all who ask."""
        with self._opening:
            if self._opened is False:
                try:
                    (start if self.starting else require_version)(remote)
                    self._opened = True
                except RemoteError as error:
                    self._opened = error
        if isinstance(self._opened, RemoteError):
            raise self._opened

    # ---------------------------------------------------------------- around a purchase

    def begin(self, key: str) -> ActionResult | float | None:
        """Before a key is bought: None when it may be, another machine's picture, or seconds after which to ask again.

        Raises RemoteError when it cannot be told.
        """
        blocked = self.shared.blocked.get(key)
        if blocked is not None:
            raise RemoteError(f"cannot tell whether a colleague drew it, so nothing was bought: {blocked}", code="cannot-tell")
        if self.remote is None:
            return None
        try:
            late = self.planned.manifest.trust == "keys" and key not in self.shared.queried
            if self.claims is not None or late or self.shared.empty:
                self._open(self.remote)
            if self.claims is not None:
                return self._claimed(self.remote, self.claims, key)
            return self._made(self.remote, key) if late else None
        except RemoteError as error:
            words = f"cannot tell whether another machine draws it, so nothing was bought: {error}"
            raise RemoteError(words, code="cannot-tell") from error

    def secure(self, key: str) -> bool:
        """Whether a request for a key may leave: its claim, where it has one, cannot have run out since. Asks nobody."""
        return self.claims is None or not self.claims.holds(key) or self.claims.secure(key)

    def _claimed(self, remote: Remote, claims: Claims, key: str) -> ActionResult | float | None:
        claim = claims.take(key)
        result = self._made(remote, key) if claim is None or claim.holder != claims.holder else None
        if result is not None:
            claims.release(key, done=True)
            return result
        if claim is None:
            return None
        self._tell(claim, claims.holder, key)
        return claim.again

    def _tell(self, claim: HeldClaim, holder: str, key: str) -> None:
        """Say once for what is waited, and how long at most."""
        if key in self.waited or (claim.holder == holder and claim.again <= SETTLE_S):
            return
        self.waited.add(key)
        if claim.holder == holder:
            text = (
                f"the shared cache is slow: waiting {claim.again:.0f} s to see whether {key[:12]} was claimed elsewhere as well"
            )
        else:
            limits = f"{WAIT_LIMIT_S / 60:.0f} minutes at most, {LEASE_S / 60:.0f} when it has stopped"
            text = f"{claim.holder} draws {key[:12]} right now: waiting for it ({limits})"
        self.reporter.event(Event("message", data={"text": text}))

    def _made(self, remote: Remote, key: str) -> ActionResult | None:
        """Another machine's picture of this key, verified and in the vault; under `trust: keys` only with a signed receipt."""
        result = receipt(remote, key, self.team, signed=self.planned.manifest.trust == "keys")
        data = verified(remote, result.digest) if result is not None else None
        if (result is None or data is None) and (error := doubt_of(remote)) is not None:
            raise error
        if result is None:
            return None
        if data is None:
            raise pictureless(remote, key, result.digest)
        try:
            images.check(data, (result.width, result.height), [result.media_type])
        except ValueError as error:
            raise RemoteError(f"what {remote.url} has for {key[:12]} is not a complete picture: {error}") from error
        self.planned.cache.put_again(data, result.digest, result)
        self.planned.cache.index_many([key])
        self.reporter.event(Event("message", data={"text": f"{key[:12]}: imported, another machine drew it"}))
        return result

    def end(self, outcome: Outcome) -> None:
        """After a key's purchase: its picture goes into the store and the claim ends.

        Nothing is raised: what could not be put there is tried again after the build, which reports it; the claim stays
        until it expires, so that somebody else may still wait for the picture.
        """
        if self.remote is None or self.claims is None or not self.claims.holds(outcome.key):
            return
        try:
            self._ended(self.remote, self.claims, outcome)
        except CacheError:
            self.claims.keep(outcome.key)

    def _ended(self, remote: Remote, claims: Claims, outcome: Outcome) -> None:
        if outcome.kind is OutcomeKind.DONE and outcome.result is not None:
            send(remote, self.planned.cache, outcome.result, self.team)
            claims.release(outcome.key, done=True)
        elif self.planned.cache.journal.live([outcome.key]):
            claims.keep(outcome.key)
        else:
            claims.release(outcome.key, done=False)


@contextmanager
def linked(planned: Planned, options: Options, reporter: Reporter) -> Iterator[Link]:
    """The shared cache for one run, closed after it. Raises InputError."""
    environ: Mapping[str, str] = environ_of(planned.loaded)
    url = address(planned.manifest, environ)
    if (
        options.offline
        or not url
        or not (planned.shared.queried or planned.manifest.claims or planned.manifest.trust == "keys")
    ):
        yield Link(planned, reporter)
        return
    with closing(open_remote(url, environ)) as remote:
        claims = Claims(remote) if planned.manifest.claims else None
        try:
            yield Link(planned, reporter, remote, team_key(environ), claims, pushes(planned.manifest, options, environ))
        finally:
            if claims is not None:
                claims.close()


class TransferProgress:
    """Words on how far a transfer is: at its start, every few seconds, and at its end."""

    def __init__(self, reporter: Reporter, start: str, count: int, size: int = 0) -> None:
        self._reporter = reporter
        self._count, self._size = count, size
        self._next = time.monotonic() + REPORT_INTERVAL_S
        self._began = time.monotonic()
        self._lock = threading.Lock()
        self._say(start)

    def __call__(self, count: int, size: int) -> None:
        """So many pictures and bytes so far."""
        with self._lock:
            if time.monotonic() < self._next:
                return
            self._next = time.monotonic() + REPORT_INTERVAL_S
        total = f" of {size_words(self._size)}" if self._size else ""
        self._say(f"shared cache: {count:,} of {self._count:,}, {size_words(size)}{total}")

    def done(self, size: int, count: int) -> None:
        """The end, with the rate."""
        seconds = max(time.monotonic() - self._began, 0.001)
        self._say(f"shared cache: {count:,} of {self._count:,}, {size_words(size)} in {seconds:.1f} s")

    def _say(self, text: str) -> None:
        self._reporter.event(Event("message", data={"text": text}))
