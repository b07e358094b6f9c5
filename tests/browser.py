"""A real, headless Chromium: the one that playwright brought along, else the system's."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Error, Page, Playwright, expect, sync_playwright

PATIENCE_MS = 60_000  # for what takes a moment on a machine that has nothing else to do

expect.set_options(timeout=PATIENCE_MS)


def launched(playwright: Playwright) -> Browser:
    """A browser; a shell without windows if there is one, since a page takes its processes a third of the time.

    Raises:
        Error: there is none.
    """
    try:
        return playwright.chromium.launch()
    except Error:
        found = shutil.which("chromium-headless-shell") or shutil.which("chromium")
        if found is None:
            raise
        return playwright.chromium.launch(executable_path=found)


@contextmanager
def running_browser() -> Iterator[Browser]:
    """A browser; skips where there is none, and fails in CI."""
    with sync_playwright() as playwright:
        try:
            browser = launched(playwright)
        except Error as error:
            if os.environ.get("CI"):
                raise
            wanted = "such as Debian's package chromium-headless-shell"
            pytest.skip(f"needs Chromium, {wanted}: {error.message.splitlines()[0]}")
        yield browser
        browser.close()


def violations(page: Page) -> list[str]:
    """Axe-core's findings on the page as it is now."""
    found = Axe().run(page).response["violations"]
    return [
        f"{rule['id']}: {rule['help']}: {[node['target'] for node in rule['nodes'][:3]]}" for rule in found
    ]


def overflow_px(page: Page) -> int:
    """By how much the page is wider than its window."""
    width: int = page.evaluate("document.documentElement.scrollWidth - innerWidth")
    return width
