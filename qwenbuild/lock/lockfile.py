"""Read and write `<manifest>.lock`: strict on the way in, canonical and atomic on the way out.

Knows no manifest and no cache; what the records mean is the plan's matter.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qwenbuild import files
from qwenbuild.errors import InputError, Mark, Problem
from qwenbuild.later import later
from qwenbuild.lfs import pointer_oid
from qwenbuild.lock.layout import VERSION, blocks, is_block, joined, splice, text, text_print
from qwenbuild.model import STRICT, LockAtlas, LockEntry, LockOutput

with later:
    from qwenbuild.expand import paths

if TYPE_CHECKING:
    from pydantic import TypeAdapter

SIZE_LIMIT_BYTES = 768 * 1024 * 1024
"""Bytes; a lockfile of 100,000 entries stays under 60 MB."""
BYTE_ORDER_MARK = b"\xef\xbb\xbf"
CONFLICT = (b"<<<<<<< ", b"=======\n", b">>>>>>> ")
ENTRY_LINE = re.compile(rb'    "(.+)": \{$').match
DIGEST = re.compile(r"[0-9a-f]{64}").fullmatch
MENDS = "`qwenbuild lock resolve` resolves a conflict; `git checkout -- {name}` restores the committed one"


@dataclass(frozen=True, slots=True)
class Lock:
    """A lockfile's content. `exists` tells an empty lockfile from none; `canonical`: `raw` is known to be what `text` makes."""

    entries: Mapping[str, LockEntry] = field(default_factory=dict)
    exists: bool = False
    raw: bytes = b""
    atlases: Mapping[str, LockAtlas] = field(default_factory=dict)
    canonical: bool = False


def path_of(manifest: Path) -> Path:
    """`<stem of the manifest>.lock`, beside it."""
    return manifest.with_name(manifest.stem + ".lock")


def read(path: Path) -> Lock:
    """The lockfile at `path`; an absent one is an empty Lock.

    Raises InputError when it is not a lockfile of this version: never the same as "nothing is built".
    """
    try:
        if path.exists() and not path.is_file():
            raise _error(path, "lockfile-unreadable", "the lockfile cannot be read: it is not a file")
        raw = _read(path)
    except FileNotFoundError:
        return Lock()
    except OSError as error:
        raise _error(path, "lockfile-unreadable", f"the lockfile cannot be read: {error.strerror or error}") from error
    document = _parse(raw, path)
    return Lock(document.entries, True, raw, document.atlases)


def _read(path: Path) -> bytes:
    """Raises InputError for a file that is too large, before it is read; OSError."""
    with open(path, "rb") as file:
        if os.fstat(file.fileno()).st_size > SIZE_LIMIT_BYTES:
            raise _error(path, "lockfile-too-large", f"the lockfile is larger than {SIZE_LIMIT_BYTES >> 20} MB")
        return file.read(SIZE_LIMIT_BYTES + 1)


def part(path: Path, ids: Collection[str], count: int | None = None) -> Lock | None:
    """Some entries of a lockfile that is known to be whole, and to hold `count` of them where that is said; None when `text`
    did not lay it out or one is not there.

    Nothing is checked: only for a file that was read as a whole before and has not changed since. Raises OSError.
    """
    raw = path.read_bytes()
    if count is not None and raw.count(b'\n    "') - len(_atlases(raw)) != count:
        return None
    return part_of(raw, ids)


def part_of(raw: bytes, ids: Collection[str]) -> Lock | None:
    """The same from the file's bytes."""
    records, place = {}, raw.find(b'\n  "entries": {\n')
    for id in sorted(ids):
        name = b"\n    " + json.dumps(id, ensure_ascii=False).encode() + b": "
        start = raw.find(name + b"{\n", place)
        place = raw.find(b"\n    }", start)
        if min(start, place) < 0:
            return None
        records[id] = _entry(json.loads(raw[start + len(name) : place + 6]))
    return Lock(records, True, raw, _atlases(raw))


