"""Runs a model that was just loaded on its samples: it must answer as it did in the notebook."""

from __future__ import annotations

from pathlib import Path

from clipper_nb.errors import PredictionError
from clipper_nb.protocol.exception_description import describe_exception
from clipper_nb.protocol.input_types import InputType
from clipper_nb.protocol.inputs import decode_inputs
from clipper_nb.protocol.model_folder import SAMPLES_FILE
from clipper_nb.protocol.outputs import encode_outputs
from clipper_nb.protocol.predict_body import format_request, parse_predict
from clipper_nb.protocol.samples import find_difference, parse_samples
from clipper_nb.runtime.model_container.client import Model


class SampleMismatch(Exception):
    """The model's answers here are different from those in the notebook."""


def check_samples(model: Model, folder: Path, input_type: InputType) -> None:
    """Return if the model in *folder* answers its samples, if any, as it did in the notebook.

    Raises
    ------
    SampleMismatch
        It does not; the text says where the outputs differ.
    """
    path = folder / SAMPLES_FILE
    if not path.exists():
        return
    samples = parse_samples(path.read_text())
    body = format_request(list(samples.inputs), is_batch=True, version=None)
    inputs = decode_inputs(input_type, parse_predict(body, input_type).payloads)
    try:
        predicted = model.predict(inputs)
    except ImportError:  # reported as a missing module
        raise
    except BaseException as exc:
        told = describe_exception(exc)
        raise SampleMismatch(f"where it raised nothing: {told.type_name}: {told.message}") from exc
    try:
        outputs = [output.decode() for output in encode_outputs(predicted, num_inputs=len(inputs))]
    except PredictionError as exc:
        raise SampleMismatch(f"whose outputs could be read: {str(exc).rstrip('.')}") from exc
    difference = find_difference(samples.outputs, outputs)
    if difference is not None:
        raise SampleMismatch(difference)
