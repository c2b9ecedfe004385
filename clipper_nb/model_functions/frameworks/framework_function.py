"""A function of a framework's model as a function of inputs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


class FrameworkFunction:
    """Calls ``func(model, inputs)``.

    Parameters
    ----------
    func : callable
    model : object
        As the framework loaded it.
    """

    def __init__(self, func: Callable[[Any, list[Any]], Any], model: Any) -> None:
        self._func, self._model = func, model

    def __call__(self, inputs: list[Any]) -> Any:
        """Return what the function returns."""
        return self._func(self._model, inputs)
