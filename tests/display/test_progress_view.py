"""How a long call looks in a cell."""

from __future__ import annotations

from html.parser import HTMLParser

import pytest

from clipper_nb.display.progress_view import ProgressState, StepTime, format_html, format_text

BUILD = StepTime("Build image digits:2", 1.25)
START = StepTime("Start replicas", 2.1)


def state(outcome="running", *, seconds=3.4, steps=(BUILD, START), detail="", title="Deploy digits:2"):
    return ProgressState(title, seconds, steps, detail, outcome)


class Page(HTMLParser):
    """The text of a page, a line per block; sees to it that every tag is closed."""

    def __init__(self, html):
        super().__init__()
        self.tags, self.open, self.attributes, self.lines = [], [], {}, [""]
        self.feed(html)
        self.close()
        assert self.open == [], "tags are not closed"
        self.lines = [line for line in self.lines if line]

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.open.append(tag)
        self.attributes.update({name: value for name, value in attrs if name not in self.attributes})
        if tag == "div":
            self.lines.append("")

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.lines[-1] += data


@pytest.mark.parametrize(
    ("shown", "text"),
    [
        (
            state(),
            "● Deploy digits:2 · running for 3.4 s · Build image digits:2 (1.2 s) · Start replicas (2.1 s)",
        ),
        (
            state("done"),
            "✓ Deploy digits:2 · done in 3.4 s · Build image digits:2 (1.2 s) · Start replicas (2.1 s)",
        ),
        (
            state("failed"),
            '✗ Deploy digits:2 · failed in "Start replicas" after 3.4 s '
            "· Build image digits:2 (1.2 s) · Start replicas (2.1 s)",
        ),
        (
            state("interrupted", steps=(START,)),
            '■ Deploy digits:2 · interrupted in "Start replicas" after 3.4 s · Start replicas (2.1 s)',
        ),
        (state("done", steps=()), "✓ Deploy digits:2 · done in 3.4 s"),
        (state("failed", steps=()), "✗ Deploy digits:2 · failed after 3.4 s"),
    ],
)
def test_text_is_one_line(shown, text):
    assert format_text(shown) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.0, "0.0 s"), (59.94, "59.9 s"), (59.96, "1 min 00 s"), (83.4, "1 min 23 s"), (3599.7, "60 min 00 s")],
)
def test_minutes_begin_where_seconds_would_show_sixty(seconds, text):
    assert format_text(state("done", steps=(), seconds=seconds)).endswith(f"done in {text}")


def test_running_page_has_a_line_per_step_and_the_newest_detail():
    page = Page(format_html(state(detail="Step 3/5 : RUN pip install")))
    assert page.lines == [
        "● Deploy digits:2 · running for 3.4 s",
        "✓ Build image digits:2 (1.2 s)",
        "● Start replicas (2.1 s)",
        "Step 3/5 : RUN pip install",
    ]


def test_page_of_a_finished_call_is_two_lines():
    page = Page(format_html(state("done", detail="Step 3/5")))
    assert page.lines == ["✓ Deploy digits:2 · done in 3.4 s", "Build image digits:2 (1.2 s) · Start replicas (2.1 s)"]


def test_failed_call_page_shows_the_failed_step_and_last_detail():
    page = Page(format_html(state("failed", detail="no such package")))
    assert page.lines == [
        '✗ Deploy digits:2 · failed in "Start replicas" after 3.4 s',
        "Build image digits:2 (1.2 s) · Start replicas (2.1 s)",
        "no such package",
    ]


def test_page_before_the_first_step_is_one_line():
    assert Page(format_html(state(steps=()))).lines == ["● Deploy digits:2 · running for 3.4 s"]


def test_screen_reader_hears_the_end_and_not_every_update():
    running, done = (Page(format_html(state(outcome))).attributes for outcome in ("running", "done"))
    assert running["role"] == done["role"] == "status"
    assert (running["aria-live"], done["aria-live"]) == ("off", "polite")


@pytest.mark.parametrize("text", ["<script>alert(1)</script>", '"><img src=x>', "a & b", "</div></span>"])
@pytest.mark.parametrize("outcome", ["running", "done", "failed", "interrupted"])
def test_text_of_users_stays_text(text, outcome):
    page = Page(format_html(state(outcome, title=text, steps=(StepTime(text, 1.0),), detail=text)))
    assert text in page.lines[0]
    assert text in page.lines[1]
    assert not {"script", "img"} & set(page.tags)


@pytest.mark.parametrize(
    ("detail", "line"),
    [
        ("  Collecting numpy\r\n  Using cached\t numpy.whl\n", "Collecting numpy Using cached numpy.whl"),
        ("\x1b[1;31merror\x1b[0m: failed\x07", "error: failed"),
        ("x" * 100, "x" * 100),
        ("x" * 101, "x" * 99 + "…"),
    ],
)
def test_detail_is_one_short_line(detail, line):
    assert Page(format_html(state(detail=detail))).lines[-1] == line
