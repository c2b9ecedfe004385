"""Shows in one place of a notebook what a long call is doing, step by step; elsewhere it is logged."""

from __future__ import annotations

import contextlib
import contextvars
import importlib
import logging
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from typing import Protocol

from clipper_nb.display.progress_view import Outcome, ProgressState, StepTime, format_html, format_text

_logger = logging.getLogger("clipper_nb.progress")

_SHOW_AFTER_S = 0.4  # a call that is over sooner leaves no output
_REPAINT_INTERVAL_S = 0.25

# Shows a MIME bundle; the flag says that it replaces the one shown before.
Display = Callable[[dict[str, str], bool], None]


class Progress(Protocol):
    """Where a long call reports what it does."""

    def step(self, name: str) -> None:
        """Begin a named step (``"Build image digits:2"``), which ends the one before."""

    def detail(self, text: str) -> None:
        """Show the newest line within the step (``"Step 3/5 : RUN pip install …"``); it replaces the one before."""


class _Quiet:
    def step(self, name: str) -> None:
        pass

    def detail(self, text: str) -> None:
        pass


QUIET: Progress = _Quiet()

# Not a context variable: asyncio.to_thread hands those on to its thread.
_of_thread = threading.local()


@contextlib.contextmanager
def show_progress(
    title: str, *, clock: Callable[[], float] = time.monotonic, display: Display | None = None
) -> Iterator[Progress]:
    """Show the block's progress in the notebook's cell; each step is also logged at INFO when it ends.

    Outside a notebook, and in any thread but the main one, the log is all there is. Inside another
    ``show_progress`` of the same thread the steps join that one, and *title* is not shown.

    Parameters
    ----------
    title : str
        What is done to what: ``"Deploy digits:2"``.
    clock : callable
        Returns monotonic seconds.
    display : callable, optional
        Where to show it, when that is not the output of the running cell.
    """
    outer: _Recorder | None = getattr(_of_thread, "recorder", None)
    if outer is not None:
        yield outer
        return
    recorder = _Recorder(title, clock)
    display = display or _find_cell_display()
    _of_thread.recorder = recorder
    try:
        with contextlib.nullcontext() if display is None else _painting(recorder.snapshot, display):
            try:
                yield recorder
                recorder.end("done")
            except BaseException as exc:
                recorder.end("interrupted" if isinstance(exc, KeyboardInterrupt) else "failed")
                raise
    finally:
        _of_thread.recorder = None


class _Recorder:
    """Records what the call reports. Any thread may write or read; each change is a single assignment or append."""

    def __init__(self, title: str, clock: Callable[[], float]) -> None:
        self._title = title
        self._clock = clock
        self._started_s = clock()
        self._begun: list[tuple[str, float]] = []
        self._detail = ""
        self._end: tuple[Outcome, float] | None = None

    def step(self, name: str) -> None:
        self._log_last_step("done")
        self._detail = ""
        self._begun.append((name, self._clock()))

    def detail(self, text: str) -> None:
        self._detail = text

    def end(self, outcome: Outcome) -> None:
        self._log_last_step(outcome)
        self._end = (outcome, self._clock())

    def snapshot(self) -> ProgressState:
        begun = tuple(self._begun)
        outcome, now_s = self._end or ("running", self._clock())
        ends_s = [*(started_s for _, started_s in begun[1:]), now_s]
        # Before the first step there is still one end: now.
        times = zip(begun, ends_s, strict=False)
        steps = tuple(StepTime(name, end_s - started_s) for (name, started_s), end_s in times)
        return ProgressState(self._title, now_s - self._started_s, steps, self._detail, outcome)

    def _log_last_step(self, outcome: Outcome) -> None:
        for step in self.snapshot().steps[-1:]:
            _logger.info("%s: %s %s after %.1f s", self._title, step.name, outcome, step.seconds)


@contextlib.contextmanager
def _painting(snapshot: Callable[[], ProgressState], display: Display) -> Iterator[None]:
    """Paint from a thread, since the block may be silent for long, and once more when the block is over."""
    canvas = _Canvas(snapshot, display)
    over = threading.Event()

    def paint_until_over() -> None:
        pause_s = _SHOW_AFTER_S
        while not over.wait(pause_s):
            canvas.paint()
            pause_s = _REPAINT_INTERVAL_S

    # In the cell's context, where ipykernel 7 keeps which cell an output belongs to; else a thread's first output
    # goes to the cell that runs by then.
    thread = threading.Thread(
        target=contextvars.copy_context().run, args=(paint_until_over,), name="clipper-progress", daemon=True
    )
    try:
        with contextlib.suppress(RuntimeError):  # no thread can be started: then only the end is shown
            thread.start()
        yield
    finally:
        over.set()
        try:
            if thread.is_alive():
                thread.join()
        finally:  # also when the user interrupts the join
            canvas.paint()


class _Canvas:
    """Shows states in one display; after the display fails once it shows nothing more, and the call goes on."""

    def __init__(self, snapshot: Callable[[], ProgressState], display: Display) -> None:
        self._snapshot = snapshot
        self._display = display
        self._lock = threading.Lock()
        self._is_shown = self._is_broken = False

    def paint(self) -> None:
        with self._lock:
            state = self._snapshot()
            if self._is_broken or not is_worth_showing(state):
                return
            try:
                self._display({"text/plain": format_text(state), "text/html": format_html(state)}, self._is_shown)
                self._is_shown = True
            except Exception:
                self._is_broken = True
                _logger.debug("The progress of %s cannot be shown", state.title, exc_info=True)


def _find_cell_display() -> Display | None:
    """Return what shows in the running cell, or None where there is none. IPython is not imported for this."""
    get_ipython = getattr(sys.modules.get("IPython"), "get_ipython", None)
    if get_ipython is None or threading.current_thread() is not threading.main_thread():
        return None
    if getattr(get_ipython(), "kernel", None) is None:
        return None  # a terminal: IPython would print each update as a new line
    ipython_display = importlib.import_module("IPython.display")
    display_id = f"clipper-progress-{uuid.uuid4().hex}"

    def display(bundle: dict[str, str], is_update: bool) -> None:
        show = ipython_display.update_display if is_update else ipython_display.display
        show(bundle, raw=True, display_id=display_id)

    return display


def is_worth_showing(state: ProgressState) -> bool:
    """Return whether the call takes long, or ended badly within a step. (A bad argument shows as an error only.)"""
    return state.seconds >= _SHOW_AFTER_S or (state.outcome in ("failed", "interrupted") and bool(state.steps))
