"""What goes into an R function and what comes out of it; R runs in a process of its own, which it changes for good."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from clipper_nb.model_functions.r_metrics import metrics_source

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
for asked in sys.stdin:
    code, inputs, dtype, columns = json.loads(asked)
    function = RFunction(rinterface.evalr(code), [Column(**column) for column in columns])
    values = inputs if dtype in ("str", "json") else [np.array(value, dtype=dtype) for value in inputs]
    try:
        outputs = [output.decode() for output in encode_outputs(function(values), num_inputs=len(values))]
    except (RError, InvalidInputError) as exc:
        outputs = f"{type(exc).__name__}: {exc}"
    sys.__stdout__.write("answer " + json.dumps(outputs) + "\\n")
    sys.__stdout__.flush()
"""

Predict = Callable[..., Any]


@pytest.fixture(scope="module")
def predict() -> Iterator[Predict]:
    """Give what returns the outputs of R code for inputs, by default of ``doubles``; one R is asked all the time."""
    command = [sys.executable, "-c", _PROGRAM]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:

        def ask(code: str, inputs: list, dtype: str = "float64", columns: Sequence[dict] = ()) -> list | str:
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.write(json.dumps([code, inputs, dtype, columns]) + "\n")
            process.stdin.flush()
            answer = next(line for line in process.stdout if line.startswith("answer "))  # R may print more
            return json.loads(answer.removeprefix("answer "))

        yield ask


@pytest.mark.parametrize(
    ("dtype", "value", "typeof"),
    [("int32", [1, -2], "integer"), ("float32", [0.5], "double"), ("float64", [0.1], "double"),
     ("int8", [1, -1], "raw"), ("str", "naïve", "character")],
)  # fmt: skip
def test_inputs_are_vectors_of_the_type(predict: Predict, dtype: str, value: object, typeof: str) -> None:
    assert predict("function(inputs) lapply(inputs, typeof)", [value], dtype) == [typeof]


def test_outputs_of_every_kind(predict: Predict) -> None:
    code = """function(inputs) list(
        "text", 1.5, 3L, TRUE, NULL, NA, NA_real_, NaN, c(1, 2), c(a = 1, b = 2), list(label = "a", scores = c(1, NA)),
        data.frame(x = 1:2, y = factor(c("a", "b"))), matrix(1:4, 2), as.Date("2024-02-29"), list(1), numeric(), -Inf
    )"""
    expected = [
        "text", "1.5", "3", "true", "null", "null", "null", '"NaN"\t', "[1.0, 2.0]", '{"a": 1.0, "b": 2.0}',
        '{"label": "a", "scores": [1.0, null]}', '[{"x": 1, "y": "a"}, {"x": 2, "y": "b"}]', "[[1, 3], [2, 4]]",
        "2024-02-29", "[1.0]", "[]", '"-Infinity"\t',
    ]  # fmt: skip
    assert predict(code, [[0.0]] * len(expected)) == expected


def test_doubles_stay_the_same_to_the_last_bit(predict: Predict) -> None:
    values = [0.1 + 0.2, 1 / 3, 5e-324, 1.7976931348623157e308, -0.0]
    assert [float(text) for text in predict("function(inputs) unlist(inputs)", [[v] for v in values])] == values


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
def test_returned_factor_matrix_or_frame_becomes_outputs(predict: Predict, code: str, expected: list | str) -> None:
    assert predict(code, [[0.0], [0.0]]) == expected


_COLUMNS = [
    {"name": "i", "type": "integer"}, {"name": "d", "type": "double"}, {"name": "l", "type": "logical"},
    {"name": "c", "type": "character"}, {"name": "f", "type": "factor", "levels": ["low", "high"], "is_ordered": True},
    {"name": "day", "type": "Date"}, {"name": "t", "type": "POSIXct", "time_zone": "Europe/Berlin"},
]  # fmt: skip
_ROW = {"i": 3, "d": 0.1, "l": True, "c": "naïve", "f": "high", "day": "2024-02-29", "t": "2024-07-01T12:00:00.5"}


def test_rows_become_a_data_frame_as_r_itself_makes_it(predict: Predict) -> None:
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
    assert predict(code, rows, "str", _COLUMNS) == ["identical"] * 3


