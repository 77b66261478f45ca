"""`qwenbuild gallery`: everything that ships, on one static page, or on one that fills while a build runs.

Does not know how the page is made.
"""

from __future__ import annotations

import sys
from collections.abc import Callable

import click

from qwenbuild.cli import console, served
from qwenbuild.cli import options as opt
from qwenbuild.cli.call import current
from qwenbuild.cli.group import Verb
from qwenbuild.later import later

with later:
    from qwenbuild.report import terminal, words
    from qwenbuild.verbs import gallery


@click.command("gallery", cls=Verb)
@opt.select_argument
@click.option("--output", metavar="DIR", help="Folder of the page, instead of .qwenbuild/gallery.")
@click.option("--against", metavar="REV", help="Only what changed since a git revision, or since a lockfile, before and after.")
@click.option("--contact-sheet", "sheets", is_flag=True, help="Also write a labelled PNG for each asset into DIR/sheets.")
@click.option("--live", is_flag=True, help="Serve the page on this machine; it fills while a build runs. Until Ctrl-C.")
@click.option("--open", "opens", is_flag=True, help="Open it in the browser.")
def command(select: tuple[str, ...], output: str | None, against: str | None, sheets: bool, live: bool, opens: bool) -> int:
    """Write one folder with one page: the files that ship, a board of each asset's axes, atlases, candidates, before and after.

    It needs no server and nothing outside its folder, so it can be sent to somebody as it is. Costs nothing.
    With --live nothing is written: the page is served and only looks, and needs `pip install 'qwenbuild[server]'`.

    \b
    Examples:
      qwenbuild gallery --open
      qwenbuild gallery --against main 'heroes/*'
      qwenbuild gallery --live --open
      qwenbuild gallery --contact-sheet --output press
    """
    if live:
        if output or sheets:
            raise click.UsageError("--live writes no folder: leave --output and --contact-sheet out.")
        return served.serve(opt.walk(select=select), 0, against or "", opens=opens, choosing=False)
    folder = current().folder / output if output else None
    written = gallery.gallery(opt.walk(select=select), folder, against=against, sheets=sheets, progress=_progress())
    console.notices(written.notices)
    page = written.gallery
    counts = f"{words.count(page.cards, 'entry', 'entries')}, {words.count(page.pictures, 'picture')}"
    console.result([f"{page.index} ({counts}, {_bytes(page.size)})"])
    console.result(map(str, page.sheets))
    if page.lacking:
        console.message(
            f"{words.count(page.lacking, 'picture')} could not be shown: the bytes are not on this machine (`qwenbuild build`)"
        )
    if opens:
        click.launch(page.index.resolve().as_uri())
    return 0


def _progress() -> Callable[[int, int], None]:
    """A line that counts, on a terminal only."""
    if current().quiet or not terminal.is_terminal(sys.stderr):
        return lambda done, all: None

    def told(done: int, all: int) -> None:
        if done % 10 == 0 or done == all:
            sys.stderr.write(f"\r{done:,} of {all:,} pictures" if done < all else "\r\x1b[K")
            sys.stderr.flush()

    return told


def _bytes(size: int) -> str:
    """A size that people read."""
    return f"{size / 1_000_000:.1f} MB" if size >= 1_000_000 else f"{max(1, round(size / 1000))} kB"
