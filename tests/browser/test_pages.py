"""The pages of a query frontend in Chromium: both themes, nothing from elsewhere, and a query that is tried there."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from clipper_nb import ClipperConnection
from clipper_nb.deployers.python import create_endpoint
from tests.support.clusters import running_cluster

pytestmark = [pytest.mark.cluster, pytest.mark.browser, pytest.mark.timeout(300)]

WCAG = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]
Theme = Literal["light", "dark"]


def add_up(inputs: list) -> list:
    return [float(x.sum()) for x in inputs]


@pytest.fixture(scope="module")
def conn() -> Iterator[ClipperConnection]:
    with running_cluster(query_token=True) as conn:
        create_endpoint(conn, "sums", "doubles", add_up, sample_inputs=[[0.5, 1.5]], slo_micros=10_000_000)
        conn.register_application("alone", "strings", "<i>none</i>", 100_000)
        yield conn


@pytest.fixture(params=["light", "dark"])
def page(request: pytest.FixtureRequest, chromium: Browser, conn: ClipperConnection) -> Iterator[Page]:
    """A page of a browser that has brought the token; what it logs or asks elsewhere fails the test."""
    theme: Theme = request.param
    context = chromium.new_context(color_scheme=theme, viewport={"width": 780, "height": 900}, reduced_motion="reduce")
    page = context.new_page()
    page.set_default_timeout(30_000)
    troubles: list[str] = []
    address = f"http://{conn.get_query_addr()}/"
    page.on("console", lambda message: troubles.append(message.text))
    page.on("pageerror", lambda error: troubles.append(str(error)))
    page.on("request", lambda sent: None if sent.url.startswith((address, "data:")) else troubles.append(sent.url))
    page.goto(f"{address}?token={conn.query_token}")
    assert page.url == address
    yield page
    context.close()
    assert troubles == []


def check_accessibility(page: Page) -> None:
    for width in (780, 1400):
        page.set_viewport_size({"width": width, "height": 900})
        found = Axe().run(page, options={"runOnly": WCAG})
        assert found.violations_count == 0, found.generate_report()
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_pages_of_applications_are_accessible(page: Page) -> None:
    expect(page.locator("tbody tr")).to_have_count(2)
    check_accessibility(page)
    page.get_by_role("link", name="sums").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("sums")
    check_accessibility(page)


def test_query_is_tried_in_the_page_with_the_token(page: Page, conn: ClipperConnection) -> None:
    page.get_by_role("link", name="Try the API").click()
    operation = page.locator("#operations-Applications-predict_sums")
    operation.locator(".opblock-summary-control").click()
    check_accessibility(page)
    page.locator(".btn.authorize").click()
    page.locator("#auth-bearer-value").fill(str(conn.query_token))
    check_accessibility(page)
    page.get_by_role("button", name="Apply credentials").click()
    page.get_by_role("button", name="Close", exact=True).click()
    operation.get_by_role("button", name="Execute").click()
    expect(operation.locator(".live-responses-table")).to_contain_text('"output": 2')
    operation.get_by_label("Request body").fill('{"input_batch": [[1], [2, 3]]}')
    operation.get_by_role("button", name="Execute").click()
    expect(operation.locator(".live-responses-table")).to_contain_text('"output": 5')
    check_accessibility(page)
