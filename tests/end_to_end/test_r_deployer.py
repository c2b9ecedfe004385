"""R functions, as a notebook holds them through rpy2: deployed, and compared with what R answers in the notebook."""

from __future__ import annotations

import json
import math
import os
import sys
import urllib.request
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from clipper_nb import ClipperConnection, LocalContainerManager
from clipper_nb.closures.unpicklable import describe_immovable
from clipper_nb.deployers.function_capture import capture_function
from clipper_nb.deployers.python import create_endpoint as create_python_endpoint
from clipper_nb.deployers.python import deploy_python_closure
from clipper_nb.deployers.r import create_endpoint, define_metrics, deploy_captured_function, deploy_r_model
from clipper_nb.deployers.r_session import start_r, undisturbed_r
from clipper_nb.errors import (
    IncompatibleEnvironmentError,
    InvalidInputError,
    InvalidRequestError,
    ModelLoadError,
    ParityError,
    PredictionError,
    SerializationError,
)
from tests.support.clusters import eventually, exported_and_imported, http_request, observe, running_cluster

pytestmark = [pytest.mark.cluster, pytest.mark.r, pytest.mark.same_on_docker, pytest.mark.timeout(600)]

SLO_MICROS = 20_000_000
ROWS = np.random.default_rng(1).uniform(1, 6, size=(30, 2))


@pytest.fixture(scope="module")
def shared(kind: str, r: Any) -> Iterator[ClipperConnection]:
    """A cluster that is started after R: its processes must not be disturbed by what R put into the environment."""
    with running_cluster(kind) as conn:
        yield conn


def _in_r(r: Any, function: str, rows: np.ndarray = ROWS) -> list:
    from rpy2.robjects import FloatVector

    return list(r[function](r["list"](*map(FloatVector, rows))))


def _served(conn: ClipperConnection, application: str, rows: np.ndarray = ROWS) -> list:
    return [prediction.output for prediction in conn.predict_batch(application, rows)]


def test_fitted_lm_answers_as_in_the_notebook_after_errors_too(shared: ClipperConnection, r: Any) -> None:
    r("""
    countdown <- function(n) if (n > 0) countdown(n - 1) else 0
    weight_model <- (function() { fit <- lm(mpg ~ wt + cyl, mtcars); function(d) predict(fit, d) })()
    as_frame <- function(rows) setNames(as.data.frame(do.call(rbind, rows)), c("wt", "cyl"))
    fuel <- function(inputs) {
      print("printed"); warning("warned")
      if (inputs[[1]][1] < 0) stop("weights are positive")
      if (inputs[[1]][1] == 0) return(list())
      if (inputs[[1]][1] == 99) quit("no")
      weight_model(as_frame(inputs)) + countdown(3)
    }
    """)
    create_endpoint(shared, "fuel", "doubles", "fuel", slo_micros=SLO_MICROS)
    assert _served(shared, "fuel") == _in_r(r, "fuel")
    failed = shared.predict("fuel", [-1.0, 2.0])
    assert (failed.default, failed.reason) == (True, "model_error")
    assert "weights are positive" in str(failed.explanation)
    wrong = shared.predict("fuel", [0.0, 2.0])
    assert (wrong.default, wrong.reason) == (True, "model_error")
    assert "0 outputs for 1 inputs" in str(wrong.explanation)
    assert "quit() was called" in str(shared.predict("fuel", [99.0, 2.0]).explanation)
    (replica,) = [x for x in shared.get_all_model_replicas() if x.startswith("fuel:")]
    assert _served(shared, "fuel") == _in_r(r, "fuel")
    assert replica in shared.get_all_model_replicas()


@pytest.mark.also_on_docker
def test_a_random_forest_travels_with_its_package(shared: ClipperConnection, r: Any, tmp_path: Path) -> None:
    """Its votes are compared: among classes with as many votes it chooses at random. So does it in a file."""
    r("""
    forest <- randomForest::randomForest(iris[3:4], iris$Species, ntree = 20)
    as_petals <- function(inputs) setNames(as.data.frame(do.call(rbind, inputs)), names(iris)[3:4])
    votes <- function(inputs) unclass(predict(forest, as_petals(inputs), type = "vote", norm.votes = FALSE))
    """)
    create_endpoint(shared, "votes", "doubles", "votes", slo_micros=SLO_MICROS)
    by_class = np.reshape(_in_r(r, "votes"), (len(ROWS), 3), order="F")
    assert _served(shared, "votes") == by_class.tolist()
    assert by_class.sum(axis=1).tolist() == [20] * len(ROWS)
    assert exported_and_imported(shared, "votes", tmp_path / "exported.tar") == ("votes:1",)
    assert _served(shared, "votes") == by_class.tolist()


