"""Shortens PySpark's exceptions, with their pages of Java stack, to what happened. (pure, apart from asking the JVM)"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from typing import Any

_LONGEST_CHAIN = 20
"""How many nested causes are followed; Java exceptions rarely have five."""
_NUMPY_VALUE = re.compile(
    r"numpy\.(dtype|ndarray|bool|u?int|float|str_|datetime64)|numpy\._?core\.multiarray|"
    r"for type: `(ndarray|bool_?|u?int\d+|float\d+|str_|datetime64)`"
)
_ABOUT_NUMPY = (
    "Spark's rows take Python's own values: write float(x) or x.item() for a NumPy scalar, x.tolist() for an array."
)


class SparkError(Exception):
    """Spark failed; the text is the class and message of the first cause."""


@contextlib.contextmanager
def short_spark_errors() -> Iterator[None]:
    """Convert Spark's exceptions to :class:`SparkError`, with the original as its cause."""
    try:
        yield
    except Exception as exc:
        error = as_spark_error(exc)
        if error is None:
            raise
        raise error from exc


def as_spark_error(exc: BaseException) -> SparkError | None:
    """Return an exception of Spark as a short error; ``None`` for one that is not Spark's."""
    module = type(exc).__module__
    if not module.startswith(("py4j.", "pyspark.errors.")):
        return None
    java = getattr(exc, "java_exception", None)
    name, message = (type(exc).__name__, str(exc)) if java is None else _root_cause(java)
    told = _shorten(name, message)
    is_about_numpy = any(map(_NUMPY_VALUE.search, [message, *_texts_behind(exc)]))
    return SparkError(f"{' '.join(told.split())} {_ABOUT_NUMPY}" if is_about_numpy else told)


def _texts_behind(exc: BaseException) -> Iterator[str]:
    """Yield what the exceptions say that led to *exc*; PySpark raises without ``from``."""
    for _ in range(_LONGEST_CHAIN):
        behind = exc.__cause__ or exc.__context__
        if behind is None:
            return
        exc = behind
        yield str(exc)


def _root_cause(java: Any) -> tuple[str, str]:
    for _ in range(_LONGEST_CHAIN):
        cause = java.getCause()
        if cause is None:
            break
        java = cause
    return java.getClass().getSimpleName(), str(java.getMessage() or "")


def _shorten(name: str, message: str) -> str:
    """Return one sentence; for a Python worker's traceback its last lines, which have class and message."""
    message = message.strip()
    if "Traceback (most recent call last):" in message:
        lines = message.splitlines()
        indented = [number for number, line in enumerate(lines) if line.startswith("  ")]
        return "\n".join(lines[indented[-1] + 1 :] if indented else lines[-1:]).strip()
    return f"{name}: {message}" if message else name
