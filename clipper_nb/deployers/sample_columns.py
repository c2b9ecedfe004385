"""Reads from a sample which columns an R function takes: an R data frame, or one of pandas."""

from __future__ import annotations

import contextlib
import datetime
from collections.abc import Mapping, Sequence
from typing import Any

from clipper_nb.deployers.r_session import r_source, start_r, undisturbed_r
from clipper_nb.errors import InvalidRequestError
from clipper_nb.protocol.columns import COLUMN_TYPES, Column, ColumnType
from clipper_nb.protocol.input_types import InputType, parse_input_type

_LARGEST_INTEGER = 2**31 - 1
_BY_KIND: Mapping[str, ColumnType] = {"f": "double", "b": "logical"}


def sample_columns(sample: Any, input_type: str) -> list[Column]:
    """Return the columns of *sample*, for a model that takes *input_type*.

    Raises
    ------
    InvalidRequestError
        *sample* is no data frame, has no columns, or one that JSON has no value for; or inputs are no text.
    """
    if parse_input_type(input_type) not in (InputType.STRINGS, InputType.JSON):
        raise InvalidRequestError(
            "With a sample_input the rows of a data frame come as JSON, so input_type must be 'json', or 'strings' for "
            f"its text, not {input_type!r}."
        )
    is_pandas = type(sample).__module__.partition(".")[0] == "pandas" and hasattr(sample, "dtypes")
    return [_pandas_column(sample, name) for name in _pandas_names(sample)] if is_pandas else _r_columns(sample)


def columns_from_parts(parts: Mapping[str, Sequence[Any]]) -> list[Column]:
    """Return the columns that ``columns.R`` has found.

    Raises
    ------
    InvalidRequestError
        There are none, or it has refused some.
    """
    if parts["refused"]:
        raise InvalidRequestError(
            f"A JSON row cannot hold columns of the sample: {', '.join(parts['refused'])}. Columns may be of the types "
            f"{', '.join(COLUMN_TYPES)}."
        )
    if not parts["names"]:
        raise InvalidRequestError("The sample has no columns.")
    facts = zip(parts["names"], parts["types"], parts["levels"], parts["ordered"], parts["zones"], strict=True)
    return [Column(name, kind, tuple(levels), bool(ordered), zone) for name, kind, levels, ordered, zone in facts]


def _r_columns(sample: Any) -> list[Column]:
    rinterface = start_r()
    with undisturbed_r():
        if isinstance(sample, str):
            with contextlib.suppress(KeyError, ValueError):  # there is none, or the name is empty
                sample = rinterface.globalenv.find(sample)  # also in the packages that are attached
        if not isinstance(sample, rinterface.ListSexpVector) or "data.frame" not in sample.rclass:
            raise InvalidRequestError(
                "sample_input must be a data frame: of R, held through rpy2, the name of one that R finds, or "
                f"one of pandas; {sample!r} is not one."
            )
        found = rinterface.evalr(r_source("columns.R"), envir=rinterface.baseenv)(sample)
        parts = {name: list(part) for name, part in zip(found.names, found, strict=True)}
        return columns_from_parts({**parts, "levels": [list(levels) for levels in parts["levels"]]})


def _pandas_names(sample: Any) -> list[str]:
    names = list(sample.columns)
    if not names or len(set(names)) < len(names) or not all(isinstance(name, str) and name for name in names):
        raise InvalidRequestError(f"The sample's columns need names that are text and differ; they are {names}.")
    return names


def _pandas_column(sample: Any, name: str) -> Column:
    values = sample[name]
    dtype = values.dtype
    if hasattr(dtype, "categories"):
        levels = tuple(dtype.categories)
        if not all(isinstance(level, str) for level in levels):
            raise InvalidRequestError(f"The categories of the sample's column '{name}' are not text.")
        return Column(name, "factor", levels, bool(dtype.ordered))
    if dtype.kind in "iu":
        fits = all(abs(int(value)) <= _LARGEST_INTEGER for value in values.dropna())
        return Column(name, "integer" if fits else "double")
    if dtype.kind == "M":
        return Column(name, "POSIXct", time_zone=str(getattr(dtype, "tz", None) or "UTC"))
    if dtype.kind in _BY_KIND:
        return Column(name, _BY_KIND[dtype.kind])
    there = list(values.dropna())
    if all(isinstance(value, str) for value in there):
        return Column(name, "character")
    if all(isinstance(value, datetime.date) and not isinstance(value, datetime.datetime) for value in there):
        return Column(name, "Date")
    raise InvalidRequestError(
        f"The sample's column '{name}' ({dtype}) has none of the types {', '.join(COLUMN_TYPES)}."
    )