def test_a_python_and_an_r_version_behind_one_application(shared: ClipperConnection, r: Any) -> None:
    total = r("function(inputs) lapply(inputs, function(x) list(language = 'R', total = sum(x)))")
    create_endpoint(shared, "mixed", "doubles", total, slo_micros=SLO_MICROS)
    assert shared.predict("mixed", [1.0, 2.0]).output == {"language": "R", "total": 3.0}
    deploy_python_closure(shared, "mixed", 2, "doubles", lambda xs: [{"language": "Python"} for _ in xs])
    assert shared.predict("mixed", [1.0, 2.0]).output == {"language": "Python"}
    shared.set_model_version("mixed", 1)
    assert shared.predict("mixed", [1.0, 2.0]).output == {"language": "R", "total": 3.0}


def test_samples_are_answered_here_and_by_each_replica(shared: ClipperConnection, r: Any) -> None:
    r("offset <- 1; shifted <- function(inputs) sapply(inputs, function(x) list(c(sum(x) / 3, NA, offset)))")
    create_endpoint(shared, "shifted", "doubles", "shifted", slo_micros=SLO_MICROS, sample_inputs=ROWS[:3])
    assert shared.get_app_info("shifted")["example"]["output"] == [ROWS[0].sum() / 3, None, 1.0]
    r("""
    here <- Sys.getpid()
    elsewhere <- function(inputs) sapply(inputs, function(x) sum(x) + (Sys.getpid() != here))
    """)
    with pytest.raises(ParityError, match=r"sample 0: the notebook has 3\.0, the replica 4\.0"):
        deploy_r_model(shared, "shifted", 2, "doubles", "elsewhere", sample_inputs=[[1.0, 2.0]])
    assert shared.get_current_model_version("shifted") == "1"
    assert list(r("offset")) == [1.0]


def test_values_of_rs_types_and_methods_of_the_session(shared: ClipperConnection, r: Any) -> None:
    """Alone, in a batch and through REST; the methods are known to the notebook's session only."""
    r("""
    predict.own_model <- function(object, rows, ...) object$slope * rows$x
    own_model <- structure(list(slope = 2), class = "own_model")
    kinds <- function(rows) {
        answers <- data.frame(own = predict(own_model, rows), took = rows$end - rows$start)
        answers$day <- as.POSIXct(trunc(rows$start, "days"))
        answers$big <- structure(rep(5e-324, nrow(rows)), class = "integer64")
        answers$some <- lapply(rows$x, function(x) c(a = x, b = NaN))
        answers
    }
    times <- as.POSIXct("2024-03-01", tz = "Europe/Berlin")
    """)
    rows = [f'{{"x": {x}, "start": "2024-03-01T00:00:00", "end": "2024-03-01T{x:02}:00:00"}}' for x in (1, 12)]
    sample = r("data.frame(x = 1, start = times, end = times)[0, ]")
    create_endpoint(shared, "kinds", "strings", "kinds", slo_micros=SLO_MICROS, sample_input=sample, sample_inputs=rows)
    midnight = "2024-03-01T00:00:00+01:00"
    expected: list[dict[str, Any]] = [
        {"own": 2.0 * x, "took": 3600.0 * x, "day": midnight, "big": 1, "some": {"a": float(x), "b": "NaN"}}
        for x in (1, 12)
    ]
    url = f"http://{shared.get_query_addr()}/kinds/predict"

    def post(body: dict[str, Any]) -> Any:
        with urllib.request.urlopen(url, json.dumps(body).encode(), timeout=60) as answer:
            return json.load(answer)

    assert [answer["output"] for answer in post({"input_batch": rows})["batch_predictions"]] == expected
    assert [post({"input": row})["output"] for row in rows] == expected
    assert math.isnan(shared.predict("kinds", rows[0]).output["some"]["b"])


