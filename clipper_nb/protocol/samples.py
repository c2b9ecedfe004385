"""Inputs with the notebook's outputs for them, which a replica must reproduce before it serves. (pure)"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

RELATIVE_TOLERANCE = 1e-6
ABSOLUTE_TOLERANCE = 1e-9
"""Tolerance for numbers: other processors and libraries add in a different order."""


@dataclass(frozen=True)
class Samples:
    """Inputs as in a predict request, and the text of each output."""

    inputs: Sequence[Any]
    outputs: Sequence[str]


def format_samples(samples: Samples) -> str:
    """Return the file's text."""
    return json.dumps({"inputs": list(samples.inputs), "outputs": list(samples.outputs)}, indent=1) + "\n"


def parse_samples(text: str) -> Samples:
    """Return what :func:`format_samples` wrote."""
    read = json.loads(text)
    return Samples(read["inputs"], read["outputs"])


def find_difference(expected: Sequence[str], got: Sequence[str]) -> str | None:
    """Return the first difference of two sequences of outputs as a sentence; ``None`` if they agree."""
    for position, (there, here) in enumerate(zip(expected, got, strict=True)):
        difference = _difference(parse_output(there), parse_output(here), "")
        if difference is not None:
            return f"sample {position}: {difference}"
    return None


def _difference(expected: Any, got: Any, path: str) -> str | None:
    if isinstance(expected, dict) and isinstance(got, dict) and expected.keys() == got.keys():
        found = (_difference(expected[key], got[key], f"{path}[{key!r}]") for key in expected)
        return next((difference for difference in found if difference is not None), None)
    if isinstance(expected, list) and isinstance(got, list) and len(expected) == len(got):
        found = (_difference(a, b, f"{path}[{index}]") for index, (a, b) in enumerate(zip(expected, got, strict=True)))
        return next((difference for difference in found if difference is not None), None)
    if _are_equal(expected, got):
        return None
    where = f" at {path}" if path else ""
    return f"the notebook has {_shortened(expected)}{where}, the replica {_shortened(got)}"


def _are_equal(expected: Any, got: Any) -> bool:
    if _is_number(expected) and _is_number(got):
        if math.isnan(expected) or math.isnan(got):
            return math.isnan(expected) and math.isnan(got)
        return math.isclose(expected, got, rel_tol=RELATIVE_TOLERANCE, abs_tol=ABSOLUTE_TOLERANCE)
    return type(expected) is type(got) and bool(expected == got)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def parse_output(text: str) -> Any:
    """Return an output as in a reply: parsed if it is JSON, else text."""
    try:
        return json.loads(text)
    except ValueError:
        return text


def _shortened(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 200 else f"{text[:200]}…"
