"""What is remembered of assets whose every entry was fresh, so that a plan need not look at them one by one.

Decides nothing: `keeping` says what may be remembered, `short` what of it is believed.

The file `.qwenbuild/<stem>.kept` belongs to one remembered state, which names it by its stamp: a line with magic, stamp
and the BLAKE2b of all that follows; a line of JSON about the assets; then columns over all their entries: ids and prompts
(NUL-separated), keys and digests of their pictures (32 bytes each), seeds, and numbers of 32 bits: the kind, the tags and
how many files.
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

MAGIC = "qwenbuild-kept 2"
FILE_BYTES_MAX = 1 << 29
"""Bytes; one of 200,000 entries with prompts of a hundred characters has about 50 MB."""
DIGEST = 32


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
    """An asset of which every entry was fresh.

    `print` stands for all of the manifest that its entries hang on, `read` are the files they hang on, relative to the
    manifest's folder. Its entries begin at `first`, its files at `file` in the state. `paid` counts the pictures in the
    vault that cost something.
    """

    name: str
    print: str
    read: tuple[str, ...]
    kinds: tuple[SharedRequest, ...]
    first: int
    count: int
    file: int
    files: int
    paid: int


@dataclass(frozen=True, slots=True)
class Columns:
    """All entries of the kept assets, one after the other. `labels` are the distinct tags that `tags` counts."""

    ids: list[str]
    prompts: list[str]
    keys: bytes
    digests: bytes
    seeds: array[int]
    numbers: array[int]
    labels: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True)
class Memory:
    """Everything that is remembered beside the state. `loose` are ids of the lockfile that belong to no kept asset;
    `canonical`: its bytes are known to be those that its records give.
    """

    assets: tuple[FreshRun, ...]
    loose: tuple[str, ...]
    spent: Spent
    columns: Columns
    canonical: bool = False

    def pictures(self, asset: FreshRun) -> Iterator[str]:
        """The digests of an asset's pictures."""
        digests = self.columns.digests
        return (digest_at(digests, at) for at in range(asset.first, asset.first + asset.count))


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
    parts = [ids, prompts, columns.keys, columns.digests, columns.seeds.tobytes(), columns.numbers.tobytes()]
    head = {
        "assets": [asdict(asset) for asset in memory.assets],
        "loose": memory.loose,
        "spent": asdict(memory.spent),
        "labels": columns.labels,
        "canonical": memory.canonical,
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
    if counts != {sum(asset.count for asset in assets)} or len(columns.numbers) != 3 * len(columns.ids):
        return None
    return Memory(assets, tuple(head["loose"]), Spent(**head["spent"]), columns, bool(head["canonical"]))


def _cut(body: bytes, lengths: Sequence[int]) -> Iterator[bytes]:
    start = 0
    for length in lengths:
        yield body[start : start + length]
        start += length
    if start != len(body):
        raise ValueError("not whole")


def _columns(parts: Sequence[bytes], labels: tuple[tuple[str, ...], ...]) -> Columns:
    ids, prompts, keys, digests, seeds, numbers = parts
    texts = [text.decode("utf-8", "surrogatepass").split("\0") if keys else [] for text in (ids, prompts)]
    return Columns(texts[0], texts[1], keys, digests, array("q", seeds), array("I", numbers), labels)


def _asset(fields: Mapping[str, Any]) -> FreshRun:
    kinds = tuple(SharedRequest(**kind) for kind in fields["kinds"])
    return FreshRun(**{**fields, "kinds": kinds, "read": tuple(fields["read"])})
