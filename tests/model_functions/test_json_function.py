"""A function gets the objects that its annotation names, made of values of JSON."""

from __future__ import annotations

import datetime
import pickle
import re
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, NamedTuple, TypedDict

import msgspec
import pydantic
import pytest

from clipper_nb.errors import InvalidInputError
from clipper_nb.model_functions.json_function import JsonFunction, PydanticReader, RecordReader

NOON = datetime.datetime(2024, 2, 29, 12)


@dataclass
class Home:
    town: str


@dataclass
class Passenger:
    age: float | None
    number: int = 1
    home: Home | None = None
    boarded: datetime.datetime | None = None


class Ticket(TypedDict):
    price: Decimal


class Point(NamedTuple):
    x: int
    y: int


class Strict(msgspec.Struct, forbid_unknown_fields=True):
    any: Any = None
    n: int = 0


class Model(pydantic.BaseModel):
    age: float
    day: datetime.date = datetime.date(2024, 1, 1)

    @pydantic.field_validator("age")
    @classmethod
    def check(cls, age: float) -> float:
        if age < 0:
            raise ValueError("nobody is that young")
        return age


@pytest.mark.parametrize(
    ("record_type", "value", "record"),
    [
        (Passenger, {"age": 22}, Passenger(22.0)),
        (Passenger, {"age": None, "more": 1, "home": {"town": "Bern"}}, Passenger(None, home=Home("Bern"))),
        (Passenger, {"age": 1.0, "number": 2.0}, Passenger(1.0, 2)),
        (
            Passenger,
            {"age": 1, "boarded": "2024-02-29T12:00:00"},
            Passenger(1, boarded=NOON),
        ),
        (Ticket, {"price": "0.10"}, {"price": Decimal("0.10")}),
        (Point, [1, 2], Point(1, 2)),
        (Strict, {"any": [1.0, None], "n": 2**70}, Strict([1.0, None], 2**70)),
        (dict, {"a": 1}, {"a": 1}),
        (dict[int, float], {"1": 2}, {1: 2.0}),
        (int, 3, 3),
    ],
)
def test_value_becomes_the_record(record_type: Any, value: Any, record: Any) -> None:
    assert RecordReader(record_type).read([value, value]) == [record, record]


@pytest.mark.parametrize(
    ("record_type", "value", "words"),
    [
        (Passenger, {"age": "old"}, "Expected `float | null`, got `str` - at `$%s.age`"),
        (Passenger, {}, "missing required field `age` - at `$%s`"),
        (Passenger, {"age": 1, "number": 2.5}, "Expected `int`, got `float` - at `$%s.number`"),
        (Passenger, {"age": 1, "number": True}, "Expected `int`, got `bool` - at `$%s.number`"),
        (Strict, {"x": 1}, "unknown field `x` - at `$%s`"),
        (dict, [1], "Expected `object`, got `array` - at `$%s`"),
    ],
)
def test_value_that_does_not_fit_is_named(record_type: Any, value: Any, words: str) -> None:
    reader = RecordReader(record_type)
    good = {"age": 1} if record_type is Passenger else {}
    with pytest.raises(InvalidInputError) as info:
        reader.read([good, value])
    assert words % "[1]" in str(info.value)
    with pytest.raises(InvalidInputError) as info:
        reader.read([value])
    assert words % "" in str(info.value) or (words % "").removesuffix(" - at `$`") in str(info.value)


def test_type_that_cannot_be_read_here_is_refused_at_once() -> None:
    broken = msgspec.defstruct("Broken", [("x", "Nowhere")])
    with pytest.raises(NameError, match="Nowhere"):
        RecordReader(broken)


def test_pydantic_makes_its_models() -> None:
    reader = PydanticReader(Model)
    assert reader.read([{"age": 1}, {"age": 2, "day": "2024-02-29"}]) == [
        Model(age=1),
        Model(age=2, day=datetime.date(2024, 2, 29)),
    ]
    with pytest.raises(InvalidInputError, match=r"nobody is that young - at `\$\[1\]\.age`"):
        reader.read([{"age": 1}, {"age": -1}])
    with pytest.raises(InvalidInputError, match=r"Field required - at `\$\.age`"):
        reader.read([{}])


def test_function_travels_with_what_it_takes() -> None:
    function = JsonFunction(sorted, RecordReader(int))
    again = pickle.loads(pickle.dumps(function))
    assert again([3, 1.0]) == [1, 3]
    assert again.__name__ == "sorted"
    assert pickle.loads(pickle.dumps(JsonFunction(len, PydanticReader(Model))))([{"age": 1}]) == 1


def test_arguments_before_the_inputs_are_left_alone() -> None:
    function = JsonFunction(lambda spark, model, inputs: (spark, model, inputs), RecordReader(Point))
    assert function("spark", None, [[1, 2]]) == ("spark", None, [Point(1, 2)])


class Amounts(TypedDict, total=False):
    amount: float | None
    number: int
    either: int | float
    many: list[float]


class Amount(pydantic.BaseModel):
    amount: float | None = None
    number: int = 0
    many: list[float] = []


@pytest.mark.parametrize("reader", [RecordReader(Amounts), PydanticReader(Amount)])
@pytest.mark.parametrize(
    ("value", "where"),
    [
        ({"amount": 2**53 + 1}, ".amount"),
        ({"many": [1, -(2**53) - 1]}, ".many[1]"),
        ({"amount": 10**30 + 1}, ".amount"),
    ],
)
def test_record_never_has_a_rounded_whole_number(reader: Any, value: dict[str, Any], where: str) -> None:
    with pytest.raises(InvalidInputError, match="has more digits than a double keeps") as raised:
        reader.read([value])
    assert str(raised.value).endswith(f" - at `${where}`.")
    with pytest.raises(InvalidInputError, match=re.escape(f"`$[1]{where}`.")):
        reader.read([{}, value])


def test_whole_numbers_of_whole_number_fields_are_kept() -> None:
    value = {"amount": 2**53 + 2, "number": 2**53 + 1, "either": 2**53 + 1, "many": [2**60, 10**22], "other": 2**53 + 1}
    (record,) = RecordReader(Amounts).read([value])
    assert repr(record["either"]) == repr(record["number"]) == "9007199254740993"
    assert (record["amount"], record["many"]) == (2.0**53 + 2, [2.0**60, 1e22])
    assert PydanticReader(Amount).read([value])[0].number == 2**53 + 1
