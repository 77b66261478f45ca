"""What is remembered of assets whose every entry was fresh, so that a plan need not look at them one by one.

Decides nothing: `keeping` says what may be remembered, `short` what of it is believed.

The file `.qwenbuild/<stem>.kept` belongs to one remembered state, which names it by its stamp: a line with magic, stamp
and the BLAKE2b of all that follows; a line of JSON about the assets; then columns over all their fresh entries: ids and
prompts (NUL-separated), keys and digests of their pictures (32 bytes each), prints of their rows and of their records
(16 each), seeds, and numbers of 32 bits.
"""

from __future__ import annotations

import json
import os
import secrets
from array import array
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any

from qwenbuild import files
from qwenbuild.expand.budget import Spent

MAGIC = "qwenbuild-kept 3"
FILE_BYTES_MAX = 1 << 30
"""Bytes; one of 1,000,000 entries with prompts of a hundred characters has about 300 MB."""
DIGEST = 32
PRINT = 16
"""Bytes of what stands for an entry's row and axes, and for its record in the lockfile."""
WIDTH = 5
"""Numbers of an entry: its kind, its tags, how many files, what they are called, and whether it can be made anew from here."""


@dataclass(frozen=True, slots=True)
class SharedRequest:
    """What entries of one asset share: the provider, the model asked for and the one that drew, and the params."""

    provider: str
    model: str | None
    params: Mapping[str, Any]
    family: str
    drew: str


@dataclass(frozen=True, slots=True)
class FreshRun:
    """Entries of one asset that follow one another and were all fresh: from `first` on in the columns, from `place` on among
    the asset's, from `file` on among the state's files. `paid` counts the pictures in the vault that cost something.
    """

    name: str
    first: int
    count: int
    place: int
    file: int
    files: int
    paid: int


@dataclass(frozen=True, slots=True)
class RememberedAsset:
    """An asset of which at least one entry was fresh.

    `print` stands for all of the manifest that its entries hang on, `frame` for the same but its rows and axes; `read` are
    the files they hang on, relative to the manifest's folder, and `data` is the file of its rows. It has `size` entries,
    fresh or not, of `combinations` rows and axes.
    """

    name: str
    print: str
    frame: str
    read: tuple[str, ...]
    data: str
    kinds: tuple[SharedRequest, ...]
    size: int
    combinations: int
    runs: tuple[FreshRun, ...]

    @property
    def files_read(self) -> tuple[str, ...]:
        """All files that its entries hang on."""
        return (*self.read, self.data) if self.data else self.read


@dataclass(frozen=True, slots=True)
class Columns:
    """All fresh entries, one after the other. `prints` stand for their rows and axes, `records` for their text in the
    lockfile; `labels` are the distinct tags, and names of files, that `numbers` count.
    """

    ids: list[str]
    prompts: list[str]
    keys: bytes
    digests: bytes
    prints: bytes
    records: bytes
    seeds: array[int]
    numbers: array[int]
    labels: tuple[tuple[str | None, ...], ...]


@dataclass(frozen=True, slots=True)
class Memory:
    """Everything that is remembered beside the state. `loose` are ids of the lockfile that belong to no fresh entry;
    `canonical`: its bytes are known to be those that its records give. `manifest` is the manifest as it was read, None where
    that cannot be remembered.
    """

    assets: tuple[RememberedAsset, ...]
    loose: tuple[str, ...]
    spent: Spent
    columns: Columns
    canonical: bool = False
    manifest: dict[str, Any] | None = None

    def pictures(self, run: FreshRun) -> Iterator[str]:
        """The digests of a run's pictures."""
        digests = self.columns.digests
        return (digest_at(digests, at) for at in range(run.first, run.first + run.count))


def print_at(prints: bytes, at: int) -> bytes:
    """One print of a column."""
    return prints[PRINT * at : PRINT * at + PRINT]


