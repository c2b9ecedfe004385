"""Models that do something else than load."""

from __future__ import annotations

import time
from collections.abc import Callable


class OnLoad:
    """A model that does something when it is unpickled."""

    def __init__(self, action: Callable[[], object]) -> None:
        self.action = action

    def __reduce__(self) -> tuple:
        action = self.action
        return (action, ())

    def __call__(self, inputs: list) -> list:
        return [0 for _ in inputs]


def load_raises() -> None:
    """Fail as a model with broken weights does."""
    print("reading the weights")
    raise RuntimeError("the weights are corrupt")


class Panic(BaseException):
    """As a panic of a native library arrives in Python; its text cannot be read either."""

    def __str__(self) -> str:
        raise RuntimeError("no text")


def load_panics() -> None:
    """Fail with what no ``except Exception`` sees."""
    raise Panic


def load_hangs() -> None:
    """Wait for longer than any test does."""
    print("waiting for a file that never comes")
    time.sleep(120)


def load_eats_memory() -> None:
    """Take a gigabyte."""
    kept = []
    print("loading far too much", flush=True)
    for _ in range(1024):
        kept.append(bytearray(b"x" * (1 << 20)))
