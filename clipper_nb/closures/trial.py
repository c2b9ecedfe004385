"""Runs a function in the notebook as a replica would."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from clipper_nb.closures.callables import check_function
from clipper_nb.closures.estimators import as_function
from clipper_nb.closures.function_pickle import pickle_function
from clipper_nb.closures.input_annotations import take_inputs
from clipper_nb.errors import ClipperException, InvalidInputError, PredictionError, SerializationError
from clipper_nb.model_functions.coroutines import AwaitingFunction
from clipper_nb.model_functions.function_copy import unpickle_copy
from clipper_nb.protocol.exception_description import describe_exception
from clipper_nb.protocol.hints import find_input_hint
from clipper_nb.protocol.input_batches import format_batch
from clipper_nb.protocol.input_types import InputType, parse_input_type
from clipper_nb.protocol.inputs import decode_inputs, format_input
from clipper_nb.protocol.outputs import encode_outputs
from clipper_nb.protocol.predict_body import TEXT_TYPES, parse_predict
from clipper_nb.protocol.predict_call import write_body


def try_function(
    query: Mapping[str, Any], func: Callable[[list[Any]], Any], input_type: str, sample_inputs: Any = None
) -> Any:
    """Run *func*, after a round trip through pickle, on the inputs of a predict request, and return what it returns.

    Raises
    ------
    InvalidInputError
        The query does not fit the input type.
    PredictionError
        The function raises, which is the error's cause, or does not return one output per input.
    """
    func = as_function(func, input_type=parse_input_type(input_type))
    check_function(func)
    inputs_of_query(query, input_type)  # its errors are the query's
    taken = take_inputs(func, parse_input_type(input_type), sample_inputs)
    copy = unpickle_function(pickle_function(taken.func)[0])
    try:
        return answer_query(query, copy, input_type)
    except ClipperException:
        raise
    except Exception as exc:
        raise raised_here("The function raises", exc) from exc


def raised_here(what: str, exc: Exception) -> PredictionError:
    """Return the error for an exception of the user's function in the notebook; *what* begins its sentence."""
    message = f"{what}: {type(exc).__name__}: {exc} {find_input_hint(exc)}".rstrip()
    return PredictionError(message, type(exc).__name__, describe_exception(exc).traceback_text)


def unpickle_function(pickled: bytes) -> Callable[[list[Any]], Any]:
    """Return the function as a replica gets it: a copy, awaited where it is asynchronous."""
    try:
        func: Callable[[list[Any]], Any] = AwaitingFunction(unpickle_copy(pickled))
    except Exception as exc:
        raise SerializationError(f"The function cannot be unpickled: {type(exc).__name__}: {exc}") from exc
    return func


def answer_query(query: Mapping[str, Any], func: Callable[[list[Any]], Any], input_type: str) -> Any:
    """Run *func* on the inputs of a predict request, and return what it returns."""
    inputs = inputs_of_query(query, input_type)
    outputs = func(inputs)
    if isinstance(outputs, Iterator):
        outputs = list(outputs)
    encode_outputs(outputs, num_inputs=len(inputs))
    return outputs


def inputs_of_query(query: Mapping[str, Any], input_type: str) -> list[Any]:
    """Return the inputs of a predict request as a function gets them; raises ``InvalidInputError`` for others."""
    canonical = parse_input_type(input_type)
    if not isinstance(query, Mapping):
        raise InvalidInputError(f'The query must be {{"input": ...}} or {{"input_batch": [...]}}, not {query!r}.')
    body = write_body(canonical, _with_json_inputs(query, canonical))
    return decode_inputs(canonical, parse_predict(body, canonical).payloads)


def _with_json_inputs(query: Mapping[str, Any], input_type: InputType) -> dict[str, Any]:
    """Return a query as ``write_body`` takes it: its NaN and infinities are texts, or floats that it marks."""
    written = dict(query)
    if input_type not in TEXT_TYPES:
        for key, format_value in (("input", format_input), ("input_batch", format_batch)):
            is_any = input_type is InputType.JSON and key == "input" and key in written
            if is_any or isinstance(written.get(key), Sequence):
                written[key] = format_value(input_type, written[key])
    return written
