"""Random edits of several assets between builds: what the short way plans is what the whole walk plans.

Each edit runs alone, and sixty random examples; thousands by

    SHORT_EXAMPLES=5000 python -m pytest -q tests/test_short_property.py
"""

from __future__ import annotations

import copy
import io
import json
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from qwenbuild.errors import QwenbuildError
from qwenbuild.images import flatpng
from qwenbuild.model import Verdict
from qwenbuild.planning import incremental
from qwenbuild.report.plan_json import plan_json
from qwenbuild.report.plan_text import plan_lines, plan_summary, status_summary
from qwenbuild.report.terminal import Terminal, terminal
from qwenbuild.verbs import Options, shown, status
from tests.small_changes import CHOICES, LOCK_EDITS, ROW_EDITS, ROWS
from tests.test_recall_property import ACTS, AGE
from tests.walking import Project

EXAMPLES = int(os.environ.get("SHORT_EXAMPLES", "60"))
Said = dict[str, Any]

MANIFEST: Said = {
    "version": 1,
    "vars": {"style": "ink"},
    "models": {"placeholder": {"retires": "2020-01-01"}},
    "defaults": {"params": {"size": "16*16"}, "tags": ["all"]},
    "assets": {
        "cups": {"prompt_file": "cup.j2", "foreach": "cups.csv", "id": "cups/{{ id }}", "inputs": ["shape.png"]},
        "plates": {"prompt": "A {{ glaze }} plate {{ n }}", "vars": {"glaze": "white"}, "matrix": {"n": ["one", "two"]}},
        "bowls": {"prompt": "{% include 'bowl.j2' %} {{ colour }}", "foreach": "cups.csv", "tags": ["round", "{{ id }}"]},
        "tiles": {
            "prompt": "A tile {{ n }}",
            "matrix": {"n": ["a", "b"]},
            "outputs": [
                {"path": "tiles/{{ n }}.png"},
                {"path": "web/{{ n }}.png", "steps": [{"quantize": {"palette": "dusk.hex"}}]},
            ],
        },
        "spoons": {"prompt": "A spoon, {{ style }}", "seed": 3},
        "rings": {
            "prompt": "A {{ metal }} ring, {{ colour }} {{ gem }}",
            "foreach": "rings.csv",
            "id": "rings/{{ gem }}-{{ metal }}",
            "matrix": {"metal": ["gold", "tin"]},
        },
    },
    "atlases": {"sheet": {"select": "asset:spoons", "output": "sheet.png"}},
}
FILES: dict[str, str | bytes] = {
    "prompts/cup.j2": "A {{ colour }} cup, {{ style }}\n",
    "prompts/bowl.j2": "A bowl {% include 'deep.j2' %}\n",
    "prompts/deep.j2": "of red clay\n",
    "cups.csv": "id,colour\nred,red\nblue,azure\n",
    "rings.csv": ROWS,
    "shape.png": flatpng.write(16, 16, [(16, 32, 48), (64, 80, 96)], bytes(256)),
    "dusk.hex": "102030\n405060\n708090\n",
}
PICTURES = (
    "rings/jade-tin.png", "sheet.png", "cups/red.png", "plates/one.png", "bowls/blue.png", "tiles/a.png", "web/b.png",
    "spoons.png",
)  # fmt: skip
TOUCHED = (
    *FILES, *(f"assets/{name}" for name in PICTURES), "qwenbuild.lock",
    ".qwenbuild/qwenbuild.state", ".qwenbuild/qwenbuild.kept",
)  # fmt: skip


# ---------------------------------------------------------------- edits of the manifest


def put(*place: Any) -> Callable[[Said], object]:
    """Set the value at a place; its last two parts are key and value."""

    def edit(said: Said) -> None:
        *way, key, value = place
        for part in way:
            said = said.setdefault(part, {})
        said[key] = copy.deepcopy(value)

    return edit


def drop(*place: str) -> Callable[[Said], object]:
    def edit(said: Said) -> None:
        for part in place[:-1]:
            said = said[part]
        del said[place[-1]]

    return edit


