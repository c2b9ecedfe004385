"""Libraries that compute in several threads give right answers in forked replicas."""

from __future__ import annotations

import contextlib
import os
import re
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

from clipper_nb import ClipperConnection
from clipper_nb.deployers.python import deploy_python_closure
from tests.support.clusters import eventually, running_cluster
from tests.support.load import Load

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="elsewhere nothing is forked"),
]

A_MINUTE_S = 60.0
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


LIBRARIES = (sklearn_model, blas_model, torch_model, lightgbm_model, xgboost_model, numba_model)
_LONG = (lightgbm_model, xgboost_model)


@pytest.fixture(scope="module")
def conn() -> Iterator[ClipperConnection]:
    with running_cluster("local", cache_size=0) as running:
        yield running


@pytest.mark.parametrize(
    "make",
    [pytest.param(make, marks=pytest.mark.long if make in _LONG else ()) for make in LIBRARIES],
    ids=lambda make: make.__name__,
)
def test_threads_of_a_library_work_in_forked_replicas(conn: ClipperConnection, make: Callable[[], Predict]) -> None:
    """Scikit-learn, whose threads are OpenMP's too, stands for LightGBM and XGBoost."""
    name = _name_of(make)
    predict = make()
    serve = _serving(predict)
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


@pytest.mark.long
@pytest.mark.timeout(300)
def test_libraries_are_right_for_a_minute_side_by_side(conn: ClipperConnection) -> None:
    """``test_threads_of_a_library_work_in_forked_replicas`` stands for it."""
    models = {f"minute-{_name_of(make)}": make() for make in LIBRARIES}
    for name, predict in models.items():
        conn.register_application(name, "doubles", "-", 20_000_000)
        deploy_python_closure(conn, name, 1, "doubles", _serving(predict), num_replicas=2)
        conn.link_model_to_app(name, name)
    with contextlib.ExitStack() as stack:
        address = conn.get_query_addr()
        loads = {
            name: stack.enter_context(Load(address, name, num_clients=2, max_s=A_MINUTE_S, make_input=_row))
            for name in models
        }
        time.sleep(A_MINUTE_S)
    for name, load in loads.items():
        assert len(load.replies) > 100, name
        assert [reply.body for reply in load.replies if reply.status != 200 or reply.body["default"]] == []
        outputs = [reply.body["output"] for reply in load.replies]
        expected = models[name](np.array([_row(reply.value) for reply in load.replies]))
        assert np.allclose([value for _, value in outputs], expected, atol=1e-6), name
        assert len({pid for pid, _ in outputs}) == 2, name
    conn.stop_models(list(models))


def lightgbm_deploy(conn: ClipperConnection, name: str, version: int) -> Predict:
    import lightgbm

    from clipper_nb.deployers.lightgbm import deploy_lightgbm_model

    booster = lightgbm.train({"objective": "binary", "verbose": -1}, lightgbm.Dataset(ROWS, LABELS), 20)
    deploy_lightgbm_model(conn, name, version, "doubles", _serving_model(), booster, num_replicas=2)
    return booster.predict


def xgboost_deploy(conn: ClipperConnection, name: str, version: int) -> Predict:
    import xgboost

    from clipper_nb.deployers.xgboost import deploy_xgboost_model

    model = xgboost.XGBRegressor(n_estimators=20, n_jobs=2).fit(ROWS, LABELS)
    deploy_xgboost_model(conn, name, version, "doubles", _serving_model(), model, num_replicas=2)
    return model.predict


def pytorch_deploy(conn: ClipperConnection, name: str, version: int) -> Predict:
    import torch

    from clipper_nb.deployers.pytorch import deploy_pytorch_model

    torch.manual_seed(0)
    net = torch.nn.Sequential(torch.nn.Linear(NUM_COLUMNS, 512), torch.nn.ReLU(), torch.nn.Linear(512, 1)).double()

    def predict(net: Callable, inputs: list) -> list:
        rows = torch.from_numpy(np.array(inputs))
        return [[os.getpid(), float(value)] for value in net(rows)[:, 0]]

    deploy_pytorch_model(conn, name, version, "doubles", predict, net, num_replicas=2)
    return lambda rows: net(torch.from_numpy(rows)).detach().numpy()[:, 0]


@pytest.mark.parametrize("deploy", [lightgbm_deploy, xgboost_deploy, pytorch_deploy])
def test_models_of_frameworks_are_right_in_forked_replicas(
    conn: ClipperConnection, deploy: Callable[[ClipperConnection, str, int], Predict]
) -> None:
    name = f"framework-{_name_of(deploy)}"
    conn.register_application(name, "doubles", "-", 20_000_000)
    queries = np.random.default_rng(1).normal(size=(NUM_QUERIES, NUM_COLUMNS))
    for version in (1, 2):
        predict = deploy(conn, name, version)
        if version == 1:
            conn.link_model_to_app(name, name)
        with ThreadPoolExecutor(NUM_CLIENTS) as clients:
            replies = list(clients.map(lambda query: conn.predict(name, query.tolist()).output, queries))
        assert np.allclose([value for _, value in replies], predict(queries), atol=1e-6)
        assert len({pid for pid, _ in replies}) == 2
    log = conn.cm._folder.supervisor_log_path.read_text()  # type: ignore[attr-defined]
    assert not re.search(rf"{name}.* is started as a program", log)
    conn.stop_models([name])


def _row(number: float) -> list[float]:
    row: list[float] = np.random.default_rng(int(number)).normal(size=NUM_COLUMNS).tolist()
    return row


def _serving_model() -> Callable[[Any, list], list]:
    """Return what :func:`_serving` does, for a model that comes with the inputs."""
    return lambda model, inputs: [[os.getpid(), float(value)] for value in model.predict(np.array(inputs))]


def _name_of(make: Callable[..., Any]) -> str:
    return make.__name__.partition("_")[0]


def _serving(predict: Predict) -> Callable[[list], list]:
    """Return a function that says which process has predicted each value."""
    return lambda inputs: [[os.getpid(), float(value)] for value in predict(np.array(inputs))]


def _wait_until_known(conn: ClipperConnection, library: str) -> None:
    """Return when a nursery has imported the library, or is known to be unable to fork with it."""
    log = conn.cm._folder.supervisor_log_path  # type: ignore[attr-defined]
    words = (r"a nursery has imported .*", r"each replica imports .*")
    pattern = re.compile("|".join(f"{each}'{library}'" for each in words))
    eventually(lambda: pattern.search(log.read_text()), within_s=60, what=f"the nursery knows of {library}")
