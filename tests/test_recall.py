"""The remembered state saves work and never decides: every way to lie to it, and what it may import."""

from __future__ import annotations

import datetime
import errno
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from qwenbuild import tree
from qwenbuild.cache import Attempt, Intent
from qwenbuild.cli.exits import run
from qwenbuild.engine import remember
from qwenbuild.images import flatpng
from qwenbuild.key import document
from qwenbuild.snapshot import quick_answer, statefile
from tests.walking import Project

MANIFEST = """\
version: 1
vars: {style: ink}
defaults: {params: {size: "32*32"}}
assets:
  cups:
    prompt_file: cup.j2
    foreach: cups.csv
    inputs: [art/shape.png]
    id: "cups/{{ id }}"
    outputs:
      - {path: "cups/{{ id }}.png"}
      - {path: "web/{{ id }}.png", steps: [{quantize: {palette: art/dusk.hex}}]}
"""
INPUTS: dict[str, str | bytes] = {
    "qwenbuild.yaml": MANIFEST,
    "prompts/cup.j2": "A {{ colour }} cup, {{ style }}\n",
    "cups.csv": "id,colour\nred,red\nblue,blue\n",
    "art/shape.png": flatpng.write(16, 16, [(16, 32, 48), (64, 80, 96)], bytes(256)),
    "art/dusk.hex": "102030\n405060\n708090\n",
}
AGE = statefile.RACY_NS * 1.5e-9
"""Seconds after which a file is old enough to be believed."""


@pytest.fixture
def cups(walked: Project) -> Project:
    """Built, with a state that answers."""
    for name, text in INPUTS.items():
        path = walked.folder / name
        path.parent.mkdir(exist_ok=True, parents=True)
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
    time.sleep(AGE)
    assert walked.build().exit_code == 0
    assert answer() == 0
    return walked


def answer(*args: str) -> int | None:
    return quick_answer.answer(["build", *args])


def state(project: Project) -> Path:
    return project.folder / ".qwenbuild" / "qwenbuild.state"


def keep_mtime(path: Path, change: Callable[[], object]) -> None:
    """Change a file and give it back its old time."""
    before = path.stat()
    change()
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def same_size(path: Path) -> None:
    """Other bytes, as many, with the old time."""
    data = path.read_bytes()
    keep_mtime(path, lambda: path.write_bytes(bytes(byte ^ 1 for byte in data[:8]) + data[8:]))


def replaced(path: Path) -> None:
    """Another file of other bytes, as many, with the old time, moved over it."""
    beside = path.with_name("beside")
    shutil.copy2(path, beside)
    same_size(beside)
    beside.replace(path)


# ---------------------------------------------------------------- what is answered


def test_the_build_after_a_build_is_answered_with_its_own_words(cups: Project, capsys: pytest.CaptureFixture[str]) -> None:
    assert (answer(), answer("-q"), answer("--locked", "--offline", "--yes", "--fail-fast")) == (0, 0, None)
    assert capsys.readouterr() == ("Nothing to do: 2 entries are fresh.\n" * 2, "")
    cups.build()
    assert answer("--locked") == 0


def test_words_of_the_walk_and_of_the_state_are_the_same(cups: Project, capsys: pytest.CaptureFixture[str]) -> None:
    for words in (
        ["status"],
        ["status", "--check"],
        ["-q", "status", "--offline"],
        ["explain", "cups/red"],
        ["explain", "cups/blue", "--json"],
        ["build", "-q"],
    ):
        state(cups).unlink(missing_ok=True)
        assert run(words) == 0
        walked = capsys.readouterr()
        run(["build"])
        capsys.readouterr()
        quick = quick_answer.answer(words)
        assert quick == (None if words[0] == "explain" else 0)
        assert run(words) == 0 if quick is None else True
        said = capsys.readouterr()
        assert said.err == walked.err
        assert said.out.split(" (")[0].rstrip(".\n") == walked.out.split(" (")[0].rstrip(".\n")


