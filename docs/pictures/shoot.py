"""Photograph the gallery and the review for README.md and docs/gallery.md: both examples, built offline, in a real Chromium.

Run as `python docs/pictures/shoot.py`; it needs playwright and a `chromium` on the path, and pays nothing.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any

from PIL import Image

FOLDER = Path(__file__).parent
EXAMPLES = FOLDER.parent.parent / "examples"
MOST_BYTES = 100_000
TOOL = [sys.executable, "-m", "qwenbuild"]


def run(folder: Path, *words: str) -> None:
    """A command of the program in a folder."""
    subprocess.run([*TOOL, *words], cwd=folder, check=True, stdout=subprocess.DEVNULL)


def built(work: Path, name: str) -> Path:
    """An example, copied and built, with an earlier revision in git that some of it differs from."""
    folder = work / name
    shutil.copytree(EXAMPLES / name, folder)
    run(folder, "build", "-q")
    who = ["-c", "user.name=a", "-c", "user.email=a@example.invalid"]
    for words in (["init", "-q", "-b", "main"], ["add", "qwenbuild.lock", "qwenbuild.yaml"], [*who, "commit", "-qm", "before"]):
        subprocess.run(["git", *words], cwd=folder, check=True)
    return folder


def tavern(work: Path) -> Path:
    """The tavern with choices, a missing file and a new finish."""
    folder = built(work, "tavern")
    manifest = folder / "qwenbuild.yaml"
    manifest.write_text(manifest.read_text().replace("a masterwork, accent", "a shining masterwork, accent"))
    run(folder, "build", "-q")
    run(folder, "approve", "items/*-common", "rooms/*-day", "-q")
    run(folder, "reject", "items/mead-horn-rare", "-q")
    (folder / "assets" / "icons" / "drink" / "herbal-tea-common.png").unlink()
    return folder


@contextmanager
def browser() -> Iterator[Any]:
    """A headless Chromium."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        made = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox", "--disable-gpu"])
        yield made
        made.close()


def shoot(chromium: Any, name: str, address: str, script: str, *keys: str, scheme: str = "light", width: int = 1280) -> None:
    """One picture of a page, as WebP of less than MOST_BYTES."""
    context = chromium.new_context(viewport={"width": width, "height": 720 if width > 500 else 780}, color_scheme=scheme)
    page = context.new_page()
    page.goto(address)
    page.evaluate(script)
    for key in keys:
        page.keyboard.press(key)
        page.wait_for_timeout(150)
    page.wait_for_timeout(1200)
    image = Image.open(BytesIO(page.screenshot())).convert("RGB")
    context.close()
    for quality in (80, 60, 40):
        out = BytesIO()
        image.save(out, "WEBP", quality=quality, method=6)
        if out.tell() < MOST_BYTES:
            break
    (FOLDER / f"{name}.webp").write_bytes(out.getvalue())
    print(f"{name}.webp {out.tell():,} bytes")


def main() -> None:
    """Make all of them."""
    from qwenbuild import review
    from qwenbuild.project.options import Options

    with tempfile.TemporaryDirectory() as place, browser() as chromium:
        work = Path(place)
        os.environ["QWENBUILD_CACHE_DIR"] = str(work / "cache")
        game, launch = tavern(work), built(work, "launch")
        run(game, "gallery", "-q")
        run(game, "gallery", "--against", "main", "--output", "page", "-q")
        run(launch, "gallery", "-q")
        page = (game / ".qwenbuild" / "gallery" / "index.html").as_uri()
        shoot(chromium, "gallery-cards", page, "0")
        shoot(chromium, "gallery-board", page, "gallery.look.set({ zoom: 112 }); gallery.show('board')", scheme="dark")
        shoot(chromium, "gallery-sheet", page, "gallery.show('sheets')", "ArrowDown", "ArrowRight", "ArrowRight", "ArrowDown")
        shoot(chromium, "gallery-steps", page, "gallery.open(gallery.card('items/ale-mug-rare'), { mode: 'steps' })")
        shoot(chromium, "gallery-changes", (game / "page" / "index.html").as_uri(), "0")
        shoot(chromium, "gallery-places", (launch / ".qwenbuild" / "gallery" / "index.html").as_uri(),
              "gallery.open(gallery.card('cards/en'))")  # fmt: skip
        with review.serve(Options(game)) as served:
            shoot(chromium, "review", served.url, "gallery.show('board')", "ArrowDown", "ArrowRight", "a", "ArrowLeft")


if __name__ == "__main__":
    main()
