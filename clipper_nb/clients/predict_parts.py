"""A predict request in parts: a batch is split by its size, and each part is a request of its own. (pure)"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from clipper_nb.protocol.input_batches import format_batch
from clipper_nb.protocol.input_types import InputType
from clipper_nb.protocol.inputs import format_input
from clipper_nb.protocol.number_columns import row_in_order
from clipper_nb.protocol.predict_call import format_batch_request, format_request, write_body


@dataclass(frozen=True)
class PartLimits:
    """How much one request has at most.

    Attributes
    ----------
    num_inputs : int
    size_bytes : int
        Of the inputs as JSON. An input that is larger is sent alone.
    """

    num_inputs: int
    size_bytes: int


@dataclass(frozen=True)
class Part:
    """One request.

    Attributes
    ----------
    first : int
        Position of its first input in the batch.
    num_inputs : int
    body : bytes
    """

    first: int
    num_inputs: int
    body: bytes


def make_parts(
    input_type: InputType,
    inputs: Any,
    *,
    is_batch: bool,
    version: str | None,
    key: str | None = None,
    limits: PartLimits | None,
    columns: Sequence[str] | None = None,
) -> list[Part]:
    """Return the requests for one input or for a checked batch; without *limits* there is one.

    Rows that have names are sent in the order of *columns*, if there are any.

    Raises
    ------
    InvalidInputError
        An input has no form in JSON, or is none of the type.
    """
    if not is_batch:
        value = format_input(input_type, row_in_order(inputs, columns))
        return [Part(0, 1, format_request(input_type, value, is_batch=False, version=version, key=key))]
    values = format_batch(input_type, inputs, columns)
    if limits is None or len(values) <= 1:
        body = format_request(input_type, values, is_batch=True, version=version, key=key)
        return [Part(0, len(values), body)]
    written = [write_body(input_type, value) for value in values]
    return [
        Part(first, end - first, format_batch_request(written[first:end], version=version, key=key))
        for first, end in _spans(written, limits)
    ]


def _spans(written: Sequence[bytes], limits: PartLimits) -> Iterator[tuple[int, int]]:
    """Yield where each part begins and ends."""
    first = size_bytes = 0
    for position, one in enumerate(written):
        is_full = position - first >= limits.num_inputs or size_bytes + len(one) > limits.size_bytes
        if is_full and position > first:
            yield first, position
            first, size_bytes = position, 0
        size_bytes += len(one)
    yield first, len(written)
