"""A build of one entry is killed, or refused, at each system call that writes or sends; then it is run again.

Two ways: strace injects where the system has it, and a double of the cache's file operations everywhere. Money and pictures
are judged from outside.
"""

from __future__ import annotations

import errno
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

from qwenbuild.cache import Cache
from qwenbuild.cache.fsops import FileOps
from qwenbuild.emulator import Remote, serve
from qwenbuild.errors import QwenbuildError
from qwenbuild.verbs import Options, build
from tests.campaign.lab import APIS, Api, Forge, Shop, emulator, forges, judge, settle
from tests.campaign.part_http import hurried
from tests.walking import Recorder

CALLS = "write pwrite64 fsync fdatasync rename renameat renameat2 unlink unlinkat ftruncate link mkdir mkdirat sendto connect"
ERRORS = {
    "write": ("EIO", "ENOSPC"),
    "pwrite64": ("EIO", "ENOSPC"),
    "fsync": ("EIO",),
    "fdatasync": ("EIO",),
    "rename": ("EACCES", "ENOSPC"),
    "unlink": ("EACCES", "EROFS"),
    "mkdir": ("EROFS", "EACCES"),
    "connect": ("ECONNREFUSED", "EMFILE"),
}
"""Not sendto, which is only killed: threads wake the event loop by it, over a socket pair that never fails in earnest. What the
network does to a request is the part `http`.
"""
PORTABLE = (errno.EIO, errno.ENOSPC, errno.EMFILE, errno.EROFS, errno.EACCES)
PATIENCE = 20.0
"""Seconds in which every run with a fault must end."""
CI_POINTS = 24
USUAL = frozenset({0, 1, 2, 4, 5, 6})
"""Exit codes that are no bug."""


class Died(BaseException):
    """The process ends here, as far as the code under test can tell."""


# ---------------------------------------------------------------- with strace


def _stocked(folder: Path, api: Api, remote: Remote) -> Shop:
    remote.reset()
    remote.configure(enforce=False, latency=0.02)
    shop = Shop(folder / "shop", folder / "cache", api, remote)
    shop.stock({"one": f"a lamp in {folder.name}"})
    return shop


def _traced(shop: Shop, *words: str) -> subprocess.CompletedProcess[str]:
    build_it = [sys.executable, "-m", "tests.campaign.zygote", "build", "--yes"]
    told = ["strace", "-f", "-o", str(shop.folder / "trace"), "-e", f"trace={CALLS.replace(' ', ',')}", *words, *build_it]
    return subprocess.run(
        told, cwd=shop.folder, env=shop.environ, capture_output=True, text=True, timeout=PATIENCE, check=False
    )


def points(shop: Shop) -> Iterator[tuple[str, int]]:
    """Every (call, number) of an undisturbed build. strace counts per thread, so the busiest thread has them all."""
    _traced(shop)
    counts = Counter(re.findall(r"^(\d+) +(\w+)\(", (shop.folder / "trace").read_text(), re.MULTILINE))
    most: Counter[str] = Counter()
    for (_, call), number in counts.items():
        most[call] = max(most[call], number)
    for call, number in sorted(most.items()):
        yield from ((call, n) for n in range(1, number + 1))


def strace_works() -> bool:
    """Whether strace is here and may trace what it starts."""
    if shutil.which("strace") is None:
        return False
    return subprocess.run(["strace", "-o", os.devnull, "true"], capture_output=True, check=False).returncode == 0


