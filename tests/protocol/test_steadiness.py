"""A model is asked together and one by one: what differs depends on neighbours, or on chance."""

from __future__ import annotations

import itertools
import json
from collections.abc import Sequence
from typing import Any

import pytest

from clipper_nb.protocol.steadiness import MAX_ALONE, UnsteadyAnswer, refuse_chance, steady_answers


def test_steady_answers_are_those_of_the_batch() -> None:
    asked: list[Sequence[Any]] = []

    def double(batch: Sequence[Any]) -> list[str]:
        asked.append(batch)
        return [str(2 * x) for x in batch]

    assert steady_answers(double, [1, 2, 3]) == ["2", "4", "6"]
    assert asked == [[1, 2, 3], [1], [2], [3]]


def ranks(batch: Sequence[Any]) -> list[str]:
    return [str(sorted(set(batch)).index(x)) for x in batch]


def test_answer_that_depends_on_its_neighbours_is_refused() -> None:
    with pytest.raises(
        UnsteadyAnswer, match=r"depends on its neighbours.*sample 1: together with the others it is 1, and alone 0"
    ):
        steady_answers(ranks, ["a", "b"])


def test_answers_in_another_order_are_refused_as_that() -> None:
    with pytest.raises(UnsteadyAnswer, match=r"not at the place of its input, sample 0: .*it is 1, and alone 3"):
        steady_answers(lambda batch: [str(x) for x in sorted(batch)], [3, 1, 2])


def test_answer_that_changes_from_call_to_call_is_refused() -> None:
    for number_of_samples in (1, 3):
        count = itertools.count()
        with pytest.raises(UnsteadyAnswer, match=r"depends on chance, sample 0: .*sample_inputs out"):
            steady_answers(lambda batch, count=count: [str(next(count)) for _ in batch], [0] * number_of_samples)


def test_answer_that_changes_only_alone_depends_on_chance() -> None:
    count = itertools.count()

    def ask(batch: Sequence[Any]) -> list[str]:
        return ["5"] * len(batch) if len(batch) > 1 else [str(next(count))]

    with pytest.raises(UnsteadyAnswer, match="depends on chance"):
        steady_answers(ask, [1, 2])


@pytest.mark.parametrize(
    ("together", "alone", "is_steady"),
    [(0.5, 0.5000001, True), (0.5, 0.501, False), ("0.5", "0.5000001", False), ([1, 0.3], [1, 0.3000001], True)],
)
def test_numbers_have_a_tolerance_and_texts_have_none(together: Any, alone: Any, is_steady: bool) -> None:
    def ask(batch: Sequence[Any]) -> list[str]:
        return [json.dumps(together if len(batch) > 1 else alone)] * len(batch)

    if is_steady:
        assert steady_answers(ask, [1, 2]) == [json.dumps(together)] * 2
    else:
        with pytest.raises(UnsteadyAnswer, match="neighbours"):
            steady_answers(ask, [1, 2])


def test_many_samples_are_asked_alone_up_to_a_bound() -> None:
    sizes = []

    def ask(batch: Sequence[Any]) -> list[str]:
        sizes.append(len(batch))
        return ["1"] * len(batch)

    steady_answers(ask, list(range(3 * MAX_ALONE)))
    assert sizes == [3 * MAX_ALONE, *[1] * MAX_ALONE]


def test_same_batch_with_other_answers_depends_on_chance() -> None:
    refuse_chance(lambda _: ["1"], [0], ["1"])
    with pytest.raises(UnsteadyAnswer, match="depends on chance, sample 0: at first it is 2, and asked again 1"):
        refuse_chance(lambda _: ["1"], [0], ["2"])
