"""Options that several commands share, their QWENBUILD_* twins, and how they become the walk's Options.

What spends or destroys has no twin: nobody should pay because of a forgotten variable.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from decimal import Decimal
from typing import TYPE_CHECKING, Any, TypeVar

import click

from qwenbuild.cli.call import current
from qwenbuild.cli.completion import selectors
from qwenbuild.later import later
from qwenbuild.project.options import Options

with later:
    from qwenbuild import catalog

if TYPE_CHECKING:
    from qwenbuild.project.options import Options

Decorated = TypeVar("Decorated", bound=Callable[..., Any])

SHARDS_MAX = 1000
COST = re.compile(r"(?:(?P<unit>[a-z][a-z0-9_-]*)=)?\$?(?P<amount>\d{1,12}(?:\.\d{1,6})?)", re.ASCII)


class Cost(click.ParamType[tuple[str, Decimal]]):
    """`[UNIT=]AMOUNT`; without a unit dollars are meant."""

    name = "[UNIT=]AMOUNT"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, Decimal]:
        """Read one amount."""
        if isinstance(value, tuple):
            return value
        match = COST.fullmatch(str(value).strip())
        if match is None:
            self.fail(f"{value!r} is not an amount such as 5.00 or {catalog.units()[1]}=60.", param, ctx)
        return match["unit"] or "usd", Decimal(match["amount"])


class ShardName(click.ParamType[tuple[int, int]]):
    """`K/N`: the part K of N."""

    name = "K/N"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, int]:
        """Read one part."""
        if isinstance(value, tuple):
            return value
        number, slash, count = str(value).strip().partition("/")
        if not (slash and number.isascii() and count.isascii() and number.isdecimal() and count.isdecimal()):
            self.fail(f"{value!r} is not a part such as 3/8.", param, ctx)
        if not 1 <= int(number) <= int(count) <= SHARDS_MAX:
            self.fail(f"{value!r} is no part: K goes from 1 to N, and N to {SHARDS_MAX}.", param, ctx)
        return int(number), int(count)


def shard_option(command: Decorated) -> Decorated:
    """`--shard K/N`: one part of the entries."""
    text = "Only part K of N; `plan --shards N` shows the parts."
    return _option("--shard", type=ShardName(), metavar="K/N", help=text)(command)


def json_option(command: Decorated) -> Decorated:
    """`--json`, for what reads."""
    return _flag("--json", "as_json", help="Print JSON (version 1) on stdout.")(command)


def check_option(command: Decorated) -> Decorated:
    """`--check`: exit 3 when something is to do."""
    return _flag("--check", help="Exit 3 unless everything is up to date.")(command)


def strict_option(command: Decorated) -> Decorated:
    """`--strict`: warnings about the manifest are errors."""
    return _flag("--strict", help="Treat warnings about the manifest as errors.")(command)


def offline_option(command: Decorated) -> Decorated:
    """`--offline`: nothing is asked of any server."""
    return _flag("--offline", help="Use no network.")(command)


def select_argument(command: Decorated) -> Decorated:
    """`[SELECT]…`, completed from the manifest."""
    return click.argument("select", nargs=-1, metavar="[SELECT]...", shell_complete=selectors)(command)


def walk_options(command: Decorated) -> Decorated:
    """The options that change what a plan says: of `plan`, `status` and `build`."""
    for decorate in reversed(_WALK):
        command = decorate(command)
    return command


def build_options(command: Decorated) -> Decorated:
    """The options of `build` alone."""
    for decorate in reversed(_BUILD):
        command = decorate(command)
    return command


def walk(**flags: Any) -> Options:
    """The walk's Options: what the command was told, in the call's folder."""
    call = current()
    costs = flags.pop("max_cost", ())
    return Options(folder=call.folder, file=call.file, max_cost=dict(costs) or None, **flags)


def _flag(*names: str, twin: bool = True, **attrs: Any) -> Callable[[Decorated], Decorated]:
    return _option(*names, twin=twin, is_flag=True, **attrs)


def _option(*names: str, twin: bool = True, **attrs: Any) -> Callable[[Decorated], Decorated]:
    if twin:
        word = next(name for name in names if name.startswith("--"))
        attrs |= {"envvar": "QWENBUILD_" + word[2:].upper().replace("-", "_")}
    return click.option(*names, **attrs)


_WALK: list[Callable[[Any], Any]] = [
    offline_option,
    _flag("--force", twin=False, help="Buy again; needs SELECT or --all."),
    _flag("--all", twin=False, help="With --force: every entry."),
    _flag("--overwrite", twin=False, help="Replace files modified by hand (they are kept aside)."),
    _flag("--retry-failed", twin=False, help="Buy again what was refused or failed its check."),
    _option(
        "--max-cost",
        multiple=True,
        type=Cost(),
        metavar="[UNIT=]AMOUNT",
        help="Pay up to this much without asking; repeatable; usd if no unit is given.",
    ),
    _option("--provider", metavar="NAME", help="Use this provider for every entry; with --output."),
    _option("--output", metavar="DIR", help="Use another output folder, with its own lockfile."),
    strict_option,
]

_BUILD: list[Callable[[Any], Any]] = [
    _flag("-n", "--dry-run", "dry", help="Show the plan and stop."),
    _option("-j", "--jobs", type=click.IntRange(min=1), metavar="N", help="At most N jobs in flight."),
    _flag("-y", "--yes", twin=False, help="Pay without asking; budget and brake still apply."),
    _option("--limit", type=click.IntRange(min=0), metavar="N", help="At most N paid pictures, spread over the assets."),
    _flag("--locked", help="Build only what the lockfile names; exit 3 if it would change."),
    _flag("--keep-modified", twin=False, help="With --locked: accept files modified by hand."),
    _flag("--fail-fast", help="Stop submitting at the first failure."),
    _flag("--prune", help="Also remove orphaned files."),
    _flag("--push", twin=False, help="Upload what was made to the shared cache; also QWENBUILD_REMOTE_PUSH=1."),
]


def force_needs_a_choice(force: bool, select: tuple[str, ...], everything: bool) -> None:
    """Refuse `--force` without a word on what; raises a usage error."""
    if force and not select and not everything:
        raise click.UsageError("--force buys pictures again: name what (SELECT), or say --all.")
    if everything and not force:
        raise click.UsageError("--all goes with --force.")


def keep_modified_needs_locked(keep_modified: bool, locked: bool) -> None:
    """Refuse `--keep-modified` where nothing would stop at such a file anyhow; raises a usage error."""
    if keep_modified and not locked:
        raise click.UsageError("--keep-modified goes with --locked: any other build leaves modified files alone.")
