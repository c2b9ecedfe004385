"""What goes into an R function and what comes out of it; R runs in a process of its own, which it changes for good."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

pytestmark = pytest.mark.r

_PROGRAM = """
import json, sys
import numpy as np
import rpy2.rinterface as rinterface
from clipper_nb.errors import InvalidInputError
from clipper_nb.model_functions.r_function import RError, RFunction
from clipper_nb.protocol.columns import Column
from clipper_nb.protocol.outputs import encode_outputs

rinterface.initr()
code, inputs, dtype, columns = json.load(sys.stdin)
function = RFunction(rinterface.evalr(code), [Column(**column) for column in columns])
values = inputs if dtype == "str" else [np.array(value, dtype=dtype) for value in inputs]
try:
    outputs = [output.decode() for output in encode_outputs(function(values), num_inputs=len(values))]
except (RError, InvalidInputError) as exc:
    outputs = f"{type(exc).__name__}: {exc}"
sys.__stdout__.write("\\n" + json.dumps(outputs))
"""


def _predict(code: str, inputs: list, dtype: str = "float64", columns: list[dict] | None = None) -> list | str:
    finished = subprocess.run(
        [sys.executable, "-c", _PROGRAM], input=json.dumps([code, inputs, dtype, columns or []]), capture_output=True,
        text=True, check=False, timeout=60,
    )  # fmt: skip
    assert finished.returncode == 0, finished.stderr
    return json.loads(finished.stdout.splitlines()[-1])


@pytest.mark.parametrize(
    ("dtype", "value", "typeof"),
    [("int32", [1, -2], "integer"), ("float32", [0.5], "double"), ("float64", [0.1], "double"),
     ("int8", [1, -1], "raw"), ("str", "naïve", "character")],
)  # fmt: skip
def test_inputs_are_vectors_of_the_type(dtype: str, value: object, typeof: str) -> None:
    assert _predict("function(inputs) lapply(inputs, typeof)", [value], dtype) == [typeof]


def test_outputs_of_every_kind() -> None:
    code = """function(inputs) list(
        "text", 1.5, 3L, TRUE, NULL, NA, NA_real_, NaN, c(1, 2), c(a = 1, b = 2), list(label = "a", scores = c(1, NA)),
        data.frame(x = 1:2, y = factor(c("a", "b"))), matrix(1:4, 2), as.Date("2024-02-29"), list(1), numeric(), -Inf
    )"""
    expected = [
        "text", "1.5", "3", "true", "null", "null", "null", '"NaN"\t', "[1.0, 2.0]", '{"a": 1.0, "b": 2.0}',
        '{"label": "a", "scores": [1.0, null]}', '[{"x": 1, "y": "a"}, {"x": 2, "y": "b"}]', "[[1, 3], [2, 4]]",
        "2024-02-29", "[1.0]", "[]", '"-Infinity"\t',
    ]  # fmt: skip
    assert _predict(code, [[0.0]] * len(expected)) == expected


def test_doubles_stay_the_same_to_the_last_bit() -> None:
    values = [0.1 + 0.2, 1 / 3, 5e-324, 1.7976931348623157e308, -0.0]
    assert [float(text) for text in _predict("function(inputs) unlist(inputs)", [[v] for v in values])] == values


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ('function(inputs) factor(c("b", "a"))', ["b", "a"]),
        ("function(inputs) matrix(1:4, 2)", ["[1, 3]", "[2, 4]"]),
        ("function(inputs) matrix(1:2, 2)", ["1", "2"]),
        ("function(inputs) data.frame(x = 1:2)", ['{"x": 1}', '{"x": 2}']),
        ('function(inputs) stop("not today")', "RError: not today"),
        (
            "function(inputs) predict(lm(len ~ supp, ToothGrowth), data.frame(supp = 'XX'))",
            "RError: factor supp has new level XX. A factor has a value that the model was not fitted with. Refit it "
            "with that level, or give the deploy sample_input, a data frame with the factor's levels: then an unknown "
            "level is refused by name.",
        ),
    ],
)
def test_returned_factor_matrix_or_frame_becomes_outputs(code: str, expected: list | str) -> None:
    assert _predict(code, [[0.0], [0.0]]) == expected


_COLUMNS = [
    {"name": "i", "type": "integer"}, {"name": "d", "type": "double"}, {"name": "l", "type": "logical"},
    {"name": "c", "type": "character"}, {"name": "f", "type": "factor", "levels": ["low", "high"], "is_ordered": True},
    {"name": "day", "type": "Date"}, {"name": "t", "type": "POSIXct", "time_zone": "Europe/Berlin"},
]  # fmt: skip
_ROW = {"i": 3, "d": 0.1, "l": True, "c": "naïve", "f": "high", "day": "2024-02-29", "t": "2024-07-01T12:00:00.5"}


def test_rows_become_a_data_frame_as_r_itself_makes_it() -> None:
    """Local times are those of the sample's zone; winter and summer, and an offset of the row's own."""
    code = """function(rows) {
        expected <- data.frame(
            i = c(3L, NA, 1L), d = c(0.1, NA, Inf), l = c(TRUE, NA, FALSE), c = c("naïve", NA, ""),
            f = factor(c("high", NA, "low"), levels = c("low", "high"), ordered = TRUE),
            day = as.Date(c("2024-02-29", NA, "1969-12-31")),
            t = as.POSIXct(c("2024-07-01 12:00:00.5", NA, "2024-01-01 12:00:00"), tz = "Europe/Berlin")
        )
        rep(if (identical(rows, expected)) "identical" else paste(all.equal(rows, expected), collapse = "; "), 3)
    }"""
    other = {"i": 1, "d": "Inf", "l": False, "c": "", "f": "low", "day": "1969-12-31", "t": "2024-01-01T13:00:00+02:00"}
    rows = [json.dumps(row) for row in (_ROW, dict.fromkeys(_ROW), other)]
    assert _predict(code, rows, "str", _COLUMNS) == ["identical"] * 3


def test_a_local_time_that_was_skipped_is_an_error() -> None:
    told = _predict("function(rows) rows$t", [json.dumps({**_ROW, "t": "2024-03-31T02:30:00"})], "str", _COLUMNS)
    assert told.startswith("InvalidInputError: Column 't': ")
    assert "in the time zone Europe/Berlin there is no 2024-03-31 02:30:00" in told


def test_columns_of_a_data_frame_are_checked_before_r_sees_them() -> None:
    told = _predict("function(rows) rows$i", [json.dumps(_ROW), json.dumps({**_ROW, "f": "middle"})], "str", _COLUMNS)
    assert told == (
        'InvalidInputError: Row 2: column \'f\' must be one of the texts "low", "high", or null; got the new level '
        '"middle". The model must be fitted and deployed again with it.'
    )