def with_strace(whole: bool, seed: int) -> tuple[int, list[str]]:
    """How many runs had a fault, and what was wrong afterwards, in words."""
    chance, number, faults = random.Random(seed), 0, []
    with tempfile.TemporaryDirectory() as folder, emulator(0.02) as remote, forges(1) as (forge,):
        for api in APIS if whole else APIS[:2]:
            orders = list(_orders(list(points(_stocked(Path(folder) / "count" / api.name, api, remote)))))
            if not whole:
                orders = chance.sample(orders, CI_POINTS // 2)
            print(f"  {api.name}: {len(orders)} faults and kills by strace", file=sys.stderr, flush=True)
            for call, which, what in orders:
                number += 1
                shop = _stocked(Path(folder) / str(number), api, remote)
                problem = _injected(shop, forge, call, which, what)
                faults += [f"{api.name}, {call} number {which}, {what}: {problem}"] if problem else []
                shutil.rmtree(shop.folder.parent, ignore_errors=True)
    return number, faults


def _orders(found: list[tuple[str, int]]) -> Iterator[tuple[str, int, str]]:
    for call, number in found:
        yield call, number, "signal=SIGKILL"
        yield from ((call, number, f"error={error}") for error in ERRORS.get(call, ()))


def _injected(shop: Shop, forge: Forge, call: str, number: int, what: str) -> str:
    """What is wrong after the run with the fault and one without, in words."""
    try:
        run = _traced(shop, "-e", f"inject={call}:{what}:when={number}")
    except subprocess.TimeoutExpired:
        return f"still running after {PATIENCE:.0f} s"
    settle(shop.remote)
    killed = run.returncode in (-signal.SIGKILL, 128 + signal.SIGKILL)
    stderr = call == "write" and "error" in what  # the fault may hit the very line that tells of it
    if not killed and run.returncode not in (*USUAL, *((120,) if stderr else ())):
        return f"exit code {run.returncode}: {run.stderr[-400:]}"
    code = forge.run(shop, "build", "--yes")
    return _judged(shop, code)


def _judged(shop: Shop, code: int) -> str:
    verdict = judge(shop, shop.remote.ledger())
    if verdict.bad:
        return verdict.bad + f" (exit code {code}: {shop.log.read_text()[-300:] if shop.log.exists() else ''})"
    if verdict.doubts:
        return "in doubt though it can be settled" if shop.api.doubtless else "" if code == 6 else f"doubt, exit code {code}"
    return "" if code == 0 else f"exit code {code} in the next build"


# ---------------------------------------------------------------- with a double of the file operations


class Faulty(FileOps):
    """Real file operations that fail, or die, at number `at`; `error` 0 dies, before the operation."""

    NAMES = ("open_new", "write", "fchmod", "fsync", "replace", "fsync_folder", "mkdir", "unlink", "rmdir")

    def __init__(self, at: int, error: int) -> None:
        self.at, self.error, self.number, self.dead = at, error, 0, False
        for name in self.NAMES:
            setattr(self, name, self._counted(getattr(super(), name)))

    def _counted(self, real: Any) -> Any:
        def call(*args: Any, **said: Any) -> Any:
            self.number += 1
            if self.dead or (self.number == self.at and not self.error):
                self.dead = True
                raise Died
            if self.number == self.at:
                raise OSError(self.error, os.strerror(self.error))
            return real(*args, **said)

        return call


def with_double(whole: bool) -> tuple[int, list[str]]:
    """How many runs had a fault, and what was wrong afterwards, in words."""
    number, faults = 0, []
    with tempfile.TemporaryDirectory() as folder, serve(latency=0.01, enforce=False) as served, hurried():
        remote = Remote(served.url)
        for api in APIS if whole else APIS[1:2]:
            clean = Faulty(0, 0)
            _built(_stocked(Path(folder) / "clean" / api.name, api, remote), clean)
            print(f"  {api.name}: {clean.number} file operations", file=sys.stderr, flush=True)
            for error in (0, *PORTABLE) if whole else (0, errno.ENOSPC):
                for at in range(1, clean.number + 1):
                    number += 1
                    shop = _stocked(Path(folder) / str(number), api, remote)
                    problem = _doubled(shop, Faulty(at, error))
                    faults += [f"{api.name}, operation {at}, errno {error}: {problem}"] if problem else []
                    shutil.rmtree(shop.folder.parent, ignore_errors=True)
    return number, faults


def _doubled(shop: Shop, ops: Faulty) -> str:
    start = time.monotonic()
    first = _built(shop, ops)
    if isinstance(first, str) and first != "died":
        return first
    if time.monotonic() - start > PATIENCE:
        return "it took too long"
    second = _built(shop, FileOps())
    return second if isinstance(second, str) else _judged(shop, second)


def _built(shop: Shop, ops: FileOps) -> int | str:
    """The exit code; "died"; or what is wrong with how it ended, in words."""
    real = Cache.open.__func__  # type: ignore[attr-defined]
    opened = classmethod(lambda cls, root, *args: real(cls, root, ops))
    with mock.patch.object(Cache, "open", opened), mock.patch.dict(os.environ, shop.environ, clear=True):
        try:
            summary = build(Options(shop.folder, yes=True), Recorder(), None)
        except QwenbuildError as error:
            return error.exit_code if "\n" not in str(error) else f"several lines: {error}"
        except Died:
            return "died"
        except Exception as error:
            return f"raised {type(error).__name__}: {error}"
    lines = [message for _, _, message in summary.failures if "\n" in message]
    return f"several lines: {lines}" if lines else summary.exit_code


def main(whole: bool) -> list[tuple[str, str]]:
    """The figures. Raises AssertionError when a fault led to a second purchase, a loss, a hang or a bug."""
    seed = random.SystemRandom().randrange(10**6)
    number, faults = with_double(whole)
    figures = [("faulty file operations", f"{number} runs: 0 bought twice, 0 lost, 0 hung")]
    if strace_works():
        traced, more = with_strace(whole, seed)
        faults += more
        figures.append(("faults and kills at system calls", f"{traced} runs: 0 bought twice, 0 lost, 0 hung (seed {seed})"))
    else:
        figures.append(("faults and kills at system calls", "not run: there is no strace here"))
    assert not faults, f"{len(faults)} of {figures} (seed {seed})\n" + "\n".join(faults)
    return figures
