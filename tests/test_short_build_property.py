"""Random edits between builds: what a build does on the short way is what it does on the whole walk, to the byte.

Each edit runs alone, and forty random examples; thousands by

    SHORT_EXAMPLES=5000 python -m pytest -q tests/test_short_build_property.py
"""

from __future__ import annotations

import os
import shutil
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from qwenbuild.engine import walk
from qwenbuild.errors import QwenbuildError
from qwenbuild.lock import lockfile
from qwenbuild.snapshot import entryfile, quick_answer, statefile
from qwenbuild.snapshot.entryfile import WIDTH, Memory
from qwenbuild.verbs import Options
from tests.small_changes import LOCK_EDITS
from tests.test_recall_property import AGE
from tests.test_short_property import (
    FOLDER_EDITS,
    MANIFEST_EDITS,
    OPS,
    OTHERWISE,
    SELECTS,
    A,
    acted,
    drop,
    extra,
    put,
    reset,
    split,
    told,
)
from tests.walking import Project

EXAMPLES = int(os.environ.get("SHORT_EXAMPLES", "40"))
STATE = Path(".qwenbuild/qwenbuild.state")
NOTHING = ("nothing",)
OPTIONS: tuple[dict[str, Any], ...] = (
    {}, {}, {}, {"prune": True}, {"overwrite": True}, {"offline": True}, {"locked": True}, {"limit": 1}, {"retry_failed": True},
    {"prune": True, "overwrite": True}, {"locked": True, "keep_modified": True},
)  # fmt: skip


def memory_of(project: Project) -> tuple[object, ...]:
    """What is remembered, but for the signatures of files and what only spares work later."""
    state = statefile.read(str(project.folder / STATE))
    if state is None:
        return NOTHING
    values = {name: state.values[name] for name in ("idle", "plain", "locked", "entries", "notices", "more", "until", "root")}
    memory = entryfile.read(entryfile.path_of(str(project.folder / STATE)), state.values["kept"])
    files = zip(state.paths[state.inputs :], batched(state.digests[32 * state.inputs :], 32), strict=True)
    return sorted(files), sorted(values.items()), memory and _plain(memory)


def batched(data: bytes, size: int) -> list[bytes]:
    """The data in pieces of one size."""
    return [data[start : start + size] for start in range(0, len(data), size)]


def inputs_of(project: Project) -> set[str]:
    """What the next build looks at before it says that nothing is to do."""
    state = statefile.read(str(project.folder / STATE))
    return set() if state is None else set(state.paths[: state.inputs])


def _plain(memory: Memory) -> Memory:
    """Tags may be numbered otherwise; so may be what is spent, what is rather read than not, and who wrote the lockfile."""
    columns = memory.columns
    tags = [columns.labels[number] for at in (1, 3) for number in columns.numbers[at::WIDTH]]
    numbers = columns.numbers[:]
    for at in range(0, len(numbers), WIDTH):
        numbers[at + 1] = numbers[at + 3] = 0
    columns = replace(columns, labels=tuple(tags), numbers=numbers, records=b"")
    assets = tuple(replace(asset, read=()) for asset in memory.assets)
    loose = tuple(sorted(memory.loose))
    return replace(memory, assets=assets, spent=entryfile.Spent(), columns=columns, canonical=False, loose=loose)


def outcome(project: Project, options: Options, capsys: pytest.CaptureFixture[str]) -> dict[str, object]:
    """Everything that a build says and does, and what is said after it."""
    plan = told(replace(options, yes=False, jobs=None))
    time.sleep(AGE)
    try:
        summary = project.build(**{name: getattr(options, name) for name in options.__slots__ if name != "folder"})
        said: object = (summary.exit_code, summary.counts, summary.spent, summary.problems, summary.failures, summary.first)
    except QwenbuildError as error:
        said = (type(error).__name__, error.code, str(error), error.problems)
    found: dict[str, object] = {"plan": plan, "said": said, "submitted": project.submitted, "written": sorted(project.written)}
    found["events"] = sorted(repr((event.event, event.id)) for event in project.events.events)
    found["lock"] = project.lock.read_bytes() if project.lock.is_file() else None
    found["tree"] = sorted((str(path), path.is_symlink() or path.is_dir() or path.read_bytes()) for path in tree_of(project))
    journal = project.cache().journal
    found["bought"] = [(attempt.entry, attempt.key, attempt.state.value, attempt.digest) for attempt in journal.attempts()]
    found["memory"] = memory_of(project)
    capsys.readouterr()
    found["next"] = (quick_answer.answer(["build"]), quick_answer.answer(["build", "--locked"]), capsys.readouterr())
    found["plans"] = told(Options(project.folder))
    return found


def tree_of(project: Project) -> list[Path]:
    """All of the project but what is remembered: outputs, and its own folder behind a link, may be anywhere in it."""
    files = (path for path in project.folder.rglob("*") if ".qwenbuild" not in path.parts and path.is_file())
    return [path for path in files if path.suffix not in (".state", ".kept", ".flock")]


