"""Mutation over meaning, on disk: every file that the program reads between builds, mutated by rule.

Knows only what a user would see: exceptions, the emulator's ledger, the files in the tree. Waiting is switched off.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from unittest import mock

from qwenbuild.emulator import Served, serve
from qwenbuild.errors import QwenbuildError
from qwenbuild.verbs import Options, Summary, build
from tests.campaign.lab import APIS, Shop
from tests.campaign.mutation import Mutant, mutants
from tests.campaign.part_http import hurried
from tests.walking import Recorder

DEADLINE_S = 20.0
PICTURES = ("kept", "deleted", "waiting")
"""Entries whose pictures must be in the tree in the end: a file that is there, one that is gone, one with the provider."""
UNANSWERED = "unanswered"
KEY = "DASHSCOPE_API_KEY"
COLUMN_VALUES: Sequence[tuple[str, object]] = (
    ("NULL", None),
    ("empty", ""),
    ("unknown", "MUTATED"),
    ("zero", 0),
    ("negative", -1),
    ("a blob", b"\xff\x00"),
    ("stored", "stored"),
    ("failed", "failed"),
)
LOSSES: Sequence[tuple[str, tuple[str, ...]]] = (
    ("", ()),
    (
        ", lockfile, index, state and files gone",
        ("shop/qwenbuild.lock", "cache/index", "shop/.qwenbuild", "shop/assets"),
    ),
)
"""What is gone beside the mutated file: a second witness must not be needed to see that the first one says nothing."""


@dataclass(frozen=True)
class Case:
    """One thing done to one file of a project with a history. `change` gets the file's path and does it, or raises."""

    name: str
    file: str
    change: Callable[[Path], None]
    lost: tuple[str, ...] = ()


@dataclass
class Ends:
    """How often a trial ended how, and what must never be."""

    trials: int = 0
    ends: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)


# ---------------------------------------------------------------- the history


@dataclass
class History:
    """A project with a past: bought, lost from the tree, with the provider, unanswered. Put back before each trial."""

    folder: Path
    backup: Path
    shop: Shop
    emulator: Served
    jobs: int = 0

    @classmethod
    def made(cls, folder: Path, emulator: Served) -> History:
        """Lived through once, with an emulator whose tasks stay for all trials."""
        shop = Shop(folder / "now" / "shop", folder / "now" / "cache", APIS[0], emulator)  # type: ignore[arg-type]
        key = shop.environ.pop(KEY)
        (shop.folder / ".env").write_text(f"{KEY}={key}\n", encoding="utf-8")
        history = cls(folder / "now", folder / "backup", shop, emulator)
        history._live()
        shutil.copytree(history.folder, history.backup)
        history.jobs = len(emulator.ledger())
        return history

    def _live(self) -> None:
        self._stock("kept", "deleted")
        assert self._code() == 0
        self._stock("kept", "deleted", "waiting", timeout=0.5)
        self.emulator.configure(latency=3600)
        assert self._code() == 1
        self.emulator.configure(latency=0.02)
        self.emulator.advance(3600)
        self._stock("kept", "deleted", "waiting", UNANSWERED, timeout=0.5)
        self.emulator.fault("accepted", "reset", times=1)
        self.emulator.fault("list", "status", status=502, times=None)
        self.emulator.fault("poll", "status", status=502, times=None)
        assert self._code() in (1, 6)
        self.emulator.clear_faults()
        assert self.shop.states().keys() == {"stored", "ticket"} | ({"intent", "doubt"} & self.shop.states().keys())
        self._stock("kept", "deleted", "waiting", UNANSWERED)
        (self.shop.folder / "assets" / "lamps" / "deleted.png").unlink()

    def _stock(self, *ids: str, timeout: float = 30) -> None:
        self.shop.stock({id: f"a paper lamp, {id}" for id in ids}, timeout=timeout)

    def _code(self) -> int:
        end = self.build()
        assert isinstance(end, Summary), end
        return end.exit_code

    def build(self) -> Summary | Exception:
        """A build in this process; what it raises is its end."""
        with mock.patch.dict(os.environ, self.shop.environ, clear=True):
            try:
                return build(Options(self.shop.folder, yes=True), Recorder(), None)
            except Exception as error:
                return error

    def put_back(self, *files: str) -> None:
        """These files as they were, or everything."""
        if not files:
            _remove(self.folder)
            shutil.copytree(self.backup, self.folder)
        for name in files:
            _remove(self.folder / name)
            (self.folder / name).parent.mkdir(parents=True, exist_ok=True)
            if (self.backup / name).is_dir():
                shutil.copytree(self.backup / name, self.folder / name)
            else:
                shutil.copy2(self.backup / name, self.folder / name)

    def missing(self) -> list[str]:
        """The paid pictures whose files are not there."""
        return [id for id in PICTURES if not self.shop.file(id)]


