"""Chooses the loader of a framework."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from clipper_nb.errors import InvalidRequestError

FRAMEWORKS = ("huggingface", "keras", "lightgbm", "mlflow", "onnx", "pytorch", "tensorflow", "xgboost")
"""Each has a module of its name beside this one, with ``load(folder, facts, load_pickled)``."""

LoadPickled = Callable[[str], Any]
"""Returns an object that the notebook pickled into a file of the version's folder."""


def load_saved_model(framework: str, folder: Path, facts: Mapping[str, Any], load_pickled: LoadPickled) -> Any:
    """Return the model in *folder*, as its framework loads it.

    Parameters
    ----------
    framework : str
    folder : Path
        What the deployer's ``save`` has written.
    facts : dict
        What is known besides the files.
    load_pickled : callable
        Reads what travelled as a pickle, beside the folder.

    Raises
    ------
    InvalidRequestError
        Another release wrote the folder, whose framework this one does not know.
    ImportError
        The framework is not installed here.
    """
    if framework not in FRAMEWORKS:
        raise InvalidRequestError(
            f"There is no loader for models of the framework {framework!r}; known: {', '.join(FRAMEWORKS)}."
        )
    module = importlib.import_module(loader_module(framework))
    return module.load(folder, facts, load_pickled)


def loader_module(framework: str) -> str:
    """Return the name of the module that loads models of a framework. (pure)"""
    return f"clipper_nb.model_functions.frameworks.{framework}"
