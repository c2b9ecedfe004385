"""Pieces of HTML."""

from __future__ import annotations

import pytest

from clipper_nb.display.html import Html
from clipper_nb.panels.cluster_state import Status
from clipper_nb.panels.markup import (
    badge,
    facts,
    format_day_time,
    format_ms,
    format_rate,
    format_share,
    sparkline,
    table,
)  # fmt: skip


def test_text_is_escaped_and_html_is_not() -> None:
    html = table(("<name>",), [["<script>"], [Html("<b>ready</b>")]], caption='"quoted"')
    assert "<script>" not in html
    assert "&lt;script&gt;" in html
    assert "<b>ready</b>" in html
    assert 'aria-label="&quot;quoted&quot;"' in html
    assert "&lt;x&gt;" in facts([("<x>", "y")], caption="facts")
    assert "&lt;b&gt;" in badge(Status("ok", "<b>"))


def test_numbers_are_right_aligned() -> None:
    assert '<td style="text-align:left">a</td><td align="right">1</td>' in table(
        ("", "n"), [["a", "1"]], caption="", numbers=[1]
    )


def test_a_sparkline_goes_from_zero_to_the_most() -> None:
    assert 'points="0.0,18.0 45.0,10.0 90.0,2.0"' in sparkline([0.0, 5.0, 10.0], label="rates")
    assert 'points="0.0,18.0 90.0,18.0"' in sparkline([0.0, 0.0], label="rates")
    assert sparkline([1.0], label="rates") == ""


@pytest.mark.parametrize(("rate", "text"), [(0, "0"), (0.44, "0.4"), (9.96, "10"), (12.4, "12"), (1250.2, "1,250")])
def test_rates(rate: float, text: str) -> None:
    assert format_rate(rate) == text


@pytest.mark.parametrize(("seconds", "text"), [(None, "-"), (0.00042, "0.4"), (0.0123, "12"), (2.5, "2,500")])
def test_latencies(seconds: float | None, text: str) -> None:
    assert format_ms(seconds) == text


@pytest.mark.parametrize(("share", "text"), [(None, "-"), (0, "0 %"), (0.012, "1.2 %"), (0.5, "50 %"), (1.0, "100 %")])
def test_shares(share: float | None, text: str) -> None:
    assert format_share(share) == text


def test_a_time_of_another_day_has_its_date() -> None:
    noon = 1_700_000_000.0
    assert ":" in format_day_time(noon, noon)
    assert format_day_time(noon - 3 * 86400, noon).startswith("Nov 1")