def test_missing_numbers_and_texts_are_what_was_meant(shared: ClipperConnection, r: Any, shell: Any) -> None:
    """NaN and null reach R, text stays text where that is asked for, and neighbours change no answer."""
    r("""
    label <- function(x) if (is.nan(x[1])) "null" else if (x[1] > 1) "1E5" else "02139"
    labels <- function(inputs) lapply(inputs, label)
    codes <- function(inputs) as.integer(factor(unlist(inputs)))
    """)
    samples, expected = [[math.nan], [2.0], [1.0]], ["null", "1E5", "02139"]
    create_endpoint(
        shared, "labels", "doubles", "labels", slo_micros=SLO_MICROS, sample_inputs=samples, text_outputs="text"
    )  # fmt: skip
    assert [shared.predict("labels", each).output for each in samples] == expected
    assert [found.output for found in shared.predict_batch("labels", [[None], *samples])] == ["null", *expected]
    status, reply = http_request(
        shared.get_query_addr(), "POST", "/labels/predict", '{"input_batch": [[null], ["NaN"], [2]]}'
    )
    assert status == 200
    assert [each["output"] for each in reply["batch_predictions"]] == ["null", "null", "1E5"]
    assert shell.run_line_magic("predict", "--conn conn labels [2.0]").output == "1E5"
    with pytest.raises(ParityError, match="depends on its neighbours"):
        deploy_r_model(shared, "labels", 2, "doubles", "codes", sample_inputs=[[2.0], [1.0]])


def test_r_function_without_a_version_is_deployed_again(shared: ClipperConnection, r: Any) -> None:
    r("once <- function(inputs) sapply(inputs, sum); twice <- function(inputs) 2 * sapply(inputs, sum)")
    for name in ("once", "twice"):
        endpoint = create_endpoint(shared, "r-again", "doubles", name, slo_micros=SLO_MICROS)
    assert (list(endpoint.versions), endpoint.predict([1.0, 2.0]).output) == (["1", "2"], 6.0)
    assert deploy_r_model(shared, "r-again", None, "doubles", "once").version == "3"
    assert endpoint.predict([1.0, 2.0]).output == 3.0


def test_samples_of_a_data_frame_are_rows(shared: ClipperConnection, r: Any) -> None:
    r("fit <- lm(weight ~ height, women); weigh <- function(people) predict(fit, people)")
    row = '{"height": 60, "weight": null}'
    create_endpoint(
        shared, "weigh", "strings", "weigh", slo_micros=SLO_MICROS, sample_input="women", sample_inputs=[row]
    )
    example = shared.get_app_info("weigh")["example"]
    assert example["input"] == row
    (expected,) = r("predict(fit, data.frame(height = 60))")
    assert shared.predict("weigh", row).output == example["output"] == expected


def test_rows_are_objects_with_input_type_json(shared: ClipperConnection, r: Any) -> None:
    r("speed <- function(cars) ifelse(is.na(cars$wt), -1, cars$wt * ifelse(cars$gear == 'four', 10, 100))")
    sample = r("data.frame(wt = 2.6, gear = factor('four', levels = c('three', 'four')))")
    create_endpoint(
        shared, "speed", "json", "speed", slo_micros=SLO_MICROS, sample_input=sample,
        sample_inputs=[{"wt": 2.6, "gear": "four"}],
    )  # fmt: skip
    assert [answer.output for answer in shared.predict_batch("speed", [
        {"wt": 2.6, "gear": "four"}, {"wt": 2, "gear": "three", "more": 1}, {"wt": None, "gear": "four"},
    ])] == [26.0, 200.0, -1.0]  # fmt: skip
    with pytest.raises(InvalidInputError, match=r'Expected one of "three", "four" or null, got "five"'):
        shared.predict("speed", {"wt": 2.6, "gear": "five"})


def test_values_of_json_are_lists_and_vectors(shared: ClipperConnection, r: Any) -> None:
    describe = r(
        "function(inputs) lapply(inputs, function(x) list(type = typeof(x), total = sum(x$values), town = x$home$town))"
    )
    create_endpoint(shared, "objects", "json", describe, slo_micros=SLO_MICROS)
    asked = {"values": [1, 2.5], "home": {"town": "Z\u00fcrich"}}
    assert shared.predict("objects", asked).output == {"type": "list", "total": 3.5, "town": "Z\u00fcrich"}


