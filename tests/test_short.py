"""The short way of a plan: what it looks at, what it leaves to the walk, and what it makes of a broken memory."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from qwenbuild.emulator import Served
from qwenbuild.engine import remember
from qwenbuild.errors import InputError
from qwenbuild.images import flatpng
from qwenbuild.lock import lockfile
from qwenbuild.planning import incremental
from qwenbuild.planning.eligibility import MOST_KINDS
from qwenbuild.planning.holdings import only_here
from qwenbuild.report.plan_json import step_text
from qwenbuild.snapshot import entryfile, quick_answer, statefile
from qwenbuild.verbs import Options, choices, plan, shown, status
from tests.test_recall_property import AGE
from tests.walking import Project

MANIFEST = """\
version: 1
vars: {style: ink}
models: {placeholder: {retires: "2020-01-01"}}
defaults: {params: {size: "16*16"}}
assets:
  cups: {prompt_file: cup.j2, foreach: cups.csv, id: "cups/{{ id }}", inputs: [shape.png]}
  plates: {prompt: "A {{ glaze }} plate {{ n }}", vars: {glaze: white}, matrix: {n: [one, two]}}
  spoons: {prompt: "A spoon, {{ style }}"}
"""
FILES: dict[str, str | bytes] = {
    "prompts/cup.j2": "A {{ colour }} cup\n",
    "cups.csv": "id,colour\nred,red\nblue,azure\n",
    "shape.png": flatpng.write(16, 16, [(16, 32, 48), (64, 80, 96)], bytes(256)),
}


@pytest.fixture
def shelf(walked: Project) -> Project:
    """Built, with everything remembered."""
    walked.manifest(MANIFEST)
    for name, text in FILES.items():
        path = walked.folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
    built(walked)
    return walked


def kept_file(project: Project) -> Path:
    return project.folder / ".qwenbuild" / "qwenbuild.kept"


def believed(project: Project, **said: Any) -> set[str] | None:
    """The assets of which the short way looked at no entry; None when it had no answer."""
    planned = incremental.plan(Options(project.folder, **said))
    if planned is None or planned.fresh_assets is None:
        return None
    fresh = planned.fresh_assets
    return {name for name in fresh.runs if fresh.is_whole(name)}


def built(project: Project) -> None:
    """Built some time after the last edit, as people do."""
    time.sleep(AGE)
    assert project.build().exit_code == 0


def rewritten(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")


# ---------------------------------------------------------------- what is looked at


def test_a_build_that_made_everything_remembers_everything(shelf: Project) -> None:
    assert believed(shelf) == {"cups", "plates", "spoons"}


def test_one_variable_of_one_asset_walks_that_asset(shelf: Project) -> None:
    shelf.edit("glaze: white", "glaze: green")
    assert believed(shelf) == {"cups", "spoons"}
    planned = incremental.plan(shelf.options())
    assert planned is not None
    assert {step.id: step.verdict.value for step in planned.plan.steps} == shelf.verdicts()
    assert [step.id for step in planned.plan.busy] == ["plates/one", "plates/two"]


@pytest.mark.parametrize(
    ("change", "left"),
    [
        (lambda folder: rewritten(folder / "prompts/cup.j2", "A cup {{ colour }}"), {"plates", "spoons"}),
        (lambda folder: rewritten(folder / "cups.csv", "id,colour\nred,red\nblue,blue\n"), {"plates", "spoons"}),
        (lambda folder: (folder / "shape.png").write_bytes(flatpng.write(1, 1, [(1, 2, 3)], b"\0")), {"plates", "spoons"}),
        (lambda folder: (folder / "assets/spoons.png").write_bytes(b"mine"), {"cups", "plates"}),
        (lambda folder: (folder / "assets/plates/one.png").unlink(), {"cups", "spoons"}),
        (lambda folder: (folder / "qwenbuild.lock").touch(), {"cups", "plates", "spoons"}),
    ],
)
def test_what_changed_is_walked(shelf: Project, change: Callable[[Path], object], left: set[str] | None) -> None:
    change(shelf.folder)
    assert believed(shelf) == left


def test_an_entry_whose_file_was_touched_is_walked_alone(shelf: Project) -> None:
    (shelf.out / "cups/blue.png").unlink()
    planned = incremental.plan(shelf.options())
    assert planned is not None
    assert [(step.id, step.verdict.value) for step in planned.plan.busy] == [("cups/blue", "restore")]
    assert {step.id: step.verdict.value for step in planned.plan.steps} == shelf.verdicts()


def test_of_an_asset_of_which_much_was_touched_everything_is_walked(shelf: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(incremental, "MOST_TOUCHED", 0)
    (shelf.out / "cups/blue.png").unlink()
    planned = incremental.plan(shelf.options())
    assert planned is not None
    assert [step.id for step in planned.plan.busy] == ["cups/red", "cups/blue"]


def test_a_second_manifest_is_refused_as_ever(shelf: Project) -> None:
    shutil.copy2(shelf.folder / "qwenbuild.yaml", shelf.folder / "qwenbuild.yml")
    with pytest.raises(InputError):
        incremental.plan(shelf.options())


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("style: ink", "style: oil"),
        ("16*16", "24*24"),
        ("2020-01-01", "2020-01-02"),
        ("version: 1", "version: 1\nremote: s3://a/b"),
    ],
)
def test_what_all_assets_share_walks_them_all(shelf: Project, old: str, new: str) -> None:
    shelf.edit(old, new)
    assert believed(shelf) is None


@pytest.mark.parametrize(
    "block",
    [
        'extra: {prompt: X, id: "plates/one", output: other.png}',
        'extra: {prompt: X, output: "PLATES/One.png"}',
        "extra: {prompt: X, output: plates}",
        'extra: {prompt: X, output: "spoons.png/x.png"}',
        "extra: {prompt: X, inputs: [{entry: spoons}]}",
        'extra: {prompt: "{{ nothing }}"}',
    ],
)
def test_what_concerns_a_believed_asset_is_left_to_the_walk(shelf: Project, block: str) -> None:
    shelf.manifest(f"{MANIFEST}  {block}\n")
    assert believed(shelf) is None


@pytest.mark.parametrize("output", ["assets", "./assets"])
def test_a_new_output_in_the_place_of_what_a_believed_asset_reads_is_refused(shelf: Project, output: str) -> None:
    (shelf.folder / "assets/art").mkdir()
    shutil.move(shelf.folder / "shape.png", shelf.folder / "assets/art/shape.png")
    moved = MANIFEST.replace("[shape.png]", "[assets/art/shape.png]").replace(
        "vars: {style", f"output: {output}\nvars: {{style"
    )
    shelf.manifest(moved)
    built(shelf)
    assert believed(shelf) == {"cups", "plates", "spoons"}
    shelf.manifest(moved + "  extra: {prompt: X, output: art/shape.png}\n")
    assert believed(shelf) is None
    with pytest.raises(InputError, match="would overwrite"):
        plan(shelf.options())


@pytest.mark.parametrize("select", ["asset:plates", "tag:{nothing}", "spoons"])
def test_an_atlas_of_believed_entries_is_planned_as_ever(shelf: Project, select: str) -> None:
    shelf.manifest(MANIFEST.replace("white", "green") + f'atlases: {{sheet: {{select: "{select}", output: sheet.png}}}}\n')
    quick = incremental.plan(shelf.options())
    if "nothing" in select:
        assert quick is None
        return
    slow = plan(shelf.options())
    assert quick is not None
    assert quick.plan.atlases == slow.plan.atlases
    assert [step.id for step in quick.plan.busy] == ["plates/one", "plates/two"]


def test_a_new_asset_beside_the_others_is_walked_alone(shelf: Project) -> None:
    shelf.manifest(MANIFEST + "  extra: {prompt: X}\n")
    assert believed(shelf) == {"cups", "plates", "spoons"}


@pytest.mark.parametrize("said", [{"force": True}, {"provider": "placeholder"}, {"output": "elsewhere"}, {"strict": True}])
def test_options_that_change_every_entry_are_left_to_the_walk(shelf: Project, said: dict[str, Any]) -> None:
    assert believed(shelf, **said) is None


def test_notices_about_models_are_said_of_what_is_not_walked(shelf: Project) -> None:
    shelf.edit("glaze: white", "glaze: green")
    quick, slow = incremental.plan(shelf.options()), plan(shelf.options())
    assert quick is not None
    assert quick.notices == slow.notices
    assert [notice.code for notice in quick.notices] == ["model-retired"]


def test_paid_pictures_that_are_not_walked_are_counted(walked: Project, emulated: Served) -> None:
    hosted = "provider: dashscope\nproviders: {dashscope: {region: singapore, mode: sync, limits: {rps: 200}}}\n"
    walked.manifest(f"version: 1\n{hosted}assets:\n  cup: {{prompt: A cup}}\n  pot: {{prompt: A pot}}\n")
    built(walked)
    subprocess.run(["git", "init", "-q"], cwd=walked.folder, check=True)
    (walked.folder / ".gitignore").write_text("/assets/\n")
    walked.edit("A pot", "A jug")
    assert believed(walked) == {"cup"}
    quick = incremental.plan(walked.options())
    assert quick is not None
    (notice,) = only_here(quick)
    assert notice.message == "2 paid pictures are only in this machine's cache"
    assert [notice] == list(only_here(plan(walked.options())))


def test_an_input_that_was_written_a_moment_before_it_was_read_is_not_believed(shelf: Project) -> None:
    """It may be written once more at the same size, in the same moment."""
    rewritten(shelf.folder / "cups.csv", (shelf.folder / "cups.csv").read_text())
    assert shelf.build().exit_code == 0
    assert believed(shelf) == {"plates", "spoons"}


def test_entries_that_people_choose_among_are_walked(shelf: Project) -> None:
    shelf.edit('spoons: {prompt: "A spoon', 'spoons: {variants: 2, prompt: "A spoon')
    built(shelf)
    assert believed(shelf) == {"cups", "plates"}


def test_entries_that_build_on_each_other_are_walked(shelf: Project) -> None:
    shelf.edit('spoons: {prompt: "A spoon', 'spoons: {inputs: [{entry: plates/one}], prompt: "A spoon')
    built(shelf)
    assert believed(shelf) == {"cups"}


def test_a_file_that_a_believed_entry_took_over_is_no_orphan(shelf: Project) -> None:
    shelf.edit('  spoons: {prompt: "A spoon, {{ style }}"}', '  forks: {prompt: "A fork", output: spoons.png}')
    built(shelf)
    shelf.edit("glaze: white", "glaze: green")
    quick, slow = incremental.plan(shelf.options()), plan(shelf.options())
    assert "spoons" in slow.loaded.lock.entries
    assert believed(shelf) == {"cups", "forks"}
    assert quick is not None
    assert quick.plan.orphans == slow.plan.orphans


def test_an_asset_of_many_kinds_is_walked(shelf: Project) -> None:
    sizes = ", ".join(str(16 + 2 * number) for number in range(MOST_KINDS + 1))
    shelf.manifest(f'{MANIFEST}  many: {{prompt: X, matrix: {{n: [{sizes}]}}, params: {{size: "{{{{ n }}}}*16"}}}}\n')
    built(shelf)
    assert believed(shelf) == {"cups", "plates", "spoons"}


def test_the_rest_is_planned_after_an_edited_file(shelf: Project) -> None:
    """A file of a person's hinders no other asset."""
    (shelf.out / "spoons.png").write_bytes(b"mine")
    built(shelf)
    assert believed(shelf) == {"cups", "plates"}
    assert shelf.verdicts()["spoons"] == "modified"


