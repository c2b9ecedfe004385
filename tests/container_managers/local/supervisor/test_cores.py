"""Which cores a limited replica gets."""

from __future__ import annotations

import pytest

from clipper_nb.container_managers.local.supervisor.cores import choose_cores

FOUR = [4, 5, 6, 7]


@pytest.mark.parametrize(
    ("cpus", "number"), [(0.01, 1), (0.5, 1), (1, 1), (1.0, 1), (1.2, 2), (3, 3), (3.01, None), (4, None), (64, None)]
)
def test_limit_is_rounded_up_to_whole_cores(cpus: float, number: int | None) -> None:
    chosen = choose_cores(cpus, FOUR, [])
    assert (None if chosen is None else len(chosen)) == number
    assert chosen is None or chosen <= set(FOUR)


def test_replica_without_a_limit_may_use_all() -> None:
    assert choose_cores(None, FOUR, [frozenset({4})]) is None


def test_replicas_are_spread_over_the_cores() -> None:
    taken: list[frozenset[int]] = []
    for _ in range(8):
        chosen = choose_cores(1, FOUR, taken)
        assert chosen is not None
        taken.append(chosen)
    assert sorted(core for each in taken for core in each) == sorted(FOUR * 2)
    assert choose_cores(2, FOUR, [frozenset({4, 6})]) == {5, 7}


def test_the_only_core_is_no_limit() -> None:
    assert choose_cores(0.5, [0], []) is None
