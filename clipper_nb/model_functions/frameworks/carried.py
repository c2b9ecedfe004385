"""An object that travels beside a model: what pickles a function pickles it too."""

from __future__ import annotations

from typing import Any


class Carried:
    """Returns *value* when it is called.

    Parameters
    ----------
    value : object
    """

    def __init__(self, value: Any) -> None:
        self._value = value
        self.__name__ = type(value).__name__

    def __call__(self) -> Any:
        """Return the object."""
        return self._value
