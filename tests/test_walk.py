"""The incremental story: what is bought, written and locked after each kind of edit and loss."""

from __future__ import annotations

import itertools
import shutil
import subprocess

import pytest

from qwenbuild.errors import GateStop, NotUpToDate
from tests.walking import Project

POTIONS = """\
version: 1
vars: {style: "hand-painted, thick outlines"}
defaults: {params: {size: "512*512"}}
assets:
  potions:
    prompt: "A {{ volume }} bottle of {{ color }} potion, {{ style }}"
    matrix: {color: [crimson, azure, golden], volume: [small, large]}
  shields:
    prompt: "A round shield, {{ metal }}"
    foreach: [{id: iron, metal: iron}, {id: oak, metal: oak wood}]
"""
ALL = [f"potions/{color}-{volume}" for color in ("crimson", "azure", "golden") for volume in ("small", "large")]
ALL += ["shields/iron", "shields/oak"]


@pytest.fixture
def potions(walked: Project) -> Project:
    walked.manifest(POTIONS)
    return walked


@pytest.fixture
def built(potions: Project) -> Project:
    assert potions.build().exit_code == 0
    return potions


def test_the_first_build_buys_every_entry_once(potions: Project) -> None:
    summary = potions.build()
    assert summary.exit_code == 0
    assert sorted(potions.submitted) == sorted(ALL)
    assert sorted(potions.tree()) == sorted(f"{id}.png" for id in ALL)
    assert summary.counts == {"generated": 8}


def test_the_second_build_buys_nothing_writes_nothing_and_leaves_the_lockfile_alone(built: Project) -> None:
    before = built.lock.stat()
    files = {path: path.stat().st_mtime_ns for path in built.out.rglob("*.png")}
    summary = built.build()
    assert (summary.exit_code, built.submitted, built.written) == (0, [], [])
    assert summary.counts == {"fresh": 8, "modified": 0}
    assert built.lock.stat().st_mtime_ns == before.st_mtime_ns
    assert {path: path.stat().st_mtime_ns for path in built.out.rglob("*.png")} == files


def test_changing_a_variable_buys_exactly_the_entries_that_use_it(built: Project) -> None:
    built.edit("hand-painted, thick outlines", "pixel art")
    assert built.build().exit_code == 0
    assert sorted(built.submitted) == sorted(ALL[:6])
    assert sorted(built.written) == sorted(f"{id}.png" for id in ALL[:6])


def test_changing_one_word_of_one_row_buys_one_picture(built: Project) -> None:
    built.edit("metal: oak wood", "metal: dark oak wood")
    built.build()
    assert built.submitted == ["shields/oak"]


def test_renaming_an_asset_buys_nothing_and_moves_its_record(built: Project) -> None:
    before = built.tree()
    built.edit("  shields:", "  bucklers:")
    summary = built.build()
    assert (summary.exit_code, built.submitted) == (0, [])
    assert built.tree()["bucklers/iron.png"] == before["shields/iron.png"]
    assert '"shields/iron": {' not in built.lock.read_text()


def test_moving_an_output_buys_nothing(built: Project) -> None:
    built.edit(
        '    prompt: "A round shield, {{ metal }}"', '    prompt: "A round shield, {{ metal }}"\n    output: "s/{{ id }}.png"'
    )
    before = built.tree()
    assert built.build().exit_code == 0
    assert built.submitted == []
    assert built.tree()["s/iron.png"] == before["shields/iron.png"]


def test_rewriting_a_template_to_the_same_words_is_fresh(built: Project) -> None:
    built.edit("A round shield, {{ metal }}", "{% set what = 'round' %}A {{ what }} shield, {{ metal }}")
    assert set(built.verdicts().values()) == {"fresh"}
    built.build()
    assert (built.submitted, built.written) == ([], [])


LOSSES = [
    combination
    for size in range(1, 5)
    for combination in itertools.combinations(("outputs", "lockfile", "index", "state"), size)
]


@pytest.mark.parametrize("lost", LOSSES, ids="+".join)
def test_whatever_is_lost_beside_the_pictures_comes_back_byte_for_byte_for_nothing(
    built: Project, lost: tuple[str, ...]
) -> None:
    tree, lock = built.tree(), built.lock.read_bytes()
    built.lose(*lost)
    assert built.build().exit_code == 0
    assert built.submitted == []
    assert (built.tree(), built.lock.read_bytes()) == (tree, lock)


def test_a_lost_cache_is_no_loss_while_the_tree_has_the_pictures(built: Project) -> None:
    tree, lock = built.tree(), built.lock.read_bytes()
    built.lose("cache")
    (built.out / "shields/iron.png").rename(built.folder / "iron.png")
    shutil.copy(built.folder / "iron.png", built.out / "shields/iron.png")
    assert built.build().exit_code == 0
    assert built.submitted == []
    assert (built.tree(), built.lock.read_bytes()) == (tree, lock)


def test_an_output_edited_by_hand_is_left_alone_and_reported(built: Project) -> None:
    (built.out / "shields/iron.png").write_bytes(b"a person's work")
    assert built.verdicts()["shields/iron"] == "modified"
    summary = built.build()
    assert (summary.exit_code, summary.counts) == (0, {"fresh": 7, "modified": 1})
    assert (built.out / "shields/iron.png").read_bytes() == b"a person's work"


