"""What a deploy knew of a version: kept with it, so that it can be looked up later."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Example:
    """A sample input, as a predict request has it, with the output that notebook and replica gave."""

    input: Any
    output: Any


@dataclass(frozen=True)
class Provenance:
    """What a version was made in, and what it answered there and in its replicas alike."""

    environment: Mapping[str, str] = field(default_factory=dict, hash=False)
    """Version by name, of Python and of packages that the model was pickled with."""
    num_samples: int = 0
    """Inputs that each replica answered as the notebook did, before it served."""
    example: Example | None = field(default=None, hash=False)
    """The first of them, unless it is large."""


NO_PROVENANCE = Provenance()
