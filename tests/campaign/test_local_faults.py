"""The machine's own faults: no room, no permission, a cache that vanishes, no descriptors, clocks that jump, every file broken.

Nothing is ever paid twice, and what was paid for comes back; a fault that stands before the first submit costs nothing.
"""

from __future__ import annotations

import codecs
import os
import pkgutil
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections import namedtuple
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace

import pytest

import qwenbuild
from qwenbuild.cache import Cache, location
from qwenbuild.cache.care import rebuild
from qwenbuild.emulator import Served
from qwenbuild.errors import CacheError, QwenbuildError
from qwenbuild.images import placeholder_png
from qwenbuild.later import load
from qwenbuild.model import Action
from qwenbuild.ports import Event
from tests.campaign.shop import (
    Crash,
    Doing,
    attempt_build,
    build_and_die,
    build_with,
    command,
    manifest,
    paid,
    right_pictures,
)
from tests.walking import Project

ONCE = {"a red lantern": 1, "a blue lantern": 1, "a green lantern": 1}
MEGABYTE = 1 << 20
posix = pytest.mark.skipif(sys.platform == "win32", reason="limits of a process need POSIX")


def all_is_well(shop: Project, emulated: Served) -> None:
    """One more build ends well; each picture was paid once and is the right one."""
    assert shop.build().exit_code == 0
    assert paid(emulated) == ONCE
    assert right_pictures(shop, emulated) == {f"lanterns/{color}.png": True for color in ("red", "blue", "green")}


# ---------------------------------------------------------------- no room

Usage = namedtuple("Usage", "total used free")


PLACE = 32
"""Megabytes that are kept free for each picture in flight; here each picture that was stored takes as many."""


def room(monkeypatch: pytest.MonkeyPatch, project: Project, megabytes: int) -> None:
    """A disk with so much room, less what the pictures stored since then take."""

    def stored() -> int:
        return sum(path.is_file() for path in (project.cache_dir / "blobs").rglob("*"))

    before = stored()
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(0, 0, (megabytes - PLACE * (stored() - before)) * MEGABYTE))


