"""A function of R as a function of inputs.

rpy2 releases Python's lock while R computes, so a replica's heartbeats continue during long calls.
"""

from __future__ import annotations

import importlib.resources
import logging
import math
import struct
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import numpy as np

from clipper_nb.errors import PredictionError
from clipper_nb.model_functions.r_data_frame import DataFrameMaker
from clipper_nb.model_functions.r_metrics import COUNTING, metric_recorder
from clipper_nb.model_functions.r_values import RValues
from clipper_nb.protocol.columns import Column

logger = logging.getLogger(__name__)

_GUARD = """
function(fn, plain, count) function(inputs) {
  as_text <- function(lines) paste(lines, collapse = "\n")
  returned <- tryCatch(
    list(withCallingHandlers(fn(inputs), clipper_metric = count)),
    error = function(e) c(as_text(conditionMessage(e)), as_text(deparse(conditionCall(e))))
  )
  if (is.character(returned)) returned else tryCatch(list(plain(returned[[1L]], inputs)), error = conditionMessage)
}
"""
_NA_REAL_LOW_WORD = 1954
"""R's NA among the NaNs."""
_LARGEST_EXACT = 2**53
"""Above it JSON's readers lose digits of whole numbers, so these are text."""
_NEW_LEVEL = "has new level"
_ABOUT_LEVELS = (
    "A factor has a value that the model was not fitted with. Refit it with that level, or give the deploy "
    "sample_input, a data frame with the factor's levels: then an unknown level is refused by name."
)


class RError(Exception):
    """The R function stopped with an error; the text is R's own message."""


class RFunction:
    """Calls ``fn(inputs)`` of R.

    Parameters
    ----------
    fn : rpy2 function
    columns : list of Column, optional
        If given, the function takes one data frame with these columns instead of a list, and the inputs are JSON rows.
    """

    def __init__(self, fn: Any, columns: Sequence[Column] = ()) -> None:
        import rpy2.rinterface as rinterface

        self._r = rinterface
        # In an environment in which names of the session, such as a function c, hide none of R's.
        guard, plain, counting = (
            rinterface.evalr(source, envir=rinterface.baseenv) for source in (_GUARD, outputs_source(), COUNTING)
        )
        self._record = metric_recorder(rinterface)  # R does not keep it
        self._call = guard(fn, plain, counting(self._record))
        self._values = RValues(rinterface)
        self._frames = DataFrameMaker(rinterface, columns) if columns else None

    def __call__(self, inputs: list[Any]) -> Any:
        """Return what the function returns for an R list of the inputs: one output per element, or per row."""
        if self._frames is not None:
            argument = self._frames.make(inputs)
        else:
            argument = self._r.ListSexpVector([self._to_r(value) for value in inputs])
        returned = self._call(argument)
        if isinstance(returned, self._r.StrSexpVector):
            raise _error(*returned)
        return self._batch(returned[0])

    def _to_r(self, value: Any) -> Any:
        if isinstance(value, str):
            return self._r.StrSexpVector([value])
        if not hasattr(value, "dtype"):
            return self._values.convert(value)
        if value.dtype == np.int8:
            return self._r.ByteSexpVector(value.tobytes())
        if value.dtype == np.int32:
            return self._r.IntSexpVector.from_memoryview(value.data)
        return self._r.FloatSexpVector.from_memoryview(np.ascontiguousarray(value, dtype=np.float64).data)

    def _batch(self, plain: Any) -> list[Any]:
        """Return one output per element, or per row of a matrix; a row of one element is that element."""
        outputs = self._column(plain)
        return [_unbox(row) for row in outputs] if "dim" in plain.list_attrs() else outputs

    def _column(self, plain: Any) -> list[Any]:
        """Return the elements of what ``outputs.R`` made plain: rows of a table as dicts, of a matrix as lists."""
        attributes = plain.list_attrs()
        if not isinstance(plain, self._r.ListSexpVector):
            return self._elements(plain, attributes) if len(attributes) else self._scalars(plain)
        columns = map(self._column if "num_rows" in attributes else self._value, plain)
        if "num_rows" not in attributes:
            return list(columns)
        if not len(plain):
            return [{} for _ in range(plain.do_slot("num_rows")[0])]
        names = [str(name) for name in plain.names]
        return [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)]

    def _value(self, plain: Any) -> Any:
        """Return one value; a vector of one element is that element, and a list with names a dict."""
        if plain.typeof == self._r.RTYPES.NILSXP:
            return None
        attributes = plain.list_attrs()
        if not isinstance(plain, self._r.ListSexpVector):
            if not len(attributes):  # most outputs
                return _unbox(self._scalars(plain))
            elements = self._elements(plain, attributes)
            return elements if "dim" in attributes else _unbox(elements)
        values = self._column(plain)
        has_names = "names" in attributes and "num_rows" not in attributes
        return dict(zip(map(str, plain.names), values, strict=True)) if has_names else values

    def _elements(self, plain: Any, attributes: Any) -> list[Any]:
        """Return a vector as a list, and a matrix as a list of rows."""
        elements = self._scalars(plain)
        if "class" in attributes:
            elements = [None if digits is None else _whole(digits) for digits in elements]
        if "dim" not in attributes:
            return elements
        matrix = np.empty(len(elements), dtype=object)
        matrix[:] = elements
        rows: list[Any] = matrix.reshape(tuple(plain.do_slot("dim")), order="F").tolist()
        return rows

    def _scalars(self, plain: Any) -> list[Any]:
        """Return Python's own values; doubles keep every bit, and NA is ``None``."""
        r = self._r
        if isinstance(plain, r.FloatSexpVector):
            return [None if _is_na(number) else number for number in plain]
        if isinstance(plain, r.BoolSexpVector):
            return [None if element is r.NA_Logical else bool(element) for element in plain]
        if isinstance(plain, r.IntSexpVector):
            return [None if element is r.NA_Integer else int(element) for element in plain]
        return [None if element is r.NA_Character else str(element) for element in plain]


def outputs_source() -> str:
    """Return the R code that makes outputs plain, here and in R's own package."""
    return importlib.resources.files("clipper_nb.model_functions").joinpath("outputs.R").read_text()


def _error(message: str, call: str | None = None) -> Exception:
    """Return the error of the function, or with one argument what is wrong with its outputs."""
    if call is None:
        return PredictionError(message)
    logger.warning("R error in %s: %s", call, message)
    return RError(f"{message}. {_ABOUT_LEVELS}" if _NEW_LEVEL in message else message)


def _unbox(value: Any) -> Any:
    return value[0] if isinstance(value, list) and len(value) == 1 else value


def _whole(digits: str) -> int | Decimal:
    number = int(digits)
    return number if abs(number) <= _LARGEST_EXACT else Decimal(number)


def _is_na(number: float) -> bool:
    return math.isnan(number) and struct.unpack("<Q", struct.pack("<d", number))[0] & 0xFFFFFFFF == _NA_REAL_LOW_WORD
