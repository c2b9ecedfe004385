"""Each kind of value of R as JSON: R runs once, in a process of its own, for all of them."""

from __future__ import annotations

import datetime
import json
import subprocess
import sys
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from clipper_nb.protocol.outputs import encode_outputs
from clipper_nb.protocol.samples import parse_output

pytestmark = pytest.mark.r

_INTEGER64 = "structure(unlist(lapply(c({}), function(bits) bits * 5e-324)), class = 'integer64')"
"""As bit64 keeps integers, in the bits of doubles; its package is not loaded."""
_RESTORED = """readBin(as.raw(c({})), "double", 1, endian = "little")"""
_PARTS: dict[str, tuple[str, Any]] = {
    "integer64": (_INTEGER64.format("5, 70000"), [5, 70000]),
    "integer64 below zero": (f"structure({_RESTORED.format('rep(255, 8)')}, class = 'integer64')", -1),
    "integer64 missing": (f"structure({_RESTORED.format('rep(0, 7), 128')}, class = 'integer64')", None),
    "integer64 of 2^53": (f"structure({_RESTORED.format('rep(0, 6), 32, 0')}, class = 'integer64')", 2**53),
    "integer64 above": (f"structure({_RESTORED.format('1, rep(0, 5), 32, 0')}, class = 'integer64')", str(2**53 + 1)),
    "difference of times": ("as.difftime(2, units = 'hours')", 7200.0),
    "difference of days": ("as.Date('2024-03-01') - as.Date('2024-02-28')", 172800.0),
    "differences": ("as.difftime(c(1, NA), units = 'mins')", [60.0, None]),
    "midnight": ("as.POSIXct('2024-03-01', tz = 'Europe/Berlin')", "2024-03-01T00:00:00+01:00"),
    "midnight and not": (
        ".POSIXct(c(0, 1.5, NA), 'UTC')",
        ["1970-01-01T00:00:00Z", "1970-01-01T00:00:01.500000Z", None],
    ),
    "instant": (".POSIXct(0)", "1970-01-01T00:00:00Z"),
    "clock": ("as.POSIXlt('2024-07-01 00:00:00', tz = 'Europe/Berlin')", "2024-07-01T00:00:00+02:00"),
    "date": ("as.Date(c('2024-02-29', NA))", ["2024-02-29", None]),
    "no date": ("as.Date(c(Inf, NaN), origin = '1970-01-01')", [None, None]),
    "early date": ("as.Date('0099-03-01')", "0099-03-01"),
    "early time": ("as.POSIXct('0999-03-01 12:00', tz = 'UTC')", "0999-03-01T12:00:00Z"),
    "matrix of lists": ("matrix(list(1, 'a', NULL, 2L), 2)", [[1.0, None], ["a", 2]]),
    "record of vctrs": ("vctrs::new_rcrd(list(low = 1, high = 2))", {"low": 1.0, "high": 2.0}),
    "factor": ("factor(c('b', NA))", ["b", None]),
    "missing": ("list(NA, NA_integer_, NA_real_, NA_character_)", [None] * 4),
    "infinities": ("c(1, Inf, -Inf)", [1.0, float("inf"), float("-inf")]),
    "named vector": ("c(low = 1, high = NA)", {"low": 1.0, "high": None}),
    "one named value": ("c(low = 1)", {"low": 1.0}),
    "named after a row": ("c('7' = 1)", 1.0),
    "named after rows": ("c('1' = 1, '2' = 2)", [1.0, 2.0]),
    "named list": ("list('1' = list(a = NULL, b = 1:2))", {"1": {"a": None, "b": [1, 2]}}),
    "named list of nothing": ("setNames(list(), character())", {}),
    "table": ("table(c('x', 'y', 'x'))", {"x": 2, "y": 1}),
    "table of numbers": ("table(1)", {"1": 1}),
    "table of two": ("table(c('x', 'y'), c('p', 'q'))", {"x": {"p": 1, "q": 0}, "y": {"p": 0, "q": 1}}),
    "means": ("tapply(c(1, 3, 5), c('a', 'a', 'b'), mean)", {"a": 2.0, "b": 5.0}),
    "matrix": ("matrix(1:4, 2)", [[1, 3], [2, 4]]),
    "array of three": ("array(1:8, c(2, 2, 2))", [[[1, 5], [3, 7]], [[2, 6], [4, 8]]]),
    "frame": (
        "data.frame(d = as.Date('2024-02-29'), n = 1:2)",
        [{"d": "2024-02-29", "n": 1}, {"d": "2024-02-29", "n": 2}],
    ),
    "frame of lists": ("data.frame(l = I(list(1:2, c(a = 1))))", [{"l": [1, 2]}, {"l": {"a": 1.0}}]),
    "vector kept": ("I(1)", [1.0]),
    "version": ("package_version('1.10.0')", "1.10.0"),
}
_REFUSED = {
    "list(as.raw(1))": "base64",
    "list(1i)": "c(Re(z), Im(z))",
    "list(mean)": "a function, which has no JSON",
    "list(new.env())": "as.list(x)",
    "list(methods::new('numeric_but_s4'))": "(numeric_but_s4), which has no JSON; return its slots",
    "list(y ~ x)": "deparse(x)",
    "NULL": "returned NULL; return a list",
    "table(1)": "list(x)",
    "list(fit = 1)": "a list with the names fit; return a list with one output per input",
    "list(list(a = 1, a = 2))": "two values with the name 'a'",
    "data.frame(y = 1:2)": "2 outputs for 1 inputs",
    "1:3": "3 outputs for 1 inputs",
}
_OTHER_ORDER = {
    "data.frame(y = c(3, 1, 2))[c(2, 3, 1), , drop = FALSE]": "(2, 3, 1), as of a frame that was sorted; return",
    "do.call(rbind, split(data.frame(y = 1:3), c('b', 'a', 'b')))": None,
    "unsplit(split(data.frame(y = 1:3), c(2, 1, 2)), c(2, 1, 2))": None,
    "predict(lm(mpg ~ wt, mtcars), data.frame(wt = 3:1)[c(2, 1, 3), , drop = FALSE])": "x[order(as.integer(names(x)))]",
    "as.matrix(data.frame(y = 1:3)[3:1, , drop = FALSE])": "x[order(as.integer(rownames(x))), , drop = FALSE]",
    "list('3' = 1, '2' = 2, '1' = 3)": "or unname(x) if they are in that order",
    "sapply(c('2', '3', '1'), nchar)": "(2, 3, 1)",
    "c('1' = 1, '3' = 2, '4' = 3)": None,
}
"""What a function may return for three inputs, and what is said of those whose rows have changed places."""
_BATCHES: dict[str, list[Any]] = {
    "data.frame(n = 1:2, t = .POSIXct(c(0, 1), 'UTC'))": [
        {"n": 1, "t": "1970-01-01T00:00:00Z"}, {"n": 2, "t": "1970-01-01T00:00:01Z"}
    ],
    "as.difftime(c(1, 60), units = 'mins')": [60.0, 3600.0],
    _INTEGER64.format("1, 2"): [1, 2],
    "c('1' = 0.5, '2' = 1)": [0.5, 1.0],
    "c(a = 0.5, b = 1)": [0.5, 1.0],
    "list('1' = 1:2, '2' = 'x')": [[1, 2], "x"],
    "matrix(1:2, 2)": [1, 2],
    "t(sapply(1:2, function(i) list(score = i / 2, label = 'a')))": [[0.5, "a"], [1.0, "a"]],
    "matrix(list('a', 1:2), 2)": ["a", [1, 2]],
    "package_version(c('1.10.0', '1.2.0'))": ["1.10.0", "1.2.0"],
}  # fmt: skip
_PROGRAM = """
import json, sys
import numpy as np
import rpy2.rinterface as rinterface
from clipper_nb.errors import PredictionError
from clipper_nb.model_functions.r_function import RFunction
from clipper_nb.protocol.outputs import encode_outputs

rinterface.initr()
rinterface.evalr("methods::setClass('numeric_but_s4', methods::representation(a = 'numeric'))")
answers = {}
for code, num_inputs in json.load(sys.stdin):
    inputs = [np.array([1.0])] * num_inputs
    try:
        outputs = encode_outputs(RFunction(rinterface.evalr(f"function(inputs) {code}"))(inputs), num_inputs=num_inputs)
        answers[code] = [output.decode() for output in outputs]
    except PredictionError as exc:
        answers[code] = str(exc)
sys.__stdout__.write("\\n" + json.dumps(answers))
"""