def test_too_little_room_for_two_pictures_stops_before_the_first_submit(
    shop: Project, emulated: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    room(monkeypatch, shop, 319)
    with pytest.raises(CacheError, match="319 MB are free") as caught:
        shop.build()
    assert (caught.value.exit_code, emulated.requests()) == (1, [])


def test_submitting_stops_while_there_is_room_for_what_is_in_flight(
    walked: Project, emulated: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Room for three pictures: three are asked for, stored and published; the other five wait for another build."""
    colors = tuple(f"c{number}" for number in range(8))
    walked.manifest(manifest(colors))
    room(monkeypatch, walked, 256 + 3 * PLACE)
    summary = walked.build()
    assert summary.exit_code == 1
    assert summary.counts == {"generated": 3, "skipped": 5}
    assert "nothing more is submitted until there is room" in summary.failures[0][2]
    assert sum(paid(emulated).values()) == len(walked.tree()) == 3
    room(monkeypatch, walked, 10_000)
    assert walked.build().counts == {"fresh": 3, "generated": 5}
    assert paid(emulated) == {f"a {color} lantern": 1 for color in colors}


@posix
def test_files_that_may_not_grow_cost_no_picture(shop: Project, emulated: Served) -> None:
    """EFBIG where the picture is stored, and where it would be rescued: the job stays in the journal, the next build has it."""
    import resource

    emulated.configure(weight=300_000)

    def small_files() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))

    done = command(shop, emulated.environ(), "build", "--yes", before=small_files)
    assert done.returncode == 1, done.stderr
    assert "the next build fetches the picture again" in done.stderr
    assert "Traceback" not in done.stderr
    all_is_well(shop, emulated)


def test_a_picture_that_the_cache_cannot_take_is_rescued_and_comes_home(
    shop: Project, emulated: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(self: Cache, pictures: Sequence[bytes]) -> list[str]:
        raise CacheError("no space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(Cache, "put_blobs", full)
        summary = shop.build()
    assert summary.exit_code == 1
    rescued = [path for path in (shop.folder / ".qwenbuild" / "rescue").iterdir() if path.suffix != ".json"]
    assert 1 <= len(rescued) == sum(paid(emulated).values())
    assert str(rescued[0].parent) in " ".join(message for _, _, message in summary.failures)
    emulated.advance(3 * 86400)  # tasks and links are gone; only the rescued bytes are left
    summary = shop.build()
    assert [problem.code for problem in summary.problems if problem.code == "rescued"] == ["rescued"]
    assert not list((shop.folder / ".qwenbuild" / "rescue").iterdir())
    all_is_well(shop, emulated)


def test_a_rescued_picture_stays_where_it_is_while_the_cache_still_fails(
    shop: Project, emulated: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(self: Cache, pictures: Sequence[bytes]) -> list[str]:
        raise CacheError("no space left on device")

    monkeypatch.setattr(Cache, "put_blobs", full)
    monkeypatch.setattr(Cache, "put_blob", full)
    shop.build()
    sent = len(emulated.requests())
    with pytest.raises(CacheError):
        shop.build()
    assert len(emulated.requests()) == sent
    monkeypatch.undo()
    for name, value in emulated.environ().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("QWENBUILD_CACHE_DIR", str(shop.cache_dir))
    all_is_well(shop, emulated)


# ---------------------------------------------------------------- no permission


def load_all() -> None:
    """Import every module of the package that a build may ask for later, and read its data."""
    for found in pkgutil.walk_packages(qwenbuild.__path__, "qwenbuild."):
        if not found.name.endswith("__main__"):
            load(found.name)  # also what waits for its first use
    placeholder_png(Action("placeholder", "placeholder", "a", "64*64", seed=1))  # its letters stand in a file


@pytest.fixture
def humble(emulated: Served, quick: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[Project]:
    """A project of a user for whom permissions hold: the superuser's tests run as nobody."""
    if sys.platform == "win32":
        pytest.skip("permissions of this kind need POSIX")
    base = Path(tempfile.mkdtemp(prefix="qwb-humble-"))
    project = Project(base / "project", base / "cache")
    project.folder.mkdir()
    monkeypatch.setenv("QWENBUILD_CACHE_DIR", str(project.cache_dir))
    monkeypatch.chdir(base)
    project.manifest(manifest())
    root = os.geteuid() == 0
    if root:
        load_all()  # the superuser's folders may be closed to the user that the test becomes
        codecs.lookup("utf-8-sig")
        for path in [base, *base.rglob("*")]:
            os.chown(path, 65534, 65534)
        os.seteuid(65534)
    try:
        yield project
    finally:
        if root:
            os.seteuid(0)
        for path in [base, *base.rglob("*")]:
            path.chmod(0o700)
        shutil.rmtree(base)


@pytest.mark.parametrize("known", [False, True], ids=["at the first build", "later"])
@pytest.mark.parametrize("place", ["cache", "assets", "project"])
def test_what_cannot_be_written_is_found_before_anything_is_sent(
    humble: Project, emulated: Served, place: str, known: bool
) -> None:
    if known:
        humble.build(limit=1)
    sent = len(emulated.requests())
    folder = {"cache": humble.cache_dir, "assets": humble.out, "project": humble.folder}[place]
    folder.mkdir(exist_ok=True)
    for path in [folder, *folder.rglob("*")] if place == "cache" else [folder]:
        path.chmod(0o500 if path.is_dir() else 0o400)
    with pytest.raises(QwenbuildError) as caught:
        humble.build()
    assert len(emulated.requests()) == sent
    assert caught.value.exit_code == 1
    assert str(folder) in str(caught.value)
    assert re.search("denied|readonly|read-only", str(caught.value)), str(caught.value)
    for path in [folder, *folder.rglob("*")]:
        path.chmod(0o700)
    all_is_well(humble, emulated)


def test_a_folder_that_cannot_be_written_is_said_when_there_is_nothing_to_pay(humble: Project, emulated: Served) -> None:
    humble.build()
    sent = len(emulated.requests())
    (humble.out / "lanterns/red.png").unlink()
    (humble.out / "lanterns").chmod(0o500)
    summary = humble.build()
    assert summary.exit_code == 1
    assert [(id, code) for id, code, _ in summary.failures] == [("lanterns/red", "not-written")]
    assert "permission denied" in summary.failures[0][2]
    (humble.out / "lanterns").chmod(0o700)
    assert humble.build().counts == {"fresh": 2, "restored": 1}
    assert len(emulated.requests()) == sent


def test_free_pictures_that_cannot_be_written_are_said_entry_by_entry(humble: Project, emulated: Served) -> None:
    humble.edit("provider: dashscope", "provider: placeholder")
    humble.out.mkdir()
    humble.out.chmod(0o500)
    summary = humble.build()
    assert summary.exit_code == 1
    assert {code for _, code, _ in summary.failures} == {"not-written"}


def test_a_lockfile_that_cannot_be_replaced_is_said_and_the_pictures_stay(
    shop: Project, emulated: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    from qwenbuild.lock import lockfile

    def refused(path: Path, raw: bytes) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    with monkeypatch.context() as patched:
        patched.setattr(lockfile, "files", SimpleNamespace(replace=refused))
        summary = shop.build()
    assert summary.exit_code == 1
    assert [code for _, code, _ in summary.failures] == ["lock-not-written"]
    all_is_well(shop, emulated)


# ---------------------------------------------------------------- what vanishes, runs out or jumps


def test_a_cache_that_vanishes_mid_run_loses_no_paid_picture(shop: Project, emulated: Served) -> None:
    """Its folder is deleted when the first ticket is in: paid bytes land in the project, and come home."""
    vanish = Doing("submitted", lambda event: shutil.rmtree(shop.cache_dir, ignore_errors=True))
    summary = build_with(shop, vanish)
    assert summary.exit_code == 1
    assert "Traceback" not in str(summary.failures)
    rescued = shop.folder / ".qwenbuild" / "rescue"
    assert rescued.is_dir(), summary.failures
    all_is_well(shop, emulated)


@posix
@pytest.mark.parametrize("files", [16, 24, 32])
def test_too_few_descriptors_never_pay_twice(shop: Project, emulated: Served, files: int) -> None:
    import resource

    colors = tuple(f"c{number}" for number in range(10))
    shop.manifest(manifest(colors))

    def few() -> None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (files, files))

    done = command(shop, emulated.environ(), "build", "--yes", before=few)
    assert done.returncode in (0, 1), done.stderr
    assert "Traceback" not in done.stderr
    assert shop.build().exit_code == 0
    assert paid(emulated) == {f"a {color} lantern": 1 for color in colors}
    assert all(right_pictures(shop, emulated).values())


@posix
def test_the_usual_limit_of_open_files_is_raised_where_it_may_be(shop: Project, emulated: Served) -> None:
    """macOS lets a process have 256 at first, which a build with 200 calls in flight would exceed."""
    import resource

    shop.manifest(manifest(tuple(f"c{number}" for number in range(10))))
    done = command(
        shop, emulated.environ(), "build", "--yes", before=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (20, 400))
    )
    assert done.returncode == 0, done.stderr


LATE = """
import sys
told, sent = open(sys.argv.pop(1), "w", buffering=1), False
def hook(event, args):
    global sent
    if event == "socket.connect" and not sent:
        sent = True
        print("sent", file=told)
    if event == "import" and sent and args[0] not in sys.modules:
        print(args[0], file=told)
sys.addaudithook(hook)
from qwenbuild.__main__ import main
main()
"""
"""The program, which notes what it imports after the first call."""

MADE = """\
    outputs:
      - {path: "{{ color }}.png"}
      - {path: "{{ color }}.webp", steps: [{trim: {}}, {resize: {width: 64}}], expect: {width: 64}}
"""


@pytest.mark.parametrize("made", ["", MADE], ids=["as they come", "made into files"])
@pytest.mark.parametrize("fault", [None, "submit", "poll", "download"])
def test_nothing_is_imported_after_the_first_call(shop: Project, emulated: Served, made: str, fault: str | None) -> None:
    """An import fails where open files have run out, and where an upgrade replaces the package below a running build."""
    shop.manifest(manifest() + made)
    if fault:
        emulated.fault(fault, "refuse", status=429, code="Throttling", times=1)
    told = shop.cache_dir / "told"
    done = subprocess.run(
        [sys.executable, "-c", LATE, str(told), "build", "--yes"],
        cwd=shop.folder,
        env={**os.environ, **emulated.environ()},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, told.read_text().split()) == (0, ["sent"]), done.stderr


@pytest.mark.parametrize("jump", [86400.0, -86400.0, 400 * 86400.0])
@pytest.mark.parametrize("then", ["goes on", "dies"])
def test_a_clock_that_jumps_pays_nothing_twice(
    shop: Project, emulated: Served, monkeypatch: pytest.MonkeyPatch, jump: float, then: str
) -> None:
    real, offset = time.time, [0.0]
    monkeypatch.setattr(time, "time", lambda: real() + offset[0])

    def leap(event: Event) -> None:
        offset[0] = jump
        if then == "dies":
            raise Crash(event.id)

    try:
        build_with(shop, Doing("submitted", leap))
    except Crash:
        assert then == "dies"
    all_is_well(shop, emulated)


def test_a_cache_on_a_network_file_system_is_refused_with_advice(
    shop: Project, emulated: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(location, "file_system", lambda path, mounts=None: "nfs4")
    with pytest.raises(CacheError, match="QWENBUILD_CACHE_DIR to a folder on a local disk") as caught:
        shop.build()
    assert (caught.value.exit_code, emulated.requests()) == (1, [])


# ---------------------------------------------------------------- every file, in every way

DAMAGE = ("delete", "empty", "half", "flip", "append", "garbage")
FILES = ("blob", "receipt", "index", "journal", "mark", "VERSION", "README", "roots", "pace", "lockfile", "state", "output")
GUARDS = ("journal", "mark", "VERSION")
"""Without these nothing is bought until a person has done what the refusal says."""


def where(shop: Project, name: str) -> Path:
    """The file of that name; of blobs and receipts the one of the red lantern."""
    digest = shop.tree()["lanterns/red.png"]
    if name == "receipt":
        key = next(key for key in _keys(shop) if any(r.digest == digest for r in shop.cache().results([key])[key]))
        return next((shop.cache_dir / "receipts" / key[:2] / key).iterdir())
    places = {
        "blob": shop.cache_dir / "blobs" / digest[:2] / digest,
        "index": shop.cache_dir / "index" / "cache.db",
        "journal": shop.cache_dir / "journal.db",
        "mark": shop.cache_dir / "journal.made",
        "lockfile": shop.lock,
        "state": shop.folder / ".qwenbuild" / "qwenbuild.state",
        "output": shop.out / "lanterns/red.png",
    }
    if name == "pace":
        return next(path for path in (shop.cache_dir / "pace").iterdir() if path.stat().st_size)
    return places.get(name, shop.cache_dir / name)


def _keys(shop: Project) -> list[str]:
    return [path.name for path in (shop.cache_dir / "receipts").glob("*/*") if path.is_dir()]


def damage(path: Path, how: str) -> None:
    data = path.read_bytes()
    broken = {
        "empty": b"",
        "half": data[: len(data) // 2],
        "flip": data[: len(data) // 2] + bytes([data[len(data) // 2] ^ 0x10]) + data[len(data) // 2 + 1 :],
        "append": data + b"tail\n",
        "garbage": bytes(range(256)) * 20,
    }
    if how == "delete":
        path.unlink()
    else:
        path.chmod(0o600)
        path.write_bytes(broken[how])


@pytest.fixture
def furnished(shop: Project, emulated: Served) -> Project:
    """Three lanterns bought and locked, and a fourth whose build died with its ticket."""
    shop.build()
    shop.manifest(manifest(("red", "blue", "green", "amber")))
    build_and_die(shop)
    return shop


@pytest.mark.parametrize("how", DAMAGE)
@pytest.mark.parametrize("name", FILES)
def test_every_file_broken_in_every_way_heals_or_refuses_to_spend(
    furnished: Project, emulated: Served, name: str, how: str
) -> None:
    damage(where(furnished, name), how)
    answer = attempt_build(furnished)
    assert paid(emulated) == {**ONCE, "a amber lantern": 1}
    if isinstance(answer, QwenbuildError):
        assert (name in GUARDS, answer.exit_code) == (True, 1) or (name, answer.exit_code) == ("lockfile", 2), answer
        mend(furnished, name)
        answer = attempt_build(furnished)
    if name == "journal":
        return
    assert not isinstance(answer, QwenbuildError), answer
    if name == "output" and how != "delete":
        assert answer.counts["modified"] == 1
        return
    assert answer.exit_code == 0, answer.failures
    assert paid(emulated) == {**ONCE, "a amber lantern": 1}
    assert all(right_pictures(furnished, emulated).values())
    assert len(furnished.tree()) == 4
    again = attempt_build(furnished)
    assert not isinstance(again, QwenbuildError)
    assert again.counts == {"fresh": 4, "modified": 0}


def mend(shop: Project, name: str) -> None:
    """What the refusal's sentence says to do."""
    if name == "lockfile":
        shop.lock.unlink()
    elif name == "VERSION":
        (shop.cache_dir / name).write_text("1\n", encoding="ascii")
    else:
        with shop.cache() as cache:
            assert rebuild.rebuild(cache).made_anew
