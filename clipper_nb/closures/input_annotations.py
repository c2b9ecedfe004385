"""What a function takes in place of values of JSON, as its annotation says it: records, or one data frame of pandas."""

from __future__ import annotations

import collections.abc
import inspect
import sys
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import msgspec

from clipper_nb.closures.callables import signature_of, without_partial
from clipper_nb.closures.frame_schema import frame_schema, in_fitted_order
from clipper_nb.errors import InvalidRequestError
from clipper_nb.model_functions.estimator_function import EstimatorFunction
from clipper_nb.model_functions.frame_reader import FrameReader
from clipper_nb.model_functions.json_function import JsonFunction, PydanticReader, Reader, RecordReader
from clipper_nb.protocol.input_types import InputType
from clipper_nb.protocol.number_columns import columns_schema, names_in

_LISTS = (list, tuple, collections.abc.Sequence, collections.abc.Iterable, collections.abc.Collection)
_ANY = (Any, object, inspect.Parameter.empty, *_LISTS)
_ADVICE = (
    "With input type 'json' the function takes a list: annotate its inputs as list[dict], as list[T] with a dataclass, "
    "TypedDict, msgspec.Struct or pydantic model T, or as pandas.DataFrame; or leave the annotation out"
)


@dataclass(frozen=True)
class TakenInputs:
    """How a function travels, and the JSON Schema of one input, if it has one."""

    func: Callable[..., Any]
    schema: Mapping[str, Any] | None = None


def take_inputs(
    func: Callable[..., Any], input_type: InputType, sample_inputs: Any = None, *, position: int = 0
) -> TakenInputs:
    """Return *func* as a function of values of JSON, or as it is if it takes these, or inputs of another type.

    Numbers have the names of the columns that an estimator was fitted with, or of those in the samples.

    Parameters
    ----------
    func : callable
    input_type : InputType
    sample_inputs : object, optional
        A data frame has the columns of one input, and for a function that takes one of pandas the dtypes too.
    position : int
        That of the argument with the inputs.

    Raises
    ------
    InvalidRequestError
        The annotation cannot be used; the message says what to write.
    """
    if input_type is not InputType.JSON:
        return TakenInputs(func, _named_numbers(func, input_type, sample_inputs) if input_type.is_numeric else None)
    is_estimator = isinstance(func, EstimatorFunction)
    annotation = _find_annotation(func, position)
    if is_estimator or _is_data_frame(annotation):
        if not _is_data_frame(type(sample_inputs)):
            raise InvalidRequestError(
                f"The {'estimator' if is_estimator else 'function'} takes a pandas.DataFrame. Pass sample_inputs=df, "
                "some rows of one with the columns and dtypes that it takes; it is answered here, and by each replica "
                "before it serves."
            )
        sample = in_fitted_order(sample_inputs, _fitted_columns(func))
        return TakenInputs(JsonFunction(func, FrameReader(sample.iloc[:0])), frame_schema(sample))
    if any(annotation is each for each in _ANY):
        return TakenInputs(func)
    if typing.get_origin(annotation) not in _LISTS:
        raise InvalidRequestError(f"{_ADVICE}; it is {_name_of(annotation)}.")
    arguments = typing.get_args(annotation)
    if not arguments or arguments[0] in (Any, object):
        return TakenInputs(func)
    reader, schema = _read_records(arguments[0])
    return TakenInputs(JsonFunction(func, reader), schema)


def _fitted_columns(func: Callable[..., Any]) -> Sequence[str] | None:
    names = getattr(func.estimator, "feature_names_in_", None) if isinstance(func, EstimatorFunction) else None
    return None if names is None else list(names)


def _named_numbers(func: Callable[..., Any], input_type: InputType, sample_inputs: Any) -> Mapping[str, Any] | None:
    names = func.columns if isinstance(func, EstimatorFunction) else None
    if names is None:
        names = names_in(sample_inputs)
    return None if names is None or len(set(names)) < len(names) else columns_schema(input_type, names)


def _find_annotation(func: Callable[..., Any], position: int) -> Any:
    signature = signature_of(func)
    if signature is None:
        return inspect.Parameter.empty
    parameters = [each for each in signature.parameters.values() if each.kind is not inspect.Parameter.KEYWORD_ONLY]
    if position >= len(parameters):  # *arguments
        return inspect.Parameter.empty
    annotation = parameters[position].annotation
    if parameters[position].kind is inspect.Parameter.VAR_POSITIONAL or not _has_text(annotation):
        return annotation
    called = without_partial(func)
    called = inspect.unwrap(called if inspect.isroutine(called) else type(called).__call__)
    try:
        # Others may name what is not there.
        alone = SimpleNamespace(__annotations__={"inputs": _with_references(annotation)})
        return typing.get_type_hints(alone, getattr(called, "__globals__", {}), include_extras=True)["inputs"]
    except Exception as exc:  # of the annotation's own code
        raise InvalidRequestError(
            f"The annotation {annotation!r} of the function cannot be read: {type(exc).__name__}: {exc}. {_ADVICE}."
        ) from exc


def _has_text(annotation: Any) -> bool:
    """Return whether it is a text, or has parts that are."""
    return isinstance(annotation, (str, typing.ForwardRef)) or any(map(_has_text, typing.get_args(annotation)))


def _with_references(annotation: Any) -> Any:
    """Return it with references in place of texts: in ``list["T"]`` Python 3.10 resolves references alone."""
    if not isinstance(annotation, types.GenericAlias):
        return annotation
    parts = (typing.ForwardRef(part) if isinstance(part, str) else part for part in annotation.__args__)
    return types.GenericAlias(typing.cast(type, annotation.__origin__), tuple(map(_with_references, parts)))


def _is_data_frame(annotation: Any) -> bool:
    module = str(getattr(annotation, "__module__", "")).partition(".")[0]
    return module == "pandas" and getattr(annotation, "__name__", "") == "DataFrame"


def _read_records(record_type: Any) -> tuple[Reader, Mapping[str, Any]]:
    """Return the reader and the schema of a type of records."""
    try:
        return RecordReader(record_type), msgspec.json.schema(record_type)
    except (TypeError, NameError, ValueError) as exc:
        reason = str(exc)
    if "pydantic" in sys.modules:
        from pydantic import TypeAdapter
        from pydantic.errors import PydanticUserError

        try:
            return PydanticReader(record_type), TypeAdapter(record_type).json_schema()
        except (PydanticUserError, TypeError, NameError, ValueError) as exc:
            reason = str(exc).partition("\n")[0]
    raise InvalidRequestError(f"Values of JSON cannot become {_name_of(record_type)}: {reason.rstrip('.')}. {_ADVICE}.")


def _name_of(annotation: Any) -> str:
    return annotation.__qualname__ if isinstance(annotation, type) else str(annotation)
