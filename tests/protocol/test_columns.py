"""The schema of the rows of an R function: what is no row for certain is refused before it costs a replica."""

from __future__ import annotations

from typing import Any

import pytest

from clipper_nb.protocol.columns import Column, columns_schema
from clipper_nb.protocol.json_schema import compile_schema

COLUMNS = [
    Column("i", "integer"),
    Column("d", "double"),
    Column("l", "logical"),
    Column("c", "character"),
    Column("f", "factor", ("a", "b")),
    Column("t", "POSIXct", time_zone="UTC"),
]
ROW = {"i": 1, "d": 0.5, "l": True, "c": "x", "f": "b", "t": "2024-02-29T12:00"}


@pytest.mark.parametrize("change", [{}, dict.fromkeys(ROW), {"i": 2.0}, {"d": "NaN"}, {"d": 3}, {"more": [1]}])
def test_row_fits(change: dict[str, Any]) -> None:
    assert compile_schema(columns_schema(COLUMNS) or {}).is_valid(ROW | change)


@pytest.mark.parametrize(
    "change", [{"i": 1.5}, {"i": 2**31}, {"d": "x"}, {"l": 1}, {"c": 1}, {"f": "c"}, {"t": 5}, {"i": True}]
)
def test_value_of_another_type_does_not_fit(change: dict[str, Any]) -> None:
    assert not compile_schema(columns_schema(COLUMNS) or {}).is_valid(ROW | change)


def test_every_column_is_required() -> None:
    validator = compile_schema(columns_schema(COLUMNS) or {})
    assert not any(validator.is_valid({name: ROW[name] for name in ROW if name != missing}) for missing in ROW)
    assert columns_schema([]) is None
