"""What a value of each type is as JSON, alone and inside others; and that the type alone decides."""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import datetime as dt
import decimal
import enum
import fractions
import ipaddress
import json
import math
import pathlib
import sqlite3
import types
import uuid
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clipper_nb.errors import PredictionError
from clipper_nb.protocol.json_values import NoJsonError, to_json_value
from clipper_nb.protocol.non_finite import parse_json
from clipper_nb.protocol.outputs import encode_outputs
from tests.support.examples import examples

UTC = dt.timezone.utc
INDIA = dt.timezone(dt.timedelta(hours=5, minutes=30))


class Color(enum.Enum):
    RED = "1E5"
    TWO = 2


class Level(enum.IntEnum):
    HIGH = 3


@dataclasses.dataclass
class Box:
    label: str
    corners: Any = None


class Sent(msgspec.Struct, tag=True, rename="camel"):
    top_score: float


class Changing(dt.tzinfo):
    """A zone whose offset depends on the date."""

    def utcoffset(self, when: dt.datetime | None) -> dt.timedelta | None:
        return None if when is None else dt.timedelta(hours=1)


Pair = collections.namedtuple("Pair", "left right")


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (dt.datetime(2024, 2, 29, 12), "2024-02-29T12:00:00"),
        (dt.datetime(2024, 2, 29, 12, 0, 0, 500, tzinfo=UTC), "2024-02-29T12:00:00.000500Z"),
        (dt.datetime(2024, 2, 29, 12, tzinfo=INDIA), "2024-02-29T12:00:00+05:30"),
        (dt.date(2024, 2, 29), "2024-02-29"),
        (dt.time(1, 2, tzinfo=UTC), "01:02:00Z"),
        (dt.timedelta(days=1, hours=2, minutes=3, seconds=4.5), "P1DT2H3M4.5S"),
        (dt.timedelta(), "PT0S"),
        (dt.timedelta(seconds=-90), "-PT1M30S"),
        (dt.timedelta(days=400), "P400D"),
        (decimal.Decimal("1.10"), "1.10"),
        (uuid.UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        (Color.RED, "1E5"),
        (Color.TWO, 2),
        (Level.HIGH, 3),
        (Box("a", [Box("b")]), {"label": "a", "corners": [{"label": "b", "corners": None}]}),
        (Sent(0.5), {"type": "Sent", "topScore": 0.5}),
        (Pair(1, "b"), [1, "b"]),
        ({3, 1, 2}, [1, 2, 3]),
        (frozenset({"b", "a"}), ["a", "b"]),
        (range(3), [0, 1, 2]),
        (collections.deque([1, 2]), [1, 2]),
        (collections.Counter("aab"), {"a": 2, "b": 1}),
        ({1: "a", True and "t": 0, None: 1, 1.5: 2}, {"1": "a", "t": 0, "null": 1, "1.5": 2}),
        ({np.int64(3): np.float32(0.5), np.str_("x"): np.bool_(True)}, {"3": 0.5, "x": True}),
        ({False: 1, Color.RED: 2, dt.date(2024, 2, 29): 3}, {"false": 1, "1E5": 2, "2024-02-29": 3}),
        (2**70, 2**70),
        (np.datetime64("2024-02-29T12:00:00", "ns"), "2024-02-29T12:00:00"),
        (np.datetime64("2024-02-29T12:00:00.5", "ms"), "2024-02-29T12:00:00.500000"),
        (np.datetime64("2024-02-29T12:00:00.000000001", "ns"), "2024-02-29T12:00:00.000000001"),
        (np.datetime64("2024-02-29T12", "h"), "2024-02-29T12:00:00"),
        (np.datetime64("2024-02-29"), "2024-02-29"),
        (np.datetime64("NaT", "D"), None),
        (np.timedelta64(90, "m"), "PT1H30M"),
        (np.timedelta64(-1500, "ms"), "-PT1.5S"),
        (np.timedelta64(3, "M"), "P3M"),
        (np.timedelta64("NaT", "s"), None),
        (np.array(["2024-02-29", "NaT"], dtype="datetime64[ns]"), ["2024-02-29T00:00:00", None]),
        (np.array([[1, 2]], dtype="timedelta64[s]"), [["PT1S", "PT2S"]]),
        (np.array([(1, "a")], dtype=[("x", int), ("y", "U3")]), [{"x": 1, "y": "a"}]),
        (np.ma.array([1, 2], mask=[False, True]), [1, None]),
        (np.ma.masked, None),
        (np.ma.array([(1, 2.0)], dtype=[("x", int), ("y", float)], mask=[(True, False)]), [{"x": None, "y": 2.0}]),
        ([{"b": 1, "a": 2}.keys(), {"b": 1, "a": 2}.values(), {"b": 1}.items()], [["b", "a"], [1, 2], [["b", 1]]]),
        (collections.UserString("1E5"), "1E5"),
        ([bytearray(b"a"), {"image": b"b"}], ["a", {"image": "b"}]),
        (np.float16(0.5), 0.5),
        (np.array("a"), "a"),
    ],
    ids=lambda value: type(value).__name__,
)  # fmt: skip
def test_value_becomes_json_by_its_type(value: Any, expected: Any) -> None:
    for output, wanted in ((value, expected), ([value], [expected]), ({"in": value}, {"in": expected})):
        (encoded,) = encode_outputs([output], num_inputs=1)
        assert json.loads(encoded) == wanted


