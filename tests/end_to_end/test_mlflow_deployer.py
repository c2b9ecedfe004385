"""Models of MLflow: their signature is the schema of an input, and replicas answer as ``mlflow.pyfunc`` does here."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from clipper_nb import ClipperConnection
from clipper_nb.deployers.mlflow import create_endpoint, deploy_mlflow_model
from clipper_nb.errors import InvalidInputError, InvalidRequestError

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.timeout(300),
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning"),
]  # MLflow's own

SLO_MICROS = 60_000_000
FRAME = pd.DataFrame(np.random.default_rng(0).normal(size=(40, 3)), columns=["age", "fare", "size"])
LABELS = (FRAME["age"] > 0).astype(int)


@pytest.fixture(scope="module")
def kind() -> str:
    """What is different on Docker, the packages of an image, is asked without an engine."""
    return "local"


def save_sklearn(path: Path, **facts: Any) -> None:
    import mlflow.sklearn
    from sklearn.linear_model import LogisticRegression

    mlflow.sklearn.save_model(
        LogisticRegression().fit(FRAME, LABELS), path, serialization_format="cloudpickle", **facts
    )


def save_xgboost(path: Path, **facts: Any) -> None:
    import mlflow.xgboost
    import xgboost

    mlflow.xgboost.save_model(xgboost.XGBRegressor(n_estimators=5, n_jobs=1).fit(FRAME, LABELS), path, **facts)


def save_lightgbm(path: Path, **facts: Any) -> None:
    import lightgbm
    import mlflow.lightgbm

    parameters = {"objective": "binary", "verbose": -1, "num_threads": 1}
    mlflow.lightgbm.save_model(lightgbm.train(parameters, lightgbm.Dataset(FRAME, LABELS), 5), path, **facts)


def served(conn: ClipperConnection, application: str, inputs: Any) -> list[Any]:
    predictions = conn.predict_batch(application, inputs)
    assert not any(prediction.default for prediction in predictions), predictions[0].default_explanation
    return [prediction.output for prediction in predictions]


@pytest.mark.parametrize(
    "save",
    [
        save_sklearn,
        pytest.param(save_xgboost, marks=pytest.mark.long),
        pytest.param(save_lightgbm, marks=pytest.mark.long),
    ],
)
def test_signature_is_the_schema_of_an_input(
    shared: ClipperConnection, tmp_path: Path, save: Callable[..., None]
) -> None:
    import mlflow.pyfunc
    from mlflow.models import infer_signature

    save(tmp_path / "model", signature=infer_signature(FRAME, LABELS), pip_requirements=["scikit-learn"])
    name = save.__name__.replace("_", "-")
    expected = pytest.approx(np.asarray(mlflow.pyfunc.load_model(str(tmp_path / "model")).predict(FRAME)), rel=1e-6)
    create_endpoint(shared, name, "json", None, tmp_path / "model", sample_inputs=FRAME[:4], slo_micros=SLO_MICROS)
    assert np.array(served(shared, name, FRAME[["size", "age", "fare"]].to_dict("records"))) == expected
    with pytest.raises(InvalidInputError, match="fare"):
        shared.predict(name, {"age": 1.0, "size": 2.0})
    with pytest.raises(InvalidInputError, match="age"):
        shared.predict(name, {"age": "old", "fare": 1.0, "size": 2.0})
    create_endpoint(shared, f"{name}-numbers", "doubles", None, tmp_path / "model", slo_micros=SLO_MICROS)
    assert np.array(served(shared, f"{name}-numbers", FRAME[["fare", "size", "age"]])) == expected
    with pytest.raises(InvalidInputError, match="fare is missing"):
        shared.predict_batch(f"{name}-numbers", FRAME.drop(columns="fare"))


def save_described(path: Path) -> None:
    """Save a model that answers what it got."""
    import mlflow.pyfunc
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, Schema
    from mlflow.types.schema import Array

    class Describe(mlflow.pyfunc.PythonModel):  # type: ignore[misc, name-defined]
        def predict(self, context: Any, model_input: Any, params: Any = None) -> Any:
            return [" ".join(f"{name}={value}" for name, value in row.items()) for _, row in model_input.iterrows()]

    columns = [
        ColSpec("string", "name"), ColSpec("long", "visits"), ColSpec("datetime", "seen", required=False),
        ColSpec("integer", "rank", required=False), ColSpec("double", "fare", required=False),
        ColSpec(Array("double"), "marks", required=False),
    ]  # fmt: skip
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        mlflow.pyfunc.save_model(path, python_model=Describe(), signature=ModelSignature(Schema(columns)))


def test_optional_columns_depend_on_no_neighbour(shared: ClipperConnection, tmp_path: Path) -> None:
    save_described(tmp_path / "model")
    create_endpoint(
        shared, "described", "json", None, str(tmp_path / "model"), slo_micros=SLO_MICROS, text_outputs="text"
    )
    rows: list[dict[str, Any]] = [
        {"name": "a", "visits": 2**60},
        {"name": "b", "visits": 1, "rank": 7, "fare": None},
        {"name": None, "visits": 3, "seen": "2024-02-29T10:00:00"},
        {"name": "d", "visits": 4.0, "marks": [1, 2.5]},
        {"name": "e", "visits": 5, "rank": None},
    ]
    expected = [
        f"name=a visits={2**60}",
        "name=b visits=1 rank=7 fare=nan",
        "name=None visits=3 seen=2024-02-29 10:00:00",
        "name=d visits=4 marks=[1.0, 2.5]",
        "name=e visits=5",
    ]
    answers = served(shared, "described", rows)
    assert answers == expected
    assert [served(shared, "described", [row])[0] for row in rows] == expected
    for wrong in ({"visits": 1.5}, {"seen": "2024-02-29T10:00:00Z"}, {"rnak": 7}, {"marks": ["x"]}):
        with pytest.raises(InvalidInputError, match=next(iter(wrong))):
            shared.predict("described", {"name": "f", "visits": 1, **wrong})
    with pytest.raises(InvalidRequestError, match=r"name: string, visits: long.*input_type='json'"):
        deploy_mlflow_model(shared, "of-numbers", 2, "doubles", None, tmp_path / "model")


@pytest.mark.long
def test_tensors_with_names_are_objects(shared: ClipperConnection, tmp_path: Path) -> None:
    """Of ``test_mlflow_values.py`` those of tensors stand for it."""
    import mlflow.pyfunc
    from mlflow.models import ModelSignature
    from mlflow.types import Schema, TensorSpec

    class Scale(mlflow.pyfunc.PythonModel):  # type: ignore[misc, name-defined]
        def predict(self, context: Any, model_input: Any, params: Any = None) -> Any:
            return {"scaled": model_input["x"] * model_input["by"][:, None], "by": model_input["by"]}

    tensors = [TensorSpec(np.dtype("float32"), (-1, 2), "x"), TensorSpec(np.dtype("int64"), (-1,), "by")]
    mlflow.pyfunc.save_model(
        tmp_path / "model", python_model=Scale(), signature=ModelSignature(Schema(tensors)), pip_requirements=["numpy"]
    )
    create_endpoint(shared, "tensors", "json", None, tmp_path / "model", slo_micros=SLO_MICROS)
    inputs = [{"x": [0.5, 1], "by": 2}, {"x": [3, 4], "by": -1}]
    assert served(shared, "tensors", inputs) == [{"scaled": [1.0, 2.0], "by": 2}, {"scaled": [-3.0, -4.0], "by": -1}]
    with pytest.raises(InvalidInputError, match="x"):
        shared.predict("tensors", {"x": [1.0], "by": 2})


@pytest.mark.long
def test_address_of_a_run_or_a_registry_is_fetched(
    shared: ClipperConnection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``test_signature_is_the_schema_of_an_input`` stands for it: what is fetched is a folder."""
    import mlflow
    from mlflow.models import infer_signature
    from sklearn.linear_model import LogisticRegression

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    mlflow.set_tracking_uri((tmp_path / "store").as_uri())
    mlflow.set_registry_uri((tmp_path / "store").as_uri())
    model = LogisticRegression().fit(FRAME, LABELS)
    with mlflow.start_run() as run:
        mlflow.sklearn.log_model(
            model, name="model", signature=infer_signature(FRAME, LABELS), pip_requirements=["scikit-learn"],
            serialization_format="cloudpickle", registered_model_name="wines",
        )  # fmt: skip
    for number, address in enumerate([f"runs:/{run.info.run_id}/model", "models:/wines/1"], 1):
        deploy_mlflow_model(shared, "fetched", number, "doubles", None, address, sample_inputs=FRAME[:3])
    shared.register_application("fetched", "doubles", "-1", SLO_MICROS)
    shared.link_model_to_app("fetched", "fetched")
    assert served(shared, "fetched", FRAME) == model.predict(FRAME).tolist()
    with pytest.raises(InvalidRequestError, match="MLflow cannot get 'models:/wines/9'"):
        deploy_mlflow_model(shared, "fetched", 9, "doubles", None, "models:/wines/9")
