"""The verbs of `cache` that speak with the shared cache, and how what they came to is printed.

Does not know a store, and removes nothing by itself.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qwenbuild.cli import console
from qwenbuild.cli import options as opt
from qwenbuild.cli.call import current
from qwenbuild.later import later

with later:
    from qwenbuild import verbs
    from qwenbuild.cli import reachability
    from qwenbuild.planning import remote_pictures
    from qwenbuild.report import escape, progress
    from qwenbuild.report import words as wording

if TYPE_CHECKING:
    from qwenbuild.engine.shared_cache import StoreReport, Swept, TransferReport

SHOWN_MAX = 20
"""So many names are listed; the rest is counted."""


def push(select: tuple[str, ...], *, dry: bool, as_json: bool) -> int:
    """`cache push`."""
    done = verbs.push_pictures(opt.walk(select=select), _reporter(), dry=dry)
    return _carried(done, "uploaded to", "not in this machine's cache", as_json=as_json)


def pull(select: tuple[str, ...], *, dry: bool, receipts: bool, as_json: bool) -> int:
    """`cache pull`."""
    done = verbs.pull_pictures(opt.walk(select=select), _reporter(), dry=dry, receipts=receipts)
    code = _carried(done, "fetched from", "not in the shared cache", as_json=as_json)
    return code or (1 if done.missing else 0)


def verify(*, as_json: bool) -> int:
    """`cache verify --remote`."""
    report = verbs.verify_remote(opt.walk(), _reporter())
    if as_json:
        console.as_json({"v": 1, "sound": report.sound, **asdict(report)})
    else:
        console.result(_checked(report))
    return 0 if report.sound else 1


def sweep(lockfiles: Sequence[Path], *, dry: bool, as_json: bool) -> int:
    """`cache gc --remote`, over the lockfiles given, else over this project's."""
    options = opt.walk()
    keep = reachability.reachable(lockfiles or [verbs.load(options).lock_path])
    report = verbs.sweep_remote(options, keep.keys, keep.digests, dry=dry)
    if as_json:
        console.as_json({"v": 1, **asdict(report)})
    else:
        console.result(_swept(report))
    return 0


def _reporter() -> Any:
    return progress.reporter(sys.stderr, current().err(), live=False)


def _carried(done: TransferReport, words: str, lacks: str, *, as_json: bool) -> int:
    if as_json:
        console.as_json({"v": 1, **asdict(done)})
    else:
        console.result(_carried_lines(done, words, lacks))
    return 1 if done.failed else 0


def _carried_lines(done: TransferReport, words: str, lacks: str) -> Iterator[str]:
    for name, error in list(done.failed.items())[:SHOWN_MAX]:
        yield f"failed   {name[:12]}: {escape.visible(error)}"
    yield from (f"missing  {digest}: {lacks}" for digest in done.missing[:SHOWN_MAX])
    if len(done.missing) > SHOWN_MAX or len(done.failed) > SHOWN_MAX:
        yield f"and {max(0, len(done.missing) - SHOWN_MAX) + max(0, len(done.failed) - SHOWN_MAX):,} more"
    verb = ("would be " if done.dry else "") + words
    size = remote_pictures.size_words(done.bytes)
    yield f"{wording.count(done.moved, 'picture')} of {done.wanted:,} {verb} {escape.visible(done.url)} ({size})."


def _checked(report: StoreReport) -> Iterator[str]:
    yield from (f"corrupt  {digest}: other bytes than its name says" for digest in report.corrupt)
    yield from (f"missing  {digest}: the lockfile names it" for digest in report.missing[:SHOWN_MAX])
    yield from (f"failed   {digest[:12]}: {escape.visible(error)}" for digest, error in list(report.failed.items())[:SHOWN_MAX])
    state = "whole" if report.sound else "not whole"
    bad = f", {len(report.corrupt):,} corrupt, {len(report.missing):,} missing, {len(report.failed):,} not read"
    size = f"{wording.count(report.read, 'picture')} ({remote_pictures.size_words(report.bytes)})"
    yield f"{escape.visible(report.url)} is {state}: {size} read{'' if report.sound else bad}."


def _swept(report: Swept) -> Iterator[str]:
    yield from report.names[:SHOWN_MAX]
    if len(report.names) > SHOWN_MAX:
        yield f"and {len(report.names) - SHOWN_MAX:,} more"
    verb = "would be removed from" if report.dry else "removed from"
    size = remote_pictures.size_words(report.bytes)
    yield f"{wording.count(len(report.names), 'object')} ({size}) {verb} {escape.visible(report.url)}."
    if report.young:
        yield f"{wording.count(report.young, 'object')} of the last 24 hours stay: their lockfile may not be merged yet."
    if report.dry and report.names:
        yield "Lockfiles of branches that were not given do not count. --yes removes."