def test_pandas_values() -> None:
    pd = pytest.importorskip("pandas")
    rows = {
        "when": pd.Timestamp("2024-02-29 12:00", tz="Europe/Berlin"),
        "precise": pd.Timestamp("2024-02-29T00:00:00.000000001", tz="UTC"),
        "missing": [pd.NA, pd.NaT],
        "duration": pd.Timedelta("1D 2h 0.000000001s"),
        "floats": pd.Series([1.5, float("nan")]),
        "texts": pd.Series(["a", None], dtype=object),
        "whole": pd.Series([1, None], dtype="Int64"),
        "labels": pd.Series(pd.Categorical(["x", None])),
        "frame": pd.DataFrame({"a": [1], "t": pd.to_datetime(["2024-02-29"])}),
    }
    assert json.loads(encode_outputs([rows], num_inputs=1)[0]) == {
        "when": "2024-02-29T12:00:00+01:00",
        "precise": "2024-02-29T00:00:00.000000001Z",
        "missing": [None, None],
        "duration": "P1DT2H0.000000001S",
        "floats": [1.5, "NaN"],
        "texts": ["a", None],
        "whole": [1, None],
        "labels": ["x", None],
        "frame": [{"a": 1, "t": "2024-02-29T00:00:00"}],
    }


def test_values_of_other_libraries() -> None:
    pydantic, sparse, pa = (pytest.importorskip(name) for name in ("pydantic", "scipy.sparse", "pyarrow"))
    model = pydantic.create_model("Scores", best=(float, ...), took=(dt.timedelta, ...), raw=(Any, ...))
    value = {
        "model": model(best=float("nan"), took=dt.timedelta(days=400), raw=np.int64(3)),
        "row": sparse.csr_matrix([[0.0, 1.5]])[0],
        "rows": sparse.csr_array([[0, 1], [2, 0]]),
        "scalar": pa.scalar(3),
        "column": pa.array([1, None]),
        "table": pa.table({"a": [1.5, float("inf")]}),
    }
    assert parse_json(encode_outputs([value], num_inputs=1)[0]) == {
        "model": {"best": pytest.approx(math.nan, nan_ok=True), "took": "P400D", "raw": 3},
        "row": [0.0, 1.5],
        "rows": [[0, 1], [2, 0]],
        "scalar": 3,
        "column": [1, None],
        "table": [{"a": 1.5}, {"a": math.inf}],
    }


def test_pandas_values_without_json_say_what_to_return() -> None:
    pd = pytest.importorskip("pandas")
    for value, sentence in (
        (pd.Period("2024-02"), "return text: str(x), or x.start_time"),
        (pd.cut([1, 2], [0, 1, 2]), "[0] is of type Interval, which has no JSON; return text: str(x), or [x.left"),
    ):
        with pytest.raises(PredictionError) as raised:
            encode_outputs([value], num_inputs=1)
        assert sentence in str(raised.value)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::UserWarning")  # PyTorch warns of what it means to change
def test_tensors_of_every_layout() -> None:
    torch = pytest.importorskip("torch")
    values = [
        torch.tensor([0.5], requires_grad=True),
        torch.tensor([0.5], dtype=torch.bfloat16),
        torch.tensor(3),
        torch.tensor([[0.0, 1.0]]).to_sparse(),
        torch.quantize_per_tensor(torch.tensor([1.0]), 0.5, 0, torch.qint8),
    ]
    assert json.loads(encode_outputs([values], num_inputs=1)[0]) == [[0.5], [0.5], 3, [[0.0, 1.0]], [1.0]]
    assert encode_outputs(torch.eye(2).to_sparse(), num_inputs=2) == [b"[1.0, 0.0]", b"[0.0, 1.0]"]
    with pytest.raises(PredictionError, match=r"Output 0 of the model has type Tensor .*meta tensor"):
        encode_outputs([torch.empty(1, device="meta")], num_inputs=1)


def test_rows_of_sqlite_keep_their_names() -> None:
    with contextlib.closing(sqlite3.connect(":memory:")) as database:
        database.row_factory = sqlite3.Row
        rows = database.execute("select 1 as n, 'x' as label union select 2, 'y'").fetchall()
    expected = [{"n": 1, "label": "x"}, {"n": 2, "label": "y"}]
    assert [json.loads(output) for output in encode_outputs(rows, num_inputs=2)] == expected


def endless() -> list[Any]:
    loop: list[Any] = []
    loop.append(loop)
    return loop