def _atlases(raw: bytes) -> dict[str, LockAtlas]:
    """The atlases of a lockfile that is known to be whole, and laid out by `text`."""
    head = raw[: max(0, raw.find(b',\n  "entries": {'))]
    if not head.startswith(b'{\n  "atlases": '):
        return {}
    outputs = {name: atlas["outputs"] for name, atlas in json.loads(head + b"\n}")["atlases"].items()}
    return {name: LockAtlas({path: LockOutput(**said) for path, said in paths.items()}) for name, paths in outputs.items()}


def changed_part(path: Path, prints: Mapping[bytes, int], manifest: str, *, canonical: bool) -> tuple[Lock, set[int]] | None:
    """The records of a lockfile that have none of these prints (`layout.text_print`), and the numbers of the prints that are
    there; None where it is not laid out like ours. `canonical`: records with these prints are. `manifest` is the name that
    it must give.

    Raises InputError when what is new in it is no lockfile, OSError.
    """
    raw = _read(path)
    cut = blocks(raw)
    if cut is None:
        return None
    head, texts, tail = cut
    numbers = [prints.get(text_print(block), -1) for block in texts]
    seen = {number for number in numbers if number >= 0}
    new = [block for block, number in zip(texts, numbers, strict=True) if number < 0]
    if len(seen) + len(new) != len(texts):
        return None
    empty = head[:-1] + b"}" + tail.removeprefix(b"\n    }\n  }")
    parsed = _parse(joined(head, new, tail) if new else empty, path)
    own = canonical and text({}, manifest, parsed.atlases) == empty and _is_canonical(parsed.entries, texts, new)
    return Lock(parsed.entries, True, raw, parsed.atlases, own), seen


def _is_canonical(entries: Mapping[str, LockEntry], texts: Sequence[bytes], new: Sequence[bytes]) -> bool:
    """Whether `text` would lay these records out like this; `entries` are those of the `new` ones, it has laid out the rest."""
    names = [block[: block.index(b"\n")] for block in texts]
    if any(b"\\" in name for name in names) or names != sorted(names, key=lambda name: name[5:-4]):
        return False
    return all(is_block(*entry, block) for entry, block in zip(entries.items(), new, strict=True))


def _entry(fields: Mapping[str, Any]) -> LockEntry:
    plain: dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value for name, value in fields.items()}
    plain["outputs"] = {path: LockOutput(**output) for path, output in fields["outputs"].items()}
    return LockEntry(**plain)


def parse(raw: bytes, path: Path) -> dict[str, LockEntry]:
    """The entries in a lockfile's bytes. Raises InputError naming the line where it is known."""
    return _parse(raw, path).entries


def document(raw: bytes, path: Path) -> Lock:
    """Everything in a lockfile's bytes. Raises InputError."""
    parsed = _parse(raw, path)
    return Lock(parsed.entries, True, raw, parsed.atlases)


def parse_atlases(raw: bytes, path: Path) -> dict[str, LockAtlas]:
    """The atlases in a lockfile's bytes. Raises InputError."""
    return _parse(raw, path).atlases


def _parse(raw: bytes, path: Path) -> _Document:
    if len(raw) > SIZE_LIMIT_BYTES:
        raise _error(path, "lockfile-too-large", f"the lockfile is larger than {SIZE_LIMIT_BYTES >> 20} MB")
    if pointer_oid(raw):
        raise _error(
            path, "lfs-pointer", "the lockfile is a git-LFS pointer and not the file itself; `git lfs pull` fetches it"
        )
    _refuse_conflicts(raw, path)
    return _validate(without_mark(raw), path)


def without_mark(raw: bytes) -> bytes:
    """The bytes without the byte order mark that an editor may have put before them."""
    return raw.removeprefix(BYTE_ORDER_MARK)


