"""Tests of a function's trial in the notebook."""

import json

import pytest

from clipper_nb.closures.trial import try_function
from clipper_nb.errors import InvalidInputError, PredictionError


def _halve(inputs):
    inputs[0] /= 2
    return inputs


class Threshold:
    """An estimator."""

    def predict(self, rows):
        return rows.sum(axis=1) > 1


def test_function_that_changes_its_inputs_is_told_to_copy_them():
    with pytest.raises(PredictionError, match=r"read-only .*x\.copy\(\)") as raised:
        try_function({"input": [1.0]}, _halve, "doubles")
    assert (raised.value.exception_type, type(raised.value.__cause__)) == ("ValueError", ValueError)
    assert "in _halve" in raised.value.traceback_text


@pytest.mark.parametrize(
    ("func", "input_type", "value"),
    [
        (lambda text: text.upper(), "strings", "a"),
        (lambda text: json.loads(text)["a"], "strings", "{}"),
        (lambda x: x + 1, "doubles", [1.0]),
        (lambda record: record["age"], "strings", "{}"),
    ],
)
def test_function_of_one_record_is_told_that_it_gets_a_list(func, input_type, value):
    with pytest.raises(PredictionError, match="The function gets a list of inputs"):
        try_function({"input": value}, func, input_type)


def test_query_that_does_not_fit_is_not_the_functions_fault():
    for query in (None, "text", {"input": "a"}, {"input": object()}):
        with pytest.raises(InvalidInputError):
            try_function(query, _halve, "doubles")


def test_estimator_is_tried_in_place_of_a_function():
    assert list(try_function({"input_batch": [[1.0, 2.0], [0.0, 0.5]]}, Threshold(), "doubles")) == [True, False]
