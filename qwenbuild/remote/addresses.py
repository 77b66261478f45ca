"""Which store is behind an address.

Knows no picture; nothing is asked, and what a store needs is imported when one is named.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from urllib.parse import SplitResult, unquote, urlsplit

from qwenbuild.errors import InputError
from qwenbuild.remote.store import Remote

EXTRA = "pip install 'qwenbuild[remote]'"


def open_remote(url: str, environ: Mapping[str, str]) -> Remote:
    """The store behind an address: file://, https://, s3://, gs:// or az://. Nothing is asked yet.

    Raises InputError for an address that is none of these, and where the extra that it needs is not installed.
    """
    parts = urlsplit(url)
    if parts.scheme == "file":
        from qwenbuild.remote.folder import Folder

        return Folder(url, os.path.abspath(_path(url, parts)))
    if parts.scheme in ("https", "http"):
        from qwenbuild.remote.web import Web

        return Web(url, environ)
    if parts.scheme in ("s3", "gs", "az"):
        return _object_store(url, environ)
    raise InputError(f"a shared cache is s3://, gs://, az://, https:// or file://, not {url!r}", code="remote-url")


def _path(url: str, parts: SplitResult) -> str:
    if parts.netloc not in ("", "localhost") or not parts.path.startswith("/"):
        raise InputError(f"{url!r} names no folder of this machine: write file:///mnt/share", code="remote-url")
    path = unquote(parts.path)
    return path[1:] if os.name == "nt" and path[2:3] == ":" else path


def _object_store(url: str, environ: Mapping[str, str]) -> Remote:
    try:
        from qwenbuild.remote.objects import Objects
    except ModuleNotFoundError as error:
        raise InputError(f"{url} needs {error.name}: {EXTRA}", code="missing-extra") from error
    return Objects(url, environ)