def rename(old: str, new: str) -> Callable[[Said], object]:
    """Another name for an asset: new ids, where it does not say them, and the same pictures."""
    return lambda said: said.update(assets={new if name == old else name: block for name, block in said["assets"].items()})


def split(said: Said) -> None:
    """One entry moves to an asset of its own, with its id."""
    said["assets"]["plates"]["matrix"] = {"n": ["one"]}
    said["assets"]["dish"] = {**copy.deepcopy(said["assets"]["plates"]), "matrix": {"n": ["two"]}, "id": "plates/{{ n }}"}


def turned(said: Said) -> None:
    said["assets"] = dict(reversed(said["assets"].items()))


def extra(**block: Any) -> Callable[[Said], object]:
    return put("assets", "extra", {"prompt": "One more", **block})


A = "assets"
MANIFEST_EDITS: tuple[Callable[[Said], object], ...] = (
    put(A, "plates", "vars", "glaze", "green"), put(A, "plates", "vars", "glaze", "blue"),
    put(A, "plates", "matrix", "n", ["one", "two", "three"]), put(A, "plates", "matrix", "n", ["two"]),
    put("vars", "style", "oil"), put("defaults", "params", "size", "24*24"), put("defaults", "tags", ["some"]),
    put("defaults", "vars", {"glaze": "grey"}), put("defaults", "seed", 5), put("provenance", "marks"),
    put(A, "cups", "id", "mugs/{{ id }}"), put(A, "cups", "output", "plates/{{ id }}.png"), put(A, "cups", "inputs", []),
    put(A, "cups", "params", {"size": "32*32"}), put(A, "bowls", "tags", ["flat"]), put(A, "bowls", "prompt", "A bowl"),
    put(A, "tiles", "seed", 9),
    put(A, "tiles", "outputs", [{"path": "tiles/{{ n }}.png"}]), put(A, "tiles", "expect", {"alpha": "none"}),
    put(A, "spoons", "variants", 2), put(A, "spoons", "seed", 4), put(A, "spoons", "prompt", "A tile a"),
    put(A, "spoons", "inputs", [{"entry": "plates/one"}]), put(A, "spoons", "inputs", [{"entry": "nobody"}]),
    drop(A, "cups"), drop(A, "plates"), drop(A, "spoons"), rename("plates", "dishes"), rename("cups", "cups2"),
    split, turned, drop("vars", "style"),
    extra(), extra(id="plates/one"), extra(id="plates/one", output="other.png"),
    extra(prompt="A tile a", outputs=[{"path": "new.png", "steps": [{"quantize": {"palette": "dusk.hex"}}]}]),
    extra(id="Plates/One"), extra(output="plates/one.png"), extra(output="PLATES/one.PNG"),
    extra(output="plates"), extra(output="plates/one.png/x.png"), extra(output="web/new.png"),
    extra(prompt="A spoon, ink", seed=3), extra(prompt="A tile a"), extra(prompt_file="cup.j2"),
    extra(prompt="{% include 'deep.j2' %}"), extra(prompt="{{ nothing }}"),
    extra(foreach="cups.csv", id="plates/{{ id }}"), extra(foreach="none.csv"), extra(prompt="A white plate one"),
    put(A, "rings", "matrix", "metal", ["gold", "iron", "tin"]), put(A, "rings", "matrix", "metal", ["tin", "gold"]),
    put(A, "rings", "matrix", "metal", ["tin"]), put(A, "rings", "exclude", [{"gem": "opal", "metal": "tin"}]),
    put(A, "rings", "include", [{"metal": "zinc"}]), put(A, "rings", "matrix", {"metal": ["gold", "tin"], "cut": ["round"]}),
    put(A, "rings", "foreach", "cups.csv"), put(A, "rings", "foreach", [{"gem": "ruby", "colour": "red"}]),
    put(A, "rings", "id", "{{ metal }}/{{ gem }}"), put(A, "rings", "prompt", "A ring"), put(A, "rings", "tags", ["{{ gem }}"]),
    drop("atlases"), put("atlases", "sheet", "select", "asset:rings"), put("atlases", "sheet", "select", "rings/opal-*"),
    put("atlases", "sheet", "output", "plates/one.png"), put("atlases", "sheet", "padding", 3),
    put("atlases", "ui", {"select": "asset:tiles", "from": "web", "output": "ui.png"}), put("output", "elsewhere"),
    put("nonsense", 1), put("budget", {"usd": 1}), put("templates", "cups"),
    put("models", {"m": {"price": {}}}), put("providers", "far", {"type": "placeholder"}),
    put(A, "plates", "provider", "placeholder"),
)  # fmt: skip
SELECTS = ((), (), (), ("asset:plates",), ("plates/*",), ("tag:all",), ("tag:blue",), ("path:web/*",), ("**",), ("cups/red",),
           ("asset:extra", "spoons"), ("nobody",))  # fmt: skip

