"""A model of XGBoost: a ``Booster``, or one of the estimators around it."""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from clipper_nb.model_functions.number_rows import stack_rows

MODEL_FILE = "model.ubj"
BOOSTER = "xgboost.core:Booster"


def load(folder: Path, facts: Mapping[str, Any], _load_pickled: Callable[[str], Any]) -> Any:
    """Return the model, an object of the class that was deployed.

    The file lacks the parameters of estimators, of which ``missing`` changes answers; they are among the facts.
    """
    module, _, name = facts["model_class"].partition(":")
    model = getattr(importlib.import_module(module), name)(**facts["parameters"])
    model.load_model(folder / MODEL_FILE)
    return model


def predict_rows(model: Any, inputs: Any) -> Any:
    """Return ``predict`` of rows of numbers, or of a data frame: what is deployed without a function."""
    rows = inputs if hasattr(type(inputs), "columns") else stack_rows(inputs)
    if not hasattr(model, "inplace_predict"):
        return model.predict(rows)
    import xgboost

    names = None if rows is inputs else model.feature_names
    types = None if rows is inputs else model.feature_types
    return model.predict(xgboost.DMatrix(rows, feature_names=names, feature_types=types, enable_categorical=True))


def columns_of_model(model: Any) -> Sequence[str] | None:
    """Return the names of the columns that it was trained with; ``None`` if they had none."""
    booster = model if hasattr(model, "inplace_predict") else model.get_booster()
    names: Sequence[str] | None = booster.feature_names
    return names


def categories_of_model(model: Any) -> Sequence[Sequence[Any]]:
    """Return the categories that are numbers, of each column of a data frame that had some, in order."""
    booster = model if hasattr(model, "inplace_predict") else model.get_booster()
    if "c" not in (booster.feature_types or []):
        return []
    # What get_categories() returns can be read with pyarrow alone.
    part = json.loads(booster.save_raw("json"))["learner"]["gradient_booster"]
    while "gbtree" in part:  # of a booster that drops trees (DART)
        part = part["gbtree"]
    columns = part.get("model", {}).get("cats", {}).get("enc", [])
    return [column["values"] for column in columns if "offsets" not in column]  # texts have offsets