def _refuse_conflicts(raw: bytes, path: Path) -> None:
    if not any(marker in raw for marker in CONFLICT):
        return
    for number, line in enumerate(without_mark(raw).splitlines(keepends=True), 1):
        if line.startswith(CONFLICT):
            message = f"the lockfile holds a merge conflict{_between(raw)}"
            raise _error(path, "lockfile-conflict", message, number, line.decode("utf-8", "replace"))


def _between(raw: bytes) -> str:
    """Which entries both sides changed, as far as the markers tell."""
    conflicts: dict[str, None] = {}
    entry, inside = "", False
    for line in raw.splitlines():
        match = ENTRY_LINE(line)
        entry = match[1].decode("utf-8", "replace") if match else entry
        if line.startswith((b"<<<<<<< ", b">>>>>>> ")):
            inside = line.startswith(b"<<<<<<< ")
        elif inside and entry and not line.startswith((b"=======", b"||||||| ")):
            conflicts[entry] = None
    names = list(conflicts)
    if not names:
        return ""
    more = f" and {len(names) - 3:,} more" if len(names) > 3 else ""
    return f": both sides changed {', '.join(names[:3])}{more}"


def _validate(raw: bytes, path: Path) -> _Document:
    from pydantic import ValidationError

    try:
        document = _adapter().validate_json(raw)
    except ValidationError as error:
        _refuse_other_version(raw, path)
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        line = _line_of(raw, first["loc"])
        raise _error(
            path, "lockfile-invalid", f"the lockfile is not valid at {place or 'its start'}: {first['msg']}", line
        ) from error
    if document.version != VERSION:
        raise _version(path, document.version)
    _refuse_duplicates(raw, len(document.entries) + len(document.atlases), path)
    for id, entry in document.entries.items():
        _check_digests(id, entry, raw, path)
    for name, atlas in document.atlases.items():
        _check_outputs(name, [], atlas.outputs, raw, path)
    return document


def _check_digests(id: str, entry: LockEntry, raw: bytes, path: Path) -> None:
    digests = [entry.key, entry.digest, *entry.rejected]
    if entry.picked:
        digests.append(entry.picked)
    if entry.candidates or entry.accepted:
        digests += [*entry.candidates, *entry.candidates.values(), *entry.accepted, *entry.accepted.values()]
    _check_outputs(id, digests, entry.outputs, raw, path)


def _check_outputs(id: str, digests: list[str], outputs: Mapping[str, LockOutput], raw: bytes, path: Path) -> None:
    """Digests become file names of the vault, paths such of the tree: neither may lead anywhere else."""
    for name, output in outputs.items():
        _check_path(id, name, raw, path)
        digests += [value for value in (output.digest, output.recipe) if value]
    for digest in digests:
        if DIGEST(digest) is None:
            message = f"{digest[:80]!r} in the entry {id!r} is not a SHA-256 of 64 lower-case hex digits"
            raise _error(path, "lockfile-invalid", message, _line_of(raw, (id,)))


def _check_path(id: str, name: str, raw: bytes, path: Path) -> None:
    try:
        paths.guard_path(name)
    except ValueError as error:
        message = f"the path {name[:80]!a} in the entry {id!r} is not below the output folder: {error}"
        raise _error(path, "lockfile-invalid", message, _line_of(raw, (id,))) from error


def _refuse_other_version(raw: bytes, path: Path) -> None:
    try:
        version = json.loads(raw).get("version")
    except (ValueError, AttributeError, RecursionError):
        return
    if version != VERSION:
        raise _version(path, version)


def _version(path: Path, version: object) -> InputError:
    return _error(path, "lockfile-version", f"the lockfile has version {version!r}; this qwenbuild reads version {VERSION}")


def _refuse_duplicates(raw: bytes, blocks: int, path: Path) -> None:
    if raw.count(b'\n    "') == blocks:
        return

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        members: dict[str, Any] = {}
        for name, value in pairs:
            if name in members:
                raise _error(
                    path, "lockfile-duplicate", f"the lockfile holds {name!r} twice", _line_of(raw, (name,), last=True)
                )
            members[name] = value
        return members

    json.loads(raw, object_pairs_hook=unique)


