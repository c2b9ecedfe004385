"""A function's annotation says what it takes, however it is written; another is refused with what to write."""

from __future__ import annotations

import collections.abc
import functools
import typing
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pydantic
import pytest
from sklearn.linear_model import LinearRegression

from clipper_nb.closures.estimators import as_function
from clipper_nb.closures.input_annotations import take_inputs
from clipper_nb.errors import InvalidRequestError
from clipper_nb.model_functions.json_function import JsonFunction
from clipper_nb.protocol.input_types import InputType
from clipper_nb.protocol.number_columns import columns_of


@dataclass
class Passenger:
    age: float


class Model(pydantic.BaseModel):
    age: float


@dataclass
class WithModel:
    model: Model


def test_numbers_have_the_names_that_the_model_was_fitted_with() -> None:
    frame = pd.DataFrame({"a": [1.0, 2.0], "b": [2.0, 1.0]})
    fitted = as_function(LinearRegression().fit(frame, [1, 2]))
    for samples in (None, frame[["b", "a"]]):
        assert columns_of(take_inputs(fitted, InputType.DOUBLES, samples).schema) == ["a", "b"]


@pytest.mark.parametrize(
    ("samples", "names"),
    [(pd.DataFrame({"b": [1], "a": [1]}), ["b", "a"]), (pd.DataFrame([[1, 2]]), None), ([[1, 2]], None), (None, None)],
)
def test_numbers_of_a_function_have_the_names_in_its_samples(samples: Any, names: Any) -> None:
    assert columns_of(take_inputs(sum, InputType.DOUBLES, samples).schema) == names
    assert take_inputs(sum, InputType.STRINGS, samples).schema is None


def test_estimator_gets_the_columns_in_the_order_of_its_fit() -> None:
    """One that checks no names would take another column for it."""

    class Positional(LinearRegression):
        def predict(self, frame: pd.DataFrame) -> Any:
            return [list(frame.columns), *frame.to_numpy().tolist()]

    frame = pd.DataFrame({"a": [1.0, 2.0], "b": [2.0, 1.0]})
    fitted = as_function(Positional().fit(frame, [1, 2]), input_type=InputType.JSON)
    taken = take_inputs(fitted, InputType.JSON, frame[["b", "a"]])
    assert taken.func([{"b": 4.0, "a": 3.0}]) == [["a", "b"], [3.0, 4.0]]


def annotated(annotation: Any) -> Any:
    def predict(inputs):  # type: ignore[no-untyped-def]
        return [type(each).__name__ for each in inputs]

    if annotation is not None:
        predict.__annotations__ = {"inputs": annotation}
    return predict


@pytest.mark.parametrize(
    "annotation",
    [None, Any, object, list, list[Any], typing.List, collections.abc.Sequence, typing.Sequence[object], "list[Any]"],  # noqa: UP006
)
def test_function_without_a_type_gets_the_values_themselves(annotation: Any) -> None:
    func = annotated(annotation)
    taken = take_inputs(func, InputType.JSON)
    assert taken.func is func
    assert taken.schema is None


@pytest.mark.parametrize(
    ("annotation", "name"),
    [
        (list[Passenger], "Passenger"),
        ("list[Passenger]", "Passenger"),
        (list["Passenger"], "Passenger"),
        (typing.List[Passenger], "Passenger"),  # noqa: UP006
        (collections.abc.Sequence[Passenger], "Passenger"),
        (list[Model], "Model"),
        (list[WithModel], "WithModel"),
    ],
)
def test_function_of_records_gets_records(annotation: Any, name: str) -> None:
    taken = take_inputs(annotated(annotation), InputType.JSON)
    assert taken.schema is not None
    value = {"model": {"age": 1}} if name == "WithModel" else {"age": 1}
    assert taken.func([value]) == [name]