def test_notices_are_said_again(cups: Project, capsys: pytest.CaptureFixture[str]) -> None:
    cups.manifest(MANIFEST + '  empty: {prompt: "{{ id }}", foreach: none.csv, id: "{{ id }}"}\n')
    (cups.folder / "none.csv").write_text("id\n")
    time.sleep(AGE)
    run(["build"])
    capsys.readouterr()
    run(["build", "-v"])
    capsys.readouterr()
    state(cups).unlink()
    run(["build"])
    walked = capsys.readouterr()
    assert "note: " in walked.err
    assert answer() == 0
    assert capsys.readouterr().err == walked.err
    assert answer("-q") == 0
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    "words",
    [
        ["plan"], ["build", "cups/*"], ["build", "--json"], ["build", "-n"], ["build", "--force", "--all"], ["build", "-v"],
        ["build", "--prune"], ["build", "--provider", "x"], ["build", "--output", "o"], ["build", "--help"], ["build", "-f"],
        ["status", "build"], ["status", "-v"], ["status", "--json"], ["status", "--locked"],
        ["build", "-C", ""], ["build", "build"], ["--yes", "build"], ["build", "--strict"], ["build", "--retry-failed"], [],
    ],
)  # fmt: skip
def test_whatever_is_not_a_plain_build_is_left_to_the_walk(cups: Project, words: list[str]) -> None:
    assert quick_answer.answer(words) is None


