"""What was found by looking over a cluster, as text and as a table."""

from __future__ import annotations

from clipper_nb.display.diagnosis import Diagnosis, Finding
from clipper_nb.display.long_lists import count

WELL = Finding("Notebook", "ok", "Python 3.11.")
FULL = Finding("Disk", "warning", "Nearly full.", "Remove images.")
AWAY = Finding("Redis", "problem", "Does not answer.")


def test_text_has_a_line_for_each_finding_and_what_to_do() -> None:
    assert repr(Diagnosis([WELL, FULL, AWAY])) == (
        "✔ Notebook  Python 3.11.\n"
        "! Disk      Nearly full.\n"
        "            → Remove images.\n"
        "✖ Redis     Does not answer.\n"
        "1 problem and 1 warning."
    )


def test_summary_counts_the_problems() -> None:
    assert repr(Diagnosis([WELL])).endswith("All is well.")
    assert repr(Diagnosis([AWAY, AWAY])).endswith("\n2 problems.")
    assert Diagnosis([WELL, FULL]).is_well
    assert not Diagnosis([AWAY]).is_well


def test_table_has_the_same_and_escapes_it() -> None:
    html = Diagnosis([WELL, Finding("<b>", "problem", "<i>", "<u>")])._repr_html_()
    assert html.count("<tr>") == 3
    assert '<span title="problem">✖</span>' in html
    assert not any(tag in html for tag in ("<b>", "<i>", "<u>"))
    assert html.endswith("<p>1 problem.</p>")


def test_numbers_are_counted_in_words() -> None:
    assert (count(0, "replica"), count(1, "replica"), count(1200, "replica")) == (
        "0 replicas", "1 replica", "1,200 replicas"
    )  # fmt: skip
