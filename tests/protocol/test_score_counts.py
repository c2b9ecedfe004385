"""Counts add up and fade in any order."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clipper_nb.protocol.score_counts import NO_COUNTS, Counts, DatedCounts
from tests.support.examples import examples

EVENTS = st.lists(st.tuples(st.floats(0, 1000), st.floats(0, 1)), min_size=1, max_size=8)


def test_count_is_half_after_its_half_life() -> None:
    dated = DatedCounts(Counts(4.0, 2.0, 8.0), at_s=100.0)
    assert dated.faded(110.0, 10.0) == Counts(2.0, 1.0, 4.0)
    assert dated.faded(110.0, None) == dated.faded(90.0, 10.0) == dated.counts
    assert NO_COUNTS.mean is None
    assert dated.counts.mean == 0.5


@examples(100)
@given(EVENTS)
def test_counts_are_the_sum_of_faded_events(events: list[tuple[float, float]]) -> None:
    events.sort()
    dated = DatedCounts(NO_COUNTS, events[0][0])
    for at_s, score in events:
        dated = dated.plus(Counts(1.0, score, score), at_s, 50.0)
    expected = sum(score * 2.0 ** (-(1000.0 - at_s) / 50.0) for at_s, score in events)
    assert dated.faded(1000.0, 50.0).total == pytest.approx(expected, rel=1e-9, abs=1e-12)
