"""A model that is something else is refused by name, with what to pass, before anything is saved."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from clipper_nb.deployers import lightgbm as lightgbm_deployer
from clipper_nb.deployers import mlflow as mlflow_deployer
from clipper_nb.deployers import xgboost as xgboost_deployer
from clipper_nb.deployers.frameworks.framework_version import FrameworkModel, _save
from clipper_nb.errors import InvalidRequestError, SerializationError

pytestmark = pytest.mark.slow  # the frameworks are imported


def test_xgboost_takes_its_own_fitted_models() -> None:
    import xgboost
    from sklearn.linear_model import LogisticRegression

    with pytest.raises(InvalidRequestError, match=r"not LogisticRegression.*deploy_python_closure"):
        xgboost_deployer._parameters(xgboost, LogisticRegression())
    with pytest.raises(InvalidRequestError, match="XGBRegressor is not fitted"):
        xgboost_deployer._parameters(xgboost, xgboost.XGBRegressor())
    fitted = xgboost.XGBRegressor(n_estimators=1, device="cpu", missing=-1.0).fit([[1.0], [2.0]], [1.0, 2.0])
    parameters = xgboost_deployer._parameters(xgboost, fitted)["parameters"]
    assert (parameters["missing"], "device" in parameters) == (-1.0, False)


def test_lightgbm_takes_boosters_and_says_so_of_estimators() -> None:
    import lightgbm

    with pytest.raises(InvalidRequestError, match=r"pass its booster_.*deploy the LGBMClassifier itself"):
        lightgbm_deployer._check_is_booster(lightgbm, lightgbm.LGBMClassifier())
    with pytest.raises(InvalidRequestError, match="not dict"):
        lightgbm_deployer._check_is_booster(lightgbm, {})


@pytest.mark.parametrize("model", [7, "no/such/folder", Path("no/such/folder")])
def test_mlflow_takes_folders_and_addresses(tmp_path: Path, model: Any) -> None:
    with pytest.raises(InvalidRequestError, match=r"not int|there is no file 'MLmodel'"):
        mlflow_deployer._fetch(model, tmp_path)


def test_what_a_framework_cannot_save_is_named(tmp_path: Path) -> None:
    def save(folder: Path) -> None:
        raise ValueError("Circular reference detected\nmore")

    model = FrameworkModel("lightgbm", object(), save, [])
    with pytest.raises(SerializationError, match=r"lightgbm cannot save this object: ValueError: Circular .*detected$"):
        _save(model, tmp_path / "new")
