"""The browser that opens the pages, and what it saves."""

import shutil

import pytest

QUIET = ("no-sandbox", "disable-gpu", "disable-background-networking", "disable-component-update")


@pytest.fixture(scope="module")
def browser():
    """Chromium without a window; skips where it or its driver is missing."""
    playwright = pytest.importorskip("playwright.sync_api", reason="Playwright: make test-web")
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        pytest.skip("there is no chromium: make test-web")
    with playwright.sync_playwright() as driver:
        options = [f"--{option}" for option in QUIET]
        found = driver.chromium.launch(executable_path=chromium, args=options)
        yield found
        found.close()


def downloaded(page, button):
    """What a click on a button saves; its path() is where."""
    with page.expect_download() as waiting:
        page.click(button)
    return waiting.value
