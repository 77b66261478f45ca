"""Trouble with the cache's disk is said as such: whoever asks must not take "cannot tell" for "not there".

Knows no file and no record.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Concatenate, ParamSpec, Protocol, TypeVar

from qwenbuild.cache.blobs import CopyFailed
from qwenbuild.errors import CacheError


class Rooted(Protocol):
    """Something that lies in one folder."""

    root: Path


_P = ParamSpec("_P")
_T = TypeVar("_T")
_C = TypeVar("_C", bound=Rooted)


def as_cache_error(method: Callable[Concatenate[_C, _P], _T]) -> Callable[Concatenate[_C, _P], _T]:
    """An OSError of a cache, the first argument, becomes a CacheError that names its folder."""

    @functools.wraps(method)
    def inner(cache: _C, /, *args: _P.args, **kwargs: _P.kwargs) -> _T:
        try:
            return method(cache, *args, **kwargs)
        except CopyFailed:
            raise
        except OSError as error:
            raise CacheError(f"the cache {cache.root} failed: {error}", code="cache-io") from error

    return inner
