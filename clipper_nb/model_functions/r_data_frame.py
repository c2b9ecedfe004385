"""JSON rows as an R data frame whose columns have the sample's types."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from clipper_nb.errors import InvalidInputError, InvalidRequestError
from clipper_nb.model_functions.data_frame_rows import read_rows
from clipper_nb.protocol.columns import Column

_MAKE_COLUMN = """
function(values, is_local, type, levels, is_ordered, zone) {
  if (type == "factor") return(structure(values, levels = levels, class = c(if (is_ordered) "ordered", "factor")))
  if (type == "Date") return(structure(values, class = "Date"))
  if (any(is_local)) {
    form <- "%Y-%m-%d %H:%M:%S"
    whole <- floor(values[is_local])
    clock <- format(.POSIXct(whole, "UTC"), form)
    there <- as.POSIXct(clock, tz = zone, format = form)
    is_skipped <- is.na(there) | format(there, form) != clock
    if (any(is_skipped)) stop("in the time zone ", zone, " there is no ", clock[is_skipped][1L])
    values[is_local] <- as.numeric(there) + (values[is_local] - whole)
  }
  .POSIXct(values, zone)
}
"""
_MAKE_FRAME = """
function(columns, names, rows) structure(columns, names = names, row.names = .set_row_names(rows), class = "data.frame")
"""
_CHECK_ZONE = """
function(zone) if (!zone %in% OlsonNames()) stop("this R does not know the time zone '", zone, "'")
"""


class DataFrameMaker:
    """Creates data frames of one set of columns.

    Parameters
    ----------
    rinterface : module
        ``rpy2.rinterface``, with R running.
    columns : list of Column

    Raises
    ------
    InvalidRequestError
        This R does not know a column's time zone.
    """

    def __init__(self, rinterface: Any, columns: Sequence[Column]) -> None:
        self._r = rinterface
        self._columns = columns
        self._make_column = rinterface.evalr(_MAKE_COLUMN, envir=rinterface.baseenv)
        self._make_frame = rinterface.evalr(_MAKE_FRAME, envir=rinterface.baseenv)
        self._names = rinterface.StrSexpVector([column.name for column in columns])
        for zone in {column.time_zone for column in columns if column.type == "POSIXct"}:
            try:
                rinterface.evalr(_CHECK_ZONE)(rinterface.StrSexpVector([zone]))
            except rinterface.embedded.RRuntimeError as exc:
                raise InvalidRequestError(f"The data frame cannot be made: {str(exc).strip()}") from exc

    def make(self, rows: Sequence[Any]) -> Any:
        """Return a data frame of *rows*; raises :class:`InvalidInputError` for a row that does not fit."""
        values = read_rows(rows, self._columns)
        columns = [self._to_r(column, of_column) for column, of_column in zip(self._columns, values, strict=True)]
        return self._make_frame(self._r.ListSexpVector(columns), self._names, self._r.IntSexpVector([len(rows)]))

    def _to_r(self, column: Column, values: list[Any]) -> Any:
        r = self._r
        if column.type == "integer":
            return r.IntSexpVector(_with_na(values, r.NA_Integer))
        if column.type == "double":
            return r.FloatSexpVector(_with_na(values, r.NA_Real))
        if column.type == "logical":
            return r.BoolSexpVector(_with_na(values, r.NA_Logical))
        if column.type == "character":
            return r.StrSexpVector(_with_na(values, r.NA_Character))
        is_local = [False]
        if column.type == "factor":
            numbers = r.IntSexpVector(_with_na(values, r.NA_Integer))
        elif column.type == "Date":
            numbers = r.FloatSexpVector(_with_na(values, r.NA_Real))
        else:
            numbers = r.FloatSexpVector([r.NA_Real if value is None else value.seconds for value in values])
            is_local = [value is not None and value.is_local for value in values]
        try:
            return self._make_column(
                numbers, r.BoolSexpVector(is_local), r.StrSexpVector([column.type]),
                r.StrSexpVector(list(column.levels)), r.BoolSexpVector([column.is_ordered]),
                r.StrSexpVector([column.time_zone]),
            )  # fmt: skip
        except r.embedded.RRuntimeError as exc:
            raise InvalidInputError(f"Column '{column.name}': {str(exc).strip()}") from exc


def _with_na(values: list[Any], na: Any) -> list[Any]:
    return [na if value is None else value for value in values]