@pytest.mark.parametrize(
    ("samples", "error", "match"),
    [
        ([["a"]], InvalidInputError, "doubles"),
        ([[-1.0]], PredictionError, "in the notebook: RError: weights are positive"),
        ([[1.0], [1.0]], PredictionError, "1 outputs for 2 inputs"),
    ],
)
def test_bad_samples_are_refused_here(
    shared: ClipperConnection, r: Any, samples: Any, error: type[Exception], match: str
) -> None:
    func = r("function(inputs) if (inputs[[1]][1] < 0) stop('weights are positive') else 1")
    with pytest.raises(error, match=match):
        create_endpoint(shared, "refused-here", "doubles", func, slo_micros=SLO_MICROS, sample_inputs=samples)
    assert "refused-here" not in shared.get_all_apps()


@pytest.mark.also_on_docker
@pytest.mark.not_on_kubernetes("its processes are those of nodes")
def test_processes_find_their_libraries_as_this_one_did(shared: ClipperConnection) -> None:
    """R has put folders with another libpython before all others, in this process alone."""
    own = psutil.Process().environ().get("LD_LIBRARY_PATH")
    assert os.environ["LD_LIBRARY_PATH"] != own
    started = [psutil.Process(container.pid) for container in observe(shared) if container.pid]
    assert len(started) >= 3
    expected = own if isinstance(shared.cm, LocalContainerManager) else None
    assert {process.environ().get("LD_LIBRARY_PATH") for process in started} == {expected}


def test_pip_runs_with_the_notebooks_python_after_r_has_started(shared: ClipperConnection) -> None:
    def versions(inputs: list) -> list:
        import sys

        import packaging

        return [{"packaging": packaging.__version__, "python": sys.version} for _ in inputs]

    deploy = partial(create_python_endpoint, slo_micros=SLO_MICROS, pkgs_to_install=["packaging==24.0"], timeout_s=120)
    deploy(shared, "packed-after-r", "doubles", versions)
    answer = shared.predict("packed-after-r", [1.0]).output
    assert answer["packaging"] == "24.0"
    if isinstance(shared.cm, LocalContainerManager):
        assert answer["python"] == sys.version


def test_unserialisable_object_is_refused_by_name(shared: ClipperConnection, r: Any) -> None:
    r("settings <- list(log = stdout()); chatty <- function(inputs) { cat('x', file = settings$log); inputs }")
    with pytest.raises(SerializationError, match=r"'settings\$log' \(a connection\)"):
        deploy_r_model(shared, "chatty", 1, "doubles", "chatty")
    with pytest.raises(InvalidRequestError, match="neither"):
        deploy_r_model(shared, "chatty", 1, "doubles", "no_such_function")
    with pytest.raises(InvalidRequestError, match="not installed here: nosuchpackage"):
        deploy_r_model(shared, "chatty", 1, "doubles", r("function(x) nosuchpackage::f(x)"))
    assert not [model for model in shared.get_all_models() if model.startswith("chatty:")]


def _rows(r: Any, frame: str, columns: str) -> list[str]:
    """Return the rows of a data frame of R's as it writes them itself, NA too."""
    as_json = r("function(d) vapply(seq_len(nrow(d)), function(i) as.character(jsonlite::toJSON(as.list(d[i, ]), "
                "auto_unbox = TRUE, digits = NA, na = 'null')), '')")  # fmt: skip
    return list(as_json(r(f"{frame}[{columns}]")))