MANIFEST_EDIT = st.sampled_from(MANIFEST_EDITS)
FILE_EDIT = st.tuples(st.sampled_from(TOUCHED), st.sampled_from(ACTS))
FOLDER_EDITS = (*ROW_EDITS, *LOCK_EDITS, *CHOICES)
FOLDER_EDIT = st.tuples(st.just("."), st.one_of(map(st.sampled_from, (ROW_EDITS, LOCK_EDITS, CHOICES))))
OP = st.one_of(MANIFEST_EDIT, MANIFEST_EDIT, FILE_EDIT, FOLDER_EDIT, FOLDER_EDIT, st.just("build"))
OPS = st.one_of(st.lists(st.one_of(MANIFEST_EDIT, FOLDER_EDIT), max_size=1), st.lists(OP, max_size=5))


# ---------------------------------------------------------------- one example


def written(project: Project, said: Said) -> None:
    project.manifest(json.dumps(said, indent=1))


def reset(project: Project, tries: int = 3) -> Said:
    """The sources as they were, built; what a person did to the tree is undone.

    Once in a thousand times a file's moment looks like a whole millisecond's, and is not believed: then once more.
    """
    kept = project.folder.parent / "built"
    for item in project.folder.iterdir():
        shutil.rmtree(item) if item.is_dir() and not item.is_symlink() else item.unlink()
    if kept.exists():
        shutil.copytree(kept, project.folder, dirs_exist_ok=True)
    else:
        written(project, MANIFEST)
        for name, text in FILES.items():
            path = project.folder / name
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(text if isinstance(text, bytes) else text.encode())
    time.sleep(AGE)
    assert project.build().exit_code == 0
    if not kept.exists():
        shutil.copytree(project.folder, kept)
    if incremental.plan(Options(project.folder)) is None:
        assert tries, "what was built is not remembered"
        return reset(project, tries - 1)
    return copy.deepcopy(MANIFEST)


def acted(project: Project, said: Said, op: Any) -> None:
    try:
        if op == "build":
            time.sleep(AGE)
            project.build()
        elif isinstance(op, tuple):
            op[1](project.folder / op[0])
        else:
            op(said)
            written(project, said)
    except (OSError, StopIteration, KeyError, ValueError, QwenbuildError):
        return


def terminal_of(verbose: int) -> Terminal:
    return terminal(io.StringIO(), "never", verbose=verbose)


def told(options: Options) -> tuple[object, ...]:
    """Everything that `plan` and `status` say."""
    found: list[object] = []
    for make in (shown, status):
        try:
            planned = make(options)
        except QwenbuildError as error:
            found.append((type(error).__name__, error.code, str(error), error.problems))
            continue
        plan = planned.plan
        found += [
            "".join(plan_json(plan)),
            planned.notices,
            plan.orphans,
            plan.counts,
            plan.cost,
            plan.unexplained,
            plan.atlases,
        ]
        found += [planned.gate(options), len(plan.steps), all(step.verdict == "fresh" for step in plan.busy)]
        for verbose in (0, 1):
            say = terminal_of(verbose)
            found += [*plan_lines(plan, say), *plan_summary(plan, say), *status_summary(plan, say)]
    return tuple(map(repr, found))


