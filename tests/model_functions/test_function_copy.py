"""A function that is unpickled in the notebook leaves the notebook as it was."""

from __future__ import annotations

import enum
import pickle
from typing import Any

import cloudpickle
import pytest

from clipper_nb.closures.trial import try_function
from clipper_nb.model_functions.function_copy import unpickle_copy

CELL = """
import enum
threshold = 1
class Level(enum.Enum):
    LOW = 1
    def limit(self):
        return threshold
class Model:
    seen = []
    top = 5
    def predict(self, inputs):
        self.seen.append(1)
        return [[threshold, self.top, Level.LOW.limit(), len(self.seen)] for _ in inputs]
"""


@pytest.fixture
def cell() -> dict[str, Any]:
    names: dict[str, Any] = {"__name__": "__main__"}
    exec(CELL, names)
    return names


def test_classes_of_the_notebook_stay_as_they_are(cell: dict[str, Any]) -> None:
    model = cell["Model"]
    pickled = cloudpickle.dumps(model().predict)
    before = dict(vars(model)), dict(vars(cell["Level"]))
    copy = unpickle_copy(pickled)
    assert copy([0]) == [[1, 5, 1, 1]]
    assert (dict(vars(model)), dict(vars(cell["Level"]))) == before
    assert model.seen == []
    cell["threshold"], model.top = 7, 8
    assert unpickle_copy(pickled)([0]) == [[1, 5, 1, 1]]
    assert model().predict([0]) == [[7, 8, 7, 1]]


def test_trial_leaves_the_function_of_the_notebook_alone(cell: dict[str, Any]) -> None:
    predict = cell["Model"]().predict
    assert try_function({"input": [1]}, predict, "ints") == [[1, 5, 1, 1]]
    cell["threshold"] = 7
    assert predict([0]) == [[7, 5, 7, 1]]


def test_copy_pickles_again(cell: dict[str, Any]) -> None:
    copy = unpickle_copy(cloudpickle.dumps(cell["Model"]()))
    assert unpickle_copy(cloudpickle.dumps(copy.predict))([0]) == [[1, 5, 1, 1]]
    assert isinstance(unpickle_copy(cloudpickle.dumps(cell["Level"].LOW)), enum.Enum)


def test_errors_of_unpickling_pass_as_they_are() -> None:
    with pytest.raises(pickle.UnpicklingError):
        unpickle_copy(b"no pickle")
    with pytest.raises(ModuleNotFoundError, match="no_such_module"):
        unpickle_copy(b"cno_such_module\nfunction\n.")
