"""A function of R as a function of inputs.

rpy2 releases Python's lock while R computes, so a replica's heartbeats continue during long calls.
"""

from __future__ import annotations

import logging
import math
import struct
from collections.abc import Sequence
from typing import Any

import numpy as np

from clipper_nb.errors import PredictionError
from clipper_nb.model_functions.r_data_frame import DataFrameMaker
from clipper_nb.protocol.columns import Column

logger = logging.getLogger(__name__)

_GUARD = """
function(fn) function(inputs) tryCatch(
  list(fn(inputs)),
  error = function(e) c(paste(conditionMessage(e), collapse = "\n"), paste(deparse(conditionCall(e)), collapse = "\n"))
)
"""
_NA_REAL_LOW_WORD = 1954
"""R's NA among the NaNs."""


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
        self._as_character = rinterface.baseenv["as.character"]
        self._call = rinterface.evalr(_GUARD)(fn)
        self._frames = DataFrameMaker(rinterface, columns) if columns else None

    def __call__(self, inputs: list[Any]) -> Any:
        """Return what the function returns for an R list of the inputs: one output per element, or per row."""
        if self._frames is not None:
            argument = self._frames.make(inputs)
        else:
            argument = self._r.ListSexpVector([self._to_r(value) for value in inputs])
        returned = self._call(argument)
        if isinstance(returned, self._r.StrSexpVector):
            message, call = returned
            logger.warning("R error in %s: %s", call, message)
            raise RError(message)
        outputs = self._to_python(returned[0])
        has_rows = _dimensions(returned[0]) is not None
        return [_unbox(row) for row in outputs] if has_rows else outputs

    def _to_r(self, value: Any) -> Any:
        if isinstance(value, str):
            return self._r.StrSexpVector([value])
        if value.dtype == np.int8:
            return self._r.ByteSexpVector(value.tobytes())
        if value.dtype == np.int32:
            return self._r.IntSexpVector.from_memoryview(value.data)
        return self._r.FloatSexpVector.from_memoryview(np.ascontiguousarray(value, dtype=np.float64).data)

    def _to_python(self, value: Any) -> Any:
        """Return a vector as a list, a matrix as a list of rows, a data frame as a list of dicts.

        Doubles keep every bit. NA becomes ``None``; dates, times and factors become text.
        """
        classes = set(value.rclass)
        if classes & {"factor", "Date", "POSIXt"}:
            value = self._as_character(value)
        if "data.frame" in classes:
            columns = [self._to_python(column) for column in value]
            return [dict(zip(value.names, row, strict=True)) for row in zip(*columns, strict=True)]
        elements = self._elements(value)
        dimensions = _dimensions(value)
        if dimensions is not None:
            return np.array(elements, dtype=object).reshape(dimensions, order="F").tolist()
        return elements

    def _elements(self, value: Any) -> Any:
        r = self._r
        if isinstance(value, r.FloatSexpVector):
            return [None if _is_na(number) else number for number in value]
        if isinstance(value, r.ByteSexpVector):
            return list(bytes(value))
        if isinstance(value, r.BoolSexpVector):
            return [None if element is r.NA_Logical else bool(element) for element in value]
        if isinstance(value, r.IntSexpVector):
            return [None if element is r.NA_Integer else int(element) for element in value]
        if isinstance(value, r.StrSexpVector):
            return [None if element is r.NA_Character else str(element) for element in value]
        if isinstance(value, r.ListSexpVector):
            return [self._output(element) for element in value]
        raise PredictionError(f"The R function returned a value of type {value.typeof.name}, which has no JSON.")

    def _output(self, value: Any) -> Any:
        """Return the Python value of a list's element; a vector of one element becomes that element."""
        if value.typeof == self._r.RTYPES.NILSXP:
            return None
        if not len(value.list_attrs()):  # most outputs; looking up their class would take longer than everything else
            elements = self._elements(value)
            return elements if isinstance(value, self._r.ListSexpVector) else _unbox(elements)
        converted = self._to_python(value)
        if isinstance(value, self._r.ListSexpVector):
            has_names = (
                "names" in value.list_attrs() and _dimensions(value) is None and "data.frame" not in value.rclass
            )
            return dict(zip(value.names, converted, strict=True)) if has_names else converted
        return converted if _dimensions(value) is not None else _unbox(converted)


def _dimensions(value: Any) -> tuple[int, ...] | None:
    """Return the shape of a matrix or data frame; ``None`` for what has one dimension."""
    if "data.frame" in value.rclass:
        return (-1, len(value))
    attributes = value.list_attrs()
    if "dim" not in attributes:
        return None
    shape = tuple(value.do_slot("dim"))
    return shape if len(shape) > 1 else None


def _unbox(value: Any) -> Any:
    return value[0] if isinstance(value, list) and len(value) == 1 else value


def _is_na(number: float) -> bool:
    return math.isnan(number) and struct.unpack("<Q", struct.pack("<d", number))[0] & 0xFFFFFFFF == _NA_REAL_LOW_WORD
