"""`qwenbuild import`: use a picture made elsewhere for an entry.

Does not know how pictures are checked.
"""

from __future__ import annotations

from pathlib import Path

import click

from qwenbuild.cli import console
from qwenbuild.cli import options as opt
from qwenbuild.cli.choices import agreed, confirm_options
from qwenbuild.cli.completion import entries
from qwenbuild.cli.group import Verb
from qwenbuild.later import later

with later:
    from qwenbuild.report import escape
    from qwenbuild.verbs import adopt


@click.command("import", cls=Verb)
@click.argument("picture", metavar="FILE", type=click.Path(dir_okay=False, path_type=Path))
@click.argument("entry", metavar="ENTRY", shell_complete=entries)
@click.option("--candidate", "number", metavar="N", type=click.IntRange(min=1), help="Replace candidate N.")
@click.option("--any-size", is_flag=True, help="Accept a picture of another size.")
@confirm_options
def command(picture: Path, entry: str, number: int | None, any_size: bool, yes: bool, dry: bool) -> int:
    """Use the picture in FILE (PNG, JPEG or WebP) for ENTRY: an artist's repaint, or one made by another program.

    It is checked, stored in the cache with its own receipt, and named in the lockfile. The picture it replaces stays
    in the cache. FILE is relative to the folder you are in. The next build makes ENTRY's files from it.

    \b
    Examples:
      qwenbuild import -n ~/repaints/knight.png heroes/knight
      qwenbuild import knight.png heroes/knight && qwenbuild build heroes/knight
    """
    options = opt.walk()
    imported = adopt.import_picture(options, picture, entry, number or 0, any_size=any_size, dry=True)
    what = f"{imported.media_type.removeprefix('image/').upper()}, {imported.width}*{imported.height}, {imported.size:,} bytes"
    old = f"replacing {imported.replaces[:12]}" if imported.replaces else "where there is no picture yet"
    console.result(
        [f"{escape.visible(imported.id)}: candidate {imported.number} becomes {escape.visible(str(picture))} ({what}), {old}"]
    )
    if dry:
        return 0
    if not agreed("Use it?", yes=yes):
        return 4
    adopt.import_picture(options, picture, entry, number or 0, any_size=any_size)
    console.result([f"imported ({imported.digest[:12]}); the next build makes its files"])
    return 0