def digest_at(digests: bytes, at: int) -> str:
    """One digest of a column, in hex."""
    return digests[DIGEST * at : DIGEST * at + DIGEST].hex()


def path_of(state: str) -> str:
    """The file beside the state's."""
    return os.path.splitext(state)[0] + ".kept"


# ---------------------------------------------------------------- writing


def write(path: str, memory: Memory) -> str:
    """Write it, and say by what stamp the state must name it; "" when it could not be written."""
    stamp, columns = secrets.token_hex(16), memory.columns
    ids, prompts = ("\0".join(texts).encode("utf-8", "surrogatepass") for texts in (columns.ids, columns.prompts))
    numbers = [columns.seeds.tobytes(), columns.numbers.tobytes()]
    parts = [ids, prompts, columns.keys, columns.digests, columns.prints, columns.records, *numbers]
    head = {
        "assets": [asdict(asset) for asset in memory.assets],
        "loose": memory.loose,
        "spent": asdict(memory.spent),
        "labels": columns.labels,
        "canonical": memory.canonical,
        "manifest": memory.manifest,
        "lengths": [len(part) for part in parts],
    }
    rest = json.dumps(head).encode() + b"\n" + b"".join(parts)
    first = f"{MAGIC} {stamp} {blake2b(rest).hexdigest()}\n".encode()
    try:
        os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
        files.replace(path, first + rest, durable=False)
    except OSError:
        return ""
    return stamp


# ---------------------------------------------------------------- reading


def read(path: str, stamp: str) -> Memory | None:
    """What the state of that stamp remembers; None when the file is absent, broken or another's."""
    try:
        if not stamp or not os.path.isfile(path) or os.path.getsize(path) > FILE_BYTES_MAX:
            return None
        raw = Path(path).read_bytes()
        first, _, rest = raw.partition(b"\n")
        if first.decode() != f"{MAGIC} {stamp} {blake2b(rest).hexdigest()}":
            return None
        return _parsed(rest)
    except (OSError, ValueError, KeyError, TypeError, IndexError, MemoryError, RecursionError):
        return None


def _parsed(rest: bytes) -> Memory | None:
    line, _, body = rest.partition(b"\n")
    head = json.loads(line)
    parts = list(_cut(body, head["lengths"]))
    columns = _columns(parts, tuple(tuple(tags) for tags in head["labels"]))
    assets = tuple(_asset(fields) for fields in head["assets"])
    counts = {len(columns.ids), len(columns.prompts), len(columns.seeds), len(columns.keys) // DIGEST}
    counts |= {len(columns.prints) // PRINT, len(columns.records) // PRINT, len(columns.digests) // DIGEST}
    if counts != {sum(run.count for asset in assets for run in asset.runs)}:
        return None
    if len(columns.numbers) != WIDTH * len(columns.ids):
        return None
    return Memory(assets, tuple(head["loose"]), Spent(**head["spent"]), columns, bool(head["canonical"]), head["manifest"])


def _cut(body: bytes, lengths: Sequence[int]) -> Iterator[bytes]:
    start = 0
    for length in lengths:
        yield body[start : start + length]
        start += length
    if start != len(body):
        raise ValueError("not whole")


def _columns(parts: Sequence[bytes], labels: tuple[tuple[str | None, ...], ...]) -> Columns:
    ids, prompts, keys, digests, prints, records, seeds, numbers = parts
    texts = [text.decode("utf-8", "surrogatepass").split("\0") if keys else [] for text in (ids, prompts)]
    return Columns(texts[0], texts[1], keys, digests, prints, records, array("q", seeds), array("I", numbers), labels)


def _asset(fields: Mapping[str, Any]) -> RememberedAsset:
    kinds = tuple(SharedRequest(**kind) for kind in fields["kinds"])
    runs = tuple(FreshRun(**run) for run in fields["runs"])
    return RememberedAsset(**{**fields, "kinds": kinds, "runs": runs, "read": tuple(fields["read"])})
