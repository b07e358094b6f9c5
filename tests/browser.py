"""A real, headless Chromium: the system's, else the one that playwright brought along."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Error, Page, expect, sync_playwright

PATIENCE_MS = 60_000  # for what takes a moment on a machine that has nothing else to do

expect.set_options(timeout=PATIENCE_MS)


@contextmanager
def running_browser() -> Iterator[Browser]:
    """A browser; skips where there is none, and fails in CI."""
    with sync_playwright() as playwright:
        try:
            browser = playwright.chromium.launch(executable_path=shutil.which("chromium"))
        except Error as error:
            if os.environ.get("CI"):
                raise
            pytest.skip(f"needs Chromium, such as Debian's package chromium: {error.message.splitlines()[0]}")
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