def test_a_local_time_that_was_skipped_is_an_error(predict: Predict) -> None:
    told = predict("function(rows) rows$t", [json.dumps({**_ROW, "t": "2024-03-31T02:30:00"})], "str", _COLUMNS)
    assert told.startswith("InvalidInputError: Column 't': ")
    assert "in the time zone Europe/Berlin there is no 2024-03-31 02:30:00" in told


def test_columns_of_a_data_frame_are_checked_before_r_sees_them(predict: Predict) -> None:
    told = predict("function(rows) rows$i", [json.dumps(_ROW), json.dumps({**_ROW, "f": "middle"})], "str", _COLUMNS)
    assert told == (
        'InvalidInputError: Row 2: column \'f\' must be one of the texts "low", "high", or null; got the new level '
        '"middle". The model must be fitted and deployed again with it.'
    )


_TURNS = """
import sys, threading
import numpy as np
import rpy2.rinterface as rinterface
from clipper_nb.model_functions.r_function import RFunction

rinterface.initr()
compute = RFunction(rinterface.evalr(
    "function(inputs) { end <- Sys.time() + 0.5; while (Sys.time() < end) sum(runif(1000)); inputs }"
), [])
num_turns, is_over = 0, threading.Event()

def take_turns():
    global num_turns
    while not is_over.wait(0.01):
        num_turns += 1

thread = threading.Thread(target=take_turns, daemon=True)
thread.start()
before = num_turns
compute([np.array([1.0])])
sys.__stdout__.write(str(num_turns - before))
is_over.set()
thread.join()
"""


def test_other_threads_run_while_r_computes() -> None:
    """A replica's heartbeats come from one of them."""
    finished = subprocess.run([sys.executable, "-c", _TURNS], capture_output=True, text=True, check=False, timeout=60)
    assert finished.returncode == 0, finished.stderr
    assert int(finished.stdout) > 5


@pytest.mark.parametrize(
    ("value", "code"),
    [
        (None, "NULL"),
        (True, "TRUE"),
        (3, "3L"),
        (2**31, "2147483648"),
        (1.5, "1.5"),
        ("é", '"é"'),
        ([1, None, 3], "c(1L, NA, 3L)"),
        ([1, 2.5, None], "c(1, 2.5, NA)"),
        ([True, None], "c(TRUE, NA)"),
        (["a", None], 'c("a", NA)'),
        ([None, None], "c(NA, NA)"),
        ([], "list()"),
        ([1, "a"], 'list(1L, "a")'),
        ([1, True], "list(1L, TRUE)"),
        ([[1, 2], [3]], "list(c(1L, 2L), 3L)"),
        ([{"a": 1}, {"a": 2}], "list(list(a = 1L), list(a = 2L))"),
        ({"wt": 2.6, "gear": None, "tags": ["x"]}, 'list(wt = 2.6, gear = NULL, tags = "x")'),
        ({"first name": {"x": 1}}, "list(`first name` = list(x = 1L))"),
    ],
)
def test_value_of_json_becomes_what_r_has(predict: Predict, value: Any, code: str) -> None:
    same = f"function(inputs) list(identical(inputs[[1L]], {code}))"
    assert predict(same, [value], "json") == ["true"], predict(
        "function(inputs) deparse(inputs[[1L]])", [value], "json"
    )


@pytest.mark.parametrize(
    ("value", "words"), [(2**53 + 1, "no number that is exactly 9007199254740993"), ({"a": ["\0"]}, "zero byte")]
)
def test_value_that_r_would_change_is_refused(predict: Predict, value: Any, words: str) -> None:
    assert words in predict("function(inputs) inputs", [value], "json")


def test_rows_of_json_are_a_data_frame(predict: Predict) -> None:
    columns = [{"name": "x", "type": "double"}, {"name": "g", "type": "factor", "levels": ["a", "b"]}]
    rows = [{"x": 1, "g": "b"}, {"g": None, "x": None, "more": [1]}]
    assert predict("function(df) as.character(df$g)", rows, "json", columns) == ["b", "null"]
    assert "column 'g' must be one of" in predict("function(df) df$x", [{"x": 1, "g": "c"}], "json", columns)
    assert "must be a JSON object" in predict("function(df) df$x", [[1]], "json", columns)


def test_package_of_r_has_the_same_functions_that_count() -> None:
    package = Path(__file__).parents[2] / "r" / "clippernb" / "R" / "metrics.R"
    assert package.read_text() == metrics_source()
