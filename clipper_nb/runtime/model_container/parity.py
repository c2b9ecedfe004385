"""Runs a model that was just loaded on its samples: it must answer as it did in the notebook."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from clipper_nb.errors import PredictionError
from clipper_nb.protocol.exception_description import describe_exception
from clipper_nb.protocol.input_types import InputType
from clipper_nb.protocol.inputs import decode_inputs
from clipper_nb.protocol.model_folder import SAMPLES_FILE, read_metadata
from clipper_nb.protocol.outputs import encode_outputs
from clipper_nb.protocol.samples import find_difference, parse_samples
from clipper_nb.protocol.steadiness import refuse_chance, steady_answers
from clipper_nb.runtime.model_container.client import Model


class SampleMismatch(Exception):
    """The model's answers here are different from those in the notebook."""


_FIRST_LOOK_INTERVAL_S = 0.001
_LONGEST_LOOK_INTERVAL_S = 0.02


def check_samples(
    model: Model, folder: Path, input_type: InputType, *, sleep: Callable[[float], None] = time.sleep
) -> None:
    """Return if the model in *folder* answers its samples, if any, as it did in the notebook.

    The notebook may still be answering them: then this waits for them.

    Raises
    ------
    SampleMismatch
        It does not; the text says where the outputs differ.
    UnsteadyAnswer
        Its answer to one depends on the others, or on chance.
    """
    path = folder / SAMPLES_FILE
    if not path.exists():
        if read_metadata(folder).samples is None:
            return
        _wait_for(path, sleep)
    samples = parse_samples(path.read_text())
    expected, text_outputs = samples.typed_outputs or samples.outputs, "text" if samples.typed_outputs else "json"

    def ask(batch: Sequence[Any]) -> list[str]:
        return _answers(model, batch, input_type, text_outputs)

    outputs = steady_answers(ask, samples.inputs)
    difference = find_difference(expected, outputs)
    if difference is not None:
        refuse_chance(ask, samples.inputs, outputs)
        raise SampleMismatch(difference)


def _wait_for(path: Path, sleep: Callable[[float], None]) -> None:
    """Return when the file is there; the process is ended from outside when it never comes."""
    interval_s = _FIRST_LOOK_INTERVAL_S
    while not path.exists():
        sleep(interval_s)
        interval_s = min(2 * interval_s, _LONGEST_LOOK_INTERVAL_S)


def _answers(model: Model, batch: Sequence[Any], input_type: InputType, text_outputs: str) -> list[str]:
    from clipper_nb.protocol.predict_body import parse_predict  # only where there are samples
    from clipper_nb.protocol.predict_call import format_request

    body = format_request(input_type, list(batch), is_batch=True, version=None)
    inputs = decode_inputs(input_type, parse_predict(body, input_type).payloads)
    try:
        predicted = model.predict(inputs)
    except ImportError:  # reported as a missing module
        raise
    except BaseException as exc:
        told = describe_exception(exc)
        raise SampleMismatch(f"where it raised nothing: {told.type_name}: {told.message}") from exc
    try:
        outputs = encode_outputs(predicted, num_inputs=len(inputs), text_outputs=text_outputs)
    except PredictionError as exc:
        raise SampleMismatch(f"whose outputs could be read: {str(exc).rstrip('.')}") from exc
    return [output.decode() for output in outputs]
