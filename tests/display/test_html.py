"""Tables of HTML, in which nothing that a user gives is more than text."""

from __future__ import annotations

import pytest

from clipper_nb.display.html import LEFT, RIGHT, Html, as_html, table

HOSTILE = "<script>\"&'"
ESCAPED = "&lt;script&gt;&quot;&amp;&#x27;"


def test_only_what_is_html_already_is_not_escaped() -> None:
    assert as_html(HOSTILE) == ESCAPED
    assert as_html(Html("<b>ready</b>")) == "<b>ready</b>"


def test_every_part_of_a_table_is_escaped() -> None:
    html = table([[HOSTILE, HOSTILE]], columns=(LEFT, LEFT), head=(HOSTILE, "b"), caption=HOSTILE)
    assert "<script>" not in html
    assert html.count(ESCAPED) == 4
    named = table([[HOSTILE, HOSTILE]], columns=(LEFT, LEFT), is_named_by_first=True)
    assert named.count(ESCAPED) == 2


def test_cells_have_the_attributes_of_their_column() -> None:
    assert table([["a", "1"]], columns=(LEFT, RIGHT), head=("", "n"), attributes='class="a"', caption="b") == (
        '<table class="a" aria-label="b">'
        '<thead><tr><th scope="col" style="text-align:left"></th><th scope="col" align="right">n</th></tr></thead>'
        '<tbody><tr><td style="text-align:left">a</td><td align="right">1</td></tr></tbody></table>'
    )


def test_table_may_be_without_head_and_have_names_of_rows() -> None:
    assert table([["SLO", "20 ms"]], columns=(LEFT, LEFT), is_named_by_first=True) == (
        '<table><tbody><tr><th scope="row" style="text-align:left">SLO</th>'
        '<td style="text-align:left">20 ms</td></tr></tbody></table>'
    )


def test_row_of_another_length_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="zip"):
        table([["a"]], columns=(LEFT, LEFT))


def test_rows_may_have_keys() -> None:
    assert '<tr data-key="a&quot;b"><td align="right">1</td></tr>' in table([["1"]], columns=(RIGHT,), keys=['a"b'])
    with pytest.raises(ValueError, match="zip"):
        table([["1"], ["2"]], columns=(RIGHT,), keys=["a"])
