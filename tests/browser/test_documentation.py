"""The documentation's site in Chromium, from disk: both themes, narrow and wide, and nothing from elsewhere."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

pytestmark = [pytest.mark.browser, pytest.mark.timeout(600)]

CHECKOUT = Path(__file__).parents[2]
WCAG = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"]
PAGES = [
    "index.html",
    "reference/connection.html",
    "coming-from/clipper.html",
    "tutorials/01_quickstart.html",
    "cuts.html",
]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built strictly."""
    folder = tmp_path_factory.mktemp("site")
    build = [sys.executable, "-m", "mkdocs", "build", "--quiet", "--strict", "--site-dir", str(folder)]
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(build, cwd=CHECKOUT, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")
    return folder


@pytest.fixture(params=["light", "dark"])
def page(request: pytest.FixtureRequest, chromium: Browser) -> Iterator[Page]:
    """A page of a browser; what it logs or asks of another machine fails the test."""
    context = chromium.new_context(color_scheme=request.param, reduced_motion="reduce")
    page = context.new_page()
    page.set_default_timeout(60_000)
    troubles: list[str] = []
    page.on("console", lambda message: troubles.append(message.text))
    page.on("pageerror", lambda error: troubles.append(str(error)))
    page.on("request", lambda sent: None if sent.url.startswith(("file:", "data:")) else troubles.append(sent.url))
    yield page
    context.close()
    assert troubles == []


@pytest.mark.long  # a page more or less looks alike: test_search_finds_a_method_from_disk stands for it
def test_pages_are_accessible_in_both_themes(site: Path, page: Page) -> None:
    for path in PAGES:
        page.goto(f"file://{site / path}")
        for width in (400, 1400):
            page.set_viewport_size({"width": width, "height": 900})
            found = Axe().run(page, options={"runOnly": WCAG, "preload": False})
            assert found.violations_count == 0, f"{path} at {width}: {found.generate_report()}"
            assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), f"{path} at {width}"


def test_search_finds_a_method_from_disk(site: Path, page: Page) -> None:
    page.goto(f"file://{site / 'index.html'}")
    page.get_by_placeholder("Search").fill("set_traffic")
    found = page.locator(".md-search-result__link").first
    expect(found).to_be_visible()
    found.click()
    expect(page.locator("h1").first).to_be_visible()
