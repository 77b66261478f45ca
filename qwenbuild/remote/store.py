"""The shared cache: where a team's pictures lie, named by their content, so that whoever comes second need not pay.

Knows neither manifest nor lockfile; a store can only save money, so an error here is never the same as "not there".
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from qwenbuild.errors import CacheError

OBJECT_BYTES_MAX = 256 * 1024 * 1024
"""Bytes; nothing in a shared cache is larger."""
VERSION = b"1\n"


class RemoteError(CacheError):
    """The shared cache did not say whether it has something, or could not take it."""


class Unlisted(RemoteError):
    """This kind of store cannot list what it holds."""


@dataclass(frozen=True, slots=True)
class StoredObject:
    """What a listing says of one name: its size in bytes, and when it was written in wall seconds (0 when unknown)."""

    name: str
    size: int
    written: float = 0.0


class Remote(Protocol):
    """A store of named bytes. Names are relative POSIX paths; every method raises RemoteError and may run in a thread."""

    url: str

    def get(self, name: str) -> bytes | None:
        """The bytes, or None when the store says that it has no such name."""
        ...

    def size(self, name: str) -> int | None:
        """The size in bytes, or None when the store says that it has no such name."""
        ...

    def put(self, name: str, data: bytes) -> None:
        """Write, or overwrite: names are immutable, so both hold the same."""
        ...

    def create(self, name: str, data: bytes) -> bool | None:
        """Write only where nothing is: True when written, False when something was there, None when it cannot be told."""
        ...

    def delete(self, name: str) -> None:
        """Remove; no error when it is not there."""
        ...

    def list(self, prefix: str) -> Iterator[StoredObject]:
        """What lies below a folder, which need not exist. Raises Unlisted."""
        ...

    def close(self) -> None:
        """Close connections."""
        ...


def check_version(remote: Remote) -> bool:
    """Whether anything was ever put there; one request. Raises RemoteError where it is no shared cache, or a newer one."""
    version = remote.get("VERSION")
    if version is None:
        return False
    if version != VERSION:
        text = version[:20].decode("ascii", "replace").strip()
        newer = text.isdigit() and int(text) > int(VERSION)
        words = (
            f"has version {text}; update qwenbuild to use it"
            if newer
            else "is no shared cache: what answers for its VERSION is another file, or a login page"
        )
        raise RemoteError(f"{remote.url} {words}", code="remote-version")
    return True


def require_version(remote: Remote) -> None:
    """Nothing that a store says, absence least of all, is believed without its VERSION. One request; raises RemoteError."""
    if not check_version(remote):
        raise never_started(remote)


def never_started(remote: Remote) -> RemoteError:
    """There is no VERSION: a new store, a share that is not mounted, another address, or a server that knows no name."""
    words = f"{remote.url} has no VERSION: it is another place, or still empty"
    return RemoteError(f"{words}: `qwenbuild cache push` starts a new shared cache", code="remote-unstarted")


def start(remote: Remote) -> None:
    """Make a place a shared cache, where it is none yet. Raises RemoteError, also where it does not keep what it takes."""
    if not check_version(remote):
        put_kept(remote, "VERSION", VERSION)


def put_kept(remote: Remote, name: str, data: bytes) -> None:
    """Write, and read it back. Raises RemoteError where what was acknowledged is not there."""
    remote.put(name, data)
    if remote.get(name) != data:
        raise not_kept(remote, name)


def not_kept(remote: Remote, name: str) -> RemoteError:
    """The store took a write and has something else, or nothing."""
    return RemoteError(f"the shared cache {remote.url} acknowledged {name} but did not keep it", code="remote-unkept")


def blob_name(digest: str) -> str:
    """Where a picture lies."""
    return f"blobs/{digest[:2]}/{digest}"


def receipt_name(key: str) -> str:
    """Where the receipt of a key lies: what was asked, what came, what it cost."""
    return f"receipts/{key[:2]}/{key}.json"


def claim_name(key: str) -> str:
    """Where a claim on a key lies while somebody makes its picture."""
    return f"claims/{key[:2]}/{key}.json"
