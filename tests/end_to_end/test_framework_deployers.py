"""Models of frameworks, saved in their own formats: replicas answer as the library does in the notebook."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from clipper_nb import ClipperConnection
from clipper_nb.deployers import lightgbm as lightgbm_deployer
from clipper_nb.deployers import mlflow as mlflow_deployer
from clipper_nb.deployers import onnx as onnx_deployer
from clipper_nb.deployers import pytorch as pytorch_deployer
from clipper_nb.deployers import xgboost as xgboost_deployer
from clipper_nb.errors import InvalidInputError, InvalidRequestError, ParityError
from tests.support.clusters import exported_and_imported
from tests.support.onnx_models import linear_model

pytestmark = [pytest.mark.cluster, pytest.mark.same_on_docker, pytest.mark.timeout(300)]

SLO_MICROS = 20_000_000
ROWS = np.random.default_rng(0).normal(size=(60, 4))
LABELS = (ROWS[:, 0] + ROWS[:, 1] > 0).astype(int)
FRAME = pd.DataFrame(ROWS, columns=["age", "fare", "size", "weight"])
KIND = pd.Categorical(np.where(ROWS[:, 2] > 0, "round", np.where(ROWS[:, 3] > 0, "square", "flat")))


def served(conn: ClipperConnection, application: str, inputs: Any) -> list[Any]:
    predictions = conn.predict_batch(application, inputs)
    assert not any(prediction.default for prediction in predictions), predictions[0].default_explanation
    return [prediction.output for prediction in predictions]


@pytest.mark.also_on_docker
def test_onnx_model_without_a_function_answers_rows(shared: ClipperConnection, tmp_path: Path) -> None:
    """Its weights are in a file beside it, and it is kept in the file of an exported configuration."""
    weights = np.random.default_rng(1).normal(size=(4, 3)).astype("float32")
    path = linear_model(tmp_path / "linear.onnx", weights, external_data=True)
    onnx_deployer.create_endpoint(
        shared, "linear", "doubles", None, path, slo_micros=SLO_MICROS, sample_inputs=ROWS[:3]
    )
    expected = pytest.approx(ROWS.astype("float32") @ weights, rel=1e-6, abs=1e-6)
    assert np.array(served(shared, "linear", ROWS)) == expected
    assert exported_and_imported(shared, "linear", tmp_path / "exported.tar") == ("linear:1",)
    assert np.array(served(shared, "linear", ROWS)) == expected


@pytest.mark.long
def test_onnx_model_for_a_batch_of_one_answers_each_row(shared: ClipperConnection, tmp_path: Path) -> None:
    """``test_batch_of_one_is_called_for_each_row`` stands for it."""
    weights = np.eye(4, 3, dtype="float32")
    path = linear_model(tmp_path / "one.onnx", weights, batch=1)
    onnx_deployer.create_endpoint(shared, "one", "floats", None, path.read_bytes(), slo_micros=SLO_MICROS)
    assert np.array(served(shared, "one", ROWS)) == pytest.approx(ROWS[:, :3], rel=1e-6)


def test_number_that_an_onnx_model_has_not_is_an_error(shared: ClipperConnection, tmp_path: Path) -> None:
    path = linear_model(tmp_path / "three.onnx", np.eye(2, dtype="float32"))
    for name, input_type, bad in [("single", "doubles", 1e39), ("whole", "ints", 2**24 + 1)]:
        onnx_deployer.create_endpoint(shared, name, input_type, None, path, slo_micros=SLO_MICROS)
        good, refused = shared.predict_batch(name, [[1, 2**24], [1, bad]])
        assert good.output == [1.0, 2.0**24]
        assert (refused.default, refused.reason) == (True, "model_error")
        assert "the model takes float32, which has no value for the number" in str(refused.explanation)


def test_function_gets_the_onnx_session(shared: ClipperConnection, tmp_path: Path) -> None:
    path = linear_model(tmp_path / "two.onnx", np.eye(4, 3, dtype="float32"))

    def largest(session: Any, inputs: list[Any]) -> Any:
        return session.run(["y"], {"x": np.stack(inputs)})[0].argmax(axis=1)

    onnx_deployer.create_endpoint(shared, "largest", "floats", largest, path, slo_micros=SLO_MICROS)
    assert served(shared, "largest", ROWS) == ROWS[:, :3].argmax(axis=1).tolist()


@pytest.mark.also_on_docker
def test_xgboost_classifier_keeps_what_is_missing(shared: ClipperConnection) -> None:
    """XGBoost's own file does not have the value that stands for a missing one."""
    import xgboost

    model = xgboost.XGBClassifier(n_estimators=5, missing=-999.0, n_jobs=1).fit(ROWS, LABELS)
    asked = np.where(np.arange(4) == 0, -999.0, ROWS)
    expected = model.predict_proba(asked)
    reread = xgboost.XGBClassifier()
    reread.load_model(model.get_booster().save_raw())
    assert not np.allclose(reread.predict_proba(asked), expected)

    def probabilities(model: Any, inputs: list[Any]) -> Any:
        return model.predict_proba(np.stack(inputs))

    xgboost_deployer.create_endpoint(
        shared, "missing", "doubles", probabilities, model, slo_micros=SLO_MICROS, sample_inputs=asked[:5]
    )
    assert np.array(served(shared, "missing", asked)) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize(
    "is_estimator", [True, pytest.param(False, marks=pytest.mark.long)], ids=["estimator", "booster"]
)
def test_xgboost_model_finds_its_columns_by_name(shared: ClipperConnection, is_estimator: bool) -> None:
    import xgboost

    parameters = {"n_estimators": 8, "objective": "reg:squarederror", "n_jobs": 1}
    estimator = xgboost.XGBRegressor(**parameters).fit(FRAME, ROWS[:, 0])
    name = f"named-{is_estimator}".lower()
    model = estimator if is_estimator else estimator.get_booster()
    xgboost_deployer.create_endpoint(shared, name, "doubles", None, model, slo_micros=SLO_MICROS)
    expected = pytest.approx(estimator.predict(FRAME), rel=1e-6)
    assert np.array(served(shared, name, FRAME[["weight", "fare", "age", "size"]])) == expected
    assert np.array(served(shared, name, ROWS)) == expected
    with pytest.raises(InvalidInputError, match=r"fare is missing"):
        shared.predict_batch(name, FRAME.drop(columns="fare"))


