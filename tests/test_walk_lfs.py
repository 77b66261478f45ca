"""git-LFS pointers in the tree and among the inputs, and files that differ under `--locked`: never bought, never passed over.

Does not know how a pointer is fetched; git does that.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from qwenbuild.errors import InputError, NotUpToDate
from tests.walking import Project

CUPS = """\
version: 1
defaults: {params: {size: "512*512"}}
assets:
  cups:
    prompt: "A {{ color }} cup"
    matrix: {color: [red, blue]}
"""
FRAMED = (
    CUPS
    + """\
    outputs:
      - {path: "big/cups/{{ color }}.png"}
      - {path: "small/cups/{{ color }}.png", steps: [{resize: {width: 64}}]}
"""
)
GRAPH = (
    CUPS
    + """\
  tables: {prompt: "A {{ wood }} table", foreach: [{id: oak, wood: oak}], inputs: [{entry: cups/red}]}
"""
)
ATLAS = (
    CUPS
    + """\
    tags: [ui]
atlases:
  ui: {select: "tag:ui", output: "ui.png"}
"""
)


def pointer(digest: str, size: int = 4321) -> bytes:
    return f"version https://git-lfs.github.com/spec/v1\noid sha256:{digest}\nsize {size}\n".encode()


def point(path: Path) -> str:
    """Put the pointer to a file in its place, as a checkout without `git lfs pull` does."""
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    path.write_bytes(pointer(digest))
    return digest


def refused(project: Project, **said: bool) -> str:
    """What a locked build says as it ends with exit code 3."""
    with pytest.raises(NotUpToDate) as caught:
        project.build(locked=True, offline=True, **said)
    assert caught.value.exit_code == 3
    assert project.submitted == project.written == []
    return str(caught.value)


@pytest.fixture
def cups(walked: Project) -> Project:
    walked.manifest(CUPS)
    assert walked.build().exit_code == 0
    return walked


@pytest.fixture
def cloned(cups: Project) -> Project:
    """As another machine has it: the lockfile, pointers, and an empty cache."""
    for path in cups.out.rglob("*.png"):
        point(path)
    cups.lose("cache", "state")
    return cups


@pytest.mark.parametrize("keep_modified", [False, True])
def test_a_locked_build_ends_with_3_at_a_pointer_and_names_git_lfs_pull(cloned: Project, keep_modified: bool) -> None:
    words = refused(cloned, keep_modified=keep_modified)
    assert "2 files are git-LFS pointers" in words
    assert "cups/blue.png" in words
    assert "`git lfs pull`" in words
    assert "entries" not in words


def test_a_locked_build_ends_with_3_at_a_pointer_whose_bytes_the_cache_has(cups: Project) -> None:
    point(cups.out / "cups/red.png")
    words = refused(cups)
    assert "1 file is a git-LFS pointer: cups/red.png" in words
    assert "`git lfs pull`" in words


def test_a_plain_build_puts_the_cached_picture_in_place_of_its_pointer_and_keeps_nothing_aside(cups: Project) -> None:
    digest = point(cups.out / "cups/red.png")
    assert cups.verdicts() == {"cups/red": "restore", "cups/blue": "fresh"}
    assert cups.build().exit_code == 0
    assert (cups.submitted, cups.written) == ([], ["cups/red.png"])
    assert cups.tree()["cups/red.png"] == digest
    assert not (cups.folder / ".qwenbuild/overwritten").exists()


def test_a_picture_of_which_only_a_pointer_is_there_is_never_bought(cloned: Project) -> None:
    before = cloned.lock.read_bytes()
    assert cloned.verdicts() == {"cups/red": "refused", "cups/blue": "refused"}
    summary = cloned.build()
    assert (summary.exit_code, cloned.submitted, cloned.written) == (1, [], [])
    assert all("`git lfs pull`" in message for _, _, message in summary.failures)
    assert len(summary.failures) == 2
    assert cloned.lock.read_bytes() == before


def test_overwrite_does_not_buy_what_git_lfs_pull_brings(cloned: Project) -> None:
    assert cloned.build(overwrite=True).exit_code == 1
    assert cloned.submitted == []


def test_a_picture_is_not_bought_for_a_second_file_while_a_pointer_stands_for_it(walked: Project) -> None:
    walked.manifest(FRAMED)
    assert walked.build().exit_code == 0
    for id in ("red", "blue"):
        point(walked.out / f"big/cups/{id}.png")
        (walked.out / f"small/cups/{id}.png").unlink()
    walked.lose("cache", "state")
    summary = walked.build()
    assert (summary.exit_code, walked.submitted) == (1, [])
    assert "2 files are git-LFS pointers: big/cups/red.png, big/cups/blue.png" in refused(walked)


def test_a_moved_picture_of_which_only_a_pointer_is_there_is_not_bought(cloned: Project) -> None:
    cloned.edit("    matrix:", '    output: "new/{{ color }}.png"\n    matrix:')
    summary = cloned.build()
    assert (summary.exit_code, cloned.submitted) == (1, [])


def test_a_derived_file_is_made_from_its_picture_in_place_of_its_pointer(walked: Project) -> None:
    walked.manifest(FRAMED)
    assert walked.build().exit_code == 0
    digest = point(walked.out / "small/cups/red.png")
    assert walked.build().exit_code == 0
    assert (walked.submitted, walked.written) == ([], ["small/cups/red.png"])
    assert walked.tree()["small/cups/red.png"] == digest


def test_an_input_entry_of_which_only_a_pointer_is_there_is_not_bought_for_what_builds_on_it(walked: Project) -> None:
    walked.manifest(GRAPH)
    assert walked.build(provider="placeholder").exit_code == 0
    point(walked.out / "cups/red.png")
    walked.lose("cache", "state")
    walked.edit("A {{ wood }} table", "A large {{ wood }} table")
    walked.build()
    assert walked.submitted == []


def test_a_pointer_to_other_bytes_is_left_alone_and_said_to_be_a_pointer(cups: Project) -> None:
    other = pointer("0" * 64)
    (cups.out / "cups/red.png").write_bytes(other)
    summary = cups.build()
    assert (summary.exit_code, summary.counts, cups.submitted) == (0, {"fresh": 1, "modified": 1}, [])
    assert (cups.out / "cups/red.png").read_bytes() == other
    assert [problem.code for problem in summary.problems] == ["lfs-pointer"]
    assert "cups/red.png" in summary.problems[0].message
    assert "cups/red.png (a git-LFS pointer to other bytes)" in refused(cups)
    assert cups.build(locked=True, keep_modified=True).exit_code == 0


def test_overwrite_keeps_a_pointer_to_other_bytes_aside(cups: Project) -> None:
    other = pointer("0" * 64)
    (cups.out / "cups/red.png").write_bytes(other)
    assert cups.build(overwrite=True).exit_code == 0
    (kept,) = (cups.folder / ".qwenbuild/overwritten").iterdir()
    assert kept.read_bytes() == other


def test_no_picture_is_bought_for_an_edited_prompt_whose_only_file_is_a_pointer(cloned: Project) -> None:
    cloned.edit("A {{ color }} cup", "A large {{ color }} cup")
    assert cloned.build().exit_code == 0
    assert cloned.submitted == []


def test_a_sheet_of_which_only_a_pointer_is_there_is_packed_again_and_ends_a_locked_build_with_3(walked: Project) -> None:
    walked.manifest(ATLAS)
    assert walked.build().exit_code == 0
    digest = point(walked.out / "ui.png")
    assert "1 file is a git-LFS pointer: ui.png" in refused(walked)
    assert walked.build().exit_code == 0
    assert (walked.tree()["ui.png"], walked.submitted) == (digest, [])


def test_no_sheet_is_packed_from_a_pointer(walked: Project) -> None:
    walked.manifest(ATLAS)
    assert walked.build().exit_code == 0
    for path in walked.out.rglob("*.png"):
        point(path)
    walked.lose("cache", "state")
    summary = walked.build()
    assert (summary.exit_code, walked.submitted, walked.written) == (1, [], [])
    assert any(id == "atlas:ui" and "git lfs pull" in message for id, _, message in summary.failures)


# ---------------------------------------------------------------- what is read

READS = {
    "reference image": ("refs/x.png", CUPS + "    inputs: [refs/x.png]\n"),
    "table": ("rows.csv", 'version: 1\nassets: {cups: {prompt: "A {{ name }}", foreach: rows.csv}}\n'),
    "template": ("prompts/cup.j2", "version: 1\nassets: {cups: {prompt: \"{% include 'cup.j2' %}\"}}\n"),
    "palette": ("p.gpl", CUPS + '    outputs: [{path: "{{ color }}.png", steps: [{quantize: {palette: p.gpl}}]}]\n'),
    "manifest": ("qwenbuild.yaml", CUPS),
    "lockfile": ("qwenbuild.lock", CUPS),
}


@pytest.mark.parametrize("kind", READS)
def test_a_pointer_that_is_read_ends_the_build_with_2_and_submits_nothing(kind: str, walked: Project) -> None:
    name, text = READS[kind]
    walked.manifest(text)
    path = walked.folder / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(pointer("0" * 64))
    with pytest.raises(InputError) as caught:
        walked.build()
    (problem,) = caught.value.problems
    assert problem.code == "lfs-pointer"
    assert "git-LFS pointer" in problem.message
    assert "`git lfs pull` fetches" in f"{problem.message} {problem.hint}"
    assert (caught.value.exit_code, walked.submitted) == (2, [])
    assert not (walked.cache_dir / "journal.db").exists()


# ---------------------------------------------------------------- what differs under --locked


def test_a_locked_build_ends_with_3_at_a_file_that_differs_and_names_it(cups: Project) -> None:
    (cups.out / "cups/red.png").write_bytes(b"a person's work")
    words = refused(cups)
    assert "1 file differs from the lockfile: cups/red.png" in words
    assert "--keep-modified" in words


def test_a_locked_build_names_ten_files_that_differ_and_counts_the_rest(walked: Project) -> None:
    walked.manifest('version: 1\nassets: {c: {prompt: "{{ n }}", matrix: {n: [1,2,3,4,5,6,7,8,9,10,11,12]}}}\n')
    assert walked.build().exit_code == 0
    for path in walked.out.rglob("*.png"):
        path.write_bytes(b"a person's work")
    words = refused(walked)
    assert "12 files differ" in words
    assert words.count(".png") == 10
    assert "and 2 more" in words


def test_keep_modified_lets_a_locked_build_pass_over_what_a_person_changed(cups: Project) -> None:
    (cups.out / "cups/red.png").write_bytes(b"a person's work")
    summary = cups.build(locked=True, offline=True, keep_modified=True)
    assert (summary.exit_code, summary.counts) == (0, {"fresh": 1, "modified": 1})
    assert (cups.out / "cups/red.png").read_bytes() == b"a person's work"


def test_a_locked_build_after_one_that_kept_modified_files_ends_with_3_all_the_same(cups: Project) -> None:
    (cups.out / "cups/red.png").write_bytes(b"a person's work")
    assert cups.build(locked=True, keep_modified=True).exit_code == 0
    assert "cups/red.png" in refused(cups)


def test_a_locked_build_ends_with_3_at_a_sheet_that_a_person_changed(walked: Project) -> None:
    walked.manifest(ATLAS)
    assert walked.build().exit_code == 0
    (walked.out / "ui.png").write_bytes(b"a person's work")
    assert "differs from the lockfile: ui.png" in refused(walked)
    assert walked.build(locked=True, keep_modified=True).exit_code == 0


def test_a_locked_build_restores_a_missing_file_as_before(cups: Project) -> None:
    (cups.out / "cups/red.png").unlink()
    assert cups.build(locked=True, offline=True).exit_code == 0
    assert cups.written == ["cups/red.png"]
