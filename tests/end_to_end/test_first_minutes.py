"""What a new user tries first: a cell that runs twice, an estimator in place of a function, an endpoint by name."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import ColumnTransformer
from sklearn.datasets import load_iris
from sklearn.ensemble import RandomForestClassifier
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.multioutput import MultiOutputClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from clipper_nb import ApplicationNotFoundError, ClipperConnection, ExistsError, InvalidInputError, ModelLoadError
from clipper_nb.deployers.python import create_endpoint, deploy_python_closure
from tests.support.clusters import http_request

pytestmark = [pytest.mark.cluster, pytest.mark.same_on_docker, pytest.mark.timeout(600)]  # an image has many libraries

SLO_MICROS = 20_000_000
X, Y = load_iris(return_X_y=True)


def total(inputs: list) -> list:
    print("totals of", len(inputs))
    return [float(x.sum()) for x in inputs]


def twice(inputs: list) -> list:
    return [2 * float(x.sum()) for x in inputs]


class Unloadable:
    def __call__(self, inputs: list) -> list:
        return inputs

    def __reduce__(self) -> Any:
        return exec, ("raise RuntimeError('no weights')",)


def test_deploy_without_a_version_can_be_repeated(shared: ClipperConnection) -> None:
    found = [deploy_python_closure(shared, "repeated", None, "doubles", func).version for func in (total, twice)]
    assert found == ["1", "2"]
    deploy_python_closure(shared, "repeated", "rc1", "doubles", total)
    shared.set_model_version("repeated", 1)
    assert deploy_python_closure(shared, "repeated", None, "doubles", twice).is_current
    assert list(shared.models["repeated"]) == ["1", "2", "rc1", "3"]


def test_callers_at_the_same_time_get_different_numbers(shared: ClipperConnection) -> None:
    """The claim decides; each version answers with the function of the caller who was told its number."""
    others = [shared, ClipperConnection(shared.cm)]
    others[1].connect()
    numbers: dict[str, str] = {}

    def deploy(conn: ClipperConnection, name: str) -> None:
        handle = deploy_python_closure(conn, "raced", None, "doubles", lambda inputs: [name for _ in inputs])
        numbers[name] = handle.version

    threads = [threading.Thread(target=deploy, args=(conn, f"{i}")) for i, conn in enumerate(others * 2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(numbers.values()) == ["1", "2", "3", "4"]
    shared.register_application("raced", "doubles", slo_micros=SLO_MICROS)
    shared.link_model_to_app("raced", "raced")
    answers = {name: shared.predict("raced", [1.0], version=number).output for name, number in numbers.items()}
    assert answers == {name: int(name) for name in numbers}


def test_endpoint_is_made_redeployed_rolled_back_and_deleted(shared: ClipperConnection) -> None:
    for func in (total, twice):
        endpoint = create_endpoint(shared, "sums", "doubles", func, slo_micros=SLO_MICROS)
    assert repr(endpoint).startswith("<Endpoint 'sums': doubles, SLO 20000 ms, sums:2, http://")
    assert (endpoint.predict([1.0, 2.0]).output, list(endpoint.versions)) == (6.0, ["1", "2"])
    assert endpoint.rollback().version == "1"
    assert endpoint.predict([1.0, 2.0]).output == 3.0
    assert "totals of 1" in endpoint.logs()
    assert "totals of 1" in shared.logs("sums:1")
    assert "totals of" not in shared.logs("sums:2")
    address, _, path = endpoint.url.removeprefix("http://").partition("/")
    assert http_request(address, "POST", f"/{path}", '{"input": [4]}')[1]["output"] == 4.0
    assert create_endpoint(shared, "sums", "doubles", twice, slo_micros=SLO_MICROS).predict([1.0]).output == 2.0
    endpoint.delete()
    assert "sums" not in shared.endpoints
    assert "sums" not in shared.models
    assert repr(endpoint) == "<Endpoint 'sums': not in the cluster>"


def test_rollback_starts_replicas_that_were_stopped(shared: ClipperConnection) -> None:
    endpoint = create_endpoint(shared, "slept", "doubles", total, slo_micros=SLO_MICROS)
    create_endpoint(shared, "slept", "doubles", twice, slo_micros=SLO_MICROS, num_replicas=2)
    endpoint.versions["1"].set_num_replicas(0)
    assert len(endpoint.rollback().replicas) == 2
    assert endpoint.predict([1.0]).output == 1.0


def test_failed_redeploy_leaves_the_endpoint_as_it_was(shared: ClipperConnection) -> None:
    endpoint = create_endpoint(shared, "kept", "doubles", total, slo_micros=SLO_MICROS)
    with pytest.raises(ModelLoadError, match="no weights"):
        create_endpoint(shared, "kept", "doubles", Unloadable(), slo_micros=SLO_MICROS)
    with pytest.raises(ExistsError, match="default_output=None, not -1"):
        create_endpoint(shared, "kept", "doubles", total, default_output="-1", slo_micros=SLO_MICROS)
    assert list(endpoint.versions) == ["1"]
    assert endpoint.predict([1.0]).output == 1.0


def test_application_has_defaults(shared: ClipperConnection) -> None:
    shared.register_application("plain", "doubles")
    info = shared.get_app_info("plain")
    assert (info["default_output"], info["latency_slo_micros"]) == ("null", 1_000_000)
    found = shared.predict("plain", [1.0])
    assert (found.output, found.default) == (None, True)


def check(shared: ClipperConnection, name: str, estimator: Any, inputs: Any, expected: Any, **options: Any) -> None:
    """Deploy an estimator, and compare its answers, alone and together, with its own."""
    input_type = "strings" if isinstance(inputs, list) else "doubles"
    endpoint = create_endpoint(shared, name, input_type, estimator, slo_micros=SLO_MICROS, **options)
    first = inputs[0] if isinstance(inputs, list) else np.asarray(inputs)[0]
    answers = [endpoint.predict(first), *endpoint.predict_batch(inputs)]
    for found, own in zip(answers, [expected[0], *expected], strict=True):
        assert is_alike(found.output, own), (found, own)


def is_alike(found: Any, own: Any) -> bool:
    """Return whether answers have the same types and values, but for the last digits, which a batch's size moves."""
    if isinstance(own, list):
        return len(found) == len(own) and all(map(is_alike, found, own))
    return type(found) is type(own) and found == (pytest.approx(own, rel=1e-12) if isinstance(own, float) else own)


