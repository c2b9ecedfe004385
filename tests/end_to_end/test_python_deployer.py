"""What can be deployed from a notebook: closures, fitted models, classes of cells, modules of the user's own."""

from __future__ import annotations

import dataclasses
import importlib
import json
import subprocess
import sys
import tempfile
import textwrap
from pathlib import Path

import numpy as np
import packaging
import pytest
import sklearn
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression

from clipper_nb import ClipperConnection, Prediction
from clipper_nb.deployers.python import create_endpoint, deploy_python_closure
from tests.end_to_end import my_own_helpers
from tests.support.clusters import source_of

pytestmark = [pytest.mark.cluster, pytest.mark.same_on_docker]

SLO_MICROS = 10_000_000


def test_a_closure_over_a_fitted_model_answers_as_the_model_does(shared: ClipperConnection) -> None:
    digits = load_digits()
    model = LogisticRegression(max_iter=2000).fit(digits.data[:800], digits.target[:800])

    def predict(inputs: list) -> np.ndarray:
        return model.predict(np.stack(inputs))

    # A container has NumPy alone; in the embedded cluster, which has the notebook's packages, pip finds it there.
    packages = [f"scikit-learn=={sklearn.__version__}"]
    create_endpoint(shared, "digits", "doubles", predict, slo_micros=SLO_MICROS, pkgs_to_install=packages)
    images = digits.data[800:1000]
    predictions = shared.predict_batch("digits", images)
    assert [prediction.output for prediction in predictions] == model.predict(images).tolist()
    single = shared.predict("digits", images[0])
    assert isinstance(single, Prediction)
    assert (single.output, single.default, single.reason) == (int(model.predict(images[:1])[0]), False, None)
    assert 0 < single.latency_s < 10


def test_modules_of_the_users_own_travel(shared: ClipperConnection) -> None:
    offset = my_own_helpers.Offset(0.5)
    create_endpoint(
        shared, "own", "doubles", lambda xs: [offset.apply(my_own_helpers.scaled_sum(x)) for x in xs],
        slo_micros=SLO_MICROS,
    )  # fmt: skip
    assert shared.predict("own", [1.0, 2.0]).output == 30.5


def test_user_modules_imported_during_a_call_are_captured(
    shared: ClipperConnection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "imported_late.py").write_text("import imported_later as i\n\ndef twice(x):\n    return i.K * x\n")
    (tmp_path / "imported_later.py").write_text("K = 2.0\n")
    monkeypatch.syspath_prepend(str(tmp_path))

    def predict(inputs: list) -> list:
        from imported_late import twice  # type: ignore[import-not-found]

        return [twice(x.sum()) for x in inputs]

    create_endpoint(shared, "late", "doubles", predict, slo_micros=SLO_MICROS)
    assert shared.predict("late", [1.0, 2.0]).output == 6.0


@pytest.mark.also_on_docker
def test_functions_and_classes_of_cells_travel(shared: ClipperConnection, tmp_path: Path) -> None:
    """Run as a notebook's cells are: in ``__main__``, with a module beside it that was imported from the folder."""
    (tmp_path / "beside_the_notebook.py").write_text("def double(x):\n    return 2 * x\n")
    script = textwrap.dedent(
        f"""
        import dataclasses
        from clipper_nb import *
        from clipper_nb.deployers.python import create_endpoint
        import beside_the_notebook

        @dataclasses.dataclass
        class Cell:
            factor: float
            def __call__(self, inputs):
                return [helper(x) * self.factor for x in inputs]

        def helper(x):
            return beside_the_notebook.double(float(x[0]))

        conn = ClipperConnection({source_of(shared.cm)})
        conn.connect()
        create_endpoint(conn, "cells", "doubles", Cell(10.0), slo_micros={SLO_MICROS})
        """
    )
    subprocess.run([sys.executable, "-"], input=script, text=True, cwd=tmp_path, check=True, timeout=60)
    assert shared.predict("cells", [3.0]).output == 60.0


