"""Asks a model that was just loaded for its samples: it must answer as it did in the notebook."""

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
    """The model answers otherwise here than in the notebook."""


def check_samples(model: Model, folder: Path, input_type: InputType) -> None:
    """Return when the model in *folder* answers its samples, if it has any, as the notebook did.

    Raises
    ------
    SampleMismatch
        It does not; the text says where they differ.
    """
    path = folder / SAMPLES_FILE
    if not path.exists():
        return
    samples = parse_samples(path.read_text())
    body = format_request(list(samples.inputs), is_batch=True, version=None)
    inputs = decode_inputs(input_type, parse_predict(body, input_type).payloads)
    try:
        predicted = model.predict(inputs)
    except ImportError:  # told as what is missing
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
