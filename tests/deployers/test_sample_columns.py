"""Which columns a sample has; those of R are in the tests of the deployer."""

from __future__ import annotations

import datetime

import pandas
import pytest

from clipper_nb.deployers.sample_columns import sample_columns
from clipper_nb.errors import InvalidRequestError
from clipper_nb.protocol.columns import Column


def test_columns_of_a_pandas_sample() -> None:
    sample = pandas.DataFrame(
        {
            "whole": [1, 2], "large": [1, 2**40], "real": [0.5, None], "flag": [True, False], "text": ["a", None],
            "kind": pandas.Categorical(["b", "a"], categories=["b", "a"], ordered=True),
            "day": [datetime.date(2024, 2, 29), None], "at": pandas.to_datetime(["2024-02-29T12:00", None]),
            "there": pandas.to_datetime(["2024-02-29T12:00+01:00", None]).tz_convert("Europe/Berlin"),
        }
    )  # fmt: skip
    assert sample_columns(sample, "strings") == [
        Column("whole", "integer"), Column("large", "double"), Column("real", "double"), Column("flag", "logical"),
        Column("text", "character"), Column("kind", "factor", ("b", "a"), is_ordered=True), Column("day", "Date"),
        Column("at", "POSIXct", time_zone="UTC"), Column("there", "POSIXct", time_zone="Europe/Berlin"),
    ]  # fmt: skip
    with pytest.raises(InvalidRequestError, match="column 'mixed'"):
        sample_columns(pandas.DataFrame({"mixed": [1, "a"]}), "strings")
