"""What every part of the campaign works with: an emulator in its own process, projects, builds that can be killed, and the
judge, who believes the emulator's ledger and the bytes in the tree alone.

Knows no fault and no kill.
"""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from qwenbuild.emulator import Remote
from qwenbuild.tree import digest_of

ROOT = Path(__file__).parent.parent.parent
PLACES = 8
"""Jobs in flight in one lane."""


@dataclass(frozen=True)
class Api:
    """One way to buy. `doubtless`: its provider can settle every lost answer."""

    name: str
    provider: str
    settings: str
    model: str
    doubtless: bool


APIS = (
    Api("dashscope async", "dashscope", "region: singapore, mode: async", "qwen-image-plus", True),
    Api("dashscope sync", "dashscope", "region: singapore, mode: sync", "qwen-image-plus", False),
    Api("apiframe", "apiframe", "", "qwen-image-2", True),
    Api("qwen2512", "qwen2512", "", "qwen-image-2512", False),
)


def manifest(api: Api, prompts: dict[str, str], rps: float = 200, places: int = PLACES, timeout: float = 60) -> str:
    """A manifest with one entry for each id. `timeout` in seconds, for one job."""
    rows = "\n".join(f"      - {{id: {id}, words: {json.dumps(words)}}}" for id, words in prompts.items())
    separator = ", " if api.settings else ""
    return f"""\
version: 1
provider: {api.provider}
providers:
  {api.provider}: {{{api.settings}{separator}timeout: {timeout:g}, limits: {{rps: {rps:g}, concurrency: {places}}}}}
assets:
  lamps:
    prompt: "{{{{ words }}}}"
    model: {api.model}
    foreach:
{rows}
"""


# ---------------------------------------------------------------- processes


@contextlib.contextmanager
def emulator(latency: float = 0.05, *settings: str) -> Iterator[Remote]:
    """An emulator that outlives every build; it counts rates and refuses nothing for them unless told so."""
    with tempfile.TemporaryDirectory() as folder:
        told = Path(folder) / "emu.env"
        words = ["--latency", str(latency), "--export-file", str(told)]
        for setting in ("enforce=false", *settings):
            words += ["--set", setting]
        process = subprocess.Popen(
            [sys.executable, "-m", "qwenbuild.emulator", *words], cwd=ROOT, stdout=subprocess.DEVNULL, env=clean_environ({})
        )
        try:
            wait_until(told.exists, 30)
            address = next(line for line in told.read_text().splitlines() if "QWENBUILD_OPENAI_BASE_URL" in line)
            yield Remote(address.partition("=")[2].strip("'").removesuffix("/openai"))
        finally:
            process.terminate()
            process.wait(10)


def wait_until(there: Any, seconds: float) -> None:
    """Raises TimeoutError when it does not come true."""
    end = time.monotonic() + seconds
    while not there():
        if time.monotonic() > end:
            raise TimeoutError("it did not come true")
        time.sleep(0.01)


def clean_environ(more: dict[str, str]) -> dict[str, str]:
    """The environment without keys, addresses and proxies, and with the package that is being tested."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.upper().endswith(("_API_KEY", "_PROXY")) and not name.startswith(("QWENBUILD_", "DASHSCOPE_"))
    }
    return {**kept, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1", "HOME": "/nonexistent-home", **more}


class Forge:
    """Starts builds quickly, one after the other."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.campaign.zygote"],
            cwd=ROOT,
            env=clean_environ({}),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            bufsize=1,
        )

    def start(self, shop: Shop, *args: str) -> int:
        """The process id of `qwenbuild ARGS` in the shop's folder; its words go to the shop's log."""
        order = {"args": list(args), "cwd": str(shop.folder), "env": shop.environ, "out": str(shop.log)}
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(order) + "\n")
        return int(self._answer())

    def wait(self) -> int:
        """The exit code of what was started; negative for a signal."""
        return int(self._answer())

    def run(self, shop: Shop, *args: str) -> int:
        """Start and wait."""
        self.start(shop, *args)
        return self.wait()

    def _answer(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError("the forge has died")
        return line

    def close(self) -> None:
        """End it."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(30)
        self._process.stdout.close()


@contextlib.contextmanager
def forges(count: int) -> Iterator[list[Forge]]:
    """So many forges."""
    made = [Forge() for _ in range(count)]
    try:
        yield made
    finally:
        for forge in made:
            forge.close()


# ---------------------------------------------------------------- projects


@dataclass
class Shop:
    """A project that buys through one API, over one cache."""

    folder: Path
    cache: Path
    api: Api
    remote: Remote
    prompts: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.environ = clean_environ({**self.remote.environ(), "QWENBUILD_CACHE_DIR": str(self.cache)})
        self.log = self.folder / "log.txt"

    def stock(self, prompts: dict[str, str], **pace: Any) -> None:
        """Write the manifest."""
        self.prompts = prompts
        (self.folder / "qwenbuild.yaml").write_text(manifest(self.api, prompts, **pace), encoding="utf-8")

    def states(self) -> Counter[str]:
        """How many attempts of the journal stand in which state; read beside any build that may run."""
        return Counter(state for state, _ in self._rows())

    def in_doubt(self) -> set[str]:
        """The entries in doubt."""
        return {entry for state, entry in self._rows() if state == "doubt"}

    def _rows(self) -> list[tuple[str, str]]:
        path = self.cache / "journal.db"
        if not path.exists():
            return []
        with contextlib.closing(sqlite3.connect(path, timeout=30)) as db:
            try:
                return list(db.execute("SELECT state, entry FROM attempts WHERE project LIKE ?", (f"{self.folder}%",)))
            except sqlite3.OperationalError as error:
                if "no such table" in str(error):
                    return []
                raise

    def file(self, id: str) -> str:
        """The digest of an entry's file, "" when it is not there."""
        path = self.folder / "assets" / "lamps" / f"{id}.png"
        return digest_of(path) if path.exists() else ""


def settle(remote: Remote) -> None:
    """Until the emulator has read what a killed build had already sent: it answers requests in turn."""
    for _ in range(2):
        remote.state()
        time.sleep(0.02)


# ---------------------------------------------------------------- the judge


@dataclass
class Verdict:
    """What the ledger and the tree say of one shop. Ids of entries everywhere."""

    twice: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    doubts: list[str] = field(default_factory=list)

    @property
    def bad(self) -> str:
        """What must never be, in words; "" when all is well."""
        parts = [f"{name}: {', '.join(ids[:5])}" for name, ids in vars(self).items() if ids and name != "doubts"]
        return "; ".join(parts)


def judge(shop: Shop, jobs: Sequence[dict[str, Any]], approved: int = 1) -> Verdict:
    """Every wanted picture bought at most `approved` times, and there, and its own, unless it is in doubt."""
    by_prompt: dict[str, list[dict[str, Any]]] = {}
    for job in jobs:
        by_prompt.setdefault(job["prompt"], []).append(job)
    verdict = Verdict(doubts=sorted(id.partition("/")[2] for id in shop.in_doubt()))
    for id, words in shop.prompts.items():
        made, digest = by_prompt.get(words, []), shop.file(id)
        if len(made) > approved:
            verdict.twice.append(id)
        if digest and digest not in {picture for job in made for picture in job["pictures"]}:
            verdict.wrong.append(id)
        if not digest and id not in verdict.doubts:
            verdict.lost.append(id)
    return verdict
