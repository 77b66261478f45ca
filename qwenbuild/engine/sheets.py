"""Atlases in the walk: planned after the entries, packed after their files are written, kept in the lockfile.

Knows no packing; a sheet is made anew only when a member, an option or the sheet itself is not what the lockfile says.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

from qwenbuild import tree
from qwenbuild.engine.context import make_publisher
from qwenbuild.lfs import not_fetched
from qwenbuild.model import AtlasPlan, Failure, LockAtlas, LockEntry, LockOutput
from qwenbuild.planning.atlases import Recipe, packed, recipe_of
from qwenbuild.planning.planner import Planned
from qwenbuild.ports import Event, Reporter
from qwenbuild.tree import TreeFile

Changes = Mapping[str, LockAtlas | None]


@dataclass(slots=True)
class Sheets:
    """What became of the atlases: their lock records, and what failed."""

    changes: dict[str, LockAtlas | None] = field(default_factory=dict)
    failures: list[Failure] = field(default_factory=list)


def build_sheets(
    planned: Planned, records: Mapping[str, LockEntry | None], placed: dict[str, TreeFile], reporter: Reporter
) -> Sheets:
    """Pack what is to be packed, from the files that stand in the tree now."""
    result = Sheets()
    for plan in planned.plan.atlases:
        if plan.verdict.value == "derive":
            _build(plan, planned, records, placed, reporter, result)
    return result


def _build(
    plan: AtlasPlan,
    planned: Planned,
    records: Mapping[str, LockEntry | None],
    placed: dict[str, TreeFile],
    reporter: Reporter,
    result: Sheets,
) -> None:
    atlas = next(atlas for atlas in planned.manifest.atlases if atlas.name == plan.name)
    present = {**planned.seen.files, **placed}
    unfetched = next((path for _, path in plan.members if path not in placed and path in planned.seen.facts.pointers), None)
    if unfetched:
        _failed(reporter, result, plan.name, f"{not_fetched(unfetched)}, so no sheet is made of it")
        return
    absent = [path for _, path in plan.members if path not in present]
    if absent:
        _failed(reporter, result, plan.name, f"{absent[0]} is not there{f', and {len(absent) - 1} more' * (len(absent) > 1)}")
        return
    recipe = recipe_of(atlas, {path: _digest(planned, records, id, path, present) for id, path in plan.members})
    try:
        files = packed(atlas, planned.loaded.root, [path for _, path in plan.members])
        outputs = _write(files, recipe, planned, placed, reporter, plan.name)
    except (ValueError, OSError, tree.NotWritten) as error:
        _failed(reporter, result, plan.name, str(error))
        return
    locked = planned.loaded.lock.atlases.get(plan.name, LockAtlas()).outputs
    orphans = {path: replace(output, orphan=True) for path, output in locked.items() if path not in outputs and path in present}
    result.changes[plan.name] = LockAtlas({**orphans, **outputs})


def _failed(reporter: Reporter, result: Sheets, name: str, message: str) -> None:
    reporter.event(Event("failed", f"atlas:{name}", {"code": "atlas", "message": message}))
    result.failures.append(Failure(f"atlas:{name}", "atlas", message))


def _digest(
    planned: Planned, records: Mapping[str, LockEntry | None], id: str, path: str, present: Mapping[str, TreeFile]
) -> str:
    """A member's digest as the lockfile says it, which does not move with an encoder's version; else the file's own."""
    record = records.get(id) or planned.loaded.lock.entries.get(id)
    output = record.outputs.get(path) if record is not None else None
    if record is None or output is None or _is_changed(planned, path):
        return present[path].digest
    return output.digest or record.digest


def _is_changed(planned: Planned, path: str) -> bool:
    """Whether a person changed the file, so that what stands there is what ships."""
    outputs = (output for step in planned.plan.steps for output in step.outputs if output.spec.path == path)
    return any(output.verdict.value == "modified" for output in outputs)


def _write(
    files: Mapping[str, bytes],
    recipe: Recipe,
    planned: Planned,
    placed: dict[str, TreeFile],
    reporter: Reporter,
    name: str,
) -> dict[str, LockOutput]:
    publisher = make_publisher(planned, placed)
    locked = planned.loaded.lock.atlases.get(name, LockAtlas()).outputs
    outputs: dict[str, LockOutput] = {}
    wrote = False
    for path, data in files.items():
        if publisher.is_wanted(path):
            raise ValueError(f"the sheet {path} is also the file of an entry; choose another `output` or `max_size`")
        digest = hashlib.sha256(data).hexdigest()
        pair = wrote and path.endswith(".json")  # a new sheet brings its JSON along, for whoever watches that one
        wrote = publisher.place_made(path, digest, data, recipe.of_file(path), again=pair)
        if wrote:
            reporter.event(Event("written", f"atlas:{name}", {"path": path, "how": "derived"}))
        output = LockOutput(digest, recipe.recipe)
        before = locked.get(path, output)
        outputs[path] = before if before.recipe == output.recipe and not before.orphan else output
    return outputs


# ---------------------------------------------------------------- what nothing wants any more


def gone_sheets(planned: Planned) -> Iterator[tuple[str, str, str]]:
    """(atlas, path, digest) of sheets that the lockfile names and nothing wants. Nothing under a selection."""
    if planned.selected is not None:
        return
    names = {atlas.name for atlas in planned.manifest.atlases}
    for name, record in planned.loaded.lock.atlases.items():
        for path, output in record.outputs.items():
            if name not in names or output.orphan:
                yield name, path, output.digest


def remove_sheets(planned: Planned, failures: list[Failure], removed: list[str], *, dry: bool = False) -> Changes:
    """Remove the sheets that nothing wants and nobody changed; the records that follow from it."""
    left = {name: dict(record.outputs) for name, record in planned.loaded.lock.atlases.items()}
    names = {atlas.name for atlas in planned.manifest.atlases}
    touched = set()
    for name, path, digest in gone_sheets(planned):
        file = planned.seen.files.get(path)
        if file is not None and file.digest != digest:
            continue
        try:
            if file is not None and not dry:
                tree.remove(planned.loaded.root, path, file.signature)
        except tree.NotWritten as error:
            failures.append(Failure(f"atlas:{name}", "not-removed", f"{path}: {error}"))
            continue
        removed += [path] if file is not None else []
        del left[name][path]
        touched.add(name)
    return {name: LockAtlas(left[name]) if left[name] or name in names else None for name in touched}