def _remove(path: Path) -> None:
    if path.is_dir():
        for inner in path.rglob("*"):
            inner.chmod(inner.stat().st_mode | 0o700)
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


# ---------------------------------------------------------------- the cases


def cases(history: History) -> list[Case]:
    """Every mutant of every file, with and without its other witnesses."""
    names = ["shop/qwenbuild.lock", "shop/.env", "cache/VERSION", "cache/roots", "cache/journal.made"]
    names += [_name(history, path) for path in sorted((history.backup / "shop" / ".qwenbuild").glob("*.state"))]
    receipts = [_name(history, path) for path in sorted((history.backup / "cache" / "receipts").rglob("*.json"))]
    made: list[Case] = []
    for words, lost in LOSSES:
        for name in [*names, *receipts[:1], "cache/journal.db", "cache/index/cache.db"]:
            if any(name.startswith(part) for part in lost):
                continue
            made += _content_cases(history, name, words, lost)
        made += [_gone(name, words, lost) for name in [*receipts[:1], "cache/VERSION", "cache/roots"]]
        made += list(_row_cases(history, words, lost))
    made += list(_index_cases(history))
    return made


def _name(history: History, path: Path) -> str:
    return path.relative_to(history.backup).as_posix()


def _content_cases(history: History, name: str, words: str, lost: tuple[str, ...]) -> list[Case]:
    document = (history.backup / name).read_bytes()
    found = mutants(document) if document[:6] != b"SQLite" else [*_bits(document), *mutants(document)]
    return [Case(f"{Path(name).name}: {mutant.name}{words}", name, _writes(mutant.body), lost) for mutant in found]


def _bits(document: bytes) -> Iterator[Mutant]:
    """A bit flipped here and there in a database."""
    for part in range(1, 24):
        place = part * len(document) // 24
        yield Mutant(f"bit {place}", document[:place] + bytes([document[place] ^ 0x10]) + document[place + 1 :])


def _writes(body: bytes) -> Callable[[Path], None]:
    def change(path: Path) -> None:
        for side in ("-wal", "-shm", "-journal"):
            path.with_name(path.name + side).unlink(missing_ok=True)
        path.chmod(0o600)
        path.write_bytes(body)

    return change


def _gone(name: str, words: str, lost: tuple[str, ...]) -> Case:
    return Case(f"{Path(name).name}: gone{words}", name, lambda path: path.unlink(), lost)


def _row_cases(history: History, words: str, lost: tuple[str, ...]) -> Iterator[Case]:
    """Each column of each attempt; a value that the database refuses to hold is no case."""
    name = "cache/journal.db"
    with contextlib.closing(sqlite3.connect(history.backup / name)) as db:
        columns = [row[1] for row in db.execute("PRAGMA table_info(attempts)")]
        attempts = list(db.execute("SELECT id, entry FROM attempts ORDER BY sent"))
    for id, entry in attempts:
        for column in columns:
            for what, value in COLUMN_VALUES:
                title = f"journal row of {entry}: {column} {what}{words}"
                yield Case(title, name, _updates("attempts", column, value, "id", id), lost)


