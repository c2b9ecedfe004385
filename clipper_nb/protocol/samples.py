"""Inputs with the notebook's outputs for them, which a replica must reproduce before it serves. (pure)"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from clipper_nb.protocol.non_finite import unquoted

RELATIVE_TOLERANCE = 1e-6
ABSOLUTE_TOLERANCE = 1e-9
"""Tolerance for numbers: other processors and libraries add in a different order."""


@dataclass(frozen=True)
class Samples:
    """Inputs as in a predict request, and the text of each output."""

    inputs: Sequence[Any]
    outputs: Sequence[str]
    """As a replica sends them."""
    typed_outputs: Sequence[str] = ()
    """The same as JSON, in which text has quotes, also if it is spelled like a number; none if 0.1 wrote the file."""


def format_samples(samples: Samples) -> str:
    """Return the file's text."""
    found = {name: list(values) for name, values in asdict(samples).items() if values}
    return json.dumps({"inputs": [], "outputs": []} | found, indent=1) + "\n"


def parse_samples(text: str) -> Samples:
    """Return what :func:`format_samples` wrote."""
    read = json.loads(text)
    return Samples(read["inputs"], read["outputs"], read.get("typed_outputs", ()))


@dataclass(frozen=True)
class Comparison:
    """How two sequences of outputs are compared: numbers by these tolerances, text as text."""

    first: str = "the notebook has"
    second: str = "the replica"
    relative_tolerance: float = RELATIVE_TOLERANCE
    absolute_tolerance: float = ABSOLUTE_TOLERANCE


PARITY = Comparison()


def find_difference(expected: Sequence[str], got: Sequence[str], by: Comparison = PARITY) -> str | None:
    """Return the first difference of two sequences of outputs as a sentence; ``None`` if they agree."""
    for position, (there, here) in enumerate(zip(expected, got, strict=True)):
        difference = _difference(parse_output(there), parse_output(here), "", by)
        if difference is not None:
            return f"sample {position}: {difference}"
    return None


def _difference(expected: Any, got: Any, path: str, by: Comparison) -> str | None:
    if isinstance(expected, dict) and isinstance(got, dict) and expected.keys() == got.keys():
        found = (_difference(expected[key], got[key], f"{path}[{key!r}]", by) for key in expected)
        return next((difference for difference in found if difference is not None), None)
    if isinstance(expected, list) and isinstance(got, list) and len(expected) == len(got):
        pairs = enumerate(zip(expected, got, strict=True))
        found = (_difference(a, b, f"{path}[{index}]", by) for index, (a, b) in pairs)
        return next((difference for difference in found if difference is not None), None)
    if _are_equal(expected, got, by):
        return None
    where = f" at {path}" if path else ""
    return f"{by.first} {_shortened(expected)}{where}, {by.second} {_shortened(got)}"


def _are_equal(expected: Any, got: Any, by: Comparison) -> bool:
    if _is_number(expected) and _is_number(got):
        if math.isnan(expected) or math.isnan(got):
            return math.isnan(expected) and math.isnan(got)
        return math.isclose(expected, got, rel_tol=by.relative_tolerance, abs_tol=by.absolute_tolerance)
    return type(expected) is type(got) and bool(expected == got)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def parse_output(text: str) -> Any:
    """Return an output: parsed if it is JSON, also with bare NaN and infinities, else text."""
    try:
        return json.loads(unquoted(text))
    except ValueError:
        return text


def _shortened(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 200 else f"{text[:200]}…"