def compared(project: Project, options: Options) -> None:
    """What is said with the memory, and without it."""
    quick = told(options)
    shutil.rmtree(project.folder / ".qwenbuild", ignore_errors=True)
    assert quick == told(options)


@pytest.mark.parametrize("number", range(len(FOLDER_EDITS)))
def test_after_one_edit_of_rows_lockfile_or_choices_both_come_to_the_same_plan(walked: Project, number: int) -> None:
    said = reset(walked)
    acted(walked, said, (".", FOLDER_EDITS[number]))
    compared(walked, Options(walked.folder))


@pytest.mark.parametrize("number", range(len(MANIFEST_EDITS)))
def test_after_one_edit_both_come_to_the_same_plan(walked: Project, number: int) -> None:
    said = reset(walked)
    acted(walked, said, MANIFEST_EDITS[number])
    compared(walked, Options(walked.folder))


OTHERWISE: dict[str, bytes] = {
    "prompts/cup.j2": b"A cup, {{ colour }}\n",
    "prompts/bowl.j2": b"A deep bowl {% include 'deep.j2' %}\n",
    "prompts/deep.j2": b"of blue clay\n",
    "cups.csv": b"id,colour\nred,crimson\nblue,azure\n",
    "rings.csv": b"gem,colour\nruby,pink\nopal,white\njade,green\n",
    "shape.png": flatpng.write(16, 16, [(17, 32, 48), (64, 80, 96)], bytes(256)),
    "dusk.hex": b"112233\n405060\n708090\n",
}


@pytest.mark.parametrize("name", list(FILES))
def test_after_an_edit_of_one_file_both_come_to_the_same_plan(walked: Project, name: str) -> None:
    reset(walked)
    (walked.folder / name).write_bytes(OTHERWISE[name])
    assert incremental.plan(Options(walked.folder)) is not None
    compared(walked, Options(walked.folder))


TOUCHED: dict[str, Callable[[Path], object]] = {
    "deleted": Path.unlink,
    "edited": lambda path: path.write_bytes(b"a person's work"),
    "edited under its old time": lambda path: rewritten(path),
}


def rewritten(path: Path) -> None:
    """Other bytes of the same number, with the times that a person can set as they were."""
    status = path.stat()
    path.write_bytes(path.read_bytes()[::-1])
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


@pytest.mark.parametrize("how", list(TOUCHED))
def test_a_file_that_somebody_touched_is_seen_on_the_short_way(walked: Project, how: str) -> None:
    reset(walked)
    believed = incremental.plan(Options(walked.folder))
    assert believed is not None
    assert believed.fresh_assets is not None
    touched = believed.fresh_assets.files()[0]
    TOUCHED[how](walked.out / touched)
    planned = shown(Options(walked.folder))
    found = [output.verdict for step in planned.plan.steps for output in step.outputs if output.spec.path == touched]
    assert len(found) == 1
    assert Verdict.FRESH not in found
    compared(walked, Options(walked.folder))


@pytest.mark.parametrize("select", sorted(set(SELECTS)))
@pytest.mark.parametrize("edit", [drop(A, "cups"), split])
def test_a_selection_sees_the_same_of_what_is_gone(
    walked: Project, edit: Callable[[Said], object], select: tuple[str, ...]
) -> None:
    said = reset(walked)
    acted(walked, said, edit)
    compared(walked, Options(walked.folder, select=select))


@settings(
    max_examples=EXAMPLES,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(ops=OPS, select=st.sampled_from(SELECTS), overwrite=st.booleans(), retry=st.booleans())
def test_the_short_way_and_the_whole_walk_come_to_the_same_plan(
    walked: Project, ops: list[Any], select: tuple[str, ...], overwrite: bool, retry: bool
) -> None:
    said = reset(walked)
    for op in ops:
        acted(walked, said, op)
    options = Options(walked.folder, select=select, overwrite=overwrite, retry_failed=retry)
    try:
        event("short" if incremental.plan(options) is not None else "whole")
    except QwenbuildError:
        event("error")
    compared(walked, options)