@pytest.mark.parametrize(
    "name", ["JSON", "VERBOSE", "QUIET", "COLOR", "DRY_RUN", "LOCKED", "FILE", "DIRECTORY", "STRICT", "CACHE_DIR"]
)
def test_a_variable_that_says_more_is_left_to_the_walk(cups: Project, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(f"QWENBUILD_{name}", "1")
    assert answer() is None


def test_the_folder_and_the_manifest_can_be_named(cups: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(cups.folder.parent)
    assert (answer("-C", "project"), answer("-f", "project/qwenbuild.yaml"), answer("-C", str(cups.folder))) == (0, 0, 0)
    assert (answer(), answer("-C", "elsewhere"), answer("-C", "project", "-f", "other.yaml")) == (None, None, None)


def test_two_manifests_of_one_stem_do_not_share_an_answer(cups: Project) -> None:
    (cups.folder / "qwenbuild.yaml").rename(cups.folder / "a.yaml")
    shutil.copy2(cups.folder / "a.yaml", cups.folder / "a.yml")
    time.sleep(AGE)
    assert cups.build(file="a.yaml").exit_code == 0
    assert cups.build(file="a.yaml").exit_code == 0
    assert (answer("-f", "a.yaml"), answer("-f", "a.yml")) == (0, None)


def test_a_part_or_another_output_is_never_remembered(cups: Project) -> None:
    before = state(cups).read_bytes()
    cups.build(select=("cups/red",))
    cups.build(output="elsewhere")
    assert state(cups).read_bytes() == before


# ---------------------------------------------------------------- what is seen


@pytest.mark.parametrize("change", [same_size, replaced, Path.unlink, Path.touch, lambda path: path.write_bytes(b"")])
@pytest.mark.parametrize("name", [*INPUTS, "qwenbuild.lock", "assets/cups/red.png", "assets/web/blue.png"])
def test_a_file_that_was_touched_in_any_way_is_looked_at(cups: Project, name: str, change: Callable[[Path], object]) -> None:
    change(cups.folder / name)
    assert answer() is None


def test_what_a_look_finds_unchanged_is_answered_again(cups: Project) -> None:
    for name in [*INPUTS, "qwenbuild.lock", "assets/cups/red.png"]:
        path = cups.folder / name
        path.write_bytes(path.read_bytes())
    assert answer() is None
    time.sleep(AGE)
    assert (cups.build().exit_code, cups.submitted, cups.written) == (0, [], [])
    assert answer() == 0


def test_an_edited_output_is_found_however_it_was_hidden(cups: Project) -> None:
    same_size(cups.out / "cups/red.png")
    assert cups.verdicts() == {"cups/red": "modified", "cups/blue": "fresh"}
    cups.build()
    assert answer() is None


def test_a_second_manifest_beside_it_is_seen(cups: Project) -> None:
    (cups.folder / "qwenbuild.yml").write_text("version: 1\n")
    assert answer() is None


@pytest.mark.parametrize("name", ["art", "assets/cups", "assets"])
def test_a_folder_that_became_a_link_is_seen(cups: Project, name: str) -> None:
    folder = cups.folder / name
    elsewhere = cups.folder.parent / "elsewhere"
    folder.rename(elsewhere)
    folder.symlink_to(elsewhere)
    assert answer() is None or name == "assets"


def test_a_file_that_became_a_link_is_seen(cups: Project) -> None:
    for name in ("prompts/cup.j2", "assets/cups/red.png"):
        path, elsewhere = cups.folder / name, cups.folder.parent / "elsewhere"
        path.rename(elsewhere)
        path.symlink_to(elsewhere)
        assert answer() is None
        path.unlink()
        elsewhere.rename(path)


def test_what_changes_while_a_build_runs_is_not_counted_as_built(cups: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every file is written again after it was read or hashed: whether with other bytes, only a look can tell."""
    from qwenbuild.engine import walk

    real = walk.remember_idle

    def edited(name: str) -> Callable[..., None]:
        def late(*args: Any) -> None:
            path = cups.folder / name
            path.write_bytes(path.read_bytes())
            time.sleep(AGE)
            real(*args)

        return late

    for name in ("qwenbuild.yaml", "assets/cups/red.png", "cups.csv", "prompts/cup.j2", "qwenbuild.lock"):
        monkeypatch.setattr(walk, "remember_idle", edited(name))
        state(cups).unlink(missing_ok=True)
        cups.build()
        assert answer() is None, name
        monkeypatch.setattr(walk, "remember_idle", real)
        time.sleep(AGE)
        cups.build()
        assert answer() == 0


@pytest.mark.parametrize("name", ["qwenbuild.yaml", "cups.csv", "prompts/cup.j2", "art/shape.png"])
def test_what_changes_while_pictures_are_bought_is_not_counted_as_built(
    cups: Project, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """The pictures were bought for what was read; what stands there now is for the next build."""
    from qwenbuild.engine import walk

    real, path = walk.remember_made, cups.folder / name

    def edited(*args: Any, **said: Any) -> None:
        path.write_bytes(path.read_bytes() + b" ")
        time.sleep(AGE)
        real(*args, **said)

    monkeypatch.setattr(walk, "remember_made", edited)
    (cups.folder / "cups.csv").write_text("id,colour\nred,red\nblue,azure\n")
    time.sleep(AGE)
    assert cups.build().counts["generated"] == 1
    assert answer() is None


def test_a_file_of_the_same_moment_is_not_believed(cups: Project) -> None:
    path = cups.out / "cups/red.png"
    path.write_bytes(path.read_bytes())
    moment = path.stat().st_ctime_ns
    assert not statefile.settled(statefile.signature_of(path.stat()), moment + statefile.RACY_NS // 2)
    assert statefile.settled(statefile.signature_of(path.stat()), moment + 2 * statefile.COARSE_NS)
    coarse = (1, 5_000_000_000, 5_000_000_000, 1)
    assert not statefile.settled(coarse, 6_000_000_000), "a file system that counts in seconds"
    assert statefile.settled(coarse, 8_000_000_000)


def test_a_file_that_a_person_puts_in_place_of_ours_at_once_is_not_taken_for_it(
    cups: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, red = os.replace, cups.out / "cups/red.png"

    def late(source: Any, target: Any, **where: Any) -> None:
        real(source, target, **where)
        if str(target).endswith("red.png"):
            red.write_bytes(red.read_bytes()[::-1])

    red.unlink()
    monkeypatch.setattr(tree.os, "replace", late)
    cups.build()
    monkeypatch.setattr(tree.os, "replace", real)
    assert answer() is None
    assert cups.verdicts()["cups/red"] == "modified"


def test_an_open_attempt_is_never_hidden(cups: Project) -> None:
    journal = cups.cache().journal
    action = document(cups.plan().plan.steps[0].candidates[0].candidate.action)
    who: dict[str, Any] = {"provider": "placeholder", "family": "placeholder", "account": "", "base_url": "", "model": "m"}
    attempt = journal.begin(Intent(**who, build="b", project=str(cups.lock), entry="x", key="0" * 64, action=action, body=b""))
    assert isinstance(attempt, Attempt)
    assert answer() is None
    time.sleep(AGE)
    cups.build(offline=True)
    assert journal.live(project=str(cups.lock))
    assert answer() is None
    cups.build()
    assert (journal.live(project=str(cups.lock)), answer()) == ([], 0)


def test_a_rescued_picture_is_brought_home(cups: Project) -> None:
    (cups.folder / ".qwenbuild" / "rescue").mkdir()
    assert answer() is None


def test_the_vaults_losses_are_seen(cups: Project) -> None:
    shutil.rmtree(next((cups.cache_dir / "blobs").glob("??")))
    assert answer() is None


# ---------------------------------------------------------------- what ends it


@pytest.mark.parametrize("name", ["HOME", "XDG_DATA_HOME", "QWENBUILD_CACHE_DIR"])
def test_another_environment_ends_it(cups: Project, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.delenv("QWENBUILD_CACHE_DIR")
    monkeypatch.setenv(name, "/elsewhere")
    assert answer() is None


@pytest.mark.parametrize("name", ["tool", "boot"])
def test_another_tool_or_boot_ends_it(cups: Project, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setattr(statefile, name, lambda: "another")
    assert answer() is None


def test_after_another_boot_every_file_is_hashed_again(cups: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(statefile, "boot", lambda: "another")
    assert statefile.read(str(state(cups))) is None
    monkeypatch.setattr(statefile, "boot", lambda: "")
    cups.build()
    assert answer() is None


def test_another_tool_still_believes_the_digests(cups: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(statefile, "tool", lambda: "another")
    found = statefile.read(str(state(cups)))
    assert found is not None
    assert sorted(found.outputs()) == sorted(cups.tree())


def test_the_day_on_which_a_model_retires_ends_it(cups: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    until = statefile.proven("qwenbuild.yaml").values["until"]  # type: ignore[union-attr]
    assert until > datetime.datetime.now(datetime.UTC).date().isoformat()
    monkeypatch.setattr(statefile, "today", lambda: until)
    assert answer() is None


def test_states_that_are_broken_foreign_or_no_files_are_ignored_and_written_anew(cups: Project) -> None:
    path, whole = state(cups), state(cups).read_bytes()
    broken = [
        b"",
        b"\n",
        whole[:-1],
        whole[:40],
        whole + b"x",
        b"\xff" * 5000,
        whole.replace(b"idle=1", b"idle=2"),
        b"qwenbuild-state 1\n",
    ]
    broken += [whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :] for place in range(0, len(whole), 37)]
    for data in broken:
        path.write_bytes(data)
        assert statefile.read(str(path)) is None
        assert answer() is None
    assert (cups.build().exit_code, cups.submitted) == (0, [])
    assert answer() == 0


@pytest.mark.parametrize("make", [os.mkdir, os.mkfifo, lambda path: os.symlink("/dev/zero", path)])
def test_whatever_stands_in_the_states_place_is_no_trouble(cups: Project, make: Callable[[Path], None]) -> None:
    state(cups).unlink()
    make(state(cups))
    assert answer() is None
    assert cups.build().exit_code == 0


def test_a_state_that_cannot_be_written_is_no_trouble(cups: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*args: Any, **kwargs: Any) -> None:
        raise OSError(errno.ENOSPC, "no space")

    state(cups).unlink()
    monkeypatch.setattr(statefile.os, "replace", full)
    assert cups.build().exit_code == 0
    assert [path.name for path in state(cups).parent.glob("*.tmp")] == []


def test_a_build_that_failed_is_not_remembered_as_done(cups: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    (cups.out / "cups/red.png").write_text("mine")
    cups.edit("style: ink", "style: oil")
    time.sleep(AGE)
    cups.build()
    time.sleep(AGE)
    cups.build()
    assert answer() is None


def test_what_locked_refuses_is_not_answered_under_locked(cups: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remember, "drift", lambda planned: ["cups/red"])
    cups.build()
    assert (answer(), answer("--locked")) == (0, None)


# ---------------------------------------------------------------- processes


MODULES = """
__future__ _blake2 _collections _functools _operator _stat array collections collections.abc errno functools itertools keyword
operator qwenbuild qwenbuild.__main__ qwenbuild.snapshot qwenbuild.snapshot.quick_answer qwenbuild.snapshot.statefile
qwenbuild.stdio reprlib stat time types
"""
"""All that a build with nothing to do may import, beyond what a bare Python has."""


def python(*argv: str, **options: Any) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "PYTHONPATH": str(Path(statefile.__file__).parents[2])}
    return subprocess.run([sys.executable, *argv], capture_output=True, text=True, env=env, check=False, timeout=60, **options)


def test_a_build_with_nothing_to_do_imports_this_and_nothing_else(cups: Project) -> None:
    code = "import sys; before = set(sys.modules); sys.argv = ['qwenbuild', 'build']\n"
    code += "from qwenbuild.__main__ import main\ntry: main()\nexcept SystemExit as end: assert end.code == 0\n"
    code += "print(*sorted(set(sys.modules) - before))"
    python("-c", code)
    done = python("-I", "-B", "-c", f"import sys; sys.path.insert(0, {str(Path(statefile.__file__).parents[2])!r})\n" + code)
    assert done.returncode == 0, done.stderr
    words, modules = done.stdout.splitlines()
    assert words == "Nothing to do: 2 entries are fresh."
    assert set(modules.split()) <= set(MODULES.split())


WALKING = (
    "expand.expansion",
    "images.structure",
    "manifest.loading",
    "plan.pictures",
    "planning.planner",
    "resolve.hosts",
    "verbs.choices",
)
"""Modules of the walk, one for each room: whoever loads one has loaded its room."""


@pytest.mark.parametrize(
    ("environ", "args"),
    [
        ({}, ["explain", "cups/red"]),
        ({"_QWENBUILD_COMPLETE": "bash_complete", "COMP_WORDS": "qwenbuild explain cu", "COMP_CWORD": "2"}, []),
    ],
)
def test_what_is_asked_of_the_remembered_state_alone_loads_no_module_of_the_walk(
    cups: Project, environ: dict[str, str], args: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    code = f"import sys; sys.argv = {['qwenbuild', *args]}\nfrom importlib.util import _LazyModule as Waiting\n"
    code += "from qwenbuild.__main__ import main\ntry: main()\nexcept SystemExit as end: assert end.code == 0, end.code\n"
    code += "waits = lambda module: object.__getattribute__(module, '__class__') is Waiting\n"
    code += "print(*(name for name, module in list(sys.modules.items()) if not waits(module)))"
    done = python("-c", code)
    assert done.returncode == 0, done.stderr
    *lines, loaded = done.stdout.splitlines()
    assert any("cups/red" in line for line in lines)
    assert set(loaded.split()).isdisjoint(f"qwenbuild.{module}" for module in WALKING)


@pytest.mark.parametrize(
    ("how", "end"),
    [
        ("closed", (0, "")),
        ("full", (1, "error: the output could not be written: No space left on device\n")),
        ("gone", (0, "")),
    ],
)
def test_only_an_output_that_is_full_makes_a_build_with_nothing_to_do_fail(
    cups: Project, how: str, end: tuple[int, str]
) -> None:
    streams: dict[str, Any] = {
        "closed": "exec python -m qwenbuild build >&-",
        "full": "exec python -m qwenbuild build >/dev/full",
    }
    line = streams.get(how, "python -m qwenbuild build | true").replace("python", sys.executable)
    done = subprocess.run(["sh", "-c", line], capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stderr) == end


def test_a_terminal_gets_the_words_in_bold(cups: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[str] = []
    person = SimpleNamespace(isatty=lambda: True, write=written.append, flush=lambda: None)
    for name in ("NO_COLOR", "TERM"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(sys, "stdout", person)
    assert answer() == 0
    monkeypatch.setenv("NO_COLOR", "1")
    assert answer() == 0
    assert written == ["\x1b[1mNothing to do: 2 entries are fresh.\x1b[0m\n", "Nothing to do: 2 entries are fresh.\n"]