def test_what_an_asset_of_lost_files_reads_is_looked_at_the_next_time(shelf: Project) -> None:
    """Its entries are made from what is remembered, and nothing is read."""
    shelf.manifest(MANIFEST + "  beads: {prompt: 'A bead {{ colour }}', foreach: beads.csv}\n")
    rewritten(shelf.folder / "beads.csv", "id,colour\nred,red\nblue,azure\n")
    built(shelf)
    for path in (shelf.out / "beads").iterdir():
        path.unlink()
    built(shelf)
    assert quick_answer.answer(["build", "-C", str(shelf.folder)]) == 0
    rewritten(shelf.folder / "beads.csv", "id,colour\nred,red\nblue,green\n")
    assert quick_answer.answer(["build", "-C", str(shelf.folder)]) is None


def test_rows_more_walk_their_entries(shelf: Project) -> None:
    rewritten(shelf.folder / "cups.csv", "id,colour\nnew,green\nred,red\nnewer,grey\nblue,azure\nlast,pink\n")
    planned = incremental.plan(shelf.options())
    assert planned is not None
    assert [step.id for step in planned.plan.busy] == ["cups/new", "cups/newer", "cups/last"]
    assert [step.id for step in planned.plan.steps][:5] == ["cups/new", "cups/red", "cups/newer", "cups/blue", "cups/last"]
    built(shelf)
    assert believed(shelf) == {"cups", "plates", "spoons"}