def _index_cases(history: History) -> Iterator[Case]:
    name = "cache/index/cache.db"
    with contextlib.closing(sqlite3.connect(history.backup / name)) as db:
        rows = [row[0] for row in db.execute("SELECT rowid FROM Cache ORDER BY rowid")]
    for row in rows[:4]:
        for column in ("key", "value", "size", "mode", "filename", "raw", "expire_time", "tag"):
            for what, value in COLUMN_VALUES[:6]:
                yield Case(f"index row {row}: {column} {what}", name, _updates("Cache", column, value, "rowid", row))


def _updates(table: str, column: str, value: object, by: str, which: object) -> Callable[[Path], None]:
    def change(path: Path) -> None:
        with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as db:
            db.execute("PRAGMA ignore_check_constraints = ON")
            for (trigger,) in list(
                db.execute("SELECT name FROM sqlite_master WHERE type = 'trigger' AND tbl_name = ?", (table,))
            ):
                db.execute(f"DROP TRIGGER {trigger}")
            db.execute(f"UPDATE {table} SET {column} = ? WHERE {by} = ?", (value, which))

    return change


# ---------------------------------------------------------------- one trial


def trial(case: Case, history: History) -> tuple[str, list[str]]:
    """How it ended, and what is wrong, in words."""
    history.put_back()
    for name in case.lost:
        _remove(history.folder / name)
    try:
        case.change(history.folder / case.file)
    except sqlite3.Error:
        return "refused by the database", []
    started = time.monotonic()
    first, second = history.build(), history.build()
    took = time.monotonic() - started
    problems = [f"raised {type(end).__name__}: {end}" for end in (first, second) if _is_a_fault(end)]
    problems += [] if took < 2 * DEADLINE_S else [f"took {took:.0f} s"]
    healed = isinstance(second, Summary) and not history.missing()
    if not healed:
        history.put_back(case.file)
        last = history.build()
        problems += [f"raised {type(last).__name__} in the end: {last}"] if _is_a_fault(last) else []
        problems += [f"not in the tree: {', '.join(history.missing())}"] if history.missing() else []
    bought = len(history.emulator.ledger()) - history.jobs
    if bought:
        problems.append(f"bought {bought} again: {history.emulator.prompts()[-bought:]}")
        history.jobs += bought
    return _end(first, healed), [f"{case.name}: {problem}" for problem in problems]


def _is_a_fault(end: object) -> bool:
    return isinstance(end, Exception) and not isinstance(end, QwenbuildError)


def _end(first: object, healed: bool) -> str:
    if isinstance(first, QwenbuildError):
        return "healed by the second build" if healed else "stopped with a message, whole again with the old file"
    return "healed" if healed else "whole again with the old file"


def run(first: int = 0, step: int = 1, only: str = "") -> Ends:
    """Try the mutants; `first` and `step` choose a part, `only` those whose name holds a word."""
    ends = Ends()
    with serve(latency=0.02, enforce=False) as emulator, hurried(), tempfile.TemporaryDirectory() as folder:
        history = History.made(Path(folder), emulator)
        for case in [case for case in cases(history) if only in case.name][first::step]:
            ends.trials += 1
            end, problems = trial(case, history)
            ends.ends[end] += 1
            ends.faults += problems
    return ends


def main(whole: bool) -> list[tuple[str, str]]:
    """The figures. Raises AssertionError when a mutant led to a purchase, a lost picture, a traceback, or no end."""
    ends = run(step=1 if whole else 20)
    assert not ends.faults, f"{len(ends.faults)} of {ends.trials}\n" + "\n".join(ends.faults)
    spread = ", ".join(f"{count} {end}" for end, count in sorted(ends.ends.items()))
    return [("files mutated", f"{ends.trials} mutants: 0 bought again, 0 given up, 0 tracebacks ({spread})")]
