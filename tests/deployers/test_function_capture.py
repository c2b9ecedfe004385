"""What an R function takes along: captured in one R, loaded as a replica does in another, each once for all tests."""

from __future__ import annotations

import json
import os
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

setClass("Shape", representation("VIRTUAL"))
Point <- setClass("Point", contains = "Shape", slots = c(x = "numeric"),
                  validity = function(object) if (object@x < lowest) "too low" else TRUE)
Square <- setClass("Square", contains = "Point", slots = c(side = "numeric"))
setGeneric("area", function(shape, ...) standardGeneric("area"))
setMethod("area", "Shape", function(shape, ...) base_area)
setMethod("area", "Square", function(shape, ...) shape@side^2 + callNextMethod())
setMethod("+", signature("Square", "Square"), function(e1, e2) new("Square", x = e1@x, side = e1@side + e2@side))
setMethod("show", "Square", function(object) cat("a square"))
setMethod("predict", "Square", function(object, ...) object@side)
setAs("Square", "numeric", function(from) from@side)
setClassUnion("Sided", c("Square", "numeric"))
setGeneric("sides", function(x) standardGeneric("sides"))
setMethod("sides", "Sided", function(x) "some")
lowest <- 0; base_area <- 100; square <- Square(x = 1, side = 3)
s4 <- function(inputs) lapply(inputs, function(x) {
  made <- new("Square", x = 1, side = x[1])
  I(c(area(square), area(made), (made + square)@side, predict(made), as(made, "numeric"), sides(made),
      is(made, "Shape"), capture.output(show(made)), capture.output(made),
      tryCatch(Point(x = -1), error = function(e) "refused")))
})

Account <- setRefClass("Account", fields = list(total = "numeric"), methods = list(
  add = function(x) { total <<- total + x * rate; invisible(.self) }))
Savings <- setRefClass("Savings", contains = "Account", methods = list(
  add = function(x) { callSuper(x); callSuper(x) }))
rate <- 2; account <- Savings$new(total = 10); account$add(1)
reference_classes <- function(inputs) lapply(inputs, function(x) {
  kept <- account$copy(); kept$add(x[1]); I(c(kept$total, Savings$new(total = 0)$add(x[1])$total))
})

Counter <- R6::R6Class("Counter", public = list(n = 0, add = function(x) { self$n <- self$n + x * step; self }))
Loud <- R6::R6Class("Loud", inherit = Counter, public = list(ready = FALSE, say = function() paste(self$n, self$mark)),
                    active = list(mark = function() if (self$ready) exclamation else stop("not ready")))
step <- 3; exclamation <- "!"; loud <- Loud$new()
r6 <- function(inputs) lapply(inputs, function(x) {
  made <- Loud$new(); kept <- loud$clone(); made$ready <- kept$ready <- TRUE
  I(c(made$add(x[1])$say(), kept$add(1)$say()))
})

thresholds <- c("R_TEST_C", "R_TEST_D")
threshold <- function(unset = Sys.getenv("R_TEST_DEFAULT", "R_TEST_UNUSED")) base::Sys.getenv(x = "R_TEST_B", unset)
union <- function(...) stop("hides that of R")
environment_reads <- function(inputs) lapply(inputs, function(x) {
  c(threshold(), Sys.getenv(c("R_TEST_A", "R_TEST_UNSET")), Sys.getenv(thresholds), Sys.getenv()[["R_TEST_E"]],
    sapply(c("R_TEST_F"), Sys.getenv), Sys.getenv("R_LIBS_SITE"))
})

set_digits <- function(...) options(digits = own_digits); own_digits <- 3
prepared <- function(inputs) lapply(inputs, function(x) format(pi * x[1]))
needs_an_argument <- function(how, much = 1) options(digits = how)
never_ready <- function() stop("no licence")

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
from clipper_nb.deployers.function_capture import capture_function, find_setup
from clipper_nb.errors import InvalidRequestError
from clipper_nb.protocol.model_folder import R_FUNCTION_FILE, R_SETUP_FILE, RMetadata, write_metadata