def test_one_value_more_of_an_axis_walks_its_entries(shelf: Project) -> None:
    shelf.edit("[one, two]", "[zero, one, two]")
    planned = incremental.plan(shelf.options())
    assert planned is not None
    assert [step.id for step in planned.plan.busy] == ["plates/zero"]


def test_a_choice_walks_the_entries_that_were_chosen(shelf: Project) -> None:
    choices.approve(shelf.options(), ("cups/red",))
    planned = incremental.plan(shelf.options())
    assert planned is not None
    assert [step.id for step in planned.plan.busy] == ["cups/red"]
    assert planned.plan.steps[0].approved


# ---------------------------------------------------------------- a memory that is not to be trusted


def test_a_manifest_that_was_written_a_moment_before_it_was_read_is_read_again(shelf: Project) -> None:
    """It may be written once more at the same size, in the same moment."""
    rewritten(shelf.folder / "qwenbuild.yaml", MANIFEST)
    assert shelf.build().exit_code == 0
    memory = remembered(shelf)
    assert memory is not None
    assert memory.manifest is None
    built(shelf)
    memory = remembered(shelf)
    assert memory is not None
    assert memory.manifest is not None


def remembered(project: Project) -> entryfile.Memory | None:
    place = statefile.path_of(str(project.folder / "qwenbuild.yaml"))
    state = statefile.read(place)
    return None if state is None else entryfile.read(entryfile.path_of(place), state.values["kept"])


