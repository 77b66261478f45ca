"""What is written where: never out of the project through a link, never as another type than the bytes are, and a full
disk is blamed on the disk that is full."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path
from unittest import mock

import pytest

from qwenbuild.cache.fsops import FileOps
from qwenbuild.errors import InputError
from qwenbuild.images import sniff
from tests.walking import Project

CUP = "version: 1\nassets:\n  cup: {prompt: a cup, output: cup.OUT}\n"


def entry(project: Project, **changes: object) -> None:
    data = json.loads(project.lock.read_text())
    data["entries"]["cup"] |= changes
    project.lock.write_text(json.dumps(data, indent=2, sort_keys=True) + "\n")


@pytest.mark.parametrize("name", ["assets", ".qwenbuild"])
def test_a_folder_that_is_a_link_out_of_the_project_is_named_and_nothing_is_written(walked: Project, name: str) -> None:
    walked.manifest(CUP.replace("OUT", "png"))
    outside = walked.folder.with_name("outside")
    outside.mkdir()
    (walked.folder / name).symlink_to(outside, target_is_directory=True)
    for look in (walked.plan, walked.build):
        with pytest.raises(InputError, match=f"{name} is a link that leads out of the project"):
            look()
    assert list(outside.iterdir()) == []
    assert not walked.lock.exists()


@pytest.mark.parametrize("name", ["assets", ".qwenbuild"])
def test_a_link_that_came_after_a_build_is_refused_too(walked: Project, name: str) -> None:
    walked.manifest(CUP.replace("OUT", "png"))
    assert walked.build().exit_code == 0
    outside = walked.folder.with_name("outside")
    (walked.folder / name).rename(outside)
    (walked.folder / name).symlink_to(outside, target_is_directory=True)
    before = sorted(outside.rglob("*"))
    walked.edit("a cup", "a mug")
    with pytest.raises(InputError, match="leads out of the project"):
        walked.build()
    assert sorted(outside.rglob("*")) == before


def test_a_link_within_the_project_and_a_folder_named_by_a_person_are_fine(walked: Project, tmp_path: Path) -> None:
    walked.manifest(CUP.replace("OUT", "png"))
    (walked.folder / "store").mkdir()
    walked.out.symlink_to("store", target_is_directory=True)
    assert walked.build().exit_code == 0
    assert walked.build(output=str(tmp_path / "elsewhere")).exit_code == 0
    assert (tmp_path / "elsewhere" / "cup.png").exists()


@pytest.mark.parametrize("told", ["image/webp", "image/jpeg", "text/html"])
def test_a_lockfile_does_not_decide_of_what_type_a_pictures_bytes_are(walked: Project, told: str) -> None:
    """The lockfile says WebP of a PNG: the file `cup.webp` is converted all the same, and the next lockfile is right."""
    walked.manifest(CUP.replace("OUT", "webp"))
    assert walked.build().exit_code == 0
    before, tree = walked.lock.read_bytes(), walked.tree()
    entry(walked, media_type=told, outputs={"cup.webp": {}})
    walked.lose("outputs", "index", "state")
    for path in (walked.cache_dir / "receipts").rglob("*.json"):
        path.unlink()
    assert walked.build().exit_code == 0
    assert sniff((walked.out / "cup.webp").read_bytes()) == "image/webp"
    assert walked.tree() == tree
    assert walked.lock.read_bytes() == before


def test_a_full_disk_below_the_output_is_not_blamed_on_the_cache(walked: Project) -> None:
    walked.manifest(CUP.replace("OUT", "png"))
    assert walked.build().exit_code == 0
    walked.lose("outputs")
    write = os.write
    root = str(walked.out)

    def full(self: FileOps, fd: int, data: bytes) -> int:
        if os.readlink(f"/proc/self/fd/{fd}").startswith(root):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return write(fd, data)

    with mock.patch.object(FileOps, "write", full), mock.patch("qwenbuild.cache.blobs._clone", return_value=False):
        summary = walked.build()
    assert summary.exit_code == 1
    ((_, code, message),) = summary.failures
    assert "no space left" in message
    assert "cup.png" in message
    assert "cache" not in message
    assert code == "not-written"
    assert walked.build().counts == {"restored": 1}
