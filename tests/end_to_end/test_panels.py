"""Panels beside a cluster, without a page: who looks, who stops, and what is shown when something is wrong."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from clipper_nb import ClipperConnection, InvalidRequestError, LocalContainerManager, UnconnectedException
from clipper_nb.deployers.python import create_endpoint, deploy_python_closure
from clipper_nb.panels import ApplicationsPanel, Frame, ModelsPanel, TryAQueryPanel
from clipper_nb.panels.poller import Poller, poller_of
from tests.support.clusters import new_manager, running_cluster

pytestmark = pytest.mark.cluster

SLO_MICROS = 10_000_000
WAIT_S = 20.0


@pytest.fixture(scope="module")
def kind() -> str:
    """Panels only call the connection, which behaves alike on both container managers."""
    return "local"


@pytest.fixture(scope="module")
def shared(kind: str) -> Iterator[ClipperConnection]:
    with running_cluster(kind, query_token=True) as conn:  # so that panels carry it
        create_endpoint(conn, "sums", "doubles", lambda inputs: [float(x.sum()) for x in inputs], slo_micros=SLO_MICROS)
        deploy_python_closure(conn, "sums", 2, "doubles", lambda inputs: [float(x.sum()) + 1 for x in inputs])
        yield conn


def wait_until(is_true: Callable[[], Any], what: str) -> None:
    deadline_s = time.monotonic() + WAIT_S
    while not is_true():
        assert time.monotonic() < deadline_s, what
        time.sleep(0.02)


def panel_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith("clipper-panels")]


def outcome(panel: Any) -> str:
    return str(panel._outcome.value)


def make(kind: type, conn: ClipperConnection) -> tuple[Frame, Any]:
    """Return a frame and its one panel, painted."""
    poller = poller_of(conn)
    panel = kind(conn, poller)
    frame = Frame(poller, [panel])
    wait_until(lambda: panel._picture.value, "the panel is painted")
    return frame, panel


def test_many_panels_share_one_thread_which_ends_with_the_last(shared: ClipperConnection) -> None:
    frames = [shared.dashboard(), shared.panels.models(), shared.panels.events()]
    wait_until(lambda: poller_of(shared).num_polls, "somebody looked")
    assert len(panel_threads()) == 1
    for frame in frames:
        frame.close()
    wait_until(lambda: not panel_threads(), "the thread ends")
    with shared.panels.metrics():  # and begins again
        assert len(panel_threads()) == 1
    wait_until(lambda: not panel_threads(), "the thread ends")


def test_polling_stops_when_no_panel_is_visible(shared: ClipperConnection) -> None:
    poller = Poller(shared, seen_lasts_s=1.5)
    painted = []
    poller.watch(lambda _poller: painted.append(time.monotonic()))
    try:
        wait_until(lambda: poller.seen() or poller.num_polls >= 2, "it looks once a second")
        time.sleep(3.0)  # it has been seen for 1.5 s, and the last look is over
        num_polls = poller.num_polls
        time.sleep(2.5)
        assert poller.num_polls == num_polls
        poller.seen()
        wait_until(lambda: poller.num_polls > num_polls, "it looks again")
        assert painted
    finally:
        poller.unwatch(poller._watchers[0])


def test_a_click_acts_on_the_cluster(shared: ClipperConnection) -> None:
    frame, panel = make(ModelsPanel, shared)
    with frame:
        wait_until(lambda: panel._roll_back_button.description == "Roll back to 1", "it knows the version before")
        panel._roll_back_button.click()
        wait_until(lambda: shared.get_current_model_version("sums") == "1", "version 1 is current")
        wait_until(lambda: "Version 1 of sums is current" in outcome(panel), "the panel says so")
        wait_until(lambda: panel._roll_back_button.disabled, "there is no version before 1")
        shared.set_model_version("sums", 2)


def test_fewer_replicas_are_no_warning_when_they_are_wanted(shared: ClipperConnection) -> None:
    poller = poller_of(shared)
    shared.set_num_replicas("sums", 2)
    with shared.panels.events():
        wait_until(lambda: any(v.num_connected == 2 for v in poller.state.versions), "both replicas are seen")
        shared.set_num_replicas("sums", 1)
        wait_until(lambda: "replicas ready" in poller.events[-1].text, "fewer are seen")
        assert poller.events[-1].text == "sums:2 has 1 of 1 replicas ready, had 2"
        assert poller.events[-1].level == "ok"


def test_an_error_of_an_action_is_shown_in_the_panel(shared: ClipperConnection) -> None:
    shared.register_application("texts", "strings", "-", SLO_MICROS)
    frame, panel = make(ApplicationsPanel, shared)
    with frame:
        wait_until(lambda: ("texts", "texts") in panel._application.options, "the application is offered")
        panel._application.value, panel._model.value = "texts", "sums"
        panel._link()
        wait_until(lambda: 'role="alert"' in outcome(panel), "the error is shown")
        assert "doubles" in outcome(panel)
        assert shared.get_linked_models("texts") == []
    shared.unregister_application("texts")


@pytest.mark.parametrize(
    ("text", "expected"),
    [("[1.0, 2.5]", "4.5"), ("[x * 2 for x in (1, 2)]", "7.0"), ("", "There is no input"), ("[1,", "neither JSON nor"),
     ("unknown", "NameError"), ("'text'", "InvalidInputError")],
)  # fmt: skip
def test_typed_inputs_are_parsed_and_answered(shared: ClipperConnection, text: str, expected: str) -> None:
    frame, panel = make(TryAQueryPanel, shared)
    with frame:
        wait_until(lambda: panel._application.value is not None, "an application is offered")
        panel._application.value = "sums"
        panel._input.value = text
        panel._send()
        wait_until(lambda: expected in panel.render() + outcome(panel), f"{expected} is shown")


def test_the_line_to_copy_names_the_token_and_hides_it(shared: ClipperConnection) -> None:
    """The notebook keeps what a panel shows."""
    frame, panel = make(TryAQueryPanel, shared)
    with frame:
        wait_until(lambda: panel._application.value is not None, "an application is offered")
        panel._application.value = "sums"
        panel._input.value = "[1, 2]"
        panel._send()
        wait_until(lambda: "curl -H" in panel.render(), "the lines to copy are shown")
        assert "Authorization: Bearer $CLIPPER_QUERY_TOKEN" in panel.render()
        assert str(shared.query_token) not in panel.render()


@pytest.mark.parametrize(
    ("input_type", "sample", "typed"),
    [
        ("ints", [1, 2], "[1, 2]"),
        ("floats", [1.5, 2.0], "[1.5, 2.0]"),
        ("doubles", [1.5, 2.0], "[1.5, 2.0]"),
        ("strings", "a b", "a b"),
        ("bytes", b"\x00\xff", "AP8="),
    ],
)
def test_the_example_is_typed_and_answered(shared: ClipperConnection, input_type: str, sample: Any, typed: str) -> None:
    name = f"sampled-{input_type}"
    lengths = {"func": lambda inputs: [f"has {len(x)}" for x in inputs], "slo_micros": SLO_MICROS}
    create_endpoint(shared, name, input_type, **lengths, sample_inputs=[sample])
    deploy_python_closure(shared, name, 2, input_type, lengths["func"])
    frame, panel = make(TryAQueryPanel, shared)
    with frame:
        wait_until(lambda: (name, name) in panel._application.options, "the application is offered")
        panel._application.value = name
        wait_until(lambda: ("1", "1") in panel._version.options, "its versions are offered")
        assert panel._example_button.disabled, "version 2 has none"
        panel._version.value = "1"
        wait_until(lambda: not panel._example_button.disabled, "version 1 has one")
        wait_until(lambda: panel._input.value == typed, "the example is typed")
        panel._send()
        wait_until(lambda: f"has {len(sample)}" in panel.render(), "it is answered")


def test_stopped_cluster_is_reported_and_a_new_one_shown() -> None:
    manager = new_manager("local")
    conn = ClipperConnection(manager)
    conn.start_clipper()
    frame = conn.dashboard()
    try:
        poller = poller_of(conn)
        wait_until(lambda: poller.state.seen_at, "it was seen")
        conn.stop_all()
        wait_until(lambda: "connection is closed" in frame._header.value, "the end is said")
        conn.start_clipper()
        conn.register_application("later", "doubles", "-1", SLO_MICROS)
        wait_until(lambda: poller.state.application("later"), "the new cluster is shown")
        wait_until(lambda: "connection is closed" not in frame._header.value, "the problem is over")
        assert [event.level for event in poller.events].count("problem") == 1
    finally:
        frame.close()
        conn.stop_all()


def test_saved_output_is_plain_html(shared: ClipperConnection) -> None:
    with shared.dashboard() as dashboard:
        wait_until(lambda: "sums:2" in dashboard._repr_html_(), "the model is shown")
        html = dashboard._repr_html_()
        assert "<script" not in html
        assert "<style" not in html
        assert "as of 20" in html
        assert repr(dashboard).startswith("<Dashboard of cluster")


def test_a_terminal_shows_a_line(shared: ClipperConnection, capsys: pytest.CaptureFixture[str]) -> None:
    with shared.panels.models() as models:
        models._ipython_display_()
        assert capsys.readouterr().out == f"{models!r}\n"


def test_tabs_are_selected_by_name(shared: ClipperConnection) -> None:
    with shared.dashboard() as dashboard:
        dashboard.select("Events")
        assert dashboard._tabs is not None
        assert dashboard._tabs.titles[dashboard._tabs.selected_index] == "Events"
        with pytest.raises(InvalidRequestError, match="Applications, Models"):
            dashboard.select("Logs")


def test_without_a_cluster_there_is_nothing_to_show() -> None:
    with pytest.raises(UnconnectedException):
        ClipperConnection(LocalContainerManager("nowhere")).dashboard()


def test_without_ipywidgets_it_says_what_to_install(shared: ClipperConnection) -> None:
    program = (
        "import sys; sys.modules['ipywidgets'] = None\n"
        "from clipper_nb import ClipperConnection, LocalContainerManager\n"
        f"conn = ClipperConnection(LocalContainerManager({shared.cm.cluster_name!r})); conn.connect()\n"
        "try:\n    conn.dashboard()\nexcept Exception as exc:\n    print(type(exc).__name__, exc)\n"
    )
    finished = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert finished.stdout.startswith("DeploymentError Panels need the package 'ipywidgets': pip install")
