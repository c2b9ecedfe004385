"""How many replicas a version needs, decided from given series."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from clipper_nb.protocol.autoscaling import Autoscaling
from clipper_nb.runtime.management_frontend.autoscaling import MAX_BUSY, Step, can_shrink, grow, shrink
from clipper_nb.runtime.management_frontend.load_history import Load

SCALING = Autoscaling(1, 8, target=0.25, period_s=10.0, stable_s=60.0)


@pytest.mark.parametrize(
    ("current", "waiting", "wanted"),
    [
        (2, 0.62, 5),
        (1, 0.26, None),
        (1, 0.28, 2),
        (3, 0.25, None),
        (2, 1.0, 8),
        (6, 1.0, 8),
        (8, 1.0, None),
        (4, 0.0, None),
    ],
)
def test_growth_is_in_proportion_to_the_waiting(current: int, waiting: float, wanted: int | None) -> None:
    step = grow(SCALING, current, Load(waiting, current))
    assert (step and step.num_replicas) == wanted


def test_steps_say_why() -> None:
    assert grow(SCALING, 2, Load(0.62, 1.9)) == Step(5, "waiting took 62 % of the SLO for 10 s", 1.9)
    assert shrink(SCALING, 4, Load(0.0, 0.84)).reason == (
        "for 60 s 3 would have been enough, as 4 were busy for 21 % of their time"
    )


@pytest.mark.parametrize(
    ("current", "load", "expected"),
    [
        (1, Load(0.0, 0.0), False),
        (2, Load(0.0, 0.0), True),
        (2, Load(0.0, 0.69), True),
        (2, Load(0.0, 0.71), False),
        (2, Load(0.26, 0.1), False),
    ],
)
def test_one_less_must_have_time_to_spare(current: int, load: Load, expected: bool) -> None:
    assert can_shrink(SCALING, current, load) is expected


def test_number_that_was_too_few_needs_less_work() -> None:
    known = structs.replace(SCALING, too_few=1, too_few_work=0.6)
    assert not can_shrink(known, 2, Load(0.0, 0.6))
    assert can_shrink(known, 2, Load(0.0, 0.4))
    assert can_shrink(known, 3, Load(0.0, 0.6)), "two were not too few"


def _run(scaling: Autoscaling, loads: Callable[[int, int], Load], num_looks: int, start: int) -> list[int]:
    """Return the numbers at each look, where *loads* gives the load at a look for a number of replicas.

    The looks are a period apart, and three of them are the stable time.
    """
    current, numbers, num_enough = start, [start], 0
    for look in range(num_looks):
        load = loads(look, current)
        step = grow(scaling, current, load)
        if step is not None:
            scaling = structs.replace(scaling, too_few=current, too_few_work=step.too_few_work)
        num_enough = num_enough + 1 if step is None and can_shrink(scaling, current, load) else 0
        if num_enough > 3:
            step = shrink(scaling, current, load)
        if step is not None:
            current, num_enough = step.num_replicas, 0
        numbers.append(current)
    return numbers


bounds = st.tuples(st.integers(1, 12), st.integers(1, 12)).map(sorted)


@given(bounds, st.floats(0.01, 1), st.lists(st.tuples(st.floats(0, 1), st.floats(0, 20)), max_size=60))
def test_number_stays_within_the_bounds_and_falls_by_one(
    bounds: list[int], target: float, series: list[tuple[float, float]]
) -> None:
    scaling = Autoscaling(*bounds, target=target)
    numbers = _run(scaling, lambda look, _: Load(*series[look]), len(series), bounds[0])
    assert all(bounds[0] <= number <= bounds[1] for number in numbers)
    assert all(later >= earlier - 1 for earlier, later in pairwise(numbers))


@given(st.floats(0.05, 9.0), st.floats(0.02, 0.8), st.floats(0.1, 1.0), st.integers(1, 12))
def test_steady_load_has_a_steady_number(work: float, target: float, batch_share: float, start: int) -> None:
    """A queue whose waiting explodes as its replicas get busy, at a steady load that needs *work* replicas' time."""

    def loads(_look: int, current: int) -> Load:
        busy = min(1.0, work / current)
        waiting = 1.0 if busy >= 1 else min(1.0, batch_share * busy ** math.sqrt(2 * (current + 1)) / (1 - busy))
        return Load(waiting, busy * current)

    numbers = _run(Autoscaling(1, 12, target=target), loads, 400, start)
    assert len(set(numbers[200:])) == 1, "it does not go to and fro"
    assert loads(0, numbers[-1]).waiting <= 1.1 * target or numbers[-1] == 12, "and it is enough"


@given(st.integers(2, 12))
def test_number_falls_to_min_when_the_load_ends(start: int) -> None:
    scaling = Autoscaling(1, 12, too_few=start - 1, too_few_work=MAX_BUSY)
    numbers = _run(scaling, lambda *_: Load(0.0, 0.0), 60, start)
    assert numbers[-1] == 1
    assert sorted(set(numbers), reverse=True) == list(range(start, 0, -1))
