"""The model containers under ``examples/``: what each takes and answers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

EXAMPLES = Path(__file__).parents[2] / "examples" / "model_containers"


@dataclass(frozen=True)
class OwnModel:
    """One example: a model with its input type, and a good and a bad query."""

    name: str
    folder: Path
    input_type: str
    make_input: Callable[[float], Any]
    """A good input for each number, no two alike."""
    expected: Callable[[float], Any]
    """Its output."""
    bad_input: Any
    error: str
    """What the model says to the bad input."""


OWN_MODELS = [
    OwnModel(
        name="base-class",
        folder=EXAMPLES / "base_class",
        input_type="strings",
        make_input=lambda value: f"day {value} was great",
        expected=lambda value: {"mood": "kind", "score": 2},
        bad_input="?!",
        error="ValueError: there is no word in the text",
    ),
    OwnModel(
        name="wire-only",
        folder=EXAMPLES / "wire_only",
        input_type="doubles",
        make_input=lambda value: [value, value + 1, value + 5],
        expected=lambda value: value + 2.0,
        bad_input=[],
        error="StatisticsError: fmean requires at least one data point",
    ),
]
