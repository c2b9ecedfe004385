"""Inputs as users hold them reach a model as what was meant, by each way in."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from IPython.core.interactiveshell import InteractiveShell

from clipper_nb import ClipperConnection, InvalidInputError
from clipper_nb.deployers.python import create_endpoint
from tests.support.clusters import http_request

pytestmark = [pytest.mark.cluster, pytest.mark.same_on_docker]

SLO_MICROS = 20_000_000
ROW = [1.5, math.nan, math.inf, -math.inf]
SEEN = "<1.5 nan inf -inf>"
"""What the model gets of the row."""
FRAME = pd.DataFrame([ROW, [2.0, 3.0, 4.0, None]], columns=list("abcd"))
PEOPLE = pd.DataFrame(
    {"name": ["Ada", None], "age": [36.0, np.nan], "born": pd.to_datetime(["1815-12-10", None]),
     "is_here": [True, False]}
)  # fmt: skip
PEOPLE_AS_JSON = [
    {"name": "Ada", "age": 36.0, "born": "1815-12-10T00:00:00", "is_here": True},
    {"name": None, "age": None, "born": None, "is_here": False},
]


def show(inputs: list[Any]) -> list[str]:
    return ["<" + " ".join(map(str, x.tolist())) + ">" for x in inputs]


@pytest.fixture(scope="module")
def conn(shared: ClipperConnection) -> ClipperConnection:
    """A cluster with a model for each kind of input; all of them get their samples from a data frame or an array."""
    create_endpoint(shared, "doubles", "doubles", show, slo_micros=SLO_MICROS, sample_inputs=FRAME)
    create_endpoint(shared, "floats", "floats", show, slo_micros=SLO_MICROS, sample_inputs=FRAME.to_numpy())
    create_endpoint(
        shared, "people", "strings", lambda inputs: [json.loads(x) for x in inputs], slo_micros=SLO_MICROS,
        sample_inputs=PEOPLE,
    )  # fmt: skip
    return shared


def test_identifier_never_becomes_its_neighbour(conn: ClipperConnection) -> None:
    identifier = 2**53 + 1
    frame = pd.DataFrame({"a": [1.0], "b": [identifier], "c": [1.0], "d": [2.0]})
    for ask in (
        lambda: conn.predict("doubles", [1.0, 2.0, 3.0, identifier]),
        lambda: conn.get_client().predict("doubles", np.array([1, 2, 3, identifier])),
        lambda: conn.predict_batch("doubles", frame),
    ):
        with pytest.raises(InvalidInputError, match="The whole number 9007199254740993 has more digits than a double"):
            ask()
    body = {"inputs": [{"name": "x", "datatype": "FP64", "shape": [1, 2], "data": [1, identifier]}]}
    status, reply = http_request(conn.get_query_addr(), "POST", "/v2/models/doubles/infer", json.dumps(body))
    assert (status, "has more digits than a double" in str(reply)) == (400, True)
    assert conn.predict("doubles", [1.0, 2.0, 3.0, float(identifier)]).output == "<1.0 2.0 3.0 9007199254740992.0>"


@pytest.mark.parametrize("name", ["doubles", "floats"])
def test_missing_and_infinite_numbers_reach_the_model(conn: ClipperConnection, name: str) -> None:
    for row in (
        ROW,
        np.array(ROW),
        [1.5, None, np.inf, "-Infinity"],
        np.ma.array(ROW, mask=[0, 1, 0, 0]),
        FRAME.iloc[0],
    ):
        assert conn.predict(name, row).output == SEEN
    expected = [SEEN, "<2.0 3.0 4.0 nan>"]
    for batch in (FRAME, FRAME.to_numpy(), FRAME.to_numpy().tolist(), FRAME.itertuples(index=False)):
        assert [one.output for one in conn.apps[name].predict_batch(batch)] == expected
    assert conn.predict_batch(name, FRAME.iloc[:0]) == []
    query = {"input_batch": [ROW, [math.nan]]}
    assert conn.test_predict_function(query, show, name) == [SEEN, "<nan>"]


def test_rest_takes_null_and_texts_and_refuses_bare_tokens(conn: ClipperConnection) -> None:
    address = conn.get_query_addr()
    row = '[1.5, null, "Infinity", "-Infinity"]'
    _, reply = http_request(address, "POST", "/doubles/predict", f'{{"input": {row}}}')
    assert reply["output"] == SEEN
    batch = [*[row] * 4000, '[1.5, "NaN", "Infinity", "-Infinity"]']  # large enough to be read in pieces
    _, reply = http_request(address, "POST", "/doubles/predict", f'{{"input_batch": [{",".join(batch)}]}}')
    assert {one["output"] for one in reply["batch_predictions"]} == {SEEN}
    status, reply = http_request(address, "POST", "/doubles/predict", '{"input": [1.5, NaN]}')
    assert status == 400
    assert 'null or "NaN" for a missing one' in reply["cause"]


def test_double_that_rounds_to_a_float_is_a_float(conn: ClipperConnection) -> None:
    largest = f"<{np.finfo(np.float32).max.item()}>"
    assert conn.predict("floats", [3.4028235e38]).output == largest
    assert conn.predict("floats", [np.finfo(np.float32).max]).output == largest
    with pytest.raises(InvalidInputError, match=r"<= 3\.4.*\$\.input\[0\]"):
        conn.predict("floats", [3.403e38])


def test_row_of_a_data_frame_is_json_for_strings(conn: ClipperConnection) -> None:
    assert [one.output for one in conn.predict_batch("people", PEOPLE)] == PEOPLE_AS_JSON
    texts = pd.Series(map(json.dumps, PEOPLE_AS_JSON))
    assert [one.output for one in conn.predict_batch("people", texts)] == PEOPLE_AS_JSON
    assert conn.predict("people", texts[0]).output == PEOPLE_AS_JSON[0]
    with pytest.raises(InvalidInputError, match="Column 'a' has 'Ada'"):
        conn.predict_batch("doubles", PEOPLE.set_axis(list("abcd"), axis=1))


def test_example_of_a_version_is_what_a_client_sends(conn: ClipperConnection) -> None:
    for name, first in (("doubles", SEEN), ("people", PEOPLE_AS_JSON[0])):
        info = conn.get_app_info(name)
        assert info is not None
        assert info["example"]["output"] == first
        body = json.dumps({"input": info["example"]["input"]}, allow_nan=False)
        _, reply = http_request(conn.get_query_addr(), "POST", f"/{name}/predict", body)
        assert reply["output"] == first


def test_magic_takes_what_predict_takes(conn: ClipperConnection, shell: InteractiveShell) -> None:
    shell.user_ns["row"] = ROW
    assert shell.run_line_magic("predict", "doubles row").output == SEEN


def test_empty_folder_is_a_models_folder(shared: ClipperConnection, tmp_path: Path) -> None:
    image = shared.build_model("empty", 1, str(tmp_path))
    assert shared.build_model("empty", 1, str(tmp_path)) == image
