"""A model of MLflow, of any flavor that has ``pyfunc``."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from clipper_nb.model_functions.number_rows import convert_rows, stack_rows


def load(folder: Path, _facts: Mapping[str, Any], _load_pickled: Callable[[str], Any]) -> Any:
    """Return the ``mlflow.pyfunc.PyFuncModel``."""
    import mlflow.pyfunc

    return mlflow.pyfunc.load_model(str(folder))


def predict(model: Any, inputs: Any) -> Any:
    """Return ``model.predict`` of a data frame, an array, or a list: what is deployed without a function."""
    return model.predict(inputs)


class NumberReader:
    """Makes the argument of a model that takes rows of numbers.

    Parameters
    ----------
    columns : list of (str, str), optional
        Name and dtype of each column of a data frame; without them the model takes an array.
    dtype : str, optional
        Of the array.
    shape : list of int, optional
        Of one row of the array; -1 is any size.
    """

    def __init__(
        self, columns: Sequence[tuple[str, str]] = (), dtype: str | None = None, shape: Sequence[int] = ()
    ) -> None:
        self._columns, self._dtype, self._shape = columns, dtype, shape

    def read(self, values: Sequence[Any]) -> Any:
        """Return a data frame or an array; raises ``ValueError`` for rows of another length, or with other numbers."""
        rows = stack_rows(values)
        if not self._columns:
            rows = rows if self._dtype is None else convert_rows(rows, self._dtype)
            return rows.reshape(len(rows), *self._shape) if self._shape else rows
        import pandas as pd

        if rows.shape[1] != len(self._columns):
            names = ", ".join(name for name, _ in self._columns)
            raise ValueError(f"an input has {rows.shape[1]} numbers; the model takes {len(self._columns)}: {names}")
        return pd.DataFrame(
            {name: convert_rows(rows[:, position], dtype) for position, (name, dtype) in enumerate(self._columns)}
        )


class TextReader:
    """Makes the argument of a model that takes texts.

    Parameters
    ----------
    column : str, optional
        The name of the model's one column.
    """

    def __init__(self, column: str | None) -> None:
        self._column = column

    def read(self, values: Sequence[str]) -> Any:
        """Return a data frame of one column."""
        import pandas as pd

        return pd.DataFrame({0 if self._column is None else self._column: list(values)})