def test_a_picture_that_is_lost_while_others_are_made_is_missed(shelf: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    digest = lockfile.read(shelf.lock).entries["cups/red"].digest
    settle = remember._settled_time

    def lose() -> int:
        (shelf.cache_dir / "blobs" / digest[:2] / digest).unlink()
        return settle()

    monkeypatch.setattr(remember, "_settled_time", lose)
    shelf.edit("glaze: white", "glaze: green")
    built(shelf)
    assert believed(shelf) is None
    (notice,) = [notice for notice in status(shelf.options()).notices if notice.code == "only-in-tree"]
    assert notice.message.startswith("1 picture is only in the output tree")


def test_memories_that_are_broken_or_foreign_are_ignored(shelf: Project) -> None:
    path, whole = kept_file(shelf), kept_file(shelf).read_bytes()
    broken = [
        b"",
        b"\n",
        whole[:-1],
        whole[:60],
        whole + b"x",
        b"\xff" * 5000,
        whole.replace(b"qwenbuild-kept 3", b"qwenbuild-kept 0"),
    ]
    broken += [whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :] for place in range(0, len(whole), 61)]
    for data in broken:
        path.write_bytes(data)
        assert believed(shelf) is None
    path.write_bytes(whole)
    assert believed(shelf) is not None


