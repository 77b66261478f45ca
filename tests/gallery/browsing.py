"""One window of a real browser, with what went wrong in it; knows no page of ours.

The browser's library keeps an event loop running in its thread, so it has a thread of its own: builds need the main one's.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


class Far:
    """An object of the browser's thread; what is asked of it is asked there."""

    def __init__(self, thing: Any, thread: ThreadPoolExecutor) -> None:
        self._thing, self._thread = thing, thread

    def __getattr__(self, name: str) -> Any:
        return self._near(self._thread.submit(getattr, self._thing, name).result())

    def __call__(self, *args: Any, **said: Any) -> Any:
        return self._near(self._thread.submit(self._thing, *args, **said).result())

    def _near(self, value: Any) -> Any:
        foreign = callable(value) or type(value).__module__.startswith("playwright")
        return Far(value, self._thread) if foreign else value


@contextmanager
def browser(executable: str, environ: dict[str, str]) -> Iterator[Far]:
    """A headless Chromium for as long as the block runs."""
    from playwright.sync_api import sync_playwright

    with ThreadPoolExecutor(1, "browser") as thread:
        started = Far(sync_playwright(), thread).start()
        made = started.chromium.launch(executable_path=executable, args=["--no-sandbox", "--disable-gpu"], env=environ)
        try:
            yield made
        finally:
            made.close()
            started.stop()


@dataclass
class Tab:
    """A page, its console's complaints, and every address that it asked for."""

    page: Any
    faults: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)

    @classmethod
    @contextmanager
    def opened(cls, browser: Any, **said: Any) -> Iterator[Tab]:
        context = browser.new_context(viewport={"width": 1440, "height": 900}, **said)
        page = context.new_page()
        page.set_default_timeout(10_000)
        tab = cls(page)
        page.on("console", lambda message: tab.faults.append(message.text) if message.type in ("error", "warning") else None)
        page.on("pageerror", lambda error: tab.faults.append(str(error)))
        page.on("request", lambda request: tab.asked.append(request.url))
        try:
            yield tab
        finally:
            context.close()

    def go(self, path: Path, fragment: str = "") -> None:
        """Open a file."""
        self.page.goto(path.as_uri() + fragment)

    def press(self, *keys: str) -> None:
        for key in keys:
            self.page.keyboard.press(key)

    def until(self, holds: str, seconds: float = 10) -> None:
        """Wait until an expression holds; asked from outside, for the page's policy allows no evaluation inside."""
        for _ in range(int(seconds * 40)):
            if self.page.evaluate(holds):
                return
            self.page.wait_for_timeout(25)
        raise AssertionError(f"never true: {holds}")

    def complained(self, words: str) -> None:
        """Wait for a complaint of the console that says these words, and take it away."""
        for _ in range(400):
            found = [fault for fault in self.faults if words in fault]
            if found:
                self.faults.remove(found[0])
                return
            self.page.wait_for_timeout(25)
        raise AssertionError(f"no complaint says {words!r}: {self.faults}")

    def visible(self) -> list[str]:
        """The entries that the filter lets through, in order."""
        found: list[str] = self.page.evaluate("gallery.shown.map((card) => card.id)")
        return found

    def text(self, selector: str) -> str:
        found: str = self.page.locator(selector).inner_text()
        return found

    def opened_entry(self) -> str:
        return self.text("#viewer h2")

    def shot(self, folder: Path, name: str, width: int = 1440) -> None:
        self.page.set_viewport_size({"width": width, "height": 844 if width < 500 else 900})
        self.page.wait_for_timeout(150)
        self.page.screenshot(path=str(folder / f"{name}-{width}.png"))
