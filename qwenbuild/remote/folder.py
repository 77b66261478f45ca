"""A shared cache in a folder, also on a network file system: no SQLite lives there, only whole files.

Knows no digest and no key.
"""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Iterator

from qwenbuild import files
from qwenbuild.remote.store import OBJECT_BYTES_MAX, RemoteError, StoredObject

SUFFIX = ".tmp"


class Folder:
    """Files written beside and renamed, so that a reader sees all of one or nothing."""

    def __init__(self, url: str, root: str) -> None:
        self.url = url
        self._root = root

    def _path(self, name: str) -> str:
        return os.path.join(self._root, *name.split("/"))

    def _failed(self, error: OSError, name: str) -> RemoteError:
        return RemoteError(f"the shared cache {self.url} failed at {name}: {error.strerror or error}", code="remote-io")

    def _must_be_there(self) -> None:
        """A share that is not mounted is an error, not an empty cache."""
        if not os.path.isdir(self._root):
            raise RemoteError(f"the shared cache {self.url} cannot be found: is it mounted?", code="remote-missing")

    def get(self, name: str) -> bytes | None:
        """The bytes of a file."""
        self._must_be_there()
        try:
            with open(self._path(name), "rb") as file:
                if os.fstat(file.fileno()).st_size > OBJECT_BYTES_MAX:
                    raise RemoteError(f"{name} in {self.url} is too large", code="remote-size")
                return file.read()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise self._failed(error, name) from error

    def size(self, name: str) -> int | None:
        """The size of a file in bytes."""
        self._must_be_there()
        try:
            return os.stat(self._path(name)).st_size
        except FileNotFoundError:
            return None
        except OSError as error:
            raise self._failed(error, name) from error

    def put(self, name: str, data: bytes) -> None:
        """Write beside, sync, rename."""
        self._must_be_there()
        path = self._path(name)
        try:
            os.makedirs(os.path.dirname(path), exist_ok=True)
            files.replace(path, data)
        except OSError as error:
            raise self._failed(error, name) from error

    def create(self, name: str, data: bytes) -> bool | None:
        """Write beside and link: the link fails where a file is, on network file systems too."""
        self._must_be_there()
        path = self._path(name)
        temporary = f"{path}.{secrets.token_hex(6)}{SUFFIX}"
        try:
            os.makedirs(os.path.dirname(path), exist_ok=True)
            _write(temporary, data)
            os.link(temporary, path)
        except FileExistsError:
            return False
        except OSError as error:
            raise self._failed(error, name) from error
        finally:
            with contextlib.suppress(OSError):
                os.unlink(temporary)
        return True

    def delete(self, name: str) -> None:
        """Remove a file."""
        self._must_be_there()
        try:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self._path(name))
        except OSError as error:
            raise self._failed(error, name) from error

    def list(self, prefix: str) -> Iterator[StoredObject]:
        """Every file below a folder."""
        self._must_be_there()
        try:
            yield from self._below(self._path(prefix))
        except OSError as error:
            raise self._failed(error, prefix) from error

    def _below(self, top: str) -> Iterator[StoredObject]:
        for folder, _, names in os.walk(top, onerror=_raise_but_absence):
            for file in sorted(names):
                path = os.path.join(folder, file)
                with contextlib.suppress(FileNotFoundError):
                    status = os.stat(path)
                    if not file.endswith(SUFFIX):
                        name = os.path.relpath(path, self._root).replace(os.sep, "/")
                        yield StoredObject(name, status.st_size, status.st_mtime)

    def close(self) -> None:
        """Nothing is open."""


def _raise_but_absence(error: OSError) -> None:
    if not isinstance(error, FileNotFoundError):
        raise error


def _write(path: str, data: bytes) -> None:
    with open(path, "xb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
