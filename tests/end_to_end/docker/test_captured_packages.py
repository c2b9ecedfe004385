"""A function that works in the notebook works in its container: what it uses is installed there, in its versions."""

from __future__ import annotations

import numpy as np
import pytest
import sklearn
from sklearn.datasets import load_iris
from sklearn.ensemble import RandomForestClassifier

from clipper_nb.deployers.python import create_endpoint
from tests.support.clusters import running_cluster

pytestmark = [pytest.mark.docker, pytest.mark.slow, pytest.mark.long]

X, Y = load_iris(return_X_y=True)


def test_scikit_learn_is_captured_without_being_named() -> None:
    """The functions of ``test_real_functions.py`` that need LightGBM and pandas stand for it."""
    forest = RandomForestClassifier(10, random_state=0).fit(X, Y)

    def classify(inputs: list) -> list:
        import sklearn

        return [[int(label), sklearn.__version__] for label in forest.predict(np.stack(inputs))]

    with running_cluster("docker") as conn:
        create_endpoint(conn, "iris", "doubles", classify, slo_micros=10_000_000, timeout_s=120)
        answers = [answer.output for answer in conn.predict_batch("iris", X[::10])]
    assert answers == [[int(label), sklearn.__version__] for label in forest.predict(X[::10])]
