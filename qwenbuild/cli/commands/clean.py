"""`qwenbuild clean`: remove what nobody wants any more from the output tree.

Does not know which files are ours.
"""

from __future__ import annotations

import click

from qwenbuild.cli import console
from qwenbuild.cli import options as opt
from qwenbuild.cli.call import current
from qwenbuild.cli.group import Verb
from qwenbuild.later import later

with later:
    from qwenbuild import verbs
    from qwenbuild.report import escape, words


@click.command("clean", cls=Verb)
@click.option("--all", "everything", is_flag=True, help="Every unmodified file of ours whose bytes are in the cache.")
@click.option("-n", "--dry-run", "dry", is_flag=True, help="Only show what would be removed.")
def command(everything: bool, dry: bool) -> int:
    """Remove files that the manifest no longer wants. Nothing is lost: only files whose bytes are in the cache are removed.

    \b
    Examples:
      qwenbuild clean -n
      qwenbuild clean --all         the next build restores it all, free of charge
    """
    cleaned = verbs.clean(opt.walk(), everything, dry)
    out = current().out()
    if not out.quiet:
        console.result(f"{'would remove' if dry else 'removed'}  {escape.visible(path)}" for path in cleaned.removed)
        console.result(
            f"{out.style('kept', 'yellow')}  {escape.visible(path)}: {escape.visible(why)}" for path, why in cleaned.kept
        )
    remaining = f", {len(cleaned.kept):,} kept" if cleaned.kept else ""
    console.result([f"{words.count(len(cleaned.removed), 'file')} {'would be removed' if dry else 'removed'}{remaining}."])
    return 1 if cleaned.failed else 0
