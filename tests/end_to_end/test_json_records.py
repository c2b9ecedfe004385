"""A function of records or of a data frame gets them; what does not fit is a 400 before it costs a replica."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Annotated, Any

import msgspec
import pandas as pd
import pydantic
import pytest
from sklearn.compose import ColumnTransformer
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder
from typing_extensions import NotRequired, TypedDict

from clipper_nb import ClipperConnection, InvalidInputError, InvalidRequestError
from clipper_nb.deployers.python import create_endpoint, deploy_python_closure
from tests.support.clusters import query

pytestmark = [pytest.mark.cluster, pytest.mark.same_on_docker, pytest.mark.timeout(300)]

SLO_MICROS = 5_000_000


class Sex(enum.Enum):
    MALE = "male"
    FEMALE = "female"


@dataclass
class Passenger:
    age: float | None
    sex: Sex
    cabins: list[str]
    pclass: int = 3

    def told(self) -> list[Any]:
        return [type(self).__name__, self.age, self.sex is Sex.MALE, self.cabins, self.pclass]


class Ticket(TypedDict):
    price: float
    currency: NotRequired[str]


class Node(msgspec.Struct, rename="camel"):
    node_value: Annotated[int, msgspec.Meta(ge=0)]
    nodes: list[Node] = []

    def total(self) -> int:
        return self.node_value + sum(node.total() for node in self.nodes if isinstance(node, Node))


class Order(pydantic.BaseModel):
    amount: int = pydantic.Field(gt=0)
    note: str | None = None

    @pydantic.field_validator("note")
    @classmethod
    def check(cls, note: str | None) -> str | None:
        if note == "forbidden":
            raise ValueError("this note is not allowed")
        return note


def of_passengers(inputs: list[Passenger]) -> list[Any]:
    return [[isinstance(each, Passenger), *each.told()] for each in inputs]


def of_tickets(inputs: list[Ticket]) -> list[Any]:
    return [[type(each).__name__, each["price"], each.get("currency", "CHF")] for each in inputs]


def of_nodes(inputs: list[Node]) -> list[int]:
    return [each.total() for each in inputs]


def of_orders(inputs: list[Order]) -> list[Any]:
    return [[isinstance(each, Order), each.amount, each.note] for each in inputs]


def of_objects(inputs: list[dict[str, Any]]) -> list[str]:
    return [repr(each) for each in inputs]


KINDS: dict[str, tuple[Any, Any, Any, Any, str]] = {
    "dataclass": (
        of_passengers,
        {"age": 22, "sex": "male", "cabins": ["C85"], "more": 1},
        [True, "Passenger", 22.0, True, ["C85"], 3],
        {"age": 22, "sex": "male", "cabins": ["C85", 7]},
        "Expected text, got 7 - at `$.input_batch[1].cabins[1]`",
    ),
    "typed-dict": (
        of_tickets,
        {"price": 7.25},
        ["dict", 7.25, "CHF"],
        {"price": "7"},
        'Expected a number, got "7" - at `$.input_batch[1].price`',
    ),
    "struct": (
        of_nodes,
        {"nodeValue": 1, "nodes": [{"nodeValue": 2.0}]},
        3,
        {"nodeValue": 1, "nodes": [{"nodeValue": -2}]},
        "-2 is less than the minimum of 0 - at `$.input_batch[1].nodes[0].nodeValue`",
    ),
    "pydantic": (
        of_orders,
        {"amount": 2},
        [True, 2, None],
        {"note": "none"},
        '"amount" is a required property - at `$.input_batch[1]`',
    ),
    "object": (of_objects, {"a": [1.0]}, "{'a': [1.0]}", [1], "Expected an object, got [1] - at `$.input_batch[1]`"),
}


@pytest.fixture(scope="module")
def conn(shared: ClipperConnection) -> ClipperConnection:
    """A cluster with an application of each kind, whose types travel: this module is not installed anywhere."""
    for name, (func, good, *_) in KINDS.items():
        create_endpoint(shared, name, "json", func, slo_micros=SLO_MICROS, sample_inputs=[good])
    return shared


@pytest.mark.parametrize("kind_of_type", KINDS)
@pytest.mark.also_on_docker
def test_function_gets_its_records(conn: ClipperConnection, kind_of_type: str) -> None:
    _, good, expected, bad, words = KINDS[kind_of_type]
    assert conn.predict(kind_of_type, good).output == expected
    assert [answer.output for answer in conn.predict_batch(kind_of_type, [good] * 3)] == [expected] * 3
    status, reply = query(conn, kind_of_type, {"input_batch": [good, bad, good]})
    assert status == 400
    assert reply["cause"].startswith(f"{words}. It does not fit the inputs of model {kind_of_type}:1")


def test_bad_input_never_reaches_the_replica(shared: ClipperConnection) -> None:
    seen: list[Any] = []

    def count(inputs: list[Ticket]) -> list[int]:
        seen.extend(inputs)
        return [len(seen)] * len(inputs)

    create_endpoint(shared, "counted", "json", count, slo_micros=SLO_MICROS)
    assert shared.predict("counted", {"price": 1.0}).output == 1
    for bad in ({"price": None}, {}, 3):
        with pytest.raises(InvalidInputError, match="shows their schema"):
            shared.predict_batch("counted", [{"price": 2.0}, bad])
    assert shared.predict("counted", {"price": 3.0}).output == 2


def test_record_itself_is_an_input(conn: ClipperConnection) -> None:
    assert conn.predict("dataclass", Passenger(1.5, Sex.FEMALE, [])).output == [True, "Passenger", 1.5, False, [], 3]
    assert conn.predict("pydantic", Order(amount=2, note="a")).output == [True, 2, "a"]
    assert conn.predict("struct", Node(1, [Node(2)])).output == 3


def test_what_no_schema_says_fails_alone(conn: ClipperConnection) -> None:
    good, bad = {"amount": 1}, {"amount": 1, "note": "forbidden"}
    answers = conn.predict_batch("pydantic", [good, bad, {"amount": 2}])
    assert [answer.output for answer in (answers[0], answers[2])] == [[True, 1, None], [True, 2, None]]
    assert answers[1].reason == "model_error"
    assert "this note is not allowed - at `$.note`" in str(answers[1].explanation)


def test_schema_is_told(conn: ClipperConnection) -> None:
    schema = msgspec.json.schema(Ticket)
    for told in (conn.get_app_info("typed-dict"), conn.get_model_info("typed-dict", 1)):
        assert told is not None
        assert told["input_schema"] == schema
    assert conn.get_app_info("dataclass")["input_schema"]["$ref"] == "#/$defs/Passenger"  # type: ignore[index]


def test_switch_of_versions_switches_the_schema(shared: ClipperConnection) -> None:
    def of_text(inputs: list[str]) -> list[str]:
        return inputs

    def of_number(inputs: list[float]) -> list[float]:
        return inputs

    create_endpoint(shared, "switched", "json", of_text, slo_micros=SLO_MICROS)
    assert shared.predict("switched", "a").output == "a"
    deploy_python_closure(shared, "switched", 2, "json", of_number)
    assert shared.predict("switched", 2).output == 2.0
    with pytest.raises(InvalidInputError, match=r'Expected a number, got "a".*model switched:2'):
        shared.predict("switched", "a")
    assert shared.predict("switched", "a", version=1).output == "a"
    shared.set_model_version("switched", 1)
    with pytest.raises(InvalidInputError, match=r"Expected text, got 2.*model switched:1"):
        shared.predict("switched", 2)


def test_large_batch_is_checked_to_its_end(conn: ClipperConnection) -> None:
    rows = [{"price": float(n)} for n in range(3000)]
    status, reply = query(conn, "typed-dict", {"input_batch": [*rows, {"price": "x"}]})
    assert status == 400
    assert "`$.input_batch[3000].price`" in reply["cause"]
    status, reply = query(conn, "typed-dict", {"input_batch": rows})
    assert status == 200
    assert [answer["output"][1] for answer in reply["batch_predictions"]] == [row["price"] for row in rows]


FRAME = pd.DataFrame(
    {
        "age": [22.0, None],
        "n": pd.array([2**53 + 1, None], dtype="Int64"),
        "sex": pd.Categorical(["male", "female"], categories=["female", "male", "other"]),
        "when": pd.to_datetime(["2024-03-31T00:30:00Z", "2024-07-01T00:00:00Z"]).tz_convert("Europe/Zurich"),
    }
)


def of_frame(df: pd.DataFrame) -> list[str]:
    told = f"{len(df.columns)} {df.dtypes['n']} {list(df['sex'].cat.categories)} {df['when'].dt.tz}"
    return [f"{told} {row}" for row in df.astype(str).to_dict("records")]


@pytest.mark.also_on_docker
def test_function_of_a_data_frame_gets_the_samples_types(shared: ClipperConnection) -> None:
    create_endpoint(shared, "frame", "json", of_frame, slo_micros=SLO_MICROS, sample_inputs=FRAME)
    expected = of_frame(FRAME)
    assert [answer.output for answer in shared.predict_batch("frame", FRAME)] == expected
    row = {"age": None, "n": None, "sex": "female", "when": "2024-07-01T02:00:00", "more": [1]}
    assert shared.predict("frame", row).output == expected[1]
    with pytest.raises(InvalidInputError, match=r'Expected one of "female", "male", "other", null, got "x"'):
        shared.predict("frame", row | {"sex": "x"})
    with pytest.raises(InvalidInputError, match=r'"n" is a required property'):
        shared.predict("frame", {"age": 1.0, "sex": None, "when": None})


def test_function_is_tried_in_the_notebook_as_it_is_served(shared: ClipperConnection) -> None:
    rows = FRAME.assign(when=FRAME["when"].map(pd.Timestamp.isoformat)).astype(object).where(FRAME.notna(), None)
    query_body = {"input_batch": rows.to_dict("records")}
    assert shared.test_predict_function(query_body, of_frame, "json", sample_inputs=FRAME) == of_frame(FRAME)
    assert shared.test_predict_function({"input": {"price": 1}}, of_tickets, "json") == [["dict", 1.0, "CHF"]]
    with pytest.raises(InvalidInputError, match=r"Expected `float`, got `str` - at `\$\.price`"):
        shared.test_predict_function({"input": {"price": "x"}}, of_tickets, "json")
    with pytest.raises(InvalidRequestError, match="Pass sample_inputs=df"):
        shared.test_predict_function(query_body, of_frame, "json")


def test_annotation_that_cannot_be_served_is_refused_first(shared: ClipperConnection) -> None:
    def of_one(row: dict) -> list[int]:
        return [len(row)]

    with pytest.raises(InvalidRequestError, match=r"annotate its inputs as list\[dict\].*it is dict"):
        create_endpoint(shared, "of-one", "json", of_one)
    assert shared.get_app_info("of-one") is None


def test_estimator_finds_columns_by_name(shared: ClipperConnection) -> None:
    """Values of a data frame whose columns are in another order are not taken for each other."""
    frame = pd.DataFrame({"width": [0.0, 1.0, 2.0, 9.0], "kind": pd.Categorical(["a", "b", "b", "a"])})
    encoder = ColumnTransformer([("kind", OneHotEncoder(), ["kind"])], remainder="passthrough")
    fitted = make_pipeline(encoder, LinearRegression()).fit(frame, [1.0, 2.0, 4.0, 7.0])
    create_endpoint(shared, "estimator", "json", fitted, sample_inputs=frame, slo_micros=SLO_MICROS)
    found = shared.predict_batch("estimator", frame[["kind", "width"]])
    assert [each.output for each in found] == pytest.approx(fitted.predict(frame).tolist())
    with pytest.raises(InvalidInputError, match=r'"width" is a required property'):
        shared.predict("estimator", {"kind": "a"})