def _line_of(raw: bytes, place: tuple[Any, ...], *, last: bool = False) -> int:
    """The line of the deepest named part of `place`, or the file's last line when nothing of it is found."""
    position = 0
    for part in place:
        needle = json.dumps(part, ensure_ascii=False).encode() + b":" if isinstance(part, str) else b""
        offset = raw.rfind(needle) if last else raw.find(needle, position)
        position = offset if needle and offset >= 0 else position
    return raw.count(b"\n", 0, position) + 1 if position else max(1, raw.count(b"\n"))


def _error(path: Path, code: str, message: str, line: int = 1, snippet: str = "") -> InputError:
    problem = Problem(code, message, Mark(path.name, line, 1), snippet=snippet.rstrip(), hint=MENDS.format(name=path.name))
    return InputError(message, code=code, problems=(problem,))


@dataclass(frozen=True, slots=True)
class _Document:
    __pydantic_config__ = STRICT

    entries: dict[str, LockEntry]
    manifest: str
    version: int
    atlases: dict[str, LockAtlas] = field(default_factory=dict)


@cache
def _adapter() -> TypeAdapter[_Document]:
    """Built once, at the first lockfile: pydantic is only needed where a lockfile is read."""
    from pydantic import TypeAdapter

    return TypeAdapter(_Document)


@contextmanager
def locked(path: Path, state: Path) -> Iterator[None]:
    """Hold this project's lockfile: `state` is the project's own folder for such files."""
    from filelock import FileLock

    state.mkdir(parents=True, exist_ok=True)
    with FileLock(state / (path.name + ".flock"), timeout=60):
        yield


def update(
    path: Path,
    state: Path,
    manifest: str,
    change: Callable[[Mapping[str, LockEntry]], Mapping[str, LockEntry | None]],
    atlases: Mapping[str, LockAtlas | None] | None = None,
    as_read: Lock | None = None,
) -> bool:
    """Re-read the lockfile under its lock, replace only what `change` names, write if that differs. True when written.

    `as_read` is what a caller has read of it: while its bytes are the same, nothing else of it is looked at, unless a change
    has to be written into bytes that are not canonical.

    `change` gets the entries as they are now and returns id → record, None to remove one; `atlases` are name → record alike.
    Raises InputError when the lockfile turned bad meanwhile, OSError when it cannot be written.
    """
    with locked(path, state):
        if as_read is not None and not atlases and _bytes(path) == as_read.raw:
            changes = {id: record for id, record in change(as_read.entries).items() if record != as_read.entries.get(id)}
            if not changes or as_read.canonical:
                return bool(changes) and _replace(path, as_read.raw, splice(as_read.raw, changes))
        now = read(path)
        entries = dict(now.entries)
        for id, entry in change(now.entries).items():
            if entry is None:
                entries.pop(id, None)
            else:
                entries[id] = entry
        sheets = {name: atlas for name, atlas in {**now.atlases, **(atlases or {})}.items() if atlas is not None}
        if now.exists and entries == now.entries and sheets == now.atlases:
            return False
        return _replace(path, now.raw if now.exists else None, text(entries, manifest, sheets))


def _bytes(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None


def _replace(path: Path, before: bytes | None, raw: bytes) -> bool:
    if raw == before:
        return False
    files.replace(path, raw)
    return True


def replace_text(path: Path, state: Path, raw: bytes) -> None:
    """Put a whole new text in the place of the lockfile, under its lock, whatever was there. Raises OSError."""
    with locked(path, state):
        files.replace(path, raw)


def manifest_of(raw: bytes) -> str:
    """The manifest's name in a lockfile's bytes, "" when it says none."""
    match = re.search(rb'^  "manifest": ("(?:[^"\\\\]|\\\\.)*"),?$', raw, re.MULTILINE)
    return str(json.loads(match[1])) if match else ""
