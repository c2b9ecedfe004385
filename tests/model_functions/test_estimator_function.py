"""What a method of an estimator is called with, and what becomes of its result."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from clipper_nb.model_functions.estimator_function import EstimatorFunction


class Recording:
    """An estimator that keeps what it gets, and returns *result*."""

    def __init__(self, result: Any = None) -> None:
        self.result = result
        self.got: Any = None

    def predict(self, rows: Any) -> Any:
        self.got = rows
        return self.result


def test_numbers_come_as_one_table_of_their_type() -> None:
    model = Recording([1, 2])
    assert EstimatorFunction(model, "predict")([np.array([1, 2], "f4"), np.array([3, 4], "f4")]) == [1, 2]
    assert (model.got.dtype, model.got.tolist()) == (np.float32, [[1.0, 2.0], [3.0, 4.0]])


def test_texts_come_as_the_list_that_they_are() -> None:
    model = Recording(["a"])
    EstimatorFunction(model, "predict")(["good film"])
    assert model.got == ["good film"]


def test_rows_of_different_lengths_are_told_apart() -> None:
    with pytest.raises(ValueError, match="different lengths make no table: 1, 2 numbers"):
        EstimatorFunction(Recording(), "predict")([np.zeros(1), np.zeros(2)])


def test_probabilities_of_several_targets_are_regrouped_by_input() -> None:
    """Without this a batch of as many inputs as targets would get the probabilities of targets for inputs."""
    first, second = np.array([[0.1, 0.9], [0.2, 0.8]]), np.array([[0.3, 0.3, 0.4], [0.5, 0.5, 0.0]])
    found = EstimatorFunction(Recording([first, second]), "predict")([np.zeros(1), np.zeros(1)])
    assert [[part.tolist() for part in output] for output in found] == [
        [[0.1, 0.9], [0.3, 0.3, 0.4]], [[0.2, 0.8], [0.5, 0.5, 0.0]],
    ]  # fmt: skip


def test_function_says_what_it_calls() -> None:
    assert repr(EstimatorFunction(Recording(), "predict")) == "<Recording.predict>"
