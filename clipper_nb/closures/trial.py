"""Runs a function in the notebook as a replica would."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from clipper_nb.closures.callables import check_function
from clipper_nb.closures.function_pickle import pickle_function
from clipper_nb.errors import InvalidInputError, SerializationError
from clipper_nb.model_functions.coroutines import AwaitingFunction
from clipper_nb.model_functions.function_copy import unpickle_copy
from clipper_nb.protocol.input_types import parse_input_type
from clipper_nb.protocol.inputs import decode_inputs
from clipper_nb.protocol.outputs import encode_outputs
from clipper_nb.protocol.predict_body import parse_predict
from clipper_nb.protocol.rest import format_body


def try_function(query: Mapping[str, Any], func: Callable[[list[Any]], Any], input_type: str) -> Any:
    """Run *func*, after a round trip through pickle, on the inputs of a predict request, and return what it returns."""
    check_function(func)
    return answer_query(query, unpickle_function(pickle_function(func)[0]), input_type)


def unpickle_function(pickled: bytes) -> Callable[[list[Any]], Any]:
    """Return the function as a replica gets it: a copy, awaited where it is asynchronous."""
    try:
        func: Callable[[list[Any]], Any] = AwaitingFunction(unpickle_copy(pickled))
    except Exception as exc:
        raise SerializationError(f"The function cannot be unpickled: {type(exc).__name__}: {exc}") from exc
    return func


def answer_query(query: Mapping[str, Any], func: Callable[[list[Any]], Any], input_type: str) -> Any:
    """Run *func* on the inputs of a predict request, and return what it returns."""
    canonical = parse_input_type(input_type)
    try:
        body = format_body(dict(query))
    except TypeError as exc:
        raise InvalidInputError(f"The query cannot be written as JSON: {exc}.") from exc
    inputs = decode_inputs(canonical, parse_predict(body, canonical).payloads)
    outputs = func(inputs)
    if isinstance(outputs, Iterator):
        outputs = list(outputs)
    encode_outputs(outputs, num_inputs=len(inputs))
    return outputs