def test_a_data_frame_arrives_with_the_samples_types(shared: ClipperConnection, r: Any) -> None:
    r("""
    flights <- data.frame(
        delay = c(5, NA, 12, 3, 40, 7), day = as.Date("2024-03-01") + 0:5, crew = c(4L, 6L, NA, 5L, 4L, 6L),
        kind = factor(c("cargo", "jet", "jet", NA, "cargo", "jet"), levels = c("cargo", "glider", "jet")),
        at = as.POSIXct("2024-03-01 12:00:00", tz = "UTC") + 3600 * 0:5, late = c(TRUE, FALSE, NA, TRUE, TRUE, FALSE),
        code = c("A1", "B2", NA, "ü", "", "C3")
    )
    describe <- function(rows) data.frame(
        types = paste(sapply(rows, function(x) class(x)[1]), collapse = " "), level = as.integer(rows$kind),
        levels = nlevels(rows$kind), delay = rows$delay, crew = rows$crew, month = months(rows$day),
        hour = format(rows$at, "%H"), late = rows$late, code = rows$code
    )
    as_rows <- function(d) lapply(seq_len(nrow(d)), function(i) as.list(d[i, ]))
    """)
    create_endpoint(shared, "flights", "strings", "describe", slo_micros=SLO_MICROS, sample_input="flights")
    rows = _rows(r, "transform(flights, at = format(at, '%Y-%m-%dT%H:%M:%SZ'))", "TRUE")
    answers = [prediction.output for prediction in shared.predict_batch("flights", rows)]
    assert {answer["types"] for answer in answers} == {"numeric Date integer factor POSIXct logical character"}
    expected = r("as_rows(describe(flights))")
    assert answers == [
        {name: None if is_na else value[0] for name, value, is_na in zip(row.names, row, r["is.na"](row), strict=True)}
        for row in expected
    ]
    assert {answer["levels"] for answer in answers} == {3}


def test_a_model_with_factors_predicts_rows_as_in_the_notebook(shared: ClipperConnection, r: Any) -> None:
    r("growth <- local({fit <- lm(len ~ supp * dose, ToothGrowth); function(rows) unname(predict(fit, rows))})")
    deploy = partial(create_endpoint, slo_micros=SLO_MICROS, sample_input=r("ToothGrowth[0, c('supp', 'dose')]"))
    deploy(shared, "growth", "strings", "growth")
    answers = shared.predict_batch("growth", _rows(r, "ToothGrowth", "c('dose', 'supp')"))
    assert [answer.output for answer in answers] == list(r("growth(ToothGrowth)"))


@pytest.mark.parametrize(
    ("row", "sentence"),
    [
        ('{"dose": 1}', "Row 1 has no column 'supp'"),
        (
            '{"dose": 1, "supp": "XX"}',
            'column \'supp\' must be one of the texts "OJ", "VC", or null; got the new level "XX"',
        ),
        ('{"dose": "1", "supp": "OJ"}', "column 'dose' must be a number or null, not \"1\""),
    ],
)
def test_a_row_that_does_not_fit_is_an_error_answer(shared: ClipperConnection, row: str, sentence: str) -> None:
    answer = shared.predict("growth", row)
    assert (answer.default, answer.reason) == (True, "model_error")
    assert sentence in str(answer.explanation)


def test_invalid_samples_are_refused(shared: ClipperConnection, r: Any) -> None:
    def deploy(sample: Any, input_type: str = "strings") -> None:
        deploy_r_model(shared, "refused", 1, input_type, r("function(rows) rows"), sample_input=sample)

    with pytest.raises(InvalidRequestError, match=r"'b' \(list\)"):
        deploy(r("data.frame(a = 1:2, b = I(list(1, 2)))[2:1]"))
    with pytest.raises(InvalidRequestError, match="is not one"):
        deploy("no_such_frame")
    with pytest.raises(InvalidRequestError, match="is not one"):
        deploy("")
    with pytest.raises(InvalidRequestError, match="no columns"):
        deploy(r("data.frame()"))
    with pytest.raises(InvalidRequestError, match="must be 'json', or 'strings' for its text"):
        deploy(r("mtcars"), "doubles")


def test_function_of_another_r_is_refused_with_both_versions(shared: ClipperConnection, r: Any) -> None:
    captured = capture_function(r("function(inputs) lapply(inputs, sum)"), ())
    older = replace(captured, r_version="3.6.1")
    with pytest.raises(IncompatibleEnvironmentError, match=r"R +3\.6\.1 +\d+\.") as caught:
        deploy_captured_function(shared, shared.new_version("older", 1, "doubles"), older)
    assert caught.value.conflicts["R"] == ("3.6.1", captured.r_version)
    assert "older:1" not in shared.get_all_models()


