"""The random generators that a process has from its start: each replica must have its own numbers."""

from __future__ import annotations

import random
import sys
from collections.abc import Iterable


def read_states() -> dict[str, bytes]:
    """Return the states of the global generators of ``random``, NumPy and torch, as far as these are imported."""
    states = {"random": repr(random.getstate()).encode()}
    if "numpy.random" in sys.modules:
        _, keys, *others = sys.modules["numpy.random"].get_state()
        states["numpy.random"] = keys.tobytes() + repr(others).encode()
    if "torch" in sys.modules:
        states["torch"] = sys.modules["torch"].get_rng_state().numpy().tobytes()
    return states


def find_changed(before: dict[str, bytes], after: dict[str, bytes]) -> list[str]:
    """Return the names of the generators that were seeded or drawn from, or whose module is new. (pure)"""
    return [name for name, state in after.items() if before.get(name) != state]


def seed_anew() -> None:
    """Give the global generators states that no other process has."""
    random.seed()
    if "numpy.random" in sys.modules:
        sys.modules["numpy.random"].seed()
    if "torch" in sys.modules:
        sys.modules["torch"].seed()


def find_generator(objects: Iterable[object]) -> str | None:
    """Return the class of a generator that is among *objects*, or ``None``."""
    kinds = _generator_classes()
    # issubclass() on the type: isinstance() also reads __class__, which a class may define in any way.
    return next((type(each).__qualname__ for each in objects if issubclass(type(each), kinds)), None)


def _generator_classes() -> tuple[type, ...]:
    kinds: list[type] = [random.Random]
    if "numpy.random" in sys.modules:
        numpy_random = sys.modules["numpy.random"]
        kinds += [numpy_random.Generator, numpy_random.RandomState, numpy_random.BitGenerator]
    if "torch" in sys.modules:
        kinds.append(sys.modules["torch"].Generator)
    return tuple(kinds)
