"""What is a batch of outputs, by the type of what was returned; anything else is refused, whatever its length."""

from __future__ import annotations

import collections
import itertools
import json
import sys
from typing import Any

import numpy as np
import pytest

from clipper_nb.errors import PredictionError
from clipper_nb.protocol.outputs import encode_outputs

Pair = collections.namedtuple("Pair", "left right")


def outputs_of(returned: Any, num_inputs: int = 2) -> list[Any]:
    return [json.loads(output) for output in encode_outputs(returned, num_inputs=num_inputs, text_outputs="text")]


@pytest.mark.parametrize("num_inputs", [1, 2, 3])
@pytest.mark.parametrize(
    ("returned", "advice"),
    [
        ((["a", "b"], [1, 2]), r"tuple of list, list;.*list\(zip\(a, b\)\)"),
        ((np.array([1, 2]), np.array([3, 4])), r"tuple of ndarray, ndarray;.*list\(zip\(a, b\)\)"),
        (((1, 2), (3, 4)), "tuple of tuple, tuple"),
        (([1, 2],), r"tuple of list;.*list\(x\)"),
        (({"meta": 1}, [1]), "tuple of dict, list"),
        ((1, (x for x in ())), "tuple of int, generator"),
        (Pair(1, 2), r"returned Pair;.*\[x\]"),
        (Pair([1, 2], [3, 4]), "returned Pair"),
        ({"a": 1, "b": 2}, r"returned dict;.*\[{...} for x in inputs\]"),
        ("ab", "returned str"),
        (b"ab", "returned bytes"),
        (bytearray(b"ab"), "returned bytearray"),
        ({1, 2}, r"returned set;.*sorted\(x\)"),
        (None, "returned NoneType"),
        (collections.UserString("ab"), r"returned UserString;.*\[text for x in inputs\]"),
        (int, "returned type"),
        (np.float64(1), "returned float64"),
        (np.array(1.0), "returned ndarray"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_is_no_batch_is_refused_whatever_its_size(returned: Any, advice: str, num_inputs: int) -> None:
    with pytest.raises(PredictionError, match=f"(?s){advice}") as raised:
        encode_outputs(returned, num_inputs=num_inputs)
    assert "must return a list with one output per input" in str(raised.value)


@pytest.mark.parametrize(
    ("returned", "expected"),
    [
        (("a", "b"), ["a", "b"]),
        ((np.float64(1), None), [1.0, None]),
        (({"a": 1}, {"a": 2}), [{"a": 1}, {"a": 2}]),
        (zip("ab", [1, 2], strict=True), [["a", 1], ["b", 2]]),
        (np.array([[1.5, 2.0], [3.0, 4.0]]), [[1.5, 2.0], [3.0, 4.0]]),
        (
            np.array(["2024-02-29", "2024-03-01"], dtype="datetime64[ns]"),
            ["2024-02-29T00:00:00", "2024-03-01T00:00:00"],
        ),
        (np.array([(1, "a"), (2, "b")], dtype=[("x", int), ("y", "U3")]), [{"x": 1, "y": "a"}, {"x": 2, "y": "b"}]),
    ],
    ids=lambda value: type(value).__name__,
)
def test_batch_of_each_type(returned: Any, expected: list[Any]) -> None:
    assert outputs_of(returned) == expected


def frames(columns: dict[str, list[Any]]) -> list[Any]:
    """Return the same table of each library that is installed."""
    found = []
    for module, make in (
        ("pandas", lambda library: library.DataFrame(columns)),
        ("polars", lambda library: library.DataFrame(columns)),
        ("pyarrow", lambda library: library.table(columns)),
        ("pyarrow", lambda library: library.RecordBatch.from_pydict(columns)),
    ):
        try:
            found.append(make(__import__(module)))
        except ImportError:
            continue
    return found


def test_frames_are_one_object_per_row() -> None:
    for frame in frames({"low": [1.5, 2.5], "high": ["a", "1E5"]}):
        assert outputs_of(frame) == [{"low": 1.5, "high": "a"}, {"low": 2.5, "high": "1E5"}]


def test_frame_of_another_number_of_rows_is_refused() -> None:
    """Also one that has as many columns as there are inputs."""
    for frame in frames({"low": [1.0], "high": [2.0]}):
        with pytest.raises(PredictionError, match="of 1 rows for 2 inputs; it must return one row per input"):
            encode_outputs(frame, num_inputs=2)


def test_columns_of_libraries() -> None:
    pd = pytest.importorskip("pandas")
    pa, sparse = pytest.importorskip("pyarrow"), pytest.importorskip("scipy.sparse")
    assert outputs_of(pd.Series(["1E5", None], index=[7, 3])) == ["1E5", None]
    assert outputs_of(pd.Index([1, 2])) == [1, 2]
    assert outputs_of(pd.Categorical(["x", "y"])) == ["x", "y"]
    assert outputs_of(pd.to_datetime(["2024-02-29", "2024-03-01"], utc=True))[0] == "2024-02-29T00:00:00Z"
    assert outputs_of(pa.chunked_array([[1], [None]])) == [1, None]
    assert outputs_of(sparse.csr_matrix([[0, 1], [2, 0]])) == [[0, 1], [2, 0]]
    assert outputs_of(sparse.csr_matrix([[0, 1]]), num_inputs=1) == [[0, 1]]


ROWS = {"x": [3.0, 1.0, 2.0], "town": ["b", "a", "b"], "rank": [2, 0, 1]}


@pytest.mark.parametrize(
    "change_places",
    [
        lambda frame: frame.sort_values("x")["x"],
        lambda frame: frame.sort_values("x"),
        lambda frame: frame[::-1],
        lambda frame: sys.modules["pandas"].concat([part for _, part in frame.groupby("town")]),
        lambda frame: frame.sort_values("x").convert_dtypes().set_axis([1, 2, 0]).astype("Int64", errors="ignore")["x"],
    ],
)
def test_rows_that_have_changed_places_are_refused(change_places: Any) -> None:
    """Their index says whose answers they are; by position other queries would get them."""
    pd = pytest.importorskip("pandas")
    returned = change_places(pd.DataFrame(ROWS))
    kind = type(returned).__name__
    with pytest.raises(PredictionError, match=rf"a {kind} whose index has .* in another order \(\d, \d, \d\), as"):
        encode_outputs(returned, num_inputs=3)
    encode_outputs(returned.sort_index(), num_inputs=3)
    encode_outputs(returned.reset_index(drop=True), num_inputs=3)


@pytest.mark.parametrize(
    "number_otherwise",
    [
        lambda frame: frame["x"],
        lambda frame: frame.sort_values("x").sort_index()["x"],
        lambda frame: frame.set_index("rank")["x"],
        lambda frame: frame["x"].set_axis([1, 2, 3]),
        lambda frame: frame["x"].set_axis([0, 0, 1]),
        lambda frame: frame["x"].set_axis([2.0, 0.0, 1.0]),
        lambda frame: frame["x"].set_axis(["2", "0", "1"]),
        lambda frame: frame.set_index(["rank", "town"])["x"],
    ],
)
def test_other_index_than_numbers_of_inputs_means_nothing(number_otherwise: Any) -> None:
    pd = pytest.importorskip("pandas")
    assert outputs_of(number_otherwise(pd.DataFrame(ROWS)), 3) == ROWS["x"]


def test_iterator_without_an_end_is_refused() -> None:
    with pytest.raises(PredictionError, match="returned 3 outputs for 2 inputs"):
        encode_outputs(itertools.count(), num_inputs=2)


def test_tables_that_are_no_rows_yet_are_refused() -> None:
    pl = pytest.importorskip("polars")
    frame = pl.DataFrame({"a": [1]})
    for table, advice in ((frame.lazy(), r"its rows: df.collect\(\)"), (frame.group_by("a"), "a value for each row")):
        with pytest.raises(PredictionError, match=advice):
            encode_outputs(table, num_inputs=1)


def test_frame_that_would_lose_a_column_is_refused() -> None:
    pd = pytest.importorskip("pandas")
    for names, sentence in ((["a", "a"], "two of its columns have the name 'a'"), ([1, "1"], 'two keys that are "1"')):
        with pytest.raises(PredictionError, match=sentence):
            encode_outputs(pd.DataFrame([[1, 2], [3, 4]], columns=names), num_inputs=2)


def test_other_tables_are_not_iterated() -> None:
    class Table:
        def to_pandas(self) -> None: ...

        def __iter__(self) -> Any:
            return iter(["column", "names"])

    pd = pytest.importorskip("pandas")
    for table in (Table(), pd.DataFrame({"a": [1, 2]}).groupby("a")):
        with pytest.raises(PredictionError, match="must return a list"):
            encode_outputs(table, num_inputs=2)


def test_spark_rows_keep_their_names() -> None:
    sql = pytest.importorskip("pyspark.sql")
    rows = [sql.Row(label="a", inner=sql.Row(score=0.5)), sql.Row(label="b", inner=None)]
    assert outputs_of(rows) == [{"label": "a", "inner": {"score": 0.5}}, {"label": "b", "inner": None}]
    assert outputs_of([sql.Row(1, 2)], num_inputs=1) == [[1, 2]]
    assert outputs_of([sql.Row(binary=bytearray(b"ab"))], num_inputs=1) == [{"binary": "ab"}]
    with pytest.raises(PredictionError, match="returned Row"):
        encode_outputs(rows[0], num_inputs=2)
    linalg = pytest.importorskip("pyspark.ml.linalg")
    vectors = [linalg.Vectors.dense([1.0, 2.0]), linalg.Vectors.sparse(2, {1: 3.0})]
    assert outputs_of(vectors) == [[1.0, 2.0], [0.0, 3.0]]
