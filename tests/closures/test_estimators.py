"""Estimators in place of functions: which they are, and what is refused before anything is built."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from clipper_nb.closures.estimators import as_function, is_estimator
from clipper_nb.closures.report import closure_report
from clipper_nb.errors import InvalidRequestError
from clipper_nb.protocol.input_types import InputType

X = np.array([[0.0, 1.0], [1.0, 0.0], [2.0, 5.0], [3.0, 1.0]])
Y = np.array([0, 0, 1, 1])
FITTED = LogisticRegression().fit(X, Y)
SCALER = StandardScaler().fit(X)


class CallableModel:
    def __call__(self, inputs: list[Any]) -> list[int]:
        return [1 for _ in inputs]

    def predict(self, rows: Any) -> Any:
        return rows.sum(axis=1)


def test_what_can_be_called_stays_the_function_that_it_is() -> None:
    model = CallableModel()
    assert as_function(model) is model
    assert as_function(FITTED.predict) == FITTED.predict
    assert as_function(model, "predict")([np.array([1.0, 2.0])]) == [3.0]
    assert [is_estimator(each) for each in (FITTED, SCALER, model, LogisticRegression, len)] == [True, *[False] * 4]


def test_estimator_becomes_a_function_of_its_method() -> None:
    rows = list(X)
    assert as_function(FITTED)(rows).tolist() == FITTED.predict(X).tolist()
    assert np.array_equal(as_function(FITTED, "predict_proba")(rows), FITTED.predict_proba(X))
    assert np.array_equal(as_function(SCALER, "transform")(rows), SCALER.transform(X))
    assert as_function(FITTED).__name__ == "LogisticRegression.predict"


def test_estimator_of_a_data_frame_gets_one_and_brings_pandas() -> None:
    frame = pd.DataFrame(X, columns=["width", "height"])
    function = as_function(LogisticRegression().fit(frame, Y))
    assert function(list(X)).tolist() == FITTED.predict(X).tolist()
    with pytest.raises(ValueError, match="an input has 1 numbers; the model takes 2: width, height"):
        function([np.array([1.0])])
    assert set(closure_report(function).requirements.direct) == {"numpy", "pandas", "scikit-learn"}
    assert set(closure_report(FITTED).requirements.direct) == {"numpy", "scikit-learn"}


def test_report_names_the_estimator_and_what_of_it_cannot_travel() -> None:
    found = closure_report(FITTED)
    assert [(each.name, each.type) for each in found.captured] == [("estimator", "LogisticRegression")]
    scaler = StandardScaler().fit(X)
    scaler.lock = threading.Lock()
    assert [each.name for each in closure_report(as_function(scaler, "transform")).refused] == ["estimator.lock"]


@pytest.mark.parametrize(
    ("func", "method", "words"),
    [
        (SCALER, None, r"StandardScaler has no predict\(\); choose a method: method='transform'"),
        (FITTED, "transform", "it has predict, predict_proba"),
        (FITTED, "fit", "method must be one of predict, .*; it is 'fit'"),
        (SVC().fit(X, Y), "predict_proba", "it has predict, decision_function"),
        (len, "predict", "it has none"),
        (LogisticRegression, "predict", r"pass a fitted object: LogisticRegression\(\)\.fit"),
        (LogisticRegression(), None, r"LogisticRegression is not fitted; call its fit\(\) first"),
    ],
)
def test_estimator_that_cannot_answer_is_refused(func: Any, method: str | None, words: str) -> None:
    with pytest.raises(InvalidRequestError, match=words):
        as_function(func, method)


def test_bytes_are_no_rows() -> None:
    for input_type in (InputType.INTEGERS, InputType.FLOATS, InputType.DOUBLES, InputType.STRINGS, InputType.JSON):
        as_function(FITTED, None, input_type)
    with pytest.raises(InvalidRequestError, match="and not bytes"):
        as_function(FITTED, None, InputType.BYTES)