def test_outputs_of_every_kind_become_json(shared: ClipperConnection) -> None:
    outputs = [
        "text", '{"a": [1]}', b"bytes", 1, 1.5, True, None, np.float64(2.5), np.int32(3), np.array([1, 2]),
        {"label": np.int64(4), "scores": np.array([0.5])}, [1, "a"], ("t", 1), "naïve 🦔", "1.0",
    ]  # fmt: skip
    create_endpoint(shared, "kinds", "ints", lambda xs: [outputs[x[0]] for x in xs], slo_micros=SLO_MICROS)
    expected = [
        "text", {"a": [1]}, "bytes", 1, 1.5, True, None, 2.5, 3, [1, 2],
        {"label": 4, "scores": [0.5]}, [1, "a"], ["t", 1], "naïve 🦔", 1.0,
    ]  # fmt: skip
    predictions = shared.predict_batch("kinds", [[i] for i in range(len(outputs))])
    assert [prediction.output for prediction in predictions] == expected


def test_bytes_and_text_go_in_as_the_notebook_has_them(shared: ClipperConnection) -> None:
    create_endpoint(shared, "sizes", "bytes", lambda xs: [len(x) for x in xs], slo_micros=SLO_MICROS)
    for value in (b"abc", bytearray(b"abc"), np.array([1, 2, 3], dtype=np.uint8)):
        assert shared.predict("sizes", value).output == 3
    create_endpoint(shared, "upper", "strings", lambda xs: [x.upper() for x in xs], slo_micros=SLO_MICROS)
    assert shared.predict("upper", "abc").output == "ABC"


def test_garbage_collector_leaves_alone_what_was_loaded(shared: ClipperConnection) -> None:
    def count_frozen(inputs: list) -> list:
        import gc

        return [gc.get_freeze_count()] * len(inputs)

    create_endpoint(shared, "frozen", "doubles", count_frozen, slo_micros=5_000_000)
    assert shared.predict("frozen", [0.0]).output > 10_000


def test_inputs_stay_valid_after_the_call(shared: ClipperConnection) -> None:
    kept: list = []

    def predict(inputs: list) -> list:
        kept.extend(inputs)
        return [[x.tolist() for x in kept] for _ in inputs]

    create_endpoint(shared, "kept", "doubles", predict, slo_micros=SLO_MICROS)
    for i in range(20):
        output = shared.predict("kept", [float(i)]).output
    assert output == [[float(i)] for i in range(20)]


@pytest.mark.also_on_docker
def test_packages_are_installed_for_one_version_alone(shared: ClipperConnection, kind: str) -> None:
    def predict(inputs: list) -> list:
        def version_of(name: str) -> str | None:
            try:
                return importlib.import_module(name).__version__
            except ImportError:
                return None

        return [{name: version_of(name) for name in ("packaging", "sklearn")} for _ in inputs]

    # Below its own packages a process of the embedded cluster sees the notebook's; a container has none of them.
    notebooks = {"packaging": packaging.__version__, "sklearn": sklearn.__version__}
    around = notebooks if kind == "local" else dict.fromkeys(notebooks)
    other = "24.0" if packaging.__version__ != "24.0" else "23.2"
    create_endpoint(shared, "packed", "ints", predict, slo_micros=SLO_MICROS, pkgs_to_install=[f"packaging=={other}"])
    deploy_python_closure(shared, "packed", 2, "ints", predict)
    assert shared.predict("packed", [1], version=1).output == {**around, "packaging": other}
    assert shared.predict("packed", [1], version=2).output == around