def compared(project: Project, capsys: pytest.CaptureFixture[str], **said: Any) -> None:
    """A build with what is remembered, and the same from the same place without it; one at a time, so that order tells."""
    options = Options(project.folder, yes=True, jobs=1, **said)
    aside = project.folder.parent / "aside"
    shutil.rmtree(aside, ignore_errors=True)
    for folder in (project.folder, project.cache_dir):
        shutil.copytree(folder, aside / folder.name, symlinks=True)
    short = outcome(project, options, capsys)
    read = inputs_of(project)
    for folder in (project.folder, project.cache_dir):
        for item in folder.iterdir():
            shutil.rmtree(item) if item.is_dir() and not item.is_symlink() else item.unlink()
        shutil.copytree(aside / folder.name, folder, symlinks=True, dirs_exist_ok=True)
    for path in (project.folder / STATE, project.folder / STATE.with_suffix(".kept")):
        if path.is_file():
            path.unlink()
    whole = outcome(project, options, capsys)
    assert not read or read >= inputs_of(project)
    if whole["memory"] == NOTHING:  # where nothing new is remembered, what was remembered before is still there
        del short["memory"], short["next"]
    for name, value in short.items():
        assert value == whole[name], name


def goes_short(options: Options) -> str:
    try:
        return "whole" if walk._in_part(options, time.time_ns()) is None else "short"
    except QwenbuildError:
        return "error"


@pytest.mark.parametrize("number", range(len(MANIFEST_EDITS)))
def test_after_one_edit_both_build_the_same(walked: Project, capsys: pytest.CaptureFixture[str], number: int) -> None:
    said = reset(walked)
    acted(walked, said, MANIFEST_EDITS[number])
    compared(walked, capsys)


@pytest.mark.parametrize("number", range(len(FOLDER_EDITS)))
def test_after_one_edit_of_rows_lockfile_or_choices_both_build_the_same(
    walked: Project, capsys: pytest.CaptureFixture[str], number: int
) -> None:
    said = reset(walked)
    acted(walked, said, (".", FOLDER_EDITS[number]))
    compared(walked, capsys)


@pytest.mark.parametrize("number", range(len(LOCK_EDITS)))
def test_after_a_merge_and_an_edit_both_build_the_same(
    walked: Project, capsys: pytest.CaptureFixture[str], number: int
) -> None:
    """The records that are needed are read, and the lockfile that is written is the one that the whole walk writes."""
    said = reset(walked)
    acted(walked, said, (".", LOCK_EDITS[number]))
    acted(walked, said, put(A, "plates", "vars", "glaze", "green"))
    compared(walked, capsys)


@pytest.mark.parametrize("name", list(OTHERWISE))
def test_after_an_edit_of_one_file_both_build_the_same(walked: Project, capsys: pytest.CaptureFixture[str], name: str) -> None:
    reset(walked)
    (walked.folder / name).write_bytes(OTHERWISE[name])
    assert goes_short(Options(walked.folder)) == "short"
    compared(walked, capsys)


@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("gone", ["assets/plates/one.png", "assets/web/b.png"])
def test_after_a_lost_file_both_build_the_same(
    walked: Project, capsys: pytest.CaptureFixture[str], options: dict[str, Any], gone: str
) -> None:
    reset(walked)
    (walked.folder / gone).unlink()
    assert goes_short(Options(walked.folder)) == "short"
    compared(walked, capsys, **options)


@pytest.mark.parametrize("name", ["cups", "bowls", "rings", "plates", "tiles", "spoons"])
def test_after_all_files_of_an_asset_were_lost_both_build_the_same(
    walked: Project, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    """Also what the asset reads is looked at the next time."""
    reset(walked)
    for path in [*walked.out.glob(f"{name}/*"), *walked.out.glob(f"{name}.png")]:
        path.unlink()
    compared(walked, capsys)


@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("edit", [drop(A, "cups"), split])
def test_what_is_gone_is_marked_or_pruned_the_same(
    walked: Project, capsys: pytest.CaptureFixture[str], edit: Any, options: dict[str, Any]
) -> None:
    said = reset(walked)
    acted(walked, said, edit)
    assert goes_short(Options(walked.folder)) == "short"
    compared(walked, capsys, **options)


def test_one_small_change_after_another_loads_nothing_else(
    walked: Project, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """And what is remembered after the last of them is what the whole walk would remember."""
    said = reset(walked)
    with monkeypatch.context() as patched:
        patched.setattr(walk, "load", lambda options: pytest.fail("everything was loaded"))
        for glaze in ("green", "blue", "grey", "green"):
            acted(walked, said, put(A, "plates", "vars", "glaze", glaze))
            time.sleep(AGE)
            assert walked.build().exit_code == 0
            assert quick_answer.answer(["build"]) == 0
            (walked.out / "cups/red.png").unlink()
            assert walked.build().counts == {"fresh": 18, "restored": 1}
    (walked.out / "web/a.png").unlink()
    compared(walked, capsys)


def test_a_record_goes_when_all_that_it_names_is_a_believed_entry_s(
    walked: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    """The other file of the entry that is gone is pruned, one of them belongs to another entry now."""
    said = reset(walked)
    for op in (drop(A, "tiles"), extra(prompt="A taken tile", output="tiles/a.png"), "build", MANIFEST_EDITS[0]):
        acted(walked, said, op)
    assert goes_short(Options(walked.folder)) == "short"
    assert "tiles/a" in lockfile.read(walked.lock).entries
    compared(walked, capsys, prune=True)


@settings(
    max_examples=EXAMPLES,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(ops=OPS, select=st.sampled_from(SELECTS), said=st.sampled_from(OPTIONS))
def test_the_short_way_and_the_whole_walk_build_the_same(
    walked: Project, capsys: pytest.CaptureFixture[str], ops: list[Any], select: tuple[str, ...], said: dict[str, Any]
) -> None:
    manifest = reset(walked)
    for op in ops:
        acted(walked, manifest, op)
    event(goes_short(Options(walked.folder, select=select)))
    compared(walked, capsys, select=select, **said)
