"""A Python function as a model."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from clipper_nb.model_functions.coroutines import AwaitingFunction
from clipper_nb.protocol.model_folder import FUNCTION_FILE
from clipper_nb.runtime.model_container.notebook_main import load_pickled


class PythonModel:
    """Calls ``func(inputs)``."""

    def __init__(self, func: Callable[[list[Any]], Any]) -> None:
        self._func = func

    def predict(self, inputs: list[Any]) -> Any:
        """Return what the function returns."""
        return self._func(inputs)


def load_python_model(folder: Path) -> PythonModel:
    """Return the function pickled in *folder*; exceptions of unpickling pass through."""
    return PythonModel(AwaitingFunction(load_function(folder)))


def load_function(folder: Path) -> Callable[..., Any]:
    """Return the pickled object in *folder*; modules beside it can be imported from then on."""
    function: Callable[..., Any] = load_pickled(folder, FUNCTION_FILE)
    return function