def test_the_bundle_is_removed(shared: ClipperConnection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    create_endpoint(shared, "removed", "ints", lambda xs: [1 for _ in xs], slo_micros=SLO_MICROS)
    assert list(tmp_path.iterdir()) == []


def test_metadata_labels_and_reprs(shared: ClipperConnection) -> None:
    create_endpoint(
        shared, "described", "ints", lambda xs: [1 for _ in xs], slo_micros=SLO_MICROS, version="1.0_rc1",
        labels=["a", "b"], batch_size=3,
    )  # fmt: skip
    info = shared.get_model_info("described", "1.0_rc1")
    assert info is not None
    assert (info["labels"], info["batch_size"], info["input_type"], info["is_current_version"]) == (
        ["a", "b"], 3, "integers", True,
    )  # fmt: skip
    assert list(info) == [
        "model_name", "model_version", "input_type", "labels", "container_name", "batch_size", "num_replicas", "limits",
        "isolate_errors", "hang_timeout_s", "text_outputs", "network_access", "autoscaling", "environment",
        "environment_variables", "num_samples", "example", "input_schema", "registered_at", "is_current_version",
    ]  # fmt: skip
    assert info == next(m for m in shared.get_all_models(verbose=True) if m["model_name"] == "described")
    assert info == shared.models["described"]["1.0_rc1"].info
    assert json.loads(json.dumps(info)) == info
    assert shared.get_app_info("described") == shared.apps["described"].info == {
        "name": "described", "input_type": "integers", "default_output": "None", "latency_slo_micros": SLO_MICROS,
        "linked_models": ["described"], "model": "described:1.0_rc1",
    }  # fmt: skip
    assert shared.get_linked_models("described") == ["described"]
    assert shared.get_current_model_version("described") == "1.0_rc1"
    replica = next(r for r in shared.get_all_model_replicas(verbose=True) if r["model_name"] == "described")
    assert list(replica) == ["model_id", "model_name", "model_version", "model_replica_id", "input_type"]
    assert shared.get_model_replica_info("described", "1.0_rc1", replica["model_replica_id"]) == replica
    assert shared.models["described"]["1.0_rc1"].replicas == [replica]
    assert shared.get_model_info("described", "9") is None
    assert shared.get_app_info("nobody") is None
    assert "described" in shared._repr_html_()
    assert shared.get_query_addr() in repr(shared)
    assert "\n" not in repr(shared)


def test_stopping_by_name_version_and_inactivity(shared: ClipperConnection) -> None:
    for version in (1, 2, 3):
        deploy_python_closure(shared, "old", version, "ints", lambda xs: [1 for _ in xs])
    shared.stop_versioned_models({"old": [1]})
    assert [model for model in shared.get_all_models() if model.startswith("old:")] == ["old:2", "old:3"]
    shared.stop_inactive_model_versions(["old", "nobody"])
    assert [model for model in shared.get_all_models() if model.startswith("old:")] == ["old:3"]
    assert [r for r in shared.get_all_model_replicas() if r.startswith("old:")] == ["old:3:0"]
    shared.stop_models(["old"])
    assert not [model for model in shared.get_all_models() if model.startswith("old:")]
    deploy_python_closure(shared, "old", 3, "ints", lambda xs: ["again" for _ in xs])
    shared.stop_all_model_containers()
    assert shared.get_all_models() == shared.get_all_model_replicas() == []


def test_a_reregistered_application_and_version_are_new_ones(shared: ClipperConnection) -> None:
    """Clipper kept the old input type, SLO and cached outputs."""
    create_endpoint(shared, "anew", "ints", lambda xs: ["old" for _ in xs], "d1", slo_micros=SLO_MICROS)
    assert shared.predict("anew", [1]).output == "old"
    shared.unregister_application("anew")
    shared.stop_models(["anew"])
    create_endpoint(shared, "anew", "ints", lambda xs: ["new" for _ in xs], "d2", slo_micros=SLO_MICROS)
    assert shared.predict("anew", [1]).output == "new"
    shared.unregister_application("anew")
    shared.stop_models(["anew"])
    create_endpoint(shared, "anew", "strings", lambda xs: xs, "d3", slo_micros=SLO_MICROS)
    assert shared.predict("anew", "text").output == "text"


def test_dataclass_results_are_objects(shared: ClipperConnection) -> None:
    @dataclasses.dataclass
    class Result:
        label: int

    create_endpoint(shared, "results", "ints", lambda xs: [Result(1) for _ in xs], slo_micros=SLO_MICROS)
    assert shared.predict("results", [1]).output == {"label": 1}
