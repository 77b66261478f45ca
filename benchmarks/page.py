"""How soon the gallery and the review can be used in a browser, and how smoothly they scroll, at many entries.

    python benchmarks/page.py --count 10000 --browser /usr/bin/chromium

Needs playwright's Python package and a Chromium. A page is usable when the first cards have their pictures and the filter
answers. Frames are counted where the page draws them, while it scrolls by a tenth of a screen a frame. Does not know how the
page is made, nor what a good figure is.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import statistics
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import workload
from noop import command_beside_python

FIRST_CARDS = """() => {
  const pictures = [...document.querySelectorAll('#cards article.card img')];
  return pictures.length > 0 && pictures.some(picture => picture.complete && picture.naturalWidth > 0);
}"""
SCROLL = """seconds => new Promise(done => {
  const moments = [], start = performance.now();
  const frame = now => {
    moments.push(now);
    scrollBy(0, innerHeight / 10);
    if (now - start < seconds * 1000) requestAnimationFrame(frame);
    else done({frames: moments.length - 1, ms: moments.at(-1) - moments[0], y: scrollY,
               worst: Math.max(...moments.slice(1).map((at, number) => at - moments[number]))});
  };
  requestAnimationFrame(frame);
})"""


@contextmanager
def chromium(executable: str) -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as library:
        browser = library.chromium.launch(executable_path=executable, args=["--no-sandbox", "--disable-gpu"])
        try:
            yield browser
        finally:
            browser.close()


def until(page: Any, holds: str, seconds: float = 60.0) -> float:
    """Wall seconds until a function of the page holds; asked from outside, for the page's policy allows no evaluation."""
    started = time.perf_counter()
    while not page.evaluate(holds):
        if time.perf_counter() - started > seconds:
            raise RuntimeError(f"never true: {holds}")
        time.sleep(0.005)
    return time.perf_counter() - started


def visited(browser: Any, address: str, seconds: float) -> dict[str, float]:
    """What one visit of a fresh window shows."""
    page = browser.new_context(viewport={"width": 1440, "height": 900}).new_page()
    page.set_default_timeout(120_000)
    started = time.perf_counter()
    page.goto(address, wait_until="commit")
    until(page, FIRST_CARDS)
    first = time.perf_counter() - started
    page.locator("#search").fill("000042")
    answered = until(page, "() => document.getElementById('count').textContent.startsWith('1 of ')")
    usable = time.perf_counter() - started
    page.locator("#search").fill("")
    until(page, "() => !document.getElementById('count').textContent.includes(' of ')")
    scrolled = page.evaluate(SCROLL, seconds)
    page.context.close()
    rate = scrolled["frames"] / scrolled["ms"] * 1000
    return {
        "first cards, s": first, "usable, s": usable, "filter, s": answered, "frames a second": rate,
        "longest frame, ms": scrolled["worst"], "scrolled, px": scrolled["y"],
    }  # fmt: skip


@contextmanager
def served(command: str, folder: Path, env: dict[str, str]) -> Iterator[str]:
    """The address of the review, for as long as the block runs."""
    with subprocess.Popen([command, "review"], cwd=folder, env=env, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        try:
            yield next(found[0] for line in server.stdout if (found := re.search(r"http://127\S+", line)))
        finally:
            server.terminate()


def table(name: str, visits: list[dict[str, float]]) -> str:
    """A row of medians."""
    figures = [statistics.median(visit[what] for visit in visits) for what in visits[0]]
    return f"| {name} | " + " | ".join(f"{figure:.2f}" if figure < 10 else f"{figure:,.0f}" for figure in figures) + " |"


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--count", type=int, default=10_000, help="entries (default 10,000)")
    asked.add_argument("--runs", type=int, default=3, help="visits, each in a fresh window (default 3)")
    asked.add_argument("--seconds", type=float, default=4.0, help="of scrolling (default 4)")
    asked.add_argument("--browser", default=shutil.which("chromium") or "chromium")
    asked.add_argument("--command", default=command_beside_python(), help="the qwenbuild to measure")
    asked.add_argument("--work", type=Path, help="folder for the project (default: the system's temporary one)")
    asked.add_argument("--json", type=Path, help="save every visit here")
    options = asked.parse_args()
    with tempfile.TemporaryDirectory(prefix="page-", dir=options.work) as name:
        folder, cache = Path(name) / "project", Path(name) / "cache"
        workload.project(folder, options.count, size="64*64")
        workload.built(folder, str(cache))
        env = {**os.environ, "QWENBUILD_CACHE_DIR": str(cache)}
        started = time.perf_counter()
        subprocess.run([options.command, "gallery", "-q"], cwd=folder, env=env, check=True, stdout=subprocess.DEVNULL)
        print(f"qwenbuild gallery, {options.count:,} entries: {time.perf_counter() - started:.1f} s", flush=True)
        index = folder / ".qwenbuild" / "gallery" / "index.html"
        visits: dict[str, list[dict[str, float]]] = {"gallery, a file": [], "review, served": []}
        with chromium(options.browser) as browser, served(options.command, folder, env) as address:
            for _ in range(options.runs):
                visits["gallery, a file"].append(visited(browser, index.as_uri(), options.seconds))
                visits["review, served"].append(visited(browser, address, options.seconds))
    names = list(visits["gallery, a file"][0])
    print(f"load of the machine {os.getloadavg()[0]:.1f}; medians of {options.runs}")
    print("\n".join([f"| page | {' | '.join(names)} |", "|---|" + "---:|" * len(names)]))
    print("\n".join(table(name, each) for name, each in visits.items()))
    if options.json:
        options.json.write_text(json.dumps(visits, indent=2) + "\n")


if __name__ == "__main__":
    main()