rinterface.initr()
rinterface.evalr(sys.argv[2])
for name in sys.argv[3:]:
    captured = capture_function(name)
    if name == "prepared":
        captured = captured.with_setup(capture_function(find_setup("set_digits")))
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
    if captured.serialized_setup is not None:
        (folder / R_SETUP_FILE).write_bytes(captured.serialized_setup)
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
    "s4": [
        ["109", str(100 + x * x), str(x + 3), str(x), str(x), "some", "TRUE", "a square", "a square", "refused"]
        for x in (1, 2)
    ],
    "reference_classes": [[14.0 + 4 * x, 4.0 * x] for x in (1, 2)],
    "r6": [["3 !", "3 !"], ["6 !", "3 !"]],
    "prepared": ["3.14", "6.28"],
}
_READ = """
import json, os, sys
import rpy2.rinterface as rinterface
from clipper_nb.deployers.function_capture import capture_function, find_setup
from clipper_nb.deployers.r_session import environment_of_r

rinterface.initr()
rinterface.evalr(sys.argv[1])
cell = "password <- 'secret-of-the-cell'\\nwith_source <- function(inputs) helper(inputs)\\nhelper <- function(x) x"
rinterface.evalr(f'eval(parse(text = "{cell}", keep.source = TRUE), globalenv())')
rinterface.evalr('Sys.setenv(R_TEST_A = "secret-a", R_TEST_D = "secret-d")')
captured = capture_function("environment_reads")
refusals = []
for setup in ("needs_an_argument", "nothing"):
    try:
        find_setup(setup)
    except Exception as exc:
        refusals.append(str(exc))
facts = {
    "cell": repr(capture_function("with_source").serialized),
    "values": captured.environment_variables.values,
    "shown": f"{captured.environment_variables} {captured.report('f')!r} {captured.report('f').to_dict()}",
    "of_r": environment_of_r()["R_TEST_A"], "of_python": os.environ.get("R_TEST_A"), "refusals": refusals,
}
sys.__stdout__.write("\\n" + json.dumps(facts))
"""


def _run(program: str, *arguments: str, **variables: str) -> str:
    command = [sys.executable, "-c", program, *arguments]
    environment = {**os.environ, **variables}
    finished = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120, env=environment)
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
def test_session_classes_methods_and_tables_travel(answers: dict[str, Any], name: str) -> None:
    assert answers[name] == _ANSWERS[name]


def test_large_function_is_refused_with_its_variables(captured: tuple[Path, str]) -> None:
    """The variable that nothing uses is in the environment of the fitted model's formula."""
    assert "takes along 120.0 MB, more than 100.0 MB: 'fit$terms$big' (120.0 MB)" in captured[1]
    assert "allow_large=True" in captured[1]


def test_variables_that_r_code_reads_are_found() -> None:
    """With their values in R, some of which only R knows; reports have the names."""
    known = {f"R_TEST_{x}": f"secret-{x.lower()}" for x in "BCEF"} | {"R_TEST_DEFAULT": "secret-default"}
    facts = json.loads(_run(_READ, _SESSION, **known, R_TEST_UNUSED="secret-unused").splitlines()[-1])
    values = facts["values"]
    assert values.pop("R_LIBS_SITE", "")
    assert values == {**known, "R_TEST_A": "secret-a", "R_TEST_D": "secret-d"}
    assert (facts["of_r"], facts["of_python"]) == ("secret-a", None)
    assert "with_source" in facts["cell"] or "helper" in facts["cell"]
    assert "secret-of-the-cell" not in facts["cell"]
    assert "R_TEST_A" in facts["shown"]
    assert "secret" not in facts["shown"]
    assert "takes how" in facts["refusals"][0]
    assert facts["refusals"][1].startswith("setup must be an R function")