def test_categories_are_found_by_their_names(shared: ClipperConnection) -> None:
    import lightgbm
    import xgboost

    frame = FRAME.assign(kind=KIND)
    labels = (KIND.codes % 2).astype(float)
    trained = xgboost.XGBRegressor(n_estimators=5, n_jobs=1, enable_categorical=True).fit(frame, labels)
    parameters = {"objective": "regression", "verbose": -1, "num_threads": 1, "min_data_per_group": 1, "cat_smooth": 0}
    booster = lightgbm.train(parameters, lightgbm.Dataset(frame, labels), 10)
    for name, deployer, model in (("xgb", xgboost_deployer, trained), ("lgb", lightgbm_deployer, booster)):
        deployer.create_endpoint(shared, name, "json", None, model, sample_inputs=frame[:5], slo_micros=SLO_MICROS)
        rows = frame[::-1].to_dict("records")
        expected = pytest.approx(model.predict(frame)[::-1], rel=1e-6)
        assert len(set(expected.expected.tolist())) > 1
        assert np.array(served(shared, name, rows)) == expected
        with pytest.raises(InvalidInputError, match="kind"):
            shared.predict(name, {**rows[0], "kind": "oval"})


def test_samples_in_another_order_are_the_same_columns(shared: ClipperConnection) -> None:
    """LightGBM takes the columns of a data frame by position, and keeps their names with ``_`` for a space."""
    import lightgbm

    frame = FRAME.rename(columns={"age": "age (years)"})
    shuffled = frame[["weight", "fare", "age (years)", "size"]]
    parameters = {"objective": "regression", "verbose": -1, "num_threads": 1}
    booster = lightgbm.train(parameters, lightgbm.Dataset(frame, ROWS[:, 0]), 5)
    expected = booster.predict(frame)
    assert not np.allclose(booster.predict(shuffled), expected)
    lightgbm_deployer.create_endpoint(
        shared, "shuffled", "json", None, booster, sample_inputs=shuffled[:5], slo_micros=SLO_MICROS
    )
    assert np.array(served(shared, "shuffled", shuffled)) == pytest.approx(expected, rel=1e-6)
    lightgbm_deployer.create_endpoint(shared, "shuffled-numbers", "doubles", None, booster, slo_micros=SLO_MICROS)
    assert np.array(served(shared, "shuffled-numbers", shuffled)) == pytest.approx(expected, rel=1e-6)