@pytest.mark.parametrize(("record_type", "kind"), [(dict, "object"), (int, "integer"), (str, "string")])
def test_schema_is_that_of_one_input(record_type: Any, kind: str) -> None:
    taken = take_inputs(annotated(list[record_type]), InputType.JSON)
    assert taken.schema == {"type": kind}


def test_estimator_takes_frames_like_the_sample() -> None:
    frame = pd.DataFrame({"width": [0.0, 1.0, 2.0], "height": [1.0, 0.0, 5.0]})
    fitted = LinearRegression().fit(frame, [1.0, 2.0, 3.0])
    func = as_function(fitted, None, InputType.JSON)
    taken = take_inputs(func, InputType.JSON, frame)
    values = [{"height": 1.5, "width": 0.5}]
    assert taken.func(values) == pytest.approx(fitted.predict(pd.DataFrame({"width": [0.5], "height": [1.5]})))
    with pytest.raises(InvalidRequestError, match=r"The estimator takes a pandas\.DataFrame\. Pass sample_inputs=df"):
        take_inputs(func, InputType.JSON)


class Predictor:
    def predict(self, other: int, inputs: list[Passenger]) -> list[float]:
        return [each.age + other for each in inputs]

    def __call__(self, inputs: list[Passenger]) -> list[float]:
        return self.predict(0, inputs)


async def awaited(inputs: list[Passenger]) -> list[float]:
    return [each.age for each in inputs]


@pytest.mark.parametrize("func", [Predictor(), functools.partial(Predictor().predict, 1), awaited])
def test_annotation_of_any_callable_is_read(func: Any) -> None:
    assert isinstance(take_inputs(func, InputType.JSON).func, JsonFunction)


def test_other_annotations_need_not_be_readable() -> None:
    def predict(inputs: list[Passenger]) -> Nowhere:  # type: ignore[name-defined]  # noqa: F821
        return [each.age for each in inputs]

    assert take_inputs(predict, InputType.JSON).func([{"age": 2}]) == [2.0]


def test_argument_with_the_inputs_may_be_a_later_one() -> None:
    def classify(spark: Any, model: Any, inputs: list[Passenger]) -> list[float]:
        return [each.age for each in inputs]

    taken = take_inputs(classify, InputType.JSON, position=2)
    assert taken.func(None, None, [{"age": 2}]) == [2.0]


@pytest.mark.parametrize("annotation", [pd.DataFrame, "pd.DataFrame"])
def test_function_of_a_data_frame_gets_the_samples_columns(annotation: Any) -> None:
    sample = pd.DataFrame({"age": [22.0], "n": pd.array([1], dtype="Int64")})

    def predict(df):  # type: ignore[no-untyped-def]
        return df.dtypes.to_dict()

    predict.__annotations__ = {"df": annotation}
    taken = take_inputs(predict, InputType.JSON, sample)
    assert taken.func([{"n": None, "age": 1}]) == sample.dtypes.to_dict()
    assert taken.schema is not None
    assert taken.schema["required"] == ["age", "n"]
    for no_frame in (None, [{"age": 1}]):
        with pytest.raises(InvalidRequestError, match="Pass sample_inputs=df"):
            take_inputs(predict, InputType.JSON, no_frame)


@pytest.mark.parametrize(
    ("annotation", "words"),
    [
        (Passenger, "annotate its inputs as .*it is Passenger"),
        (dict, "it is dict"),
        (np.ndarray, "it is ndarray"),
        (dict[str, int], "it is dict"),
        ("list[Nowhere]", "cannot be read: NameError"),
        (list[np.ndarray], "cannot become ndarray"),
        (list[set[Predictor]], "cannot become"),
    ],
)
def test_annotation_that_cannot_be_used_is_refused(annotation: Any, words: str) -> None:
    with pytest.raises(InvalidRequestError, match=words):
        take_inputs(annotated(annotation), InputType.JSON)


def test_annotations_say_nothing_of_other_input_types() -> None:
    func = annotated(list[Passenger])
    assert take_inputs(func, InputType.STRINGS).func is func
