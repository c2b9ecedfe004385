"""What a function answers in the notebook: its replicas must answer the same."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from clipper_nb.closures.trial import answer_query
from clipper_nb.errors import ClipperException, InvalidInputError, PredictionError
from clipper_nb.protocol.input_batches import check_batch, format_batch
from clipper_nb.protocol.input_types import parse_input_type
from clipper_nb.protocol.model_folder import SAMPLES_FILE
from clipper_nb.protocol.outputs import encode_outputs
from clipper_nb.protocol.samples import Samples, format_samples


def answer_samples(func: Callable[[list[Any]], Any], input_type: str, sample_inputs: Any) -> Samples:
    """Return the samples with what *func* answers here.

    Raises
    ------
    InvalidInputError
        There is no sample, or one is not of the input type.
    PredictionError
        The function raises, or does not return one output per input.
    """
    inputs = format_batch(parse_input_type(input_type), check_batch(sample_inputs, "sample_inputs"))
    if not inputs:
        raise InvalidInputError("sample_inputs must be a list of inputs; it has none.")
    try:
        outputs = answer_query({"input_batch": inputs}, func, input_type)
    except ClipperException:
        raise
    except Exception as exc:
        raise PredictionError(
            f"The function raises on sample_inputs in the notebook: {type(exc).__name__}: {exc}", type(exc).__name__
        ) from exc
    return make_samples(inputs, outputs)


def make_samples(inputs: Sequence[Any], outputs: Any) -> Samples:
    """Return inputs, as a predict request has them, with what a function returned for them.

    Raises
    ------
    PredictionError
        *outputs* is not a sequence of one output per input, or one of them has no text.
    """
    return Samples(inputs, [output.decode() for output in encode_outputs(outputs, num_inputs=len(inputs))])


def write_samples(samples: Samples, folder: Path) -> None:
    """Put the samples into a bundle; each replica answers them before it serves."""
    (folder / SAMPLES_FILE).write_text(format_samples(samples))
