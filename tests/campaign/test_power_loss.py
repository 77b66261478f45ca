"""Power loss during a whole build: every legal disk after every durable step of its writes, with the journal's commits between.

The disk is played through the cache's own file operations; SQLite's journal is taken at its word (synchronous EXTRA): a commit
that returned is there, one that did not is not.
"""

from __future__ import annotations

import importlib.util
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from qwenbuild.cache import BlobCorrupt, Cache
from qwenbuild.cache.journal import Journal
from qwenbuild.emulator import Served
from qwenbuild.errors import CacheError
from tests.campaign.shop import manifest
from tests.walking import Project


def _laboratory() -> ModuleType:
    path = Path(__file__).parents[1] / "cache" / "cachelab.py"
    spec = importlib.util.spec_from_file_location("campaign_cachelab", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["campaign_cachelab"] = module
    spec.loader.exec_module(module)
    return module


lab = _laboratory()


@dataclass
class Tally:
    """What was found on the disks: pictures lost after "stored" was said, wrong bytes under a name, hollow receipts."""

    states: int = 0
    lost: int = 0
    wrong: int = 0
    hollow: int = 0

    @property
    def violations(self) -> tuple[int, int, int]:
        return self.lost, self.wrong, self.hollow


def recorded(shop: Project, monkeypatch: pytest.MonkeyPatch, *forget: str) -> Any:
    """The log of a whole build: its file operations, and when the journal's commits of "stored" had returned."""
    log = lab.Recording(forget=forget)
    open_cache, stored = Cache.open, Journal.stored_many

    def said(self: Journal, pictures: Any) -> None:
        stored(self, pictures)
        for id, (digest, _) in pictures.items():
            attempt = self.get(id)
            assert attempt is not None
            log.event("stored", f"{attempt.key} {digest}".encode())

    with monkeypatch.context() as patched:
        patched.setattr(Cache, "open", staticmethod(lambda root: open_cache(root, log)))
        patched.setattr(Journal, "stored_many", said)
        assert shop.build(jobs=1).exit_code == 0
    return log


def judged(shop: Project, emulated: Served, log: Any, room: Path, most: int | None = None) -> Tally:
    """Look at every legal disk, and count what is wrong on it."""
    found = Tally()
    real = {digest for job in emulated.ledger() for digest in job["pictures"]}
    vault = room / "disk" / "vault"
    kept = [op for op in log.log if "index" not in op.path.parts and op.path.suffix != ".state"]
    for done, disk in lab.disks(kept):
        said: list[list[str]] = [op.data.decode().split() for op in kept[:done] if op.kind == "stored"]
        if shop.cache_dir in disk or any(shop.cache_dir in path.parents for path in disk):
            lab.lay_out(
                {path: data for path, data in disk.items() if path.is_relative_to(shop.cache_dir)}, shop.cache_dir, vault
            )
        look(found, vault, said, real)
        shutil.rmtree(room / "disk", ignore_errors=True)
        if most is not None and any(found.violations):
            break
    return found


def look(found: Tally, vault: Path, said: list[list[str]], real: set[str]) -> None:
    found.states += 1
    try:
        opened = Cache.open(vault)
    except CacheError:  # it refuses to be used: a picture that was acknowledged is out of reach
        found.lost += 1
        return
    with opened as cache:
        for path in vault.glob("blobs/*/*"):
            if not path.name.startswith("."):
                found.wrong += path.name not in real or lab.digest_of(path.read_bytes()) != path.name
        for key in [path.name for path in vault.glob("receipts/*/*") if path.is_dir()]:
            for result in cache.results([key]).get(key, ()):
                found.hollow += not readable(cache, result.digest)
        for key, digest in said:
            known = {result.digest for result in cache.results([key]).get(key, ())}
            found.lost += digest not in known or not readable(cache, digest)


def readable(cache: Cache, digest: str) -> bool:
    try:
        return bool(cache.read_blob(digest))
    except (BlobCorrupt, CacheError):
        return False


def test_no_disk_that_a_power_cut_may_leave_lost_a_picture_of_a_whole_build(
    shop: Project, emulated: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three entries from intent to lockfile: 0 acknowledged pictures lost, 0 wrong bytes, 0 "stored" without bytes."""
    log = recorded(shop, monkeypatch)
    assert sum(op.kind == "stored" for op in log.log) == 3
    found = judged(shop, emulated, log, tmp_path)
    assert found.states > 60
    assert found.violations == (0, 0, 0)


@pytest.mark.parametrize("forget", ["fsync", "fsync_folder"])
def test_the_same_build_without_its_syncs_is_caught(
    shop: Project, emulated: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, forget: str
) -> None:
    monkeypatch.setattr(lab, "AT_ONCE", 1)  # without syncs every name is loose; losing one is enough
    shop.manifest(manifest(("red",)))
    log = recorded(shop, monkeypatch, forget)
    assert any(judged(shop, emulated, log, tmp_path, most=1).violations)
