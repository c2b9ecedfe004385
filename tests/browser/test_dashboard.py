"""The dashboard's tutorial in JupyterLab and Notebook 7: what is clicked happens in the cluster and on the page.

Its cells run once for each interface, in JupyterLab behind a hub. Tests share what the cells leave on the page, and the
last ones take it away.
"""

from __future__ import annotations

import contextlib
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Locator, expect

from tests.support.clusters import new_cluster_name
from tests.support.jupyter import Interface, NotebookPage, open_notebook, running_jupyter, wait_until

pytestmark = [pytest.mark.cluster, pytest.mark.browser, pytest.mark.timeout(400)]

TUTORIAL = Path(__file__).parents[2] / "notebooks" / "08_dashboard.ipynb"
NAME = "dashboard.ipynb"
TABS = ("Applications", "Models", "Traffic", "Metrics", "Try a query", "Events")
WAIT_MS = 30_000
NARROW = {"lab": 1100, "notebook": 900}
"""Widths of a window in which 800 pixels are left for a panel."""
HUB_PREFIX = "/user/somebody/"
CUT_WORDS = """[...document.querySelectorAll('.cl-panel button, .cl-panel .lm-TabBar-tabLabel')]
    .filter((shown) => shown.offsetParent && shown.scrollWidth > shown.clientWidth).map((shown) => shown.textContent)"""
LONG_CELL = """
import pathlib, time
end_s = time.monotonic() + 60
while not pathlib.Path("seen").exists() and time.monotonic() < end_s:
    time.sleep(0.1)
"""


def write_tutorial(folder: Path, *, more: str = "", cluster: str = "") -> None:
    """Write the tutorial without its last cell, which ends what is to be clicked on, on ports of its own."""
    cluster = cluster or new_cluster_name()
    notebook = json.loads(TUTORIAL.read_text())
    cells = [cell for cell in notebook["cells"] if "stop_all" not in "".join(cell["source"])]
    for cell in cells:
        source = "".join(cell["source"])
        ports = "clipper_query_port=0, clipper_management_port=0, clipper_rpc_port=0"
        cell["source"] = source.replace(
            'LocalContainerManager("dashboard")', f'LocalContainerManager("{cluster}", {ports})'
        ).replace("time.monotonic() + 10", "time.monotonic() + 3")
    if more:
        cells.append({**cells[-1], "cell_type": "code", "id": "more", "source": more, "outputs": [],
                      "execution_count": None, "metadata": {}})  # fmt: skip
    (folder / NAME).write_text(json.dumps({**notebook, "cells": cells}))