def test_number_categories_are_found_in_rows_with_names(shared: ClipperConnection) -> None:
    """Rows of numbers would get wrong answers: both libraries take a number there for the position of a category."""
    import lightgbm
    import xgboost

    frame = FRAME.assign(grade=pd.Categorical.from_codes(KIND.codes, categories=[10, 20, 30]))
    labels = (KIND.codes % 2).astype(float)
    trained = xgboost.XGBRegressor(n_estimators=5, n_jobs=1, enable_categorical=True).fit(frame, labels)
    parameters = {"objective": "regression", "verbose": -1, "num_threads": 1, "min_data_per_group": 1, "cat_smooth": 0}
    booster = lightgbm.train(parameters, lightgbm.Dataset(frame, labels), 10)
    for name, deployer, model in (("xgbg", xgboost_deployer, trained), ("lgbg", lightgbm_deployer, booster)):
        with pytest.raises(InvalidRequestError, match=r"categories are the numbers 10, 20, 30\."):
            deployer.create_endpoint(shared, name, "doubles", None, model)
        assert name not in shared.apps
        deployer.create_endpoint(shared, name, "json", None, model, sample_inputs=frame[:5], slo_micros=SLO_MICROS)
        expected = pytest.approx(model.predict(frame)[::-1], rel=1e-6)
        assert np.array(served(shared, name, frame[::-1])) == expected
        assert np.array(served(shared, name, frame[::-1].to_dict("records"))) == expected


@pytest.mark.also_on_docker
def test_lightgbm_predicts_with_its_best_iteration(shared: ClipperConnection) -> None:
    import lightgbm

    data = lightgbm.Dataset(FRAME, LABELS)
    booster = lightgbm.train({"objective": "binary", "verbose": -1, "num_threads": 1}, data, 10)
    booster.best_iteration = 4
    lightgbm_deployer.create_endpoint(
        shared, "best", "doubles", None, booster, slo_micros=SLO_MICROS, sample_inputs=FRAME[:5]
    )
    assert np.array(served(shared, "best", FRAME)) == pytest.approx(booster.predict(FRAME), rel=1e-6)

    def all_trees(model: Any, inputs: list[Any]) -> Any:
        return model.predict(np.stack(inputs), num_iteration=-1)

    lightgbm_deployer.deploy_lightgbm_model(shared, "best", 2, "doubles", all_trees, booster)
    assert np.array(served(shared, "best", FRAME)) == pytest.approx(booster.predict(ROWS, num_iteration=-1), rel=1e-6)


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning")
def test_mlflow_model_has_the_packages_that_it_names(shared: ClipperConnection, tmp_path: Path) -> None:
    """What is alike on both kinds of cluster is in ``test_mlflow_deployer.py``."""
    import lightgbm
    import mlflow.lightgbm
    import mlflow.pyfunc
    from mlflow.models import infer_signature

    parameters = {"objective": "binary", "verbose": -1, "num_threads": 1}
    booster = lightgbm.train(parameters, lightgbm.Dataset(FRAME, LABELS), 5)
    signature = infer_signature(FRAME, booster.predict(FRAME))
    mlflow.lightgbm.save_model(booster, tmp_path / "model", signature=signature)
    mlflow_deployer.create_endpoint(shared, "flow", "json", None, tmp_path / "model", slo_micros=SLO_MICROS)
    expected = mlflow.pyfunc.load_model(str(tmp_path / "model")).predict(FRAME)
    assert np.array(served(shared, "flow", FRAME)) == pytest.approx(expected, rel=1e-6)
    with pytest.raises(InvalidInputError, match="fare"):
        shared.predict("flow", {"age": 1.0, "size": 1.0, "weight": 1.0})


