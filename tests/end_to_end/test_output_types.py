"""Outputs by type, on a cluster: the same from a query alone, in a batch, over REST, in conn.predict and %predict."""

from __future__ import annotations

import datetime as dt
import decimal
import json
import logging
import math
import os
import urllib.request
import uuid
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from IPython.core.interactiveshell import InteractiveShell

from clipper_nb import ClipperConnection, InvalidRequestError, ParityError, PredictionError
from clipper_nb.deployers.python import create_endpoint, deploy_python_closure

pytestmark = [pytest.mark.cluster, pytest.mark.same_on_docker, pytest.mark.timeout(600)]  # an image has many libraries

SLO_MICROS = 20_000_000


def make_outputs() -> Callable[[list[str]], list[Any]]:
    """Return a function of a notebook: its answer to a name is the value of that name."""
    import enum
    from dataclasses import dataclass

    import polars
    import pydantic
    from scipy.sparse import csr_matrix

    class Color(enum.Enum):
        RED = "1E5"

    @dataclass
    class Box:
        label: str
        corners: object = None

    class Scores(pydantic.BaseModel):
        best: float
        took: dt.timedelta

    values = {
        "nan": lambda: float("nan"),
        "inner": lambda: {"scores": [1.5, float("-inf")], "name": "NaN"},
        "time": lambda: np.datetime64("2024-02-29T12:00:00", "ns"),
        "day": lambda: dt.date(2024, 2, 29),
        "duration": lambda: np.timedelta64(90, "s"),
        "price": lambda: decimal.Decimal("1.10"),
        "id": lambda: uuid.UUID(int=1),
        "tags": lambda: {"b", "a"},
        "counts": lambda: {np.int64(1): 2},
        "text": lambda: "1E5",
        "version": lambda: "2.10",
        "null": lambda: "null",
        "zip code": lambda: "02139",
        "missing": lambda: None,
        "no value": lambda: [pd.NA, pd.NaT],
        "stamp": lambda: pd.Timestamp("2024-02-29T12:00:00.000000001", tz="Europe/Berlin"),
        "times": lambda: polars.Series([1], dtype=polars.Int64).cast(polars.Datetime("ns")),
        "enum": lambda: Color.RED,
        "box": lambda: Box("a", {np.float32(0.5)}),
        "model": lambda: Scores(best=math.nan, took=dt.timedelta(days=400)),
        "sparse row": lambda: csr_matrix([[0, 1.5]])[0],
        "rows": lambda: pd.DataFrame({"low": [1.5], "when": pd.to_datetime(["2024-02-29"])}),
    }
    return lambda inputs: [values[name]() for name in inputs]


EXPECTED = {
    "nan": "NaN",
    "inner": {"scores": [1.5, "-Infinity"], "name": "NaN"},
    "time": "2024-02-29T12:00:00",
    "day": "2024-02-29",
    "duration": "PT1M30S",
    "price": "1.10",
    "id": "00000000-0000-0000-0000-000000000001",
    "tags": ["a", "b"],
    "counts": {"1": 2},
    "text": 100000.0,
    "version": 2.1,
    "null": None,
    "zip code": "02139",
    "missing": None,
    "no value": [None, None],
    "stamp": "2024-02-29T12:00:00.000000001+01:00",
    "times": ["1970-01-01T00:00:00.000000001"],
    "enum": "1E5",
    "box": {"label": "a", "corners": [0.5]},
    "model": {"best": "NaN", "took": "P400D"},
    "sparse row": [0.0, 1.5],
    "rows": [{"low": 1.5, "when": "2024-02-29T00:00:00"}],
}
"""What clients of REST get; floats that JSON does not have are texts."""


def post(conn: ClipperConnection, name: str, body: dict[str, Any]) -> Any:
    request = urllib.request.Request(f"http://{conn.get_query_addr()}/{name}/predict", json.dumps(body).encode())
    with urllib.request.urlopen(request, timeout=30) as reply:
        return json.load(reply)


def told(value: Any) -> str:
    """Return a text that distinguishes NaN from "NaN", and is equal for equal values."""
    return json.dumps(value)


