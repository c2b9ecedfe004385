"""What a long call shows of itself, and where."""

from __future__ import annotations

import asyncio
import logging
import re
import subprocess
import sys
import threading

import pytest
from jupyter_client.manager import start_new_kernel

from clipper_nb.display.progress import QUIET, is_worth_showing, show_progress
from clipper_nb.display.progress_view import ProgressState, StepTime

BUILD = StepTime("Build image digits:2", 1.25)


class Clock:
    """Time that passes when told so."""

    def __init__(self):
        self.now_s = 100.0

    def __call__(self):
        return self.now_s


class RecordingDisplay:
    """Keeps what it is shown."""

    def __init__(self):
        self.texts, self.updates, self.htmls = [], [], []
        self.shown = threading.Event()

    def __call__(self, bundle, is_update):
        assert set(bundle) == {"text/plain", "text/html"}
        self.texts.append(bundle["text/plain"])
        self.htmls.append(bundle["text/html"])
        self.updates.append(is_update)
        self.shown.set()


@pytest.mark.parametrize(
    ("outcome", "seconds", "steps", "is_shown"),
    [
        ("done", 0.39, (BUILD,), False),
        ("done", 0.4, (), True),
        ("running", 0.39, (BUILD,), False),
        ("failed", 0.1, (BUILD,), True),
        ("interrupted", 0.1, (BUILD,), True),
        ("failed", 0.1, (), False),
    ],
)
def test_short_calls_are_shown_only_when_a_step_fails(outcome, seconds, steps, is_shown):
    assert is_worth_showing(ProgressState("Deploy digits:2", seconds, steps, outcome=outcome)) is is_shown


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def display():
    return RecordingDisplay()


def test_finished_call_shows_each_steps_time(clock, display):
    with show_progress("Deploy digits:2", clock=clock, display=display) as progress:
        progress.step("Build image")
        clock.now_s += 0.1
        progress.step("Start replicas")
        clock.now_s += 0.5
    assert display.texts[-1] == "✓ Deploy digits:2 · done in 0.6 s · Build image (0.1 s) · Start replicas (0.5 s)"


def test_short_call_shows_nothing(clock, display):
    with show_progress("Deploy digits:2", clock=clock, display=display) as progress:
        progress.step("Build image")
        clock.now_s += 0.39
    assert display.texts == []


@pytest.mark.slow
def test_silent_call_is_painted_meanwhile(clock, display):
    with show_progress("Deploy digits:2", clock=clock, display=display) as progress:
        progress.step("Build image")
        progress.detail("Step 1/5")
        clock.now_s += 2.0
        assert display.shown.wait(timeout=10)
        display.shown.clear()
        clock.now_s += 1.0
        assert display.shown.wait(timeout=10)
    assert display.texts[0] == "● Deploy digits:2 · running for 2.0 s · Build image (2.0 s)"
    assert display.htmls[0].endswith(">Step 1/5</div></div>")
    assert display.texts[-1] == "✓ Deploy digits:2 · done in 3.0 s · Build image (3.0 s)"
    assert display.updates == [False] + [True] * (len(display.updates) - 1)


def test_detail_ends_with_its_step(clock, display):
    with show_progress("Deploy digits:2", clock=clock, display=display) as progress:
        progress.step("Build image")
        progress.detail("Step 5/5")
        progress.step("Start replicas")
        clock.now_s += 2.0
        assert display.shown.wait(timeout=10)
    assert "Step 5/5" not in display.htmls[0]


def test_exception_passes_unchanged_and_its_step_is_named(clock, display):
    error = ValueError("no such image")
    with pytest.raises(ValueError, match="no such image") as raised:  # noqa: PT012, SIM117
        with show_progress("Deploy digits:2", clock=clock, display=display) as progress:
            progress.step("Start replicas")
            clock.now_s += 0.1
            raise error
    assert raised.value is error
    assert error.__cause__ is None
    assert error.__context__ is None
    assert display.texts == ['✗ Deploy digits:2 · failed in "Start replicas" after 0.1 s · Start replicas (0.1 s)']


def test_interrupt_is_not_shown_as_a_failure(clock, display):
    with pytest.raises(KeyboardInterrupt), show_progress("Deploy", clock=clock, display=display) as progress:  # noqa: PT012
        progress.step("Build image")
        raise KeyboardInterrupt
    assert display.texts == ['■ Deploy · interrupted in "Build image" after 0.0 s · Build image (0.0 s)']


def test_inner_progress_joins_the_outer(clock, display):
    inner_display = RecordingDisplay()
    with show_progress("Deploy digits:2", clock=clock, display=display) as outer:
        outer.step("Save the model")
        clock.now_s += 1
        with show_progress("Build digits:2", clock=clock, display=inner_display) as inner:
            inner.step("Build image")
            clock.now_s += 2
        outer.step("Start replicas")
    assert display.texts[-1].endswith(
        "done in 3.0 s · Save the model (1.0 s) · Build image (2.0 s) · Start replicas (0.0 s)"
    )
    assert inner_display.texts == []
    with show_progress("Build digits:3", clock=clock, display=inner_display):
        clock.now_s += 1
    assert inner_display.texts == ["✓ Build digits:3 · done in 1.0 s"]


