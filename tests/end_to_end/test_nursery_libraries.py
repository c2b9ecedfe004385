"""Libraries that compute in several threads give right answers in forked replicas."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

from clipper_nb import ClipperConnection
from clipper_nb.deployers.python import deploy_python_closure
from tests.support.clusters import eventually, running_cluster

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="elsewhere nothing is forked"),
]

NUM_CLIENTS = 4
NUM_QUERIES = 200
NUM_COLUMNS = 4
RNG = np.random.default_rng(0)
ROWS = RNG.normal(size=(300, NUM_COLUMNS))
LABELS = (ROWS[:, 0] * ROWS[:, 1] > 0).astype(int)

Predict = Callable[[np.ndarray], Any]


def sklearn_model() -> Predict:
    from sklearn.ensemble import RandomForestClassifier

    forest = RandomForestClassifier(20, n_jobs=2, random_state=0).fit(ROWS, LABELS)
    return lambda rows: forest.predict_proba(rows)[:, 1]


def blas_model() -> Predict:
    weights = RNG.normal(size=(NUM_COLUMNS, 400))
    deep = RNG.normal(size=(400, 400)) / 400
    return lambda rows: np.tanh(rows @ weights @ deep @ deep).sum(axis=1)


def torch_model() -> Predict:
    import torch

    torch.manual_seed(0)
    net = torch.nn.Sequential(torch.nn.Linear(NUM_COLUMNS, 512), torch.nn.ReLU(), torch.nn.Linear(512, 1)).double()

    def predict(rows: np.ndarray) -> Any:
        torch.set_num_threads(2)
        with torch.no_grad():
            return net(torch.from_numpy(rows)).numpy()[:, 0]

    return predict


def lightgbm_model() -> Predict:
    import lightgbm

    booster = lightgbm.train(
        {"objective": "binary", "num_threads": 2, "verbose": -1}, lightgbm.Dataset(ROWS, LABELS), 20
    )
    return lambda rows: booster.predict(rows, num_threads=2)


def xgboost_model() -> Predict:
    import xgboost

    booster = xgboost.train({"nthread": 2}, xgboost.DMatrix(ROWS, LABELS), 20)
    return lambda rows: booster.predict(xgboost.DMatrix(rows))


def numba_model() -> Predict:
    import numba

    @numba.njit(parallel=True)
    def total(rows):
        sums = np.zeros(rows.shape[0])
        for i in numba.prange(rows.shape[0]):
            sums[i] = rows[i].sum()
        return sums

    return lambda rows: total(rows)


@pytest.fixture(scope="module")
def conn() -> Iterator[ClipperConnection]:
    with running_cluster("local", cache_size=0) as running:
        yield running


@pytest.mark.parametrize(
    "make",
    [
        sklearn_model,
        blas_model,
        torch_model,
        pytest.param(lightgbm_model, marks=pytest.mark.long),
        pytest.param(xgboost_model, marks=pytest.mark.long),
        numba_model,
    ],
    ids=lambda f: f.__name__,
)
def test_threads_of_a_library_work_in_forked_replicas(conn: ClipperConnection, make: Callable[[], Predict]) -> None:
    """Scikit-learn, whose threads are OpenMP's too, stands for LightGBM and XGBoost."""
    name = make.__name__.partition("_")[0]
    predict = make()

    def serve(inputs: list) -> list:
        return [[os.getpid(), float(value)] for value in predict(np.array(inputs))]

    queries = np.random.default_rng(1).normal(size=(NUM_QUERIES, NUM_COLUMNS))
    expected = np.asarray(predict(queries), dtype=float)
    conn.register_application(name, "doubles", "-", 20_000_000)
    for version in (1, 2):  # the nursery of the second has the library
        deploy_python_closure(conn, name, version, "doubles", serve, num_replicas=2)
        if version == 1:
            conn.link_model_to_app(name, name)
        with ThreadPoolExecutor(NUM_CLIENTS) as clients:
            replies = list(clients.map(lambda query: conn.predict(name, query.tolist()).output, queries))
        assert np.allclose([value for _, value in replies], expected, atol=1e-6)
        assert len({pid for pid, _ in replies}) == 2
        if name != "blas":  # NumPy is imported in any case
            _wait_until_known(conn, name)
    conn.stop_models([name])


def _wait_until_known(conn: ClipperConnection, library: str) -> None:
    """Return when a nursery has imported the library, or is known to be unable to fork with it."""
    log = conn.cm._folder.supervisor_log_path  # type: ignore[attr-defined]
    words = (r"a nursery has imported .*", r"each replica imports .*")
    pattern = re.compile("|".join(f"{each}'{library}'" for each in words))
    eventually(lambda: pattern.search(log.read_text()), within_s=60, what=f"the nursery knows of {library}")