@pytest.fixture(scope="module", params=["lab", "notebook"])
def tutorial(
    request: pytest.FixtureRequest, chromium: Browser, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[NotebookPage]:
    """The tutorial after all its cells have run, in one interface; a hub has started that of JupyterLab."""
    interface: Interface = request.param
    options = {"prefix": HUB_PREFIX} if interface == "lab" else {}
    with running_tutorial(chromium, tmp_path_factory.mktemp(interface), interface, **options) as page:
        yield page


in_jupyterlab = pytest.mark.parametrize("tutorial", ["lab"], indirect=True)
shown_by_jupyterlab = pytest.mark.parametrize(
    "tutorial", ["lab", pytest.param("notebook", marks=pytest.mark.long)], indirect=True
)
"""Notebook 7 is made of JupyterLab's parts, whose test stands for it."""


@contextlib.contextmanager
def running_tutorial(browser: Browser, folder: Path, interface: Interface, **options: str) -> Iterator[NotebookPage]:
    """Give the tutorial after all its cells have run; its cluster is stopped afterwards."""
    write_tutorial(folder)
    with (
        running_jupyter(folder, interface, **options) as server,
        open_notebook(browser, server, NAME, width=NARROW[interface]) as page,
    ):
        page.run_all()
        yield page
        page.evaluate("str('conn' in globals() and conn.stop_all())")  # a test may have restarted the kernel


def panel(page: NotebookPage) -> Locator:
    return page.page.locator(".cl-panel").first


def show(page: NotebookPage, tab: str) -> Locator:
    """Open a tab, and return the panel in it."""
    panel(page).get_by_role("tab", name=tab, exact=True).click()
    return panel(page).locator(f".cl-{tab.lower().replace(' ', '-')}").first


def choose(where: Locator, name: str, label: str) -> None:
    where.locator(f".{name} select").select_option(label=label)


def test_every_panel_is_accessible(tutorial: NotebookPage) -> None:
    check_accessibility(tutorial)


@in_jupyterlab
def test_every_panel_is_accessible_in_the_dark(tutorial: NotebookPage) -> None:
    tutorial.change_theme("dark")
    check_accessibility(tutorial)
    tutorial.change_theme("light")


@in_jupyterlab
def test_links_go_through_the_proxy_of_a_hub(tutorial: NotebookPage) -> None:
    link = panel(tutorial).locator(".cl-head a")
    address = tutorial.evaluate("conn.get_query_addr()")
    expect(link).to_have_attribute("href", f"{HUB_PREFIX}proxy/{address.split(':')[1]}/metrics")
    clock = panel(tutorial).locator(".cl-clock")
    link.hover()
    with tutorial.page.expect_popup() as popup:
        # The clock is painted each second, and a finger may be on the button meanwhile.
        before = clock.inner_text()
        tutorial.page.mouse.down()
        wait_until(lambda: clock.inner_text() != before, 30, "the panel is painted")
        tutorial.page.mouse.up()
    # A hub has other users, so the cluster asks for a token, which the panel must not show: the notebook would keep it.
    token = tutorial.evaluate("conn.query_token")
    assert token not in link.get_attribute("href")
    popup.value.get_by_label("Token").fill(token)
    popup.value.get_by_role("button").click()
    expect(popup.value.locator("body")).to_contain_text("clipper_app_queries_total")
    assert "token" not in popup.value.url
    popup.value.close()


def test_applications_are_shown_and_linked(tutorial: NotebookPage) -> None:
    applications = show(tutorial, "Applications")
    row = applications.locator("tr", has_text="handwriting")
    expect(row).to_contain_text("not linked", timeout=WAIT_MS)
    choose(applications, "cl-application", "handwriting")
    choose(applications, "cl-link-model", "digits")
    applications.locator("button.cl-link").click()
    expect(row).to_contain_text("digits:2", timeout=WAIT_MS)
    assert tutorial.evaluate("conn.get_linked_models('handwriting')") == ["digits"]
    # What takes something away asks first.
    choose(applications, "cl-application", "handwriting")
    applications.locator("button.cl-unlink").click()
    applications.locator("button.cl-no").click()
    assert tutorial.evaluate("conn.get_linked_models('handwriting')") == ["digits"]
    # The button in a row keeps the focus while the figures beside it change.
    unlink = applications.get_by_role("button", name="Unlink handwriting")
    unlink.focus()
    wait_for_next_paint(tutorial)
    tutorial.page.keyboard.press("Enter")
    applications.locator("button.cl-yes").click()
    expect(row).to_contain_text("not linked", timeout=WAIT_MS)
    assert tutorial.evaluate("conn.get_linked_models('handwriting')") == []


def test_a_model_is_rolled_back_and_gets_replicas(tutorial: NotebookPage) -> None:
    models = show(tutorial, "Models")
    models.locator("button.cl-rollback").click(timeout=WAIT_MS)
    expect(models.locator("tr", has_text="★ current")).to_contain_text("1", timeout=WAIT_MS)
    expect(models.locator(".cl-outcome")).to_contain_text("Version 1 of digits is current", timeout=WAIT_MS)
    assert tutorial.evaluate("conn.get_current_model_version('digits')") == "1"
    choose(models, "cl-version", "1 (current)")
    models.locator(".cl-replicas input").fill("2")
    models.locator(".cl-replicas input").press("Tab")
    models.locator("button.cl-set-replicas").click()
    expect(models.locator("tr", has_text="★ current")).to_contain_text("2 / 2", timeout=WAIT_MS)
    assert tutorial.evaluate("conn.get_num_replicas('digits', 1)") == 2
    models.locator("button.cl-logs").click()
    expect(models.locator(".cl-log pre")).to_contain_text("digits_1", timeout=WAIT_MS)


def test_traffic_is_divided_by_sliders(tutorial: NotebookPage) -> None:
    """The arrow keys belong to the slider, and not to the notebook."""
    traffic = show(tutorial, "Traffic")
    choose(traffic, "cl-traffic-application", "digits")
    expect(traffic.locator("td", has_text="current version: 1")).to_be_visible(timeout=WAIT_MS)
    choose(traffic, "cl-add-target", "digits:2")
    traffic.locator("button.cl-add").click()
    traffic.get_by_label("Share of digits:2").focus()
    for _ in range(5):
        tutorial.page.keyboard.press("ArrowRight")
    expect(traffic.get_by_label("Per cent of digits", exact=True)).to_have_value("95", timeout=WAIT_MS)
    traffic.get_by_label("Per cent of digits:2").fill("")
    traffic.get_by_label("Per cent of digits:2").press_sequentially("12.5")
    tutorial.page.keyboard.press("Enter")
    expect(traffic.get_by_label("Share of digits", exact=True)).to_have_attribute("aria-valuetext", "87.5 %")
    traffic.locator("button.cl-set-traffic").click()
    expect(traffic.locator(".cl-outcome")).to_contain_text("digits 87.5 %, digits:2 12.5 %", timeout=WAIT_MS)
    assert tutorial.evaluate("conn.get_traffic('digits').shares") == {"digits": 0.875, "digits:2": 0.125}
    traffic.locator("button.cl-back").click()
    expect(traffic.locator(".cl-outcome")).to_contain_text("digits 100 % again", timeout=WAIT_MS)
    assert tutorial.evaluate("conn.get_linked_models('digits')") == ["digits"]


def test_a_stop_asks_first(tutorial: NotebookPage) -> None:
    models = show(tutorial, "Models")
    choose(models, "cl-version", "2")
    models.locator("button.cl-stop-version").click(timeout=WAIT_MS)
    expect(models.locator(".cl-question")).to_contain_text("Stop and unregister digits:2?")
    models.locator("button.cl-yes").click()
    expect(models.locator(".cl-outcome")).to_contain_text("digits:2 is stopped", timeout=WAIT_MS)
    expect(models.locator("table tbody tr")).to_have_count(1, timeout=WAIT_MS)
    assert tutorial.evaluate("conn.get_all_models()") == ["digits:1"]


def test_a_query_is_sent(tutorial: NotebookPage) -> None:
    query = show(tutorial, "Try a query")
    choose(query, "cl-try-application", "digits")
    query.locator(".cl-input textarea").fill("X[1500]")
    num_cells_run = _last_prompt(tutorial)
    query.locator(".cl-input textarea").press("Control+Enter")
    expected = tutorial.evaluate("str(conn.predict('digits', X[1500]).output)")
    expect(query.locator(".cl-output")).to_have_text(expected, timeout=WAIT_MS)
    expect(query.locator(".cl-copied pre").first).to_contain_text("curl")
    assert _last_prompt(tutorial) == num_cells_run, "Jupyter's own shortcut ran no cell"
    # The first of its samples is there to be sent.
    query.locator("button.cl-use-example").click()
    expected = tutorial.evaluate("str(conn.get_app_info('digits')['example']['output'])")
    expect(query.locator(".cl-input textarea")).to_have_value(re.compile(r"\[0\.0, 0\.0, 5\.0, "), timeout=WAIT_MS)
    query.locator("button.cl-send").click()
    expect(query.locator(".cl-copied pre").first).to_contain_text("[0.0,0.0,5.0,", timeout=WAIT_MS)
    expect(query.locator(".cl-output")).to_have_text(expected, timeout=WAIT_MS)
    # A bad input is refused by name.
    query.locator(".cl-input textarea").fill("[1, 'two']")
    query.locator("button.cl-send").click()
    expect(query.locator(".cl-outcome [role=alert]")).to_contain_text("InvalidInputError", timeout=WAIT_MS)
    expect(query.locator(".cl-output")).to_have_count(0)


def test_metrics_are_drawn_and_events_listed(tutorial: NotebookPage) -> None:
    metrics = show(tutorial, "Metrics")
    expect(metrics.locator("canvas").first).to_be_visible(timeout=WAIT_MS)
    expect(metrics.locator(".cl-chart-head").first).to_contain_text("SLO 100")
    events = show(tutorial, "Events")
    expect(events).to_contain_text("model digits was rolled back from version 2 to 1", timeout=WAIT_MS)
    expect(events).to_contain_text("version digits:2 was stopped")


def test_updates_go_on_while_a_cell_runs(tutorial: NotebookPage) -> None:
    clock = panel(tutorial).locator(".cl-clock")
    tutorial.page.evaluate(
        """(code) => { window.clipperDone = false;
            window.jupyterapp.shell.currentWidget.sessionContext.session.kernel
                .requestExecute({ code }).done.then(() => { window.clipperDone = true; }); }""",
        LONG_CELL,
    )
    seen = set()
    wait_until(lambda: seen.add(clock.inner_text()) or len(seen) >= 5, 30, "the panel is painted five times")
    assert tutorial.page.evaluate("window.clipperDone") is False
    expect(panel(tutorial).locator(".cl-stale-banner")).to_be_hidden()
    (tutorial.server.folder / "seen").touch()
    tutorial.page.wait_for_function("window.clipperDone")


def test_no_request_leaves_the_machine_and_no_script_fails(tutorial: NotebookPage) -> None:
    assert tutorial.requests_elsewhere == []
    assert tutorial.errors == []


@shown_by_jupyterlab
def test_a_saved_notebook_shows_the_last_state(tutorial: NotebookPage, tmp_path: Path) -> None:
    tutorial.evaluate("str(conn.register_application('seen-late', 'doubles', '-1', 100_000))")
    wait_until(lambda: "seen-late" in _snapshot(tutorial), 60, "the snapshot is brought up to date")
    saved = tutorial.server.folder / NAME
    exported = tmp_path / "exported.html"
    subprocess.run(
        [sys.executable, "-m", "jupyter", "nbconvert", "--to", "html", f"--output={exported}", str(saved)],
        check=True, capture_output=True, timeout=120,
    )  # fmt: skip
    text = exported.read_text()
    name = tutorial.evaluate("conn.cm.cluster_name")
    assert f"Cluster “{name}”</strong>, as of" in text
    assert "not linked" in text
    assert "Error displaying widget" not in text
    # Opened again, with a kernel that knows nothing of it.
    cold = "cold.ipynb"
    (tutorial.server.folder / cold).write_text(saved.read_text())
    with_page = NotebookPage(tutorial.page.context.new_page(), tutorial.server, cold)
    with_page.open()
    shown = with_page.page.locator("[id^=cl-snapshot]")
    expect(shown).to_contain_text("as of")
    assert shown.locator("td").first.evaluate("cell => getComputedStyle(cell).textAlign") == "left"
    # Jupyter has given the widget up by then, and what it writes in its place is hidden.
    error = with_page.page.get_by_text("Error displaying widget: model not found")
    error.first.wait_for(state="attached")
    assert not any(each.is_visible() for each in error.all())
    with_page.page.close()


@shown_by_jupyterlab
def test_polling_stops_when_no_panel_is_on_the_page(tutorial: NotebookPage) -> None:
    def num_polls() -> int:
        return tutorial.evaluate("__import__('clipper_nb.panels.poller').panels.poller.poller_of(conn).num_polls")

    def is_polled() -> bool:
        before = num_polls()
        tutorial.page.wait_for_timeout(3_000)
        return num_polls() > before

    assert is_polled()
    tutorial.page.evaluate("async () => { await window.jupyterapp.commands.execute('editmenu:clear-all'); }")
    tutorial.page.wait_for_selector(".cl-panel", state="detached")
    wait_until(lambda: not is_polled(), 20, "nobody looks any more")


def test_after_a_restart_of_the_kernel_it_says_that_it_is_stale(tutorial: NotebookPage) -> None:
    tutorial.run_cell("conn.dashboard()")  # it is shown again
    expect(panel(tutorial)).to_be_visible()
    panel(tutorial).scroll_into_view_if_needed()
    expect(panel(tutorial).locator(".cl-stale-banner")).to_be_hidden()
    tutorial.evaluate("str(conn.stop_all())")
    tutorial.restart_kernel()
    expect(panel(tutorial).locator(".cl-stale-banner")).to_contain_text("Stale", timeout=WAIT_MS)
    assert "cl-stale" in str(panel(tutorial).get_attribute("class"))


def check_accessibility(page: NotebookPage) -> None:
    """Let axe look for what offends WCAG 2.1 AA, on each tab in a narrow window, and look for words that are cut."""
    show(page, "Applications").locator("button.cl-unregister").click()  # so that there is a question
    for tab in TABS:
        show(page, tab)
        wait_for_next_paint(page)
        found = Axe().run(
            page.page, context=".cl-panel", options={"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"]}
        )
        assert found.violations_count == 0, f"{tab}: {found.generate_report()}"
        assert page.page.evaluate("document.querySelector('.cl-panel').scrollWidth <= 800"), tab
        check_words(page)


def check_words(page: NotebookPage) -> None:
    """Look for buttons and tabs whose words are cut, beside a file browser in a small and in a large window."""
    usual = page.page.viewport_size
    assert usual is not None
    for width in (780, 1400):
        page.page.set_viewport_size({**usual, "width": width})
        assert page.page.evaluate(CUT_WORDS) == []
    page.page.set_viewport_size(usual)


def wait_for_next_paint(page: NotebookPage) -> None:
    clock = panel(page).locator(".cl-clock")
    expect(clock).not_to_have_text(clock.inner_text(), timeout=WAIT_MS)


def _last_prompt(page: NotebookPage) -> str:
    return page.page.locator(".jp-InputArea-prompt").last.inner_text()


def _snapshot(page: NotebookPage) -> str:
    page.save()
    cells: list[dict[str, Any]] = json.loads((page.server.folder / NAME).read_text())["cells"]
    html = [
        "".join(output["data"].get("text/html", ""))
        for cell in cells
        for output in cell.get("outputs", [])
        if "data" in output
    ]
    return next(text for text in html if "cl-snapshot" in text)
