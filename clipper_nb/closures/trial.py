"""Runs a function in the notebook as a replica would."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from clipper_nb.closures.callables import check_function
from clipper_nb.closures.function_pickle import pickle_function
from clipper_nb.errors import InvalidInputError, SerializationError
from clipper_nb.model_functions.coroutines import AwaitingFunction
from clipper_nb.model_functions.function_copy import unpickle_copy
from clipper_nb.protocol.hints import find_input_hint
from clipper_nb.protocol.input_batches import format_batch
from clipper_nb.protocol.input_types import InputType, parse_input_type
from clipper_nb.protocol.inputs import decode_inputs, format_input
from clipper_nb.protocol.outputs import encode_outputs
from clipper_nb.protocol.predict_body import TEXT_TYPES, parse_predict
from clipper_nb.protocol.rest import format_body


def try_function(query: Mapping[str, Any], func: Callable[[list[Any]], Any], input_type: str) -> Any:
    """Run *func*, after a round trip through pickle, on the inputs of a predict request, and return what it returns.

    Its exceptions pass through; one of code that changes its inputs gets a note with what to do, from Python 3.11 on.
    """
    check_function(func)
    try:
        return answer_query(query, unpickle_function(pickle_function(func)[0]), input_type)
    except Exception as exc:
        hint = find_input_hint(exc)
        if hint and sys.version_info >= (3, 11):
            exc.add_note(hint)
        raise


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
        body = format_body(_with_finite_numbers(query, canonical))
    except TypeError as exc:
        raise InvalidInputError(f"The query cannot be written as JSON: {exc}.") from exc
    inputs = decode_inputs(canonical, parse_predict(body, canonical).payloads)
    outputs = func(inputs)
    if isinstance(outputs, Iterator):
        outputs = list(outputs)
    encode_outputs(outputs, num_inputs=len(inputs))
    return outputs


def _with_finite_numbers(query: Mapping[str, Any], input_type: InputType) -> dict[str, Any]:
    """Return a query whose NaN and infinities are texts: in JSON a float that is none becomes ``null``."""
    written = dict(query)
    if input_type not in TEXT_TYPES:
        for key, format_value in (("input", format_input), ("input_batch", format_batch)):
            if isinstance(written.get(key), Sequence):
                written[key] = format_value(input_type, written[key])
    return written