def check_everywhere(
    conn: ClipperConnection, shell: InteractiveShell, name: str, expected: dict[str, Any], here: dict[str, Any]
) -> None:
    """Ask for each value alone and in a batch, by every way in; *here* has floats as the connection returns them."""
    alone = {each: post(conn, name, {"input": each}) for each in expected}
    assert {each: reply["output"] for each, reply in alone.items()} == expected
    assert not any(reply["default"] for reply in alone.values())
    batch = post(conn, name, {"input_batch": list(expected)})["batch_predictions"]
    assert dict(zip(expected, [reply["output"] for reply in batch], strict=True)) == expected
    wanted = [told(value) for value in (expected | here).values()]
    assert [told(conn.predict(name, each).output) for each in expected] == wanted
    assert [told(found.output) for found in conn.predict_batch(name, list(expected))] == wanted
    magic = [shell.run_line_magic("predict", f"--conn conn {name} {each!r}") for each in expected]
    assert [told(found.output) for found in magic] == wanted


def test_outputs_are_the_same_everywhere(
    shared: ClipperConnection, shell: InteractiveShell, caplog: pytest.LogCaptureFixture
) -> None:
    func = make_outputs()
    here = {
        "nan": math.nan,
        "inner": {"scores": [1.5, -math.inf], "name": "NaN"},
        "model": {"best": math.nan, "took": "P400D"},
    }
    query = {"input_batch": list(EXPECTED)}
    assert len(shared.test_predict_function(query, func, "strings")) == len(EXPECTED)
    with caplog.at_level(logging.WARNING, "clipper_nb.progress"):
        create_endpoint(
            shared, "values", "strings", func, slo_micros=SLO_MICROS, sample_inputs=list(EXPECTED)
        )  # fmt: skip
    assert 'returns the text "1E5", and clients get 100000.0' in caplog.text
    assert 'text_outputs="text"' in caplog.text
    check_everywhere(shared, shell, "values", EXPECTED, here)
    assert shared.get_model_info("values", 1)["text_outputs"] == "json"

    caplog.clear()
    with caplog.at_level(logging.WARNING, "clipper_nb.progress"):
        deploy_python_closure(
            shared, "values", 2, "strings", func, sample_inputs=list(EXPECTED), text_outputs="text"
        )  # fmt: skip
    assert not caplog.records
    as_text = {"text": "1E5", "version": "2.10", "null": "null"}
    check_everywhere(shared, shell, "values", EXPECTED | as_text, here)
    assert shared.get_model_info("values", 2)["text_outputs"] == "text"
    shared.set_num_replicas("values", 2)  # a replica that is started later has it too
    shared.set_num_replicas("values", 1)
    assert {shared.predict("values", "text").output for _ in range(3)} == {"1E5"}


def make_frames() -> dict[str, Callable[[list[Any]], Any]]:
    """Return functions of a notebook that return a frame of each library, with as many columns as two inputs."""
    import polars
    import pyarrow
    from sklearn.preprocessing import MinMaxScaler

    scaler = MinMaxScaler(feature_range=(1, 3)).set_output(transform="pandas")
    scaler.fit(pd.DataFrame({"low": [1.0, 3.0], "high": [1.0, 3.0]}))

    def columns(inputs: list[Any]) -> dict[str, list[float]]:
        return {"low": [float(x.min()) for x in inputs], "high": [float(x.max()) for x in inputs]}

    return {
        "pandas": lambda inputs: pd.DataFrame(columns(inputs)),
        "polars": lambda inputs: polars.DataFrame(columns(inputs)),
        "pyarrow": lambda inputs: pyarrow.table(columns(inputs)),
        "sklearn": lambda inputs: scaler.transform(pd.DataFrame(columns(inputs))),
    }


@pytest.mark.parametrize("library", ["pandas", "polars", "pyarrow", "sklearn"])
def test_frame_of_every_library_is_a_row_per_input(
    shared: ClipperConnection, shell: InteractiveShell, library: str
) -> None:
    samples = [[1.0, 2.0], [1.5, 3.0]]
    rows = [{"low": low, "high": high} for low, high in samples]
    create_endpoint(
        shared, library, "doubles", make_frames()[library], slo_micros=SLO_MICROS, sample_inputs=samples
    )  # fmt: skip
    assert [post(shared, library, {"input": each})["output"] for each in samples] == rows
    batch = post(shared, library, {"input_batch": samples * 2})["batch_predictions"]
    assert [reply["output"] for reply in batch] == rows * 2
    assert shared.predict(library, samples[1]).output == rows[1]
    assert [found.output for found in shared.predict_batch(library, pd.DataFrame(samples))] == rows
    assert shell.run_line_magic("predict", f"--conn conn {library} [1.0, 2.0]").output == rows[0]


