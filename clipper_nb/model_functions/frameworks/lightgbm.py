"""A model of LightGBM: a ``Booster``."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from clipper_nb.model_functions.number_rows import stack_rows

MODEL_FILE = "model.txt"


def load(folder: Path, facts: Mapping[str, Any], _load_pickled: Callable[[str], Any]) -> Any:
    """Return the ``Booster``; it predicts with as many of its trees as the one that was deployed."""
    import lightgbm

    booster = lightgbm.Booster(model_file=folder / MODEL_FILE)
    booster.best_iteration = facts["best_iteration"]  # the file has all trees and not this number
    return booster


def predict_rows(booster: Any, inputs: Any) -> Any:
    """Return ``predict`` of rows of numbers, or of a data frame: what is deployed without a function."""
    return booster.predict(inputs if hasattr(type(inputs), "columns") else stack_rows(inputs))


def columns_of_model(booster: Any) -> Sequence[str] | None:
    """Return the names of the columns that it was trained with; ``None`` if LightGBM made them up."""
    names: list[str] = booster.feature_name()
    return None if names == [f"Column_{number}" for number in range(len(names))] else names


def categories_of_model(booster: Any) -> Sequence[Sequence[Any]]:
    """Return the categories of each column of a data frame that had some, in the order of their positions."""
    found: Sequence[Sequence[Any]] = booster.pandas_categorical or []
    return found