@pytest.mark.parametrize("in_thread", ["Thread", "to_thread"])
def test_threads_do_not_join_each_other(in_thread, clock, display):
    other_display = RecordingDisplay()

    def call_in_other_thread():
        with show_progress("Other", clock=clock, display=other_display) as other:
            other.step("Elsewhere")
            clock.now_s += 1

    with show_progress("Deploy", clock=clock, display=display) as progress:
        progress.step("Here")
        if in_thread == "to_thread":
            asyncio.run(asyncio.to_thread(call_in_other_thread))
        else:
            thread = threading.Thread(target=call_in_other_thread)
            thread.start()
            thread.join()
    assert display.texts[-1] == "✓ Deploy · done in 1.0 s · Here (1.0 s)"
    assert other_display.texts[-1] == "✓ Other · done in 1.0 s · Elsewhere (1.0 s)"


def test_failing_display_breaks_nothing_and_is_not_tried_again(clock):
    tried = threading.Event()
    bundles = []

    def display(bundle, is_update):
        bundles.append(bundle)
        tried.set()
        raise RuntimeError("no front end")

    with show_progress("Deploy", clock=clock, display=display) as progress:
        progress.step("Build image")
        clock.now_s += 1
        assert tried.wait(timeout=10)
    assert len(bundles) == 1


def test_no_thread_is_left(clock, display):
    with show_progress("Deploy", clock=clock, display=display):
        assert "clipper-progress" in [thread.name for thread in threading.enumerate()]
    assert "clipper-progress" not in [thread.name for thread in threading.enumerate()]


def test_outside_a_notebook_steps_are_logged_without_a_thread(clock, caplog, capsys):
    caplog.set_level(logging.INFO, "clipper_nb.progress")
    with pytest.raises(ValueError, match="x"), show_progress("Deploy", clock=clock) as progress:  # noqa: PT012
        progress.step("Build image")
        progress.detail("Step 1/5")
        clock.now_s += 1.25
        progress.step("Start replicas")
        clock.now_s += 60
        assert "clipper-progress" not in [thread.name for thread in threading.enumerate()]
        raise ValueError("x")
    assert [record.getMessage() for record in caplog.records] == [
        "Deploy: Build image done after 1.2 s",
        "Deploy: Start replicas failed after 60.0 s",
    ]
    assert capsys.readouterr() == ("", "")


def test_quiet_does_nothing(caplog, capsys):
    caplog.set_level(logging.DEBUG)
    QUIET.step("Build image")
    QUIET.detail("Step 1/5")
    assert caplog.records == []
    assert capsys.readouterr() == ("", "")


def test_ipython_is_not_imported_for_it():
    program = (
        "import sys\nfrom clipper_nb.display.progress import show_progress\n"
        "with show_progress('Deploy') as progress: progress.step('Build image')\n"
        "assert 'IPython' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


# In a real kernel


class Cell:
    """A cell that has run: its outputs as a notebook keeps them, and how often they changed."""

    def __init__(self, client, code):
        self.outputs, self.num_updates, self.other_parents = [], 0, []
        by_display_id = {}
        message_id = client.execute(code)
        while True:
            message = client.get_iopub_msg(timeout=30)
            kind, content = message["msg_type"], message["content"]
            if message["parent_header"].get("msg_id") != message_id:
                self.other_parents.append(kind)
            elif kind == "status" and content["execution_state"] == "idle":
                break
            elif kind == "display_data":
                by_display_id[content["transient"]["display_id"]] = len(self.outputs)
                self.outputs.append(content["data"])
            elif kind == "update_display_data":
                self.num_updates += 1
                self.outputs[by_display_id[content["transient"]["display_id"]]] = content["data"]
            elif kind in ("stream", "error"):
                self.outputs.append(content)
        client.get_shell_msg(timeout=30)


@pytest.fixture(scope="module")
def kernel():
    manager, client = start_new_kernel()
    try:
        Cell(client, "import threading, time\nfrom clipper_nb.display.progress import show_progress")
        yield client
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
        manager.context.destroy()


LONG_CALL = """
with show_progress("Deploy digits:2") as progress:
    progress.step("Build image")
    time.sleep(0.5)
    progress.step("Start replicas")
    time.sleep(0.7)
"""


@pytest.mark.slow
def test_cell_has_one_output_that_is_updated(kernel):
    cell = Cell(kernel, LONG_CALL)
    [output] = cell.outputs
    assert re.match(r"✓ Deploy digits:2 · done in \d+\.\d", output["text/plain"])
    assert 'role="status"' in output["text/html"]
    assert cell.num_updates >= 3
    assert cell.other_parents == []


@pytest.mark.slow
def test_each_run_has_its_own_output(kernel):
    assert [len(Cell(kernel, LONG_CALL).outputs) for _ in range(2)] == [1, 1]


@pytest.mark.slow
def test_short_call_leaves_no_output_in_its_cell(kernel):
    cell = Cell(kernel, "with show_progress('Deploy') as progress: progress.step('Build image')")
    assert cell.outputs == []


@pytest.mark.slow
def test_failed_call_shows_its_step_and_the_traceback(kernel):
    cell = Cell(kernel, LONG_CALL + "    raise OSError('disk full')")
    shown, error = cell.outputs
    assert shown["text/plain"].startswith('✗ Deploy digits:2 · failed in "Start replicas" after 1.')
    assert (error["ename"], error["evalue"]) == ("OSError", "disk full")


@pytest.mark.slow
def test_worker_thread_shows_nothing(kernel):
    body = LONG_CALL.replace("\n", "\n    ")
    cell = Cell(kernel, f"def call():{body}\nthread = threading.Thread(target=call); thread.start(); thread.join()")
    assert cell.outputs == []
