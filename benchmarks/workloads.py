"""What is served and asked for: three models, the same for every server, and the right answers.

The peers import this file into environments of their own, so it needs nothing but NumPy, and joblib for the forest.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

FOREST_VARIABLE = "BENCHMARK_FOREST"
"""Environment variable with the file of the trained forest, which all servers load."""

Predict = Callable[[Sequence[Any]], list[Any]]
"""A model: one output for each input, which is a list of numbers or a 1-D array."""


@dataclass(frozen=True)
class Workload:
    """A model and the inputs that it is asked about."""

    name: str
    title: str
    num_doubles: int


NOOP = Workload("noop", "no-op on 10 doubles", 10)
SUM = Workload("sum", "sum of 768 doubles", 768)
FOREST = Workload("forest", "forest of 100 trees on 784 doubles", 784)
WORKLOADS = (NOOP, SUM, FOREST)


def load_model(name: str) -> Predict:
    """Return the model of a workload."""
    return {NOOP.name: lambda: predict_nothing, SUM.name: lambda: predict_sum, FOREST.name: load_forest}[name]()


def predict_nothing(inputs: Sequence[Any]) -> list[str]:
    """Answer with the first number of each input, as text: no work, yet one sees whose answer it is."""
    return [str(int(x[0])) for x in inputs]


def predict_sum(inputs: Sequence[Any]) -> list[float]:
    """Add up each input."""
    return [float(np.asarray(x).sum()) for x in inputs]


def load_forest() -> Predict:
    """Load the forest that ``save_forest`` wrote."""
    import joblib

    forest = joblib.load(os.environ[FOREST_VARIABLE])

    def predict_forest(inputs: Sequence[Any]) -> list[int]:
        return forest.predict(np.asarray(inputs)).tolist()

    return predict_forest


def save_forest(path: str) -> None:
    """Train the forest, which costs about as much for one input as for sixty-four, and write it to *path*."""
    import joblib
    from sklearn.ensemble import RandomForestClassifier

    rng = np.random.default_rng(0)
    features = rng.random((2000, FOREST.num_doubles))
    forest = RandomForestClassifier(n_estimators=100, max_depth=8, random_state=0, n_jobs=1)
    forest.fit(features, features[:, :10].argmax(axis=1))
    joblib.dump(forest, path)


def make_inputs(workload: Workload, num_inputs: int, seed: int) -> list[list[float]]:
    """Return inputs no two of which are equal, nor equal to those of another *seed*."""
    rng = np.random.default_rng(seed)
    inputs = rng.random((num_inputs, workload.num_doubles))
    if workload is NOOP:
        inputs[:, 0] = 1000 * seed + np.arange(num_inputs)  # the answer, different for each
    return inputs.tolist()
