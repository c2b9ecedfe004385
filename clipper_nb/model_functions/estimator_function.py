"""A fitted estimator as a function of a batch: rows of numbers come as one 2-D array, texts as a list."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from clipper_nb.model_functions.number_rows import stack_rows


class EstimatorFunction:
    """Calls a method of an estimator with the inputs of a batch, a list or a data frame.

    Parameters
    ----------
    estimator : object
        A fitted one, with the conventions of scikit-learn.
    method : str
        ``"predict"``, for example.
    columns : list of str, optional
        The names of the columns that it was fitted with, if it was fitted with a data frame.
    make_frame : callable, optional
        Returns a data frame for an array and ``columns=``; it then gets one.
    """

    def __init__(
        self,
        estimator: Any,
        method: str,
        columns: Sequence[str] | None = None,
        make_frame: Callable[..., Any] | None = None,
    ) -> None:
        self.estimator = estimator
        self.method = method
        self.columns = columns
        self._make_frame = make_frame
        self.__name__ = f"{type(estimator).__name__}.{method}"

    def __call__(self, inputs: Any) -> Any:
        """Return the method's result with one output per input."""
        result = getattr(self.estimator, self.method)(self._rows(inputs))
        if isinstance(result, list) and all(getattr(part, "ndim", 0) > 1 for part in result):
            # An estimator of several targets returns the probabilities of each; an output has those of one input.
            return [[part[position] for part in result] for position in range(len(inputs))]
        return result

    def __repr__(self) -> str:
        return f"<{self.__name__}>"

    def _rows(self, inputs: Any) -> Any:
        if hasattr(type(inputs), "columns") or isinstance(inputs[0], str):
            return inputs
        rows = stack_rows(inputs)
        if self._make_frame is None or self.columns is None:
            return rows
        if rows.shape[1] != len(self.columns):
            raise ValueError(
                f"an input has {rows.shape[1]} numbers; the model takes {len(self.columns)}: {', '.join(self.columns)}"
            )
        return self._make_frame(rows, columns=list(self.columns))
