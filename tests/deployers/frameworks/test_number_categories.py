"""A model with number categories gets no rows of numbers, whose answers would be wrong without a sign."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from clipper_nb.deployers.frameworks.number_categories import refuse_number_categories
from clipper_nb.errors import InvalidRequestError
from clipper_nb.model_functions.frameworks import lightgbm as lightgbm_loader
from clipper_nb.model_functions.frameworks import xgboost as xgboost_loader
from clipper_nb.protocol.input_types import InputType

CODES = np.arange(200) % 4
LABELS = CODES.astype(float)


def frame(levels: Any) -> pd.DataFrame:
    return pd.DataFrame({"kind": pd.Categorical.from_codes(CODES, categories=levels), "size": CODES * 0.5})


def lightgbm_categories(levels: Any) -> Any:
    import lightgbm

    model = lightgbm.LGBMRegressor(n_estimators=2, n_jobs=1, min_child_samples=5, verbose=-1).fit(frame(levels), LABELS)
    return lightgbm_loader.categories_of_model(model.booster_)


def xgboost_categories(levels: Any, **options: Any) -> Any:
    import xgboost

    model = xgboost.XGBRegressor(n_estimators=2, n_jobs=1, enable_categorical=True, **options)
    found = xgboost_loader.categories_of_model(model.fit(frame(levels), LABELS))
    assert found == xgboost_loader.categories_of_model(model.get_booster())
    return found


def dart_categories(levels: Any) -> Any:
    return xgboost_categories(levels, booster="dart")


@pytest.mark.parametrize("categories_of", [lightgbm_categories, xgboost_categories, dart_categories])
@pytest.mark.parametrize("levels", [[10, 20, 30, 40], [1, 2, 3, 4], [0.5, 1.5, 2.5, 3.5]])
def test_numbers_that_are_not_their_positions_are_refused(categories_of: Any, levels: Any) -> None:
    if categories_of is not lightgbm_categories and isinstance(levels[0], float):
        return  # which XGBoost refuses itself
    columns = categories_of(levels)
    for input_type in (InputType.DOUBLES, InputType.FLOATS, InputType.INTEGERS):
        with pytest.raises(InvalidRequestError, match=r"categories are the numbers .*input_type='json'.*function"):
            refuse_number_categories("The library", columns, input_type)
    refuse_number_categories("The library", columns, InputType.JSON)


@pytest.mark.parametrize("categories_of", [lightgbm_categories, xgboost_categories])
@pytest.mark.parametrize("levels", [[0, 1, 2, 3], ["a", "b", "c", "d"]])
def test_positions_and_texts_are_not(categories_of: Any, levels: Any) -> None:
    refuse_number_categories("The library", categories_of(levels), InputType.DOUBLES)


def test_model_without_categories_has_none() -> None:
    import xgboost

    model = xgboost.XGBRegressor(n_estimators=2, n_jobs=1).fit(CODES[:, None], LABELS)
    assert list(xgboost_loader.categories_of_model(model)) == []