def nested(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        (1j, r"complex, which has no JSON; return \[z.real, z.imag\]"),
        (np.complex64(1j), r"return \[z.real, z.imag\]"),
        (np.longdouble(1), r"longdouble, which has no JSON; return float\(x\)"),
        (np.array([1], dtype=np.longdouble), r"x.astype\(float\)"),
        (np.clongdouble(1), r"return \[z.real, z.imag\]"),
        (fractions.Fraction(1, 3), r"return float\(x\), or text: str\(x\)"),
        (pathlib.PurePosixPath("a"), r"return text: str\(x\)"),
        (ipaddress.ip_address("::1"), r"return text: str\(x\)"),
        (types.SimpleNamespace(a=1), r"return vars\(x\)"),
        (dt.time(1, 2, tzinfo=Changing()), "which has no offset without a date; return a datetime"),
        (b"\xff", "not UTF-8; return text: base64"),
        (bytearray(b"\xff"), "not UTF-8; return text: base64"),
        (memoryview(b"a"), r"return bytes\(x\)"),
        (object(), "object, which has no JSON; return a number, text, list or dict"),
        ((x for x in ()), "generator, which has no JSON; return a list"),
        (int, "of type type, which has no JSON"),
        ({1: "a", "1": "b"}, 'two keys that are "1" as text; rename one'),
        ({(1, 2): 3}, "key of type tuple; use text as keys"),
        ({1, "a"}, "set whose elements have no order; return a list"),
        ({1.0, math.nan}, "set whose elements have no order; return a list"),
        (endless(), "nested more than 100 levels deep, or contains itself"),
        (nested(102), "nested more than 100 levels deep"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_value_without_json_says_what_to_return(value: Any, sentence: str) -> None:
    with pytest.raises(NoJsonError, match=sentence):
        to_json_value(value)
    with pytest.raises(PredictionError, match=f"Output 0 of the model has type dict.*'in'.*{sentence}"):
        encode_outputs([{"in": [value]}], num_inputs=1)


def test_deep_value_is_still_json() -> None:
    assert json.loads(encode_outputs([nested(99)], num_inputs=1)[0]) == nested(99)


# --- the type alone decides

Of = tuple[st.SearchStrategy[Any], Any]
leaves: dict[str, Of] = {
    "float": (st.floats(), lambda x: x),
    "int": (st.integers(), lambda x: x),
    "bool": (st.booleans(), lambda x: x),
    "none": (st.none(), lambda x: x),
    "text": (st.text(max_size=6) | st.sampled_from(["1E5", "2.10", "null", "NaN", "Infinity", '"', "NaN\t"]), str),
    "float64": (st.floats().map(np.float64), float),
    "int64": (st.integers(-(2**63), 2**63 - 1).map(np.int64), int),
    "date": (st.dates(), dt.date.isoformat),
    "datetime": (st.datetimes(), dt.datetime.isoformat),
    "decimal": (st.decimals(allow_nan=False), str),
    "uuid": (st.uuids(), str),
    "enum": (st.sampled_from(Color), lambda x: x.value),
}


@st.composite
def outputs_with_their_json(draw: st.DrawFn, depth: int = 2) -> tuple[Any, Any]:
    """Return a value and what it is after a journey through JSON."""
    kind = draw(st.sampled_from([*leaves, *(["list", "tuple", "dict", "dataclass"] if depth else [])]))
    if kind in leaves:
        values, expected = leaves[kind]
        value = draw(values)
        return value, expected(value)
    parts = draw(st.lists(outputs_with_their_json(depth - 1), max_size=3))
    values, expected = [part[0] for part in parts], [part[1] for part in parts]
    if kind == "dict":
        keys = draw(st.lists(st.text(max_size=3), min_size=len(parts), max_size=len(parts), unique=True))
        return dict(zip(keys, values, strict=True)), dict(zip(keys, expected, strict=True))
    if kind == "dataclass":
        return Box("b", values), {"label": "b", "corners": expected}
    return (tuple(values) if kind == "tuple" else values), expected


def same(got: Any, expected: Any) -> bool:
    """Return whether two values are equal and of the same types; NaN is NaN."""
    if type(got) is not type(expected):
        return False
    if isinstance(expected, float):
        return got == expected or (math.isnan(got) and math.isnan(expected))
    if isinstance(expected, list):
        return len(got) == len(expected) and all(map(same, got, expected))
    if isinstance(expected, dict):
        return got.keys() == expected.keys() and all(same(got[key], expected[key]) for key in expected)
    return bool(got == expected)


@examples(300)
@given(st.lists(outputs_with_their_json(), max_size=4))
def test_reply_is_the_mapping_whatever_the_value(batch: list[tuple[Any, Any]]) -> None:
    values = [value for value, _ in batch]
    encoded = encode_outputs(values, num_inputs=len(values), text_outputs="text")
    for text, (_, expected) in zip(encoded, batch, strict=True):
        assert same(parse_json(text), expected)  # what conn.predict returns
        json.loads(text, parse_constant=lambda word: pytest.fail(f"bare {word}"))
    # Texts alone differ where text is read as JSON.
    as_json = encode_outputs(values, num_inputs=len(values))
    for value, read, text in zip(values, as_json, encoded, strict=True):
        assert read.decode() == value if isinstance(value, str) else read == text
