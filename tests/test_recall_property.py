"""Random edits between builds: the remembered state and a look at everything come to the same plan.

A hundred examples run each time; ten thousand by

    RECALL_EXAMPLES=10000 python -m pytest -q tests/test_recall_property.py
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from qwenbuild.engine.walk import is_done
from qwenbuild.errors import QwenbuildError
from qwenbuild.images import flatpng
from qwenbuild.snapshot import statefile
from qwenbuild.verbs import Options, plan
from tests.walking import Project

EXAMPLES = int(os.environ.get("RECALL_EXAMPLES", "100"))
AGE = statefile.RACY_NS * 1.25e-9
SOURCES: dict[str, str | bytes] = {
    "qwenbuild.yaml": 'version: 1\nvars: {style: ink}\ndefaults: {params: {size: "16*16"}}\nassets:\n'
    '  cups: {prompt_file: cup.j2, foreach: cups.csv, id: "cups/{{ id }}", inputs: [shape.png]}\n',
    "prompts/cup.j2": "A {{ colour }} cup, {{ style }}\n",
    "cups.csv": "id,colour\nred,red\nblue,azure\n",
    "shape.png": flatpng.write(16, 16, [(16, 32, 48), (64, 80, 96)], bytes(256)),
}
PICTURES = ("assets/cups/red.png", "assets/cups/blue.png")
FILES = (*SOURCES, *PICTURES, "qwenbuild.lock", ".qwenbuild/qwenbuild.state")


def appended(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"\n")


def changed(path: Path) -> None:
    """Other bytes, as many; in a source another word, so that it stays one."""
    data = path.read_bytes()
    path.write_bytes(
        data.replace(b"ink", b"oil") if b"ink" in data else data.replace(b"red", b"RED").replace(b"\x00", b"\x01", 1)
    )


def hidden(path: Path) -> None:
    """The same, with the old time."""
    before = path.stat()
    changed(path)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def replaced(path: Path) -> None:
    """Another file of as many bytes and the same time, moved over it."""
    beside = path.with_name("beside")
    shutil.copy2(path, beside)
    hidden(beside)
    beside.replace(path)


def rewritten(path: Path) -> None:
    path.write_bytes(path.read_bytes())


def aside(path: Path) -> None:
    path.rename(path.with_name("aside"))


def back(path: Path) -> None:
    """Away and back again: nothing but the ctime tells."""
    aside(path)
    path.with_name("aside").rename(path)


def swapped(path: Path) -> None:
    """Its neighbour's bytes, by renaming."""
    other = next(item for item in sorted(path.parent.iterdir()) if item != path and item.is_file())
    aside(path)
    other.rename(path)
    path.with_name("aside").rename(other)


def linked(path: Path) -> None:
    aside(path)
    path.symlink_to("aside")


def folder_linked(path: Path) -> None:
    folder = path.parent
    folder.rename(folder.with_name("elsewhere"))
    folder.symlink_to("elsewhere")


def emptied(path: Path) -> None:
    path.write_bytes(b"")


def duplicated(path: Path) -> None:
    """A file of another name beside it: for a manifest, a second one."""
    shutil.copy2(path, path.with_suffix(".yml" if path.suffix == ".yaml" else ".copy"))


ACTS: tuple[Callable[[Path], object], ...] = (
    appended, changed, hidden, replaced, rewritten, aside, back, swapped, linked, folder_linked, emptied, duplicated,
    Path.touch, Path.unlink,
)  # fmt: skip
EDIT = st.tuples(st.sampled_from(FILES), st.sampled_from(ACTS))
EDITS = st.one_of(st.lists(EDIT, max_size=1), st.lists(EDIT, max_size=4))


def reset(project: Project) -> None:
    """The sources as they were, built; what a person did to the tree is undone."""
    kept = project.folder.parent / "built"
    for item in project.folder.iterdir():
        shutil.rmtree(item) if item.is_dir() and not item.is_symlink() else item.unlink()
    if kept.exists():
        shutil.copytree(kept, project.folder, dirs_exist_ok=True)
    for name, text in {} if kept.exists() else SOURCES.items():
        path = project.folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
    time.sleep(AGE)
    assert project.build().exit_code == 0
    if not kept.exists():
        shutil.copytree(project.folder, kept)
    assert statefile.proven("qwenbuild.yaml") is not None


def planned(options: Options) -> tuple[object, ...]:
    """Everything a plan says, and whether a build would have anything to do."""
    try:
        made = plan(options)
    except QwenbuildError as error:
        return (type(error).__name__, error.code)
    steps = [(step.id, step.verdict, step.reasons, step.outputs, step.candidates) for step in made.plan.steps]
    return steps, made.plan.orphans, made.plan.counts, made.notices, is_done(made, options)


@settings(
    max_examples=EXAMPLES,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(edits=EDITS)
def test_the_state_and_a_look_at_everything_come_to_the_same_plan(
    walked: Project, edits: list[tuple[str, Callable[[Path], object]]]
) -> None:
    reset(walked)
    for name, act in edits:
        path = walked.folder / name
        try:
            act(path)
        except (OSError, StopIteration):
            continue
    options = Options(walked.folder)
    idle = statefile.proven("qwenbuild.yaml") is not None
    quick = planned(options)
    shutil.rmtree(walked.folder / ".qwenbuild", ignore_errors=True)
    assert quick == planned(options)
    assert not idle or quick[-1] is True
