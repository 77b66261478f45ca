"""The common workload: n sources, n independent targets, one from each; and the same as a project of ours.

Does not know who builds it, nor how long that takes.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

PER_FOLDER = 1000


def names(count: int) -> Iterator[str]:
    """`000/00000` and so on: a thousand to a folder, as trees of pictures are laid out."""
    for number in range(count):
        yield f"{number // PER_FOLDER:03d}/{number:06d}"


def sources(folder: Path, count: int, colour: str = "red") -> None:
    """`in/<name>.txt`, one short prompt each."""
    for name in names(count):
        path = folder / "in" / f"{name}.txt"
        if name.endswith("000"):
            path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"picture {name} in {colour}\n")


def outputs(folder: Path, count: int, size: int) -> None:
    """`out/<name>.png` of `size` bytes. Sparse: nothing that is measured here reads them, only their stat counts."""
    for name in names(count):
        path = folder / "out" / f"{name}.png"
        if name.endswith("000"):
            path.parent.mkdir(parents=True, exist_ok=True)
        with open(path, "wb") as file:
            file.truncate(size)


def folders(folder: Path, count: int) -> None:
    for number in range(0, count, PER_FOLDER):
        (folder / "out" / f"{number // PER_FOLDER:03d}").mkdir(parents=True, exist_ok=True)


MANIFEST = """\
version: 1
output: out
provider: placeholder
vars: {{style: ink and gouache}}
defaults:
  params: {{size: "{size}"}}
assets:
  pictures:
    prompt: "Picture {{{{ n }}}} of a shelf, {{{{ style }}}}"
    foreach: data/rows.csv
    id: "pictures/{{{{ n }}}}"
    output: "{{{{ folder }}}}/{{{{ n }}}}.png"
    tags: ["shelf-{{{{ folder }}}}"]
  hundred:
    prompt: "Emblem {{{{ k }}}} in {{{{ colour }}}}, {{{{ style }}}}"
    vars: {{colour: {colour}}}
    matrix: {{k: [{hundred}]}}
    id: "hundred/{{{{ k }}}}"
    output: "hundred/{{{{ k }}}}.png"
"""


def project(folder: Path, count: int, *, size: str = "512*512", colour: str = "crimson") -> None:
    """A project of ours with `count` entries in two assets; a hundred of them depend on the variable `colour`."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "data").mkdir(exist_ok=True)
    hundred = min(100, count)
    rows = (f"{number:06d},{number // PER_FOLDER:03d}\n" for number in range(count - hundred))
    (folder / "data" / "rows.csv").write_text("n,folder\n" + "".join(rows))
    recolour(folder, size=size, colour=colour, hundred=hundred)


def recolour(folder: Path, *, size: str = "512*512", colour: str, hundred: int = 100) -> None:
    """The manifest again with another `colour`: what a person changes between two builds."""
    axis = ", ".join(f"e{number:02d}" for number in range(hundred))
    (folder / "qwenbuild.yaml").write_text(MANIFEST.format(size=size, colour=colour, hundred=axis))


def built(folder: Path, cache: str) -> None:
    """Bring it to where nothing is to do, without drawing every picture."""
    subprocess.run([sys.executable, str(Path(__file__).with_name("seeded.py")), str(folder), cache], check=True)


def forget(folder: Path) -> None:
    """Remove the remembered state, which costs nothing but time."""
    shutil.rmtree(folder / ".qwenbuild", ignore_errors=True)