def test_objects_r_cannot_serialise_faithfully_are_detected() -> None:
    rinterface = start_r()
    with undisturbed_r():
        pointer = rinterface.evalr("methods::new('externalptr')")
        connection = rinterface.evalr("textConnection('a')")
        table, environment = rinterface.evalr("data.frame(x = 1)"), rinterface.evalr("new.env()")
        found = [describe_immovable(thing) for thing in (pointer, connection, rinterface.globalenv)]
        rinterface.evalr("closeAllConnections()")
    kinds = [str(each).partition(";")[0] for each in found]
    assert kinds == ["an external pointer of R", "an R connection", "R's global environment"]
    assert [describe_immovable(thing) for thing in (table, environment)] == [None, None]


def test_environment_variables_files_and_setup_travel(
    shared: ClipperConnection, r: Any, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One variable is chosen, which only R knows; others are found in the code, also in a helper's."""
    (tmp_path / "words.txt").write_text("a b\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("R_THRESHOLD", "0.9")
    r("""
    Sys.setenv(R_CHOSEN = "chosen", R_SECRET = "s3cr3t")
    secret <- function() nchar(Sys.getenv("R_SECRET"))
    set_digits <- function() options(digits = 3, threshold = Sys.getenv("R_THRESHOLD"))
    chosen <- "R_CHO"
    travelled <- function(inputs) lapply(inputs, function(x) {
      paste(getOption("threshold"), Sys.getenv(paste0(chosen, "SEN")), secret(), readLines("words.txt"), format(pi))
    })
    never_ready <- function() stop("no licence")
    """)
    deploy = partial(create_endpoint, slo_micros=SLO_MICROS, environment_variables=["R_CHOSEN"], files=["words.txt"])

    deploy(shared, "r-travel", "doubles", "travelled", setup="set_digits")

    assert shared.predict("r-travel", [1.0]).output == "0.9 chosen 6 a b 3.14"
    assert {"R_CHOSEN", "R_SECRET", "R_THRESHOLD"} <= set(shared.get_model_info("r-travel", 1)["environment_variables"])
    with pytest.raises(ModelLoadError, match=r"The function setup stopped: .*no licence"):
        deploy_r_model(shared, "r-travel", 2, "doubles", "travelled", files=["words.txt"], setup="never_ready")
    seen = str(shared.get_model_info("r-travel", 1))
    seen += "".join(Path(path).read_text(errors="replace") for path in shared.get_clipper_logs(str(tmp_path / "logs")))
    assert "s3cr3t" not in seen
    if isinstance(shared.cm, LocalContainerManager):
        images = Path(shared.cm._folder.images_path)
        assert all(b"s3cr3t" not in path.read_bytes() for path in images.rglob("*") if path.is_file())


def test_function_counts_what_it_sees(shared: ClipperConnection, r: Any) -> None:
    define_metrics()
    r("""counting <- function(inputs) {
      count_metric("r_seen", length(inputs), c(kind = "number"), "Inputs")
      set_metric("r_last", inputs[[1]][1])
      observe_metric("r_size", 2, buckets = c(1, 5))
      if (inputs[[1]][1] < 0) count_metric("r_seen", -1, c(kind = "number"))
      lapply(inputs, sum)
    }""")
    create_endpoint(shared, "counting", "doubles", "counting", slo_micros=SLO_MICROS, sample_inputs=[[1.0]])
    assert shared.predict("counting", [3.0, 4.0]).output == 7
    labels = 'model="counting",version="1",replica="0"'
    expected = [
        f'clipper_user_r_seen_total{{{labels},kind="number"}} 1.0',
        f"clipper_user_r_last{{{labels}}} 3.0",
        f'clipper_user_r_size_bucket{{{labels},le="5.0"}} 1.0',
    ]
    eventually(lambda: all(line in _metrics(shared) for line in expected), within_s=10, what="the metrics")
    answer = shared.predict("counting", [-1.0])
    assert (answer.reason, "counters only grow" in str(answer.explanation)) == ("model_error", True)


def _metrics(conn: ClipperConnection) -> list[str]:
    return str(http_request(conn.get_query_addr(), "GET", "/metrics")[1]).splitlines()
