"""What a function answers in the notebook: its replicas must answer the same."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from clipper_nb.closures.trial import answer_query, inputs_of_query, raised_here
from clipper_nb.cluster.new_version import NewVersion
from clipper_nb.errors import ClipperException, InvalidInputError, ParityError
from clipper_nb.protocol.input_batches import check_batch, format_batch
from clipper_nb.protocol.model_folder import SAMPLES_FILE
from clipper_nb.protocol.outputs import encode_outputs
from clipper_nb.protocol.samples import Samples, format_samples, parse_output
from clipper_nb.protocol.steadiness import UnsteadyAnswer, steady_answers

_logger = logging.getLogger("clipper_nb.progress")


def read_sample_inputs(
    new: NewVersion, sample_inputs: Any, columns: Sequence[str] | None = None
) -> Sequence[Any] | None:
    """Return the samples as a predict request has them; ``None`` for ``None``.

    *columns* are the names of an input's numbers, if they are known.

    Raises
    ------
    InvalidInputError
        There is no sample, or one is not of the input type.
    """
    if sample_inputs is None:
        return None
    inputs = format_batch(new.input_type, check_batch(sample_inputs, "sample_inputs"), columns)
    if not inputs:
        raise InvalidInputError("sample_inputs must be a list of inputs; it has none.")
    inputs_of_query({"input_batch": inputs}, str(new.input_type))
    return inputs


def digest_sample_inputs(inputs: Sequence[Any] | None) -> str | None:
    """Return what distinguishes the samples of two images whose files are the same but for their answers."""
    return None if inputs is None else hashlib.sha256(json.dumps(list(inputs)).encode()).hexdigest()[:12]


def samples_file(
    new: NewVersion, inputs: Sequence[Any] | None, make_function: Callable[[], Callable[[list[Any]], Any]]
) -> Mapping[str, bytes]:
    """Return the file of a bundle that has the samples' answers here; none without samples.

    Raises
    ------
    PredictionError, ParityError
        As :func:`answer_samples`.
    """
    if inputs is None:
        return {}
    return {SAMPLES_FILE: format_samples(answer_samples(new, make_function(), inputs)).encode()}


def answer_samples(new: NewVersion, func: Callable[[list[Any]], Any], inputs: Sequence[Any]) -> Samples:
    """Return the samples with what *func*, which becomes *new*, answers here: all together, and each alone.

    Raises
    ------
    PredictionError
        The function raises, or does not return one output per input.
    ParityError
        An answer depends on the other inputs of its batch, or on chance.
    """
    try:
        return make_samples(
            new, inputs, lambda batch: answer_query({"input_batch": batch}, func, str(new.input_type))
        )  # fmt: skip
    except ClipperException:
        raise
    except Exception as exc:
        raise raised_here("The function raises on sample_inputs in the notebook", exc) from exc


def make_samples(new: NewVersion, inputs: Sequence[Any], answer: Callable[[Sequence[Any]], Any]) -> Samples:
    """Return *inputs*, as a predict request has them, with what *answer* returns for all of them.

    It is called for each of them alone, too. What clients of *new* get in place of a text of the function's is logged.

    Raises
    ------
    PredictionError
        It does not return one output per input, or an output has no JSON.
    ParityError
        An answer depends on the other inputs of its batch, or on chance.
    """
    returned: list[Any] = []

    def ask(batch: Sequence[Any]) -> list[str]:
        returned.append(answer(batch))
        return _encoded(returned[-1], len(batch), "text")

    try:
        typed_outputs = steady_answers(ask, inputs)
    except UnsteadyAnswer as exc:
        raise ParityError(str(new.model_id), f"gives an answer that {exc}", subject="The function of") from None
    samples = Samples(inputs, _encoded(returned[0], len(inputs), new.text_outputs), typed_outputs)
    change = find_changed_text(samples)
    if change is not None:
        _logger.warning("%s: %s", new.model_id, change)
    return samples


def find_changed_text(samples: Samples) -> str | None:
    """Return a sentence about the first text that clients get as a number, a boolean or null; ``None`` without one."""
    for position, (output, typed) in enumerate(zip(samples.outputs, samples.typed_outputs, strict=True)):
        read = parse_output(output)
        if output != typed and not isinstance(read, (str, list, dict)):
            return (
                f"sample {position}: the function returns the text {typed}, and clients get {json.dumps(read)}, since "
                'text that is JSON is read as JSON. Pass text_outputs="text" to keep it text, or return a number.'
            )
    return None


def write_samples(samples: Samples, folder: Path) -> None:
    """Put the samples into a bundle; each replica answers them before it serves."""
    (folder / SAMPLES_FILE).write_text(format_samples(samples))


def _encoded(outputs: Any, num_inputs: int, text_outputs: str) -> list[str]:
    return [output.decode() for output in encode_outputs(outputs, num_inputs=num_inputs, text_outputs=text_outputs)]