def test_a_picture_is_not_bought_for_a_file_that_a_person_changed(built: Project) -> None:
    (built.out / "shields/iron.png").write_bytes(b"a person's work")
    built.edit("metal: iron", "metal: rusty iron")
    assert built.build().exit_code == 0
    assert built.submitted == []
    assert (built.out / "shields/iron.png").read_bytes() == b"a person's work"


def test_overwrite_replaces_a_persons_file_and_keeps_it_aside(built: Project) -> None:
    before = built.tree()
    (built.out / "shields/iron.png").write_bytes(b"a person's work")
    assert built.build(overwrite=True).exit_code == 0
    assert built.tree() == before
    kept = list((built.folder / ".qwenbuild/overwritten").iterdir())
    assert [path.read_bytes() for path in kept] == [b"a person's work"]


def git(project: Project, *words: str) -> None:
    command = ["git", "-c", "user.name=t", "-c", "user.email=t@example.invalid", "-c", "commit.gpgsign=false", *words]
    subprocess.run(command, cwd=project.folder, check=True, capture_output=True)


@pytest.mark.parametrize("ignored", [True, False], ids=["outputs ignored", "outputs committed"])
def test_switching_branches_ten_times_buys_nothing_and_gives_each_lockfiles_tree(potions: Project, ignored: bool) -> None:
    (potions.folder / ".gitignore").write_text(".qwenbuild/\n" + ("assets/\n" if ignored else ""))
    git(potions, "init", "-q", "-b", "main")
    trees = {}
    for branch, metal in (("main", "iron"), ("bronze", "bronze")):
        if branch != "main":
            git(potions, "checkout", "-q", "-b", branch)
            potions.edit("metal: iron", f"metal: {metal}")
        potions.build()
        git(potions, "add", "-A")
        git(potions, "commit", "-q", "-m", branch)
        trees[branch] = (potions.tree(), potions.lock.read_bytes())
    for branch in ["main", "bronze"] * 5:
        git(potions, "checkout", "-q", branch)
        assert potions.build().exit_code == 0
        assert potions.submitted == []
        assert (potions.tree(), potions.lock.read_bytes()) == trees[branch]


def test_locked_on_a_changed_manifest_names_the_entries_and_buys_nothing(built: Project) -> None:
    built.edit("metal: oak wood", "metal: dark oak wood")
    with pytest.raises(NotUpToDate, match="shields/oak") as caught:
        built.build(locked=True)
    assert caught.value.exit_code == 3
    assert "cache pull" in str(caught.value)
    assert built.submitted == []


def test_locked_on_a_clone_whose_cache_lacks_a_picture_buys_nothing(built: Project) -> None:
    built.lose("cache", "outputs")
    with pytest.raises(NotUpToDate, match="potions/crimson-small"):
        built.build(locked=True)
    assert built.submitted == []


def test_locked_restores_what_the_lockfile_names(built: Project) -> None:
    tree = built.tree()
    built.lose("outputs")
    assert built.build(locked=True).exit_code == 0
    assert (built.tree(), built.submitted) == (tree, [])


def test_offline_sends_nothing_and_says_what_is_missing(potions: Project) -> None:
    summary = potions.build(offline=True)
    assert (summary.exit_code, potions.submitted) == (1, [])
    assert sorted(id for id, _, _ in summary.failures) == sorted(ALL)


def test_a_selection_builds_only_what_was_named(potions: Project) -> None:
    potions.build(select=("asset:shields",))
    assert sorted(potions.submitted) == ["shields/iron", "shields/oak"]
    potions.build(select=("potions/azure-*",))
    assert sorted(potions.submitted) == ["potions/azure-large", "potions/azure-small"]
    assert '"shields/iron": {' in potions.lock.read_text()


def test_force_buys_again_and_keeps_the_old_picture(built: Project) -> None:
    blobs = built.cache().known_blobs()
    built.build(force=True, select=("shields/iron",))
    assert built.submitted == ["shields/iron"]
    assert blobs <= built.cache().known_blobs()


def test_an_entry_gone_from_the_manifest_stays_an_orphan_until_it_is_pruned(built: Project) -> None:
    built.edit(
        "    foreach: [{id: iron, metal: iron}, {id: oak, metal: oak wood}]", "    foreach: [{id: oak, metal: oak wood}]"
    )
    assert built.build().exit_code == 0
    assert (built.out / "shields/iron.png").exists()
    assert '"orphan": true' in built.lock.read_text()
    lock = built.lock.read_bytes()
    built.build()
    assert built.lock.read_bytes() == lock
    built.build(prune=True)
    assert not (built.out / "shields/iron.png").exists()
    assert "shields/iron" not in built.lock.read_text()


def test_free_pictures_never_ask(potions: Project) -> None:
    assert potions.ask(False).exit_code == 0
    assert potions.asked == []


def test_a_plan_writes_nothing(potions: Project) -> None:
    before = sorted(potions.folder.rglob("*"))
    potions.plan()
    assert sorted(potions.folder.rglob("*")) == before
    assert not potions.cache_dir.exists() or list(potions.cache_dir.iterdir()) == []


def test_two_entries_with_one_action_are_bought_once(walked: Project) -> None:
    walked.manifest('version: 1\nassets:\n  a: {prompt: "one lantern"}\n  b: {prompt: "one lantern"}\n')
    assert walked.build().exit_code == 0
    assert walked.submitted == ["a"]
    assert sorted(walked.tree()) == ["a.png", "b.png"]


def test_declined_consent_is_exit_four() -> None:
    assert GateStop("no").exit_code == 4
