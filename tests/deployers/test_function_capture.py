"""What an R function takes along: captured in one R, loaded as a replica does in another, each once for all tests."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.r

_SESSION = """
predict.own_model <- function(object, x, ...) { calls$n <- calls$n + 1; object$slope * x }
calls <- new.env(); calls$n <- 0
own <- structure(list(slope = 3), class = "own_model")
own_class <- function(inputs) sapply(inputs, function(x) predict(own, x[1]))
delayedAssign("cost", stop("a promise of the session was made")); cost_own_model <- 1

registerS3method("summary", "own_model", function(object, ...) object$slope * factor_of_summary)
factor_of_summary <- 10
registered <- function(inputs) sapply(inputs, function(x) summary(own))

describe <- function(x) UseMethod("describe")
describe.default <- function(x) "anything"
describe.numeric <- function(x) paste("number", x[1])
own_generic <- function(inputs) sapply(inputs, describe)

format.made_here <- function(x, ...) paste("made here:", unclass(x))
made_in_code <- function(inputs) sapply(inputs, function(x) { y <- x[1]; class(y) <- "made_here"; format(y) })

prices <- data.table::data.table(code = c("a", "b"), price = c(1, 2))
tables <- list(prices = data.table::copy(prices))
by_reference <- function(inputs) {
  data.table::set(tables$prices, j = "double", value = tables$prices$price * 2)
  prices[, triple := price * 3]
  sapply(inputs, function(x) prices$triple[x[1]] + tables$prices$double[x[1]])
}

beside_a_big_variable <- (function() {
  fit <- (function() { big <- numeric(15e6); lm(mpg ~ wt, mtcars) })()
  function(inputs) sapply(inputs, function(x) x[1])
})()
"""
_CAPTURE = """
import sys
from dataclasses import replace
from pathlib import Path
import rpy2.rinterface as rinterface
from clipper_nb.closures.function_pickle import check_size
from clipper_nb.deployers.function_capture import capture_function
from clipper_nb.errors import InvalidRequestError
from clipper_nb.protocol.model_folder import R_FUNCTION_FILE, RMetadata, write_metadata

rinterface.initr()
rinterface.evalr(sys.argv[2])
for name in sys.argv[3:]:
    captured = capture_function(name)
    report = captured.report(name)
    try:
        check_size(report, allow_large=False)
    except InvalidRequestError as exc:
        sys.__stdout__.write(str(exc))
        check_size(report, allow_large=True)
        continue
    folder = Path(sys.argv[1]) / name
    folder.mkdir()
    (folder / R_FUNCTION_FILE).write_bytes(captured.serialized)
    write_metadata(RMetadata(r_version=captured.r_version, r_packages=captured.packages), folder)
"""
_LOAD = """
import json, sys
from pathlib import Path
import numpy as np
from clipper_nb.protocol.model_folder import read_metadata
from clipper_nb.runtime.model_container.r_model import load_r_model

answers = {}
for name in sys.argv[2:]:
    folder = Path(sys.argv[1]) / name
    model = load_r_model(folder, read_metadata(folder))
    try:
        answers[name] = model.predict([np.array([1.0]), np.array([2.0])])
    except Exception as exc:
        answers[name] = str(exc)
sys.__stdout__.write("\\n" + json.dumps(answers))
"""
_ANSWERS = {
    "own_class": [3.0, 6.0],
    "registered": [30.0, 30.0],
    "own_generic": ["number 1", "number 2"],
    "made_in_code": ["made here: 1", "made here: 2"],
    "by_reference": [5.0, 10.0],
}


def _run(program: str, *arguments: str) -> str:
    command = [sys.executable, "-c", program, *arguments]
    finished = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert finished.returncode == 0, finished.stderr
    return finished.stdout


@pytest.fixture(scope="module")
def captured(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The folders of the captured functions, and what was told of the one that is large."""
    folder = tmp_path_factory.mktemp("captured")
    return folder, _run(_CAPTURE, str(folder), _SESSION, *_ANSWERS, "beside_a_big_variable")


@pytest.fixture(scope="module")
def answers(captured: tuple[Path, str]) -> dict[str, Any]:
    """What the functions answer in an R that knows nothing else."""
    return dict(json.loads(_run(_LOAD, str(captured[0]), *_ANSWERS).splitlines()[-1]))


@pytest.mark.parametrize("name", _ANSWERS)
def test_session_methods_and_tables_travel(answers: dict[str, Any], name: str) -> None:
    assert answers[name] == _ANSWERS[name]


def test_large_function_is_refused_with_its_variables(captured: tuple[Path, str]) -> None:
    """The variable that nothing uses is in the environment of the fitted model's formula."""
    assert "takes along 120.0 MB, more than 100.0 MB: 'fit$terms$big' (120.0 MB)" in captured[1]
    assert "allow_large=True" in captured[1]
