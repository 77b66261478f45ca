"""What `status` can say without the walk, when the remembered state proves that nothing changed.

Never says anything else than the walk would: whatever is not simply fresh is left to it.
"""

from __future__ import annotations

from qwenbuild.cli import say
from qwenbuild.cli.call import Call, current
from qwenbuild.snapshot import quick_answer, statefile


def status() -> bool:
    """Print the state of a project that is up to date; False when the walk must look."""
    call = current()
    state = None if call.verbose else plain_state(call)
    if state is None:
        return False
    lines, more = state.values["notices"], int(state.values["more"])
    for line in lines.split("\r") if lines else ():
        say.message(call.err().style("note: ", "yellow") + line)
    if more:
        say.message(f"note: and {more:,} more (-v shows them)")
    count = int(state.values["entries"])
    words = f"{count:,} entry" if count == 1 else f"{count:,} entries"
    say.result([call.out().style(f"Up to date: {words}.", "bold")])
    return True


def plain_state(call: Call) -> statefile.Snapshot | None:
    """The proven state of the call's manifest, when all there is to say of every entry is that it is fresh."""
    manifest = quick_answer.manifest_of(str(call.folder), call.file or "")
    state = None if manifest is None else statefile.proven(manifest)
    return state if state is not None and state.says("plain") else None