def test_two_results_for_two_inputs_are_refused(shared: ClipperConnection) -> None:
    """One client would get the labels, and the other one the scores."""
    both = lambda inputs: ([x.upper() for x in inputs], [len(x) for x in inputs])  # noqa: E731
    for samples in (["a"], ["a", "b"]):
        with pytest.raises(PredictionError, match=r"returned tuple of list, list; .*list\(zip\(a, b\)\)"):
            deploy_python_closure(shared, "both", 1, "strings", both, sample_inputs=samples)
    create_endpoint(shared, "both", "strings", both, slo_micros=SLO_MICROS)
    for reply in (
        post(shared, "both", {"input": "a"}),
        *post(shared, "both", {"input_batch": ["a", "b"]}).popitem()[1],
    ):
        assert reply["default_reason"] == "model_error"
        assert "list(zip(a, b))" in reply["default_explanation"]


def test_frames_are_rows_and_tuples_of_columns_are_refused(shared: ClipperConnection) -> None:
    def spread(inputs: list[Any]) -> Any:
        frame = pd.DataFrame({"low": [x.min() for x in inputs], "high": [x.max() for x in inputs]})
        return (frame["low"], frame["high"]) if inputs[0][0] == 13.0 else frame

    create_endpoint(
        shared, "spread", "doubles", spread, slo_micros=SLO_MICROS, sample_inputs=[[1.0, 2.0], [3.0, 4.0]]
    )  # fmt: skip
    batch = [found.output for found in shared.predict_batch("spread", [[1.0, 2.0], [3.0, 5.0]])]
    assert batch == [{"low": 1.0, "high": 2.0}, {"low": 3.0, "high": 5.0}]
    assert shared.predict("spread", [7.0, 8.0]).output == {"low": 7.0, "high": 8.0}
    for inputs in ([[13.0]], [[13.0], [14.0]]):
        for found in shared.predict_batch("spread", inputs):
            assert found.default
            assert "returned tuple of Series, Series" in found.explanation
            assert "list(zip(a, b))" in found.explanation


def test_answers_that_depend_on_neighbours_or_chance_are_refused(shared: ClipperConnection) -> None:
    def ranked(inputs: list[str]) -> list[int]:
        return [sorted(set(inputs)).index(x) for x in inputs]

    def ranked_in_a_replica(inputs: list[str]) -> list[int]:
        return ranked(inputs) if "CLIPPER_MODEL_NAME" in os.environ else [len(x) - 1 for x in inputs]

    def random_in_a_replica(inputs: list[str]) -> list[str]:
        return [uuid.uuid4().hex if "CLIPPER_MODEL_NAME" in os.environ else "a" for _ in inputs]

    def digits(inputs: list[str]) -> list[str]:
        return ["0.333333" if "CLIPPER_MODEL_NAME" in os.environ else "0.3333333333333333" for _ in inputs]

    for func, sentence in (
        (ranked, "The function of unsteady:1 gives an answer that depends on its neighbours"),
        (lambda inputs: [uuid.uuid4().hex for _ in inputs], "The function of unsteady:1 .* depends on chance"),
        (ranked_in_a_replica, "A replica of unsteady:1 gives an answer that depends on its neighbours"),
        (random_in_a_replica, "A replica of unsteady:1 gives an answer that depends on chance"),
        (digits, 'the notebook has "0.3333333333333333", the replica "0.333333"'),
    ):
        with pytest.raises(ParityError, match=sentence) as raised:
            deploy_python_closure(shared, "unsteady", 1, "strings", func, sample_inputs=["a", "bb"])
        assert ("packages" in str(raised.value)) is (func is digits)
    assert "unsteady:1" not in shared.get_all_models()


def test_unknown_text_outputs_are_refused(shared: ClipperConnection) -> None:
    with pytest.raises(InvalidRequestError, match='text_outputs must be "json" or "text"'):
        deploy_python_closure(shared, "never", 1, "strings", make_outputs(), text_outputs="raw")