def make_net() -> Any:
    import torch

    class Net(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.last = torch.nn.Linear(4, 4), torch.nn.Linear(4, 4)
            self.last.weight = self.first.weight  # tied
            self.norm, self.drop = torch.nn.BatchNorm1d(4), torch.nn.Dropout(0.5)
            self.register_buffer("kept", torch.ones(4))
            self.register_buffer("not_kept", torch.full((4,), 3.0), persistent=False)

        def forward(self, x: Any) -> Any:
            hidden = self.norm(torch.relu(self.first(x.float())))
            return self.drop(self.last(hidden)) + self.kept - self.not_kept

    torch.manual_seed(0)
    net = Net()
    net(torch.from_numpy(ROWS))  # moves the statistics of the norm
    return net


@pytest.fixture(scope="module")
def net() -> Any:
    return make_net()


@pytest.mark.parametrize(
    "form", ["module", *(pytest.param(form, marks=pytest.mark.long) for form in ("exported", "script"))]
)
def test_pytorch_model_answers_in_evaluation_mode(shared: ClipperConnection, net: Any, form: str) -> None:
    """The user's own module stays in training."""
    import torch

    example = torch.from_numpy(ROWS[:2])
    assert net.training
    trained = make_net().eval()
    with torch.no_grad():
        expected = trained(torch.from_numpy(ROWS)).numpy()
        if form == "exported":
            model = torch.export.export(trained, (example,), dynamic_shapes={"x": {0: torch.export.Dim("batch")}})
        else:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", DeprecationWarning)  # PyTorch's own, of scripts
                model = net if form == "module" else torch.jit.trace(trained, example)
    pytorch_deployer.create_endpoint(
        shared, f"net-{form}", "doubles", None, model, slo_micros=SLO_MICROS, sample_inputs=ROWS[:3]
    )
    assert np.array(served(shared, f"net-{form}", ROWS)) == pytest.approx(expected, rel=1e-6, abs=1e-6)
    assert net.training


def test_clippers_pytorch_script_runs(shared: ClipperConnection) -> None:
    """As its documentation has it, with positional arguments."""
    from torch import nn

    model = nn.Linear(1, 1)

    def predict(model: Any, inputs: list[Any]) -> list[str]:
        import torch

        return [str(model(torch.tensor(x)).data.numpy().tolist()[0]) for x in inputs]

    shared.register_application("clippers", "doubles", "-1", SLO_MICROS)
    pytorch_deployer.deploy_pytorch_model(shared, "clippers", "1", "doubles", predict, model.double())
    shared.link_model_to_app("clippers", "clippers")
    expected = model.weight.item() * 2.5 + model.bias.item()
    assert served(shared, "clippers", [[2.5]]) == pytest.approx([expected], rel=1e-6)


def test_unsaved_attribute_is_seen_by_samples(shared: ClipperConnection, tmp_path: Path) -> None:
    """What a deploy cannot know, as an attribute set on a booster, is seen by the samples."""
    import lightgbm

    booster = lightgbm.train(
        {"objective": "binary", "verbose": -1, "num_threads": 1}, lightgbm.Dataset(ROWS, LABELS), 3
    )
    booster.threshold = 0.5

    def decide(model: Any, inputs: list[Any]) -> Any:
        return model.predict(np.stack(inputs)) > getattr(model, "threshold", 0.0)

    with pytest.raises(ParityError):
        lightgbm_deployer.deploy_lightgbm_model(shared, "unsaved", 1, "doubles", decide, booster, sample_inputs=ROWS)
    assert shared.get_model_info("unsaved", "1") is None