@pytest.fixture(scope="module")
def answers() -> dict[str, list[str] | str]:
    """What R's code returns, by code."""
    asked = [(f"list({code})", 1) for code, _ in _PARTS.values()]
    asked += [(code, 1) for code in _REFUSED] + [(code, 2) for code in _BATCHES] + [(code, 3) for code in _OTHER_ORDER]
    finished = subprocess.run(
        [sys.executable, "-c", _PROGRAM], input=json.dumps(asked), capture_output=True, text=True, check=False,
        timeout=60,
    )  # fmt: skip
    assert finished.returncode == 0, finished.stderr
    return dict(json.loads(finished.stdout.splitlines()[-1]))


@pytest.mark.parametrize("kind", _PARTS)
def test_type_in_r_decides_json(answers: dict[str, Any], kind: str) -> None:
    code, expected = _PARTS[kind]
    (text,) = answers[f"list({code})"]
    assert parse_output(text) == expected


@pytest.mark.parametrize("code", _REFUSED)
def test_refusal_says_what_to_return(answers: dict[str, Any], code: str) -> None:
    assert _REFUSED[code] in answers[code]


@pytest.mark.parametrize("code", _BATCHES)
def test_whole_result_is_one_output_per_input(answers: dict[str, Any], code: str) -> None:
    assert [parse_output(text) for text in answers[code]] == _BATCHES[code]


@pytest.mark.parametrize("code", _OTHER_ORDER)
def test_rows_that_have_changed_places_are_refused(answers: dict[str, Any], code: str) -> None:
    """Each keeps its number in R, so the answers would be those of other queries."""
    expected = _OTHER_ORDER[code]
    if expected is None:
        assert len(answers[code]) == 3
    else:
        assert "the numbers of the inputs in another order" in answers[code]
        assert expected in answers[code]


def test_same_values_of_python_are_the_same_json(answers: dict[str, Any]) -> None:
    berlin = datetime.datetime(2024, 3, 1, tzinfo=ZoneInfo("Europe/Berlin"))
    half = datetime.datetime(1970, 1, 1, 0, 0, 1, 500000, tzinfo=datetime.timezone.utc)
    values = [
        berlin,
        [half.replace(second=0, microsecond=0), half, None],
        [datetime.date(2024, 2, 29), None],
        {"low": 1.0},
    ]
    here = [parse_output(text.decode()) for text in encode_outputs(values, num_inputs=4)]
    kinds = ["midnight", "midnight and not", "date", "one named value"]
    assert here == [parse_output(answers[f"list({_PARTS[kind][0]})"][0]) for kind in kinds]