def test_a_memory_belongs_to_the_state_it_was_written_with(shelf: Project) -> None:
    aside = kept_file(shelf).read_bytes()
    shelf.edit("glaze: white", "glaze: green")
    built(shelf)
    kept_file(shelf).write_bytes(aside)
    assert believed(shelf) is None


@pytest.mark.parametrize("make", [Path.mkdir, lambda path: path.symlink_to("/dev/zero"), lambda path: None])
def test_whatever_stands_in_its_place_is_no_trouble(shelf: Project, make: Callable[[Path], object]) -> None:
    kept_file(shelf).unlink()
    make(kept_file(shelf))
    assert believed(shelf) is None
    assert len(shelf.verdicts()) == 5


def test_a_memory_that_cannot_be_written_is_none(tmp_path: Path) -> None:
    (tmp_path / "here").write_text("a file")
    columns = entryfile.Columns([], [], b"", b"", b"", b"", entryfile.array("q"), entryfile.array("I"), ())
    memory = entryfile.Memory((), (), entryfile.Spent(), columns)
    assert entryfile.write(str(tmp_path / "here" / "x.kept"), memory) == ""
    stamp = entryfile.write(str(tmp_path / "x.kept"), memory)
    assert entryfile.read(str(tmp_path / "x.kept"), stamp) == memory


@pytest.mark.parametrize("name", ["tool", "boot", "environment", "today"])
def test_another_tool_boot_environment_or_day_ends_it(shelf: Project, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setattr(statefile, name, lambda: "9999-99-99")
    assert believed(shelf) is None


def test_an_asset_whose_picture_the_vault_has_lost_is_walked(shelf: Project) -> None:
    record = lockfile.read(shelf.lock).entries["cups/red"]
    (shelf.cache_dir / "blobs" / record.digest[:2] / record.digest).unlink()
    assert believed(shelf) == {"plates", "spoons"}
    quick, slow = shown(shelf.options()), plan(shelf.options())
    assert quick.fresh_assets is not None
    assert (quick.plan.counts, list(map(step_text, quick.plan.steps))) == (
        slow.plan.counts,
        list(map(step_text, slow.plan.steps)),
    )


def test_pictures_of_other_projects_in_the_vault_end_nothing(shelf: Project) -> None:
    shelf.cache().put_blob(flatpng.write(1, 1, [(1, 2, 3)], b"\0"))
    assert believed(shelf) == {"cups", "plates", "spoons"}


def test_a_lockfile_that_is_laid_out_by_hand_is_read_as_a_whole(shelf: Project) -> None:
    import json

    shelf.lock.write_text(json.dumps(json.loads(shelf.lock.read_text())))
    built(shelf)
    shelf.edit("glaze: white", "glaze: green")
    assert believed(shelf) is None


# ---------------------------------------------------------------- processes


def test_a_plan_after_a_change_imports_nothing_that_builds(shelf: Project) -> None:
    shelf.edit("glaze: white", "glaze: green")
    code = "import sys; sys.argv = ['qwenbuild', 'plan', '-q']\nfrom qwenbuild.__main__ import main\n"
    code += "try: main()\nexcept SystemExit as end: assert end.code == 0\nprint(*sorted(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    *words, modules = done.stdout.splitlines()
    assert words[0] == "Plan: 2 to generate, 3 fresh."
    loaded = set(modules.split())
    assert not loaded & {"asyncio", "httpx", "PIL", "jinja2", "rich", "qwenbuild.run", "qwenbuild.providers", "urllib.request"}
