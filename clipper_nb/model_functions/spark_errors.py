"""From an exception of PySpark, which carries pages of Java stack, to what happened. (pure, but for asking the JVM)"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

_LONGEST_CHAIN = 20
"""Causes of causes; Java's rarely have five."""


class SparkError(Exception):
    """Spark failed; the text is its own class and message of what went wrong first."""


@contextlib.contextmanager
def short_spark_errors() -> Iterator[None]:
    """Raise what Spark raises as :class:`SparkError`, with the original as its cause."""
    try:
        yield
    except Exception as exc:
        error = as_spark_error(exc)
        if error is None:
            raise
        raise error from exc


def as_spark_error(exc: BaseException) -> SparkError | None:
    """Return what an exception of Spark tells, and ``None`` for one that is not Spark's."""
    module = type(exc).__module__
    if not module.startswith(("py4j.", "pyspark.errors.")):
        return None
    java = getattr(exc, "java_exception", None)
    name, message = (type(exc).__name__, str(exc)) if java is None else _root_cause(java)
    return SparkError(_shorten(name, message))


def _root_cause(java: Any) -> tuple[str, str]:
    for _ in range(_LONGEST_CHAIN):
        cause = java.getCause()
        if cause is None:
            break
        java = cause
    return java.getClass().getSimpleName(), str(java.getMessage() or "")


def _shorten(name: str, message: str) -> str:
    """Return one sentence; of a traceback of a Python worker its last lines, which name class and message."""
    message = message.strip()
    if "Traceback (most recent call last):" in message:
        lines = message.splitlines()
        indented = [number for number, line in enumerate(lines) if line.startswith("  ")]
        return "\n".join(lines[indented[-1] + 1 :] if indented else lines[-1:]).strip()
    return f"{name}: {message}" if message else name
