"""What holds for all tests."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "clipper_nb"


def pytest_configure() -> None:
    """Let interrupts interrupt, here and in the processes that tests start: what a shell runs in the background does
    not hear them."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    _refuse_stale_modules()


def _refuse_stale_modules() -> None:
    """Compiled modules come before their sources: an edit that was not compiled would not be tested."""
    for compiled in PACKAGE.rglob("*.so"):
        source = compiled.with_name(compiled.name.split(".")[0] + ".py")
        if not source.exists() or source.stat().st_mtime > compiled.stat().st_mtime:
            name = source.relative_to(PACKAGE.parent)
            pytest.exit(f"{name} was compiled before its last change: run `make compile` or `make interpreted`.", 4)
