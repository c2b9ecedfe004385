"""Tests of the search for environment variables that code reads."""

import os
import os as operating_system
import pickle
from os import environ, getenv

import pytest

from clipper_nb.closures.environment_reads import find_environment_reads
from clipper_nb.closures.function_pickle import pickle_function
from clipper_nb.closures.report import closure_report

NAME = "FROM_A_VARIABLE"
own = environ
config = {"X": 1}


def _helper():
    return os.environ["OF_HELPER"]


def _imports_inside():
    import os as here
    from os import environ as variables
    from os import getenv as get

    return here.environ["A"], variables["B"], get("C"), [here.getenv(name) for name in ("x",)], here.getenv("D", "x")


def _nested():
    from os import environ as outer

    return [lambda: outer["INNER"] for _ in range(2)]


@pytest.mark.parametrize(
    ("function", "names"),
    [
        (lambda xs: os.environ["X"], ["X"]),
        (lambda xs: os.environ.get("X"), ["X"]),
        (lambda xs: os.environ.get("X", "Y"), ["X"]),
        (lambda xs: float(os.getenv("X", default="0.5")), ["X"]),
        (lambda xs: "X" in os.environ, ["X"]),
        (lambda xs: "X" not in os.environ, ["X"]),
        (lambda xs: environ["X"] + getenv("Y"), ["X", "Y"]),
        (lambda xs: operating_system.environ["X"], ["X"]),
        (lambda xs: own["X"], ["X"]),
        (lambda xs: os.environ[NAME], ["FROM_A_VARIABLE"]),
        (lambda xs: f"{os.environ['X']}/{os.environ['Y']}", ["X", "Y"]),
        (lambda xs: [os.environ["X"] for _ in xs], ["X"]),
        (lambda xs: [_helper() for _ in xs], ["OF_HELPER"]),
        (_imports_inside, ["A", "B", "C", "D"]),
        (_nested, ["INNER"]),
        (lambda xs: os.path.join("a", "X"), []),
        (lambda xs: config["X"], []),
        (lambda xs: config.get("X"), []),
        (lambda xs: os.environ.update(X="1"), []),
        (lambda xs: os.environ.__setitem__("X", "1"), []),
        (lambda xs: dict(os.environ), []),
    ],
)
def test_names_are_found_however_they_are_read(function, names):
    assert closure_report(function).environment_variables == names


def test_a_variable_that_is_only_set_is_not_read():
    def sets(xs):
        os.environ["X"] = "1"
        del os.environ["Y"]

    assert find_environment_reads([sets], []) == []


def test_source_of_a_module_is_searched():
    sources = ["import os\nX = os.environ['AT_IMPORT']\ndef f():\n    return os.getenv('IN_IT')", "no python("]

    assert find_environment_reads([], sources) == ["AT_IMPORT", "IN_IT"]


@pytest.mark.parametrize("function", [lambda xs: environ["X"], lambda xs: own.get("X")])
def test_the_environment_itself_does_not_travel(function, monkeypatch):
    monkeypatch.setenv("SOMETHING_SECRET", "a value that nobody may see")

    pickled, report = pickle_function(function)

    assert b"nobody may see" not in pickled
    assert pickle.loads(pickled).__globals__.get("environ", os.environ) is os.environ
    assert "nobody may see" not in f"{report!r}{report.to_dict()}{report._repr_html_()}"
