"""The environment, and below it the API keys of a `.env` beside the manifest: nothing but keys is taken from that file.

Knows no provider. The file is read only when a key is asked for that the environment does not have.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from io import StringIO
from pathlib import Path

from qwenbuild.errors import InputError, Problem
from qwenbuild.manifest.credentials import masked
from qwenbuild.manifest.text import Text, read

ENDING = "_API_KEY"
"""The only names that are taken from the file: a folder that somebody cloned must not say where keys and pictures go."""
KEYFILE_BYTES_MAX = 64_000
"""Bytes of a `.env`; more is an error."""
NAMED = 3
"""So many of the variables that are ignored are named."""


class Environment(Mapping[str, str]):
    """The variables of the process. An API key that is not among them is looked up in the `.env` of `folder`.

    Raises InputError when that file is asked for and cannot be read.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._keys: dict[str, str] | None = None

    def __getitem__(self, name: str) -> str:
        if name in os.environ or not name.endswith(ENDING):
            return os.environ[name]
        if self._keys is None:
            self._keys = {key: value for key, value, _ in _lines(_text(self._folder)) if _is_key(key, value)}
        return self._keys[name]

    def __iter__(self) -> Iterator[str]:
        return iter(os.environ)

    def __len__(self) -> int:
        return len(os.environ)


def ignored(folder: Path) -> tuple[Problem, ...]:
    """One warning about the lines of a `.env` that give no key; or that it cannot be read, which is no error by itself."""
    try:
        text = _text(folder)
        lines = [(name, offset) for name, value, offset in _lines(text) if not _is_key(name, value)]
    except InputError as error:
        return error.problems
    if text is None or not lines:
        return ()
    name, offset = lines[0]
    more = f" (and {', '.join(each for each, _ in lines[1 : NAMED + 1])}" if lines[1:] else ""
    more += ", …)" if len(lines) > NAMED + 1 else ")" if more else ""
    words = f"{name}{more} is ignored: from a .env only API keys are read, written literally, under names that end in {ENDING}"
    return (Problem("env-ignored", words, text.mark(offset), hint="set it in the real environment"),)


def _text(folder: Path) -> Text | None:
    """The file's text, None where there is none. Raises InputError."""
    path = folder / ".env"
    if not os.path.lexists(path):
        return None
    return read(path, os.path.relpath(path), KEYFILE_BYTES_MAX)


def _lines(text: Text | None) -> Iterator[tuple[str, str, int]]:
    """Name, value and offset of each line that says something; the name of one that cannot be understood is its beginning."""
    if text is None:
        return
    from dotenv.parser import parse_stream

    offset = 0
    for line in parse_stream(StringIO(text.characters)):
        written = line.original.string
        start = offset + len(written) - len(written.lstrip())
        offset += len(written)
        if line.key is not None or line.error:
            yield masked(line.key or written.strip()[:20]), line.value or "", start


def _is_key(name: str, value: str) -> bool:
    """Whether it is an API key. `${NAME}` would send another secret of the environment away, and is not filled in."""
    return name.endswith(ENDING) and "${" not in value
