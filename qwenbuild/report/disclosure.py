"""The list of AI-made files that ship, from a lockfile's records: for shop forms, and for the EU AI Act's article 50.

Knows no manifest, no cache and no file of the tree: what the lockfile names is what ships.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from qwenbuild.model import LockAtlas, LockEntry

Licence = Callable[[str, str], str]
"""From a family and a model's id to the licence of its pictures."""
Generative = Callable[[str], bool]
"""From a family to whether a model makes its pictures."""


@dataclass(frozen=True, slots=True)
class Disclosed:
    """One file. `date` is the day on which its picture was made, `digest` the SHA-256 of the file's bytes."""

    path: str
    model: str
    licence: str
    date: str
    digest: str


def disclosed(
    entries: Mapping[str, LockEntry], atlases: Mapping[str, LockAtlas], licence: Licence, generative: Generative
) -> list[Disclosed]:
    """Every file that a model made, that the lockfile names and that the manifest still wants, by path.

    The lockfile does not say which pictures a sheet holds: with any that a model made, every sheet is listed.
    """
    generated = [entry for entry in entries.values() if not entry.orphan and generative(_family(entry))]
    rows = [row for entry in generated for row in _of_entry(entry, licence)]
    if not rows:
        return []
    models = sorted({row.model for row in rows})
    licences = sorted({row.licence for row in rows})
    latest = max((row.date for row in rows), default="")
    for atlas in atlases.values():
        for path, output in atlas.outputs.items():
            if not output.orphan and path.endswith(".png"):
                rows.append(Disclosed(path, ", ".join(models), ", ".join(licences), latest, output.digest))
    return sorted(rows, key=lambda row: row.path)


def _family(entry: LockEntry) -> str:
    return str(entry.action.get("family", ""))


def _of_entry(entry: LockEntry, licence: Licence) -> Iterator[Disclosed]:
    family, model = _family(entry), str(entry.action.get("model", ""))
    for path, output in entry.outputs.items():
        if not output.orphan:
            yield Disclosed(path, model, licence(family, model), entry.made, output.digest or entry.digest)


def as_markdown(rows: Sequence[Disclosed]) -> Iterator[str]:
    """A heading and a table, line by line."""
    files = "1 file" if len(rows) == 1 else f"{len(rows):,} files"
    yield "# Pictures made by artificial intelligence"
    yield ""
    yield f"{files}, each made by a text-to-image model (IPTC digital source type: trainedAlgorithmicMedia)."
    yield ""
    yield "| file | model | licence | made | SHA-256 |"
    yield "|---|---|---|---|---|"
    for row in rows:
        yield f"| {' | '.join(_cell(value) for value in asdict(row).values())} |"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def as_csv(rows: Sequence[Disclosed]) -> str:
    """Comma-separated values with a header."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["path", "model", "licence", "date", "digest"])
    writer.writerows(asdict(row).values() for row in rows)
    return out.getvalue()


def as_json(rows: Sequence[Disclosed]) -> dict[str, Any]:
    """The object of `disclose --json`."""
    return {"v": 1, "files": [asdict(row) for row in rows]}
