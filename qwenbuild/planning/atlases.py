"""Sheets packed from entries' files: which files belong to one, what determines it, and what it is made of.

Knows no walk and no lockfile's text; it is told digests and gives bytes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from qwenbuild import tree
from qwenbuild.errors import InputError, Problem
from qwenbuild.images.atlas import check_options, json_name, pack, sheet_names
from qwenbuild.key import canonical
from qwenbuild.model import Atlas, Entry, Manifest
from qwenbuild.nearmiss import did_you_mean, near
from qwenbuild.select import select

VERSION = 1
"""Changes when the packer gives other sheets for the same files."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """What determines an atlas: the packer's options and its members' bytes."""

    recipe: str

    def of_file(self, path: str) -> str:
        """What stands for one of its files in the cache's records of derived files."""
        return hashlib.sha256(f"{self.recipe}\0{path}".encode()).hexdigest()


def members_of(atlas: Atlas, entries: Sequence[Entry], manifest: Manifest) -> tuple[tuple[str, str], ...]:
    """(entry id, path of the file) for each member, in the manifest's order.

    `from` picks the outputs of that name, else an entry's first is taken. Raises InputError with the place.
    """
    try:
        chosen = select(entries, (atlas.select,), manifest.atlases)
    except InputError as error:
        first = error.problems[0]
        raise _wrong(manifest, atlas, "select", f"`select: {atlas.select}`: {first.message}", first.hint) from None
    members = [(entry.id, path) for entry in entries if entry.id in chosen for path in _files(entry, atlas.source)]
    if not members:
        names = {spec.name for entry in entries if entry.id in chosen for spec in entry.outputs if spec.name}
        hint = did_you_mean(near(str(atlas.source), names)) or f"known here: {', '.join(sorted(names)) or 'none'}"
        raise _wrong(manifest, atlas, "from", f"none of the selected entries has an output called `{atlas.source}`", hint)
    return tuple(members)


def _files(entry: Entry, source: str | None) -> list[str]:
    if source is None:
        return [entry.outputs[0].path] if entry.outputs else []
    return [spec.path for spec in entry.outputs if spec.name == source]


def _wrong(manifest: Manifest, atlas: Atlas, key: str, message: str, hint: str) -> InputError:
    problem: Problem = manifest.source.problem("bad-atlas", message, ("atlases", atlas.name, key), hint=hint)
    return InputError(f"{problem.mark}: {message}" if problem.mark else message, code="bad-atlas", problems=(problem,))


def recipe_of(atlas: Atlas, digests: Mapping[str, str]) -> Recipe:
    """The recipe, from the digest of each member's file by its path."""
    record = {
        "v": VERSION,
        "image": PurePosixPath(atlas.output).name,
        "members": [[path, digests[path]] for path in sorted(digests)],
        "options": check_options(atlas.options),
    }
    return Recipe(hashlib.sha256(canonical(record)).hexdigest())


def paths_of(atlas: Atlas) -> tuple[str, ...]:
    """The files that an atlas has at least."""
    folder, slash, name = atlas.output.rpartition("/")
    return tuple(folder + slash + each for each in sheet_names(name, check_options(atlas.options)["scales"]))


def packed(atlas: Atlas, root: Path, members: Sequence[str]) -> dict[str, bytes]:
    """Path to bytes of every sheet and JSON. Raises ValueError with a sentence, OSError."""
    folder, slash, name = atlas.output.rpartition("/")
    sheets = pack([(path, tree.read(root, path)) for path in members], atlas.options, image=name)
    files: dict[str, bytes] = {}
    for sheet in sheets:
        files[folder + slash + sheet.image] = sheet.png
        files[folder + slash + json_name(sheet.image)] = sheet.json
    return files
