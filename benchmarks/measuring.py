"""Samples of milliseconds, and how they are printed."""

from __future__ import annotations

import contextlib
import os
import platform
import statistics
import time
from collections.abc import Iterator

Samples = dict[str, list[float]]
"""Milliseconds by what was measured."""


def print_machine() -> None:
    """Say where it was measured."""
    print(f"{os.cpu_count()} cores, {platform.system()} {platform.machine()}, Python {platform.python_version()}")
    print("Medians (smallest - largest) of n samples.\n")


@contextlib.contextmanager
def timed(samples: Samples, name: str) -> Iterator[None]:
    """Add the milliseconds that the block took."""
    began_s = time.perf_counter()
    yield
    samples[name].append((time.perf_counter() - began_s) * 1000)


def print_row(samples: Samples, name: str, target_ms: float | None = None) -> None:
    """Print the median of what was measured, and whether it meets its target."""
    median_ms = statistics.median(samples[name])
    spread = f"({format_ms(min(samples[name]))} - {format_ms(max(samples[name]))})"
    verdict = (
        "" if target_ms is None else f"{'meets' if median_ms <= target_ms else 'misses'} the target, {target_ms:g} ms"
    )
    print(
        f"{name:<64}{format_ms(median_ms):>8} ms  {spread:<18} n={len(samples[name]):<4} {verdict}".rstrip(), flush=True
    )


def format_ms(milliseconds: float) -> str:
    """Return milliseconds for people."""
    return f"{milliseconds:.2f}" if milliseconds < 10 else f"{milliseconds:.0f}"