def test_estimator_answers_as_it_does_in_the_notebook(shared: ClipperConnection) -> None:
    forest = RandomForestClassifier(20, random_state=0).fit(X, Y)
    check(shared, "forest", forest, X, forest.predict(X).tolist(), sample_inputs=X[:3])
    check(shared, "proba", forest, X[::9], forest.predict_proba(X[::9]).tolist(), method="predict_proba")
    scaler = StandardScaler().fit(X)
    check(shared, "scaled", scaler, X[::9], scaler.transform(X[::9]).tolist(), method="transform")


def test_estimator_of_a_data_frame_finds_its_columns(shared: ClipperConnection) -> None:
    """Its labels are texts, which stay text: "1" does not become the number 1."""
    frame = pd.DataFrame(X, columns=["a", "b", "c", "d"])
    scaled = ColumnTransformer([("scaled", StandardScaler(), ["d", "a"])], remainder="passthrough")
    labels = np.array(["1", "02", "x"])[Y]
    pipeline = make_pipeline(scaled, LogisticRegression(max_iter=500)).fit(frame, labels)
    check(shared, "frame", pipeline, frame, pipeline.predict(frame).tolist())
    shuffled = frame[["c", "a", "d", "b"]].assign(more=0.0)
    assert [found.output for found in shared.predict_batch("frame", shuffled)] == pipeline.predict(frame).tolist()
    assert shared.predict("frame", shuffled.iloc[70]).output == pipeline.predict(frame)[70]
    with pytest.raises(InvalidInputError, match="The model takes a, b, c, d, by name; c is missing in a, b, d"):
        shared.predict_batch("frame", frame[["a", "b", "d"]])
    found = shared.predict("frame", [1.0, 2.0])
    assert found.reason == "model_error"
    assert "an input has 2 numbers; the model takes 4: a, b, c, d" in str(found.explanation)


def test_estimators_of_texts_and_of_several_targets_answer(shared: ClipperConnection) -> None:
    texts = ["a good film", "bad film", "nice"]
    vectors = TfidfVectorizer().fit(texts)
    check(shared, "vectors", vectors, texts, vectors.transform(texts).toarray().tolist(), method="transform")
    liked = make_pipeline(TfidfVectorizer(), LogisticRegression()).fit(texts, ["yes", "no", "yes"])
    check(shared, "liked", liked, texts, liked.predict(texts).tolist())
    both = MultiOutputClassifier(LogisticRegression(max_iter=500)).fit(X, np.c_[Y, Y > 0])
    expected = [[part[i].tolist() for part in both.predict_proba(X[:2])] for i in range(2)]
    check(shared, "both", both, X[:2], expected, method="predict_proba")


def test_function_of_one_record_is_told_what_it_gets(shared: ClipperConnection) -> None:
    endpoint = create_endpoint(shared, "shout", "strings", lambda text: text.upper(), slo_micros=SLO_MICROS)
    explanation = str(endpoint.predict("a").explanation)
    assert "'list' object has no attribute 'upper' (The function gets a list of inputs" in explanation


def test_unknown_application_is_answered_with_the_known_ones(shared: ClipperConnection) -> None:
    shared.register_application("known", "doubles")
    with pytest.raises(ApplicationNotFoundError, match=r"'knwon' exists\. Applications: .*known"):
        shared.predict("knwon", [1.0])


@pytest.mark.not_on_kubernetes("a cluster there has no folder on this machine: they stay in clipper_logs/")
def test_logs_without_a_folder_go_with_the_cluster(conn: ClipperConnection, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    paths = [Path(path) for path in conn.get_clipper_logs()]
    assert all(path.is_file() for path in paths)
    assert any("query_frontend" in path.name.replace("-", "_") for path in paths)  # a pod's name has no _
    assert len({path.parent for path in paths}) == 1
    assert paths[0].parent.stat().st_mode & 0o077 == 0
    conn.stop_all()
    assert not paths[0].parent.exists()
    assert list(tmp_path.iterdir()) == []
