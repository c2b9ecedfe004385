"""The panels in JupyterLab with an application of each input type: all are painted, and all can be asked."""

from __future__ import annotations

import re
from collections.abc import Iterator

import nbformat
import pytest
from playwright.sync_api import Browser, expect

from clipper_nb.protocol.input_types import InputType
from tests.browser.test_dashboard import NAME, TABS, WAIT_MS, choose, panel, show
from tests.support.clusters import new_cluster_name
from tests.support.jupyter import NotebookPage, open_notebook, running_jupyter

pytestmark = [pytest.mark.cluster, pytest.mark.browser, pytest.mark.timeout(300)]

QUERIES = {
    InputType.INTEGERS: ("[1, 2, 3]", 3, "[1, 2, 3], or a variable"),
    InputType.FLOATS: ("[0.5, 1.5]", 2, "[0.1, 0.2], or a variable"),
    InputType.DOUBLES: ("[0.25]", 1, "[0.1, 0.2], or a variable"),
    InputType.STRINGS: ("four", 4, "text, as it is"),
    InputType.JSON: ('{"age": 22, "sex": "male"}', 2, '{"age": 22, "sex": "male"}, or a variable'),
    InputType.BYTES: ("AAFhYmM=", 5, "base64 text, or a variable of this notebook: image_bytes; or upload a file"),
}
"""What somebody types as an input, its length, which the model answers, and what the panel says of such inputs."""
KERNEL = {"name": "python3", "display_name": "Python 3", "language": "python"}
"""Without it the page asks which."""
CELL = """
from clipper_nb import ClipperConnection, LocalContainerManager
from clipper_nb.deployers.python import create_endpoint

ports = dict(clipper_query_port=0, clipper_management_port=0, clipper_rpc_port=0)
conn = ClipperConnection(LocalContainerManager({cluster!r}, **ports))
conn.start_clipper()
for input_type in {input_types!r}:
    create_endpoint(conn, input_type, input_type, lambda inputs: [len(x) for x in inputs], slo_micros=10_000_000)
for number in range(34):
    conn.register_application(f"alone-{{number}}", "doubles", "-1", 100_000)
conn.dashboard()
"""


@pytest.fixture(scope="module")
def notebook(chromium: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[NotebookPage]:
    """A dashboard of a cluster with an application of each input type, named after it."""
    folder = tmp_path_factory.mktemp("input_types")
    cell = CELL.format(cluster=new_cluster_name(), input_types=[input_type.value for input_type in InputType])
    written = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell)], metadata={"kernelspec": KERNEL})
    nbformat.write(written, folder / NAME)
    with running_jupyter(folder, "lab") as server, open_notebook(chromium, server, NAME) as page:
        page.run_all()
        yield page
        page.evaluate("str(conn.stop_all())")


@pytest.mark.parametrize("input_type", InputType)
def test_application_is_painted_and_answers_a_query(notebook: NotebookPage, input_type: InputType) -> None:
    applications = show(notebook, "Applications")
    expect(applications.locator("tr", has_text=f"{input_type}, default None")).to_be_visible(timeout=WAIT_MS)
    typed, length, hint = QUERIES[input_type]
    query = show(notebook, "Try a query")
    choose(query, "cl-try-application", input_type.value)
    expect(query.locator(".cl-input textarea")).to_have_attribute("placeholder", re.compile(re.escape(hint)))
    query.locator(".cl-input textarea").fill(typed)
    send = query.locator("button.cl-send")
    expect(send).to_be_enabled(timeout=WAIT_MS)
    send.click()
    expect(query.locator(".cl-output")).to_have_text(str(length), timeout=WAIT_MS)
    expect(query.locator(".cl-copied pre").first).to_contain_text(f"/{input_type}/predict")


def test_file_is_uploaded_and_asked(notebook: NotebookPage) -> None:
    query = show(notebook, "Try a query")
    choose(query, "cl-try-application", "bytes")
    with notebook.page.expect_file_chooser() as chooser:
        query.locator("button.cl-file").click()
    chooser.value.set_files({"name": "picture.png", "mimeType": "image/png", "buffer": bytes(77)})
    expect(query).to_contain_text("picture.png, 77 bytes", timeout=WAIT_MS)
    query.locator("button.cl-send").click()
    expect(query.locator(".cl-output")).to_have_text("77", timeout=WAIT_MS)


def test_long_table_is_filtered_and_a_row_of_it_tried(notebook: NotebookPage) -> None:
    applications = show(notebook, "Applications")
    assert applications.bounding_box()["height"] < 800
    applications.get_by_label("Filter").fill("strings")
    expect(applications.locator("tbody tr:visible")).to_have_count(1)
    expect(applications).to_contain_text("1 of 40")
    applications.get_by_label("Filter").fill("not alone")
    expect(applications.locator("tbody tr:visible")).to_have_count(34)
    applications.get_by_label("Filter").fill("alone-33")
    applications.get_by_role("button", name="Try alone-33").click()
    query = notebook.page.locator(".cl-panel .cl-try-a-query")
    expect(query.locator(".cl-input textarea")).to_be_focused()
    expect(query.locator(".cl-try-application select")).to_have_value("alone-33")


def test_all_panels_are_painted_and_the_page_hears_of_it(notebook: NotebookPage) -> None:
    for tab in TABS:
        expect(show(notebook, tab)).to_be_visible()
    clock = panel(notebook).locator(".cl-clock")
    before = clock.inner_text()
    expect(clock).not_to_have_text(before, timeout=WAIT_MS)
    expect(panel(notebook).locator(".cl-stale-banner")).to_be_hidden()
