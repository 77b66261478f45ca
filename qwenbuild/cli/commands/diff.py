"""`qwenbuild diff`: what changed in pictures between two lockfiles.

Does not know how they are compared or worded.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

import click

from qwenbuild.cli import changes as words
from qwenbuild.cli import console
from qwenbuild.cli import options as opt
from qwenbuild.cli.call import current
from qwenbuild.cli.group import Verb
from qwenbuild.later import later

with later:
    from qwenbuild import cache, images, manifest
    from qwenbuild.gallery import revision
    from qwenbuild.gallery import sources as places
    from qwenbuild.lock import diff, lockfile

if TYPE_CHECKING:
    from qwenbuild.gallery.revision import Before
    from qwenbuild.lock.diff import Change, Entries
    from qwenbuild.model import Manifest

HERE = "working tree"


@click.command("diff", cls=Verb)
@click.argument("old", metavar="[REV]", default="HEAD")
@click.argument("new", metavar="[REV]", required=False)
@click.option("--markdown", is_flag=True, help="Print a table for a pull request.")
@click.option(
    "--thumbnails",
    metavar="DIR",
    type=click.Path(file_okay=False, path_type=Path),
    help="Write thumbnails for the table into DIR.",
)
@click.option("--width", type=click.IntRange(16, 1024), default=160, show_default=True, help="Width of a thumbnail, in pixels.")
@opt.json_option
def command(old: str, new: str | None, markdown: bool, thumbnails: Path | None, width: int, as_json: bool) -> int:
    """Show which pictures changed between the lockfile of a git revision (default: HEAD) and the one here, or a second one.

    Reads the lockfiles and the cache only; exits 0 whether or not something changed.

    \b
    Examples:
      qwenbuild diff
      qwenbuild diff main HEAD
      qwenbuild diff main --markdown --thumbnails thumbs > comment.md
    """
    if thumbnails is not None and not markdown:
        raise click.UsageError("--thumbnails needs --markdown.")
    call = current()
    source = manifest.find(call.folder, call.file)
    path = lockfile.path_of(source).absolute()
    before = revision.lock_at(path, old)
    now = revision.lock_at(path, new).entries if new else lockfile.read(path).entries
    changes = diff.compare(before.entries, now)
    names = (old, new or HERE)
    if as_json:
        console.as_json(words.as_json(changes, names))
    elif markdown:
        addresses = _thumbnails(changes, now, before, manifest.load(source), thumbnails, width) if thumbnails else {}
        console.result(words.markdown_lines(changes, names, addresses))
    else:
        console.result(words.text_lines(changes, names, call.out()))
    return 0


def _thumbnails(
    changes: Sequence[Change], now: Entries, before: Before, manifest: Manifest, folder: Path, width: int
) -> dict[str, str]:
    """Digest to the address of its thumbnail, for every picture of the changes whose bytes are at hand."""
    files = {path: record.digest for record in now.values() for path, output in record.outputs.items() if not output.recipe}
    sources = places.Sources.of(cache.Cache.open(cache.cache_dir(os.environ)), manifest.folder / manifest.output, files, before)
    folder.mkdir(parents=True, exist_ok=True)
    addresses: dict[str, str] = {}
    for record in [record for change in changes for record in (change.old, change.new) if record is not None]:
        data = None if record.digest in addresses else sources.read(record.digest)
        if data is None:
            continue
        target = folder / f"{record.digest[:16]}.webp"
        try:
            target.write_bytes(images.thumbnail(data, width))
        except ValueError as error:
            console.message(f"note: no thumbnail of {record.digest[:12]}: {error}")
            continue
        addresses[record.digest] = quote(target.as_posix())
    return addresses
