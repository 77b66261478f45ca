"""`qwenbuild cache`: where the paid pictures are kept, whether they are whole, and what nobody needs any more.

Does not know the cache's layout.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from qwenbuild.cli import console
from qwenbuild.cli import options as opt
from qwenbuild.cli.call import current
from qwenbuild.cli.group import Group
from qwenbuild.errors import CacheError, GateStop, InputError, Problem
from qwenbuild.later import later

with later:
    from qwenbuild import cache as vault
    from qwenbuild.cli import reachability, shared_cache
    from qwenbuild.report import escape, terminal, words

if TYPE_CHECKING:
    from qwenbuild.cache.care.gc import GcReport
    from qwenbuild.cache.care.verify import Report

command = Group(
    "cache",
    help="""Look after the cache: every picture that was paid for, under its digest, with a receipt. Deleting it costs money.

    It is $QWENBUILD_CACHE_DIR, or a folder of your user data; nothing is ever evicted.
    """,
)


@command.command("dir", short_help="Print the cache's folder.")
def folder() -> int:
    """Print the cache's folder.

    \b
    Examples:
      qwenbuild cache dir
      du -sh "$(qwenbuild cache dir)"
    """
    console.result([str(vault.cache_dir(os.environ))])
    return 0


@command.command("stats", short_help="Show what the cache holds.")
@opt.json_option
def stats(as_json: bool) -> int:
    """Count pictures, receipts, derived files and attempts.

    \b
    Examples:
      qwenbuild cache stats
      qwenbuild cache stats --json
    """
    from qwenbuild.cache.care import verify as checking

    cache = _open()
    report = checking.stats(cache)
    if as_json:
        console.as_json({"v": 1, "dir": str(cache.root), **asdict(report)})
        return 0
    attempts = ", ".join(f"{number:,} {state}" for state, number in sorted(report.attempts.items())) or "none"
    console.result(
        [
            f"folder     {cache.root}",
            f"pictures   {report.blobs:,} ({_size(report.size)})",
            f"keys       {report.keys:,}",
            f"derived    {report.derived:,}",
            f"attempts   {attempts}",
            f"set aside  {report.quarantined:,}",
            f"free       {_size(report.free)}",
        ]
    )
    return 0


@command.command("verify", short_help="Read every picture and compare its digest.")
@click.option("--remote", is_flag=True, help="Read the shared cache instead: what this project's lockfile names.")
@opt.json_option
def verify(remote: bool, as_json: bool) -> int:
    """Read every picture and receipt. A picture whose bytes do not match its name is set aside, never deleted, and the
    exit code is 1.

    \b
    Examples:
      qwenbuild cache verify
      qwenbuild cache verify --remote
    """
    from qwenbuild.cache.care import verify as checking

    if remote:
        return shared_cache.verify(as_json=as_json)
    cache = _open()
    return _report(checking.verify(cache, full=True), as_json)


@command.command("rebuild", short_help="Rebuild the index from the receipts.")
@opt.json_option
def rebuild(as_json: bool) -> int:
    """Rebuild the index from the receipts, and a broken journal from its intact rows. Nothing is lost.

    \b
    Examples:
      qwenbuild cache rebuild
    """
    from qwenbuild.cache.care import rebuild as rebuilding

    cache = _open()
    return _report(rebuilding.rebuild(cache), as_json)


@command.command("gc", short_help="Remove pictures that no lockfile names; asks first.")
@click.option(
    "-n", "--dry-run", "dry", is_flag=True, help="Only show what would be removed, and what making it again would cost."
)
@click.option("-y", "--yes", is_flag=True, help="Remove without asking.")
@click.option(
    "--remote", is_flag=True, help="Collect in the shared cache what the given LOCKFILEs do not name; removes only with --yes."
)
@click.option(
    "--forget", multiple=True, metavar="LOCKFILE", help="Do not keep pictures for this project, which no longer exists."
)
@click.argument("lockfiles", nargs=-1, metavar="[LOCKFILE]...", type=click.Path(exists=True, dir_okay=False))
@opt.json_option
def gc(dry: bool, yes: bool, remote: bool, forget: tuple[str, ...], lockfiles: tuple[str, ...], as_json: bool) -> int:
    """Find pictures that no lockfile using this cache names, show what making them again would cost, and remove them.

    Lockfiles of branches that are not checked out cannot be seen: pictures that only they name are removed as well.

    \b
    Examples:
      qwenbuild cache gc -n
      qwenbuild cache gc --forget ~/old/qwenbuild.lock
      qwenbuild cache gc --remote main.lock release.lock
    """
    from qwenbuild.cache.care import gc as collecting

    if remote:
        return shared_cache.sweep([Path(path) for path in lockfiles], dry=dry or not yes, as_json=as_json)
    if lockfiles:
        raise click.UsageError("LOCKFILEs are for --remote only; the local cache keeps its own list.")
    cache = _open()
    keep = reachability.reachable(_roots(cache, forget))
    report = collecting.collect(cache, keep)
    if as_json:
        console.as_json(_gc_json(report))
    else:
        console.result(_gc_lines(report))
    if dry or not (report.blobs or report.keys or report.leftovers):
        return 0
    if not yes and not _agreed():
        return 4
    collecting.collect(cache, keep, apply=True)
    for path in forget:
        cache.roots.forget(Path(path).absolute())
    console.message("removed")
    return 0


@command.command("push", short_help="Upload this project's pictures to the shared cache.")
@opt.select_argument
@click.option("-n", "--dry-run", "dry", is_flag=True, help="Only show what would be uploaded.")
@opt.json_option
def push(select: tuple[str, ...], dry: bool, as_json: bool) -> int:
    """Upload every picture that the lockfile names, with its receipt, unless the shared cache has it already.

    The shared cache is `remote:` of the manifest, or $QWENBUILD_REMOTE.

    \b
    Examples:
      qwenbuild cache push -n
      qwenbuild cache push 'potions/*'
    """
    return shared_cache.push(select, dry=dry, as_json=as_json)


@command.command("pull", short_help="Fetch what the lockfile names from the shared cache.")
@opt.select_argument
@click.option("-n", "--dry-run", "dry", is_flag=True, help="Only show what would be fetched.")
@click.option("--receipts", is_flag=True, help="Fetch the receipts too: prices, rewritten prompts.")
@opt.json_option
def pull(select: tuple[str, ...], dry: bool, receipts: bool, as_json: bool) -> int:
    """Fetch every picture that the lockfile names and this machine lacks; exit 1 if some cannot be found.

    `build` does the same by itself for what it needs; this is for going offline.

    \b
    Examples:
      qwenbuild cache pull
      qwenbuild cache pull -n tag:ui
    """
    return shared_cache.pull(select, dry=dry, receipts=receipts, as_json=as_json)


def _open() -> vault.Cache:
    cache = vault.Cache.open(vault.cache_dir(os.environ))
    for notice in cache.notices:
        console.message(f"note: {notice}")
    return cache


def _roots(cache: vault.Cache, forget: tuple[str, ...]) -> list[Path]:
    """The lockfiles to start from. Raises InputError when one is not there: its pictures may still be wanted."""
    if not cache.roots.path.exists() and any(cache.receipts.keys()):
        raise CacheError(
            f"nothing is removed: {cache.roots.path}, the list of the lockfiles that use this cache, is not there; "
            "write the full path of each of your lockfiles into it, a line each, in double quotes",
            code="cache-unreadable",
        )
    forgotten = {Path(path).absolute() for path in forget}
    roots = [path for path in cache.roots.known() if path not in forgotten]
    missing = [path for path in roots if not path.is_file()]
    if missing:
        hint = "bring it back (mount the disk, check out the branch), or pass --forget LOCKFILE if its project no longer exists"
        problems = tuple(Problem("lockfile-missing", f"{path} used this cache and is not there", hint=hint) for path in missing)
        raise InputError(problems[0].message, code="lockfile-missing", problems=problems)
    return roots


def _agreed() -> bool:
    if not terminal.is_terminal(sys.stdin) or not terminal.is_terminal(sys.stderr):
        raise GateStop("removing paid pictures needs confirmation: pass --yes, or -n to only look", code="consent")
    sys.stderr.write("Remove them? [y/N] ")
    sys.stderr.flush()
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def _gc_lines(report: GcReport) -> Iterator[str]:
    if not (report.blobs or report.keys or report.leftovers):
        yield "Nothing to remove: every picture is named by a lockfile."
    else:
        yield f"{words.count(len(report.blobs), 'picture')} that no lockfile names ({_size(report.size)})."
        unknown = f", and {words.count(report.unknown, 'picture')} at an unknown price" if report.unknown else ""
        yield f"Making them again would cost {words.price_words(report.cost) if report.cost else 'nothing'}{unknown}."
    if report.kept_young:
        yield f"{words.count(report.kept_young, 'picture')} of the last 24 hours stay."


def _gc_json(report: GcReport) -> dict[str, Any]:
    return {
        "v": 1,
        "blobs": list(report.blobs),
        "size": report.size,
        "cost": words.price_json(report.cost),
        "unknown_price": report.unknown,
        "kept_young": report.kept_young,
    }


def _report(report: Report, as_json: bool) -> int:
    if as_json:
        console.as_json({"v": 1, "sound": report.sound, **asdict(report)})
    else:
        console.result(_report_lines(report))
    return 0 if report.sound else 1


def _report_lines(report: Report) -> Iterator[str]:
    out = current().out()
    yield from (
        f"{out.style('corrupt', 'red')}  {digest}: set aside, will be restored or bought again" for digest in report.corrupt
    )
    yield from (f"{out.style('missing', 'red')}  {digest}: a receipt names it" for digest in report.missing)
    yield from (f"{out.style('note', 'yellow')}     {escape.visible(notice)}" for notice in report.notices)
    if report.made_anew:
        yield f"journal    {report.rescued_attempts:,} attempts saved, {report.lost_attempts:,} could not be read"
        yield "           a request that was open and is not among them may be bought again: see the provider's task list first"
    journal = "" if report.journal == "ok" else f"; journal: {escape.visible(report.journal)}"
    verdict = "whole" if report.sound else "not whole"
    pictures = f"{words.count(report.blobs, 'picture')} ({_size(report.size)})"
    yield f"The cache is {verdict}: {pictures}, {words.count(report.results, 'result')}{journal}."


def _size(number: int) -> str:
    size = float(number)
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000 or unit == "GB":
            break
        size /= 1000
    return f"{size:.0f} {unit}" if unit == "B" or size >= 100 else f"{size:.1f} {unit}"
