"""What a deploy knew about a version, kept with it for later inspection."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Example:
    """A sample input, as a predict request has it, with the output that notebook and replica returned."""

    input: Any
    output: Any


@dataclass(frozen=True)
class Provenance:
    """The environment in which a version was created, and an example that notebook and replicas answered alike."""

    environment: Mapping[str, str] = field(default_factory=dict, hash=False)
    """By name, the versions of Python and of packages that the model was pickled with."""
    num_samples: int = 0
    """Number of inputs that each replica answered as the notebook did before it served."""
    example: Example | None = field(default=None, hash=False)
    """The first sample, unless it is large."""
    input_schema: Mapping[str, Any] | None = field(default=None, hash=False)
    """The JSON Schema of one input of type ``json``, from the type that the function takes; ``None`` for any value."""


NO_PROVENANCE = Provenance()
