"""Reference images: files by the digest of their bytes, other entries by their ids, and the graph these make.

Knows nothing of models: what a file is and how large is noted, and judged by whoever knows what an API takes.
"""

from __future__ import annotations

import hashlib
import stat
from collections.abc import Mapping, Sequence
from pathlib import Path as File
from typing import Any

from qwenbuild.expand.cells import Cell, Path, grouped, placed, text_cell
from qwenbuild.expand.faults import Fault
from qwenbuild.expand.templates import Templates
from qwenbuild.images import reference_type
from qwenbuild.later import later
from qwenbuild.lfs import POINTER_BYTES_MAX, not_fetched, pointer_oid
from qwenbuild.manifest.paths import inside
from qwenbuild.model import Entry, InputRef
from qwenbuild.nearmiss import did_you_mean, near

with later:
    from qwenbuild import checks

REFERENCE_BYTES_MAX = 256 << 20
"""Bytes of a file that are read for its digest; far more than any API takes."""


class References:
    """The reference files of one manifest, each hashed once."""

    def __init__(self, folder: File) -> None:
        self._folder = folder
        self._known: dict[str, InputRef] = {}

    def read_files(self) -> list[str]:
        """The files that were read, relative to the manifest's folder."""
        return list(self._known)

    def cell(self, items: Sequence[Any], templates: Templates, where: Path) -> Cell:
        """The cell of an asset's `inputs`."""
        cells, kinds, places = [], [], []
        for at, item in enumerate(items):
            kind, text, place = _item(item, (*where, at))
            cells.append(text_cell(text, templates, place))
            kinds.append(kind)
            places.append(place)

        def build(texts: list[str]) -> tuple[InputRef, ...]:
            references = zip(kinds, texts, places, strict=True)
            return tuple(
                [InputRef(entry=text) if kind == "entry" else self._file(text, place) for kind, text, place in references]
            )

        return grouped(cells, build)

    def _file(self, relative: str, where: Path) -> InputRef:
        ref = self._known.get(relative)
        if ref is None:
            ref = self._known[relative] = self._read(relative, where)
        return ref

    def _read(self, relative: str, where: Path) -> InputRef:
        try:
            path = inside(self._folder, relative)
            self._refuse_no_picture(path, relative, where)
            with path.open("rb") as file:
                head = file.read(POINTER_BYTES_MAX + 1)
                if pointer_oid(head):
                    raise placed(Fault("lfs-pointer", not_fetched(relative)), where)
                file.seek(0)
                digest = hashlib.file_digest(file, "sha256").hexdigest()
                return InputRef(file=relative, digest=digest, size=file.tell(), media_type=reference_type(head) or "")
        except ValueError as error:
            raise placed(Fault("outside-folder", str(error)), where) from None
        except FileNotFoundError:
            raise placed(missing_file(self._folder, relative), where) from None
        except OSError as error:
            raise placed(Fault("unreadable", f"`{relative}` cannot be read: {error.strerror or error}"), where) from error

    def _refuse_no_picture(self, path: File, relative: str, where: Path) -> None:
        """A pipe would be waited for, and a disk's image be read to its end. Raises OSError too."""
        state = path.stat()
        if not stat.S_ISREG(state.st_mode):
            raise placed(Fault("unreadable", f"`{relative}` is not a file"), where)
        if state.st_size > REFERENCE_BYTES_MAX:
            raise placed(Fault("unreadable", f"`{relative}` is larger than {REFERENCE_BYTES_MAX >> 20} MB"), where)


def missing_file(folder: File, relative: str) -> Fault:
    """The fault of a file that is not there, with the near miss in its folder."""
    directory = (folder / relative).parent
    names = [path.name for path in directory.iterdir()] if directory.is_dir() else []
    before = relative.removesuffix(File(relative).name)
    hint = did_you_mean([before + name for name in near(File(relative).name, names)])
    return Fault("no-such-file", f"there is no file `{relative}`", hint=hint)


def check_graph(entries: Sequence[Entry], paths: Mapping[str, Path]) -> list[Fault]:
    """The faults of inputs that are entries: an id that no entry has, and circles, each with its way shown."""
    needs = {entry.id: [ref.entry for ref in entry.inputs if ref.entry is not None] for entry in entries if entry.inputs}
    if not any(needs.values()):
        return []
    ids = {entry.id for entry in entries}
    faults = []
    for entry in entries:
        for need in needs.get(entry.id, ()):
            if need not in ids:
                faults.append(_at(_no_entry(entry.id, need, ids), (*paths[entry.asset], "inputs")))
    circle = _circle(needs)
    if circle:
        asset = next(entry.asset for entry in entries if entry.id == circle[0])
        message = f"entries need each other's pictures in a circle: {' → '.join(circle)}"
        faults.append(_at(Fault("input-cycle", message), (*paths[asset], "inputs")))
    return faults


def check_sets(entries: Sequence[Entry], paths: Mapping[str, Path]) -> list[Fault]:
    """The faults of checks that compare with other entries: an id that no entry has, and a tag that the entry has not."""
    comparing = [entry for entry in entries if entry.set_checks]
    if not comparing:
        return []
    ids = {entry.id for entry in entries}
    faults = []
    for entry in comparing:
        place = (*paths[entry.asset], "expect")
        faults += [_at(_no_entry(entry.id, id, ids), place) for id in checks.anchors(entry) if id not in ids]
        for name, parameters in (entry.set_checks or {}).items():
            within = str(parameters.get("within", ""))
            if within.startswith("tag:") and within.removeprefix("tag:") not in entry.tags:
                message = f"`{entry.id}` is compared within {within} ({name}), and has no such tag"
                faults.append(_at(Fault("no-such-tag", message), place))
    return faults


def _at(fault: Fault, path: Path) -> Fault:
    fault.path = path
    return fault


def _no_entry(entry: str, need: str, ids: set[str]) -> Fault:
    likely = sorted(name for name in ids if abs(len(name) - len(need)) <= 3)
    hint = did_you_mean(near(need, likely[:5000]))
    return Fault("no-such-entry", f"`{entry}` needs the entry `{need}`, which does not exist", hint=hint)


def _circle(needs: Mapping[str, Sequence[str]]) -> list[str]:
    done: set[str] = set()
    for start in needs:
        way: list[str] = []
        on_way: set[str] = set()
        waiting = [(start, 0)]
        while waiting:
            node, depth = waiting.pop()
            while len(way) > depth:
                left = way.pop()
                on_way.discard(left)
                done.add(left)
            if node in on_way:
                return [*way[way.index(node) :], node]
            if node in done:
                continue
            way.append(node)
            on_way.add(node)
            waiting += [(need, depth + 1) for need in needs.get(node, ())]
        done.update(way)
    return []


def _item(item: Any, where: Path) -> tuple[str, str, Path]:
    if isinstance(item, str):
        return "file", item, where
    if isinstance(item, Mapping) and len(item) == 1:
        kind, text = next(iter(item.items()))
        if kind in ("entry", "file") and isinstance(text, str):
            return kind, text, (*where, kind)
    raise placed(Fault("bad-input", "an input is a file's path, or {entry: ID}"), where)
