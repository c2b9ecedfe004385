"""What is told of exceptions that carry pages of Java stack."""

from __future__ import annotations

import pytest

from clipper_nb.model_functions.spark_errors import SparkError, as_spark_error, short_spark_errors


class Java:
    """A Java exception, as py4j shows one."""

    def __init__(self, name: str, message: str | None, cause: Java | None = None) -> None:
        self._name, self._message, self._cause = name, message, cause

    def getCause(self) -> Java | None:
        return self._cause

    def getClass(self) -> Java:
        return self

    def getSimpleName(self) -> str:
        return self._name

    def getMessage(self) -> str | None:
        return self._message


def raised_by(module: str, java: Java | None = None, message: str = "") -> Exception:
    """Return an exception of a module, with the Java exception that it carries."""
    kind = type("PySparkError", (Exception,), {"__module__": module})
    exc: Exception = kind(message)
    if java is not None:
        exc.java_exception = java  # type: ignore[attr-defined]
    return exc


_WORKER_TRACEBACK = """
Traceback (most recent call last):
  File "worker.py", line 1
    1 / 0
ZeroDivisionError: by zero
"""
_WORKER = Java("PythonException", _WORKER_TRACEBACK)


@pytest.mark.parametrize(
    ("exc", "told"),
    [
        (raised_by("py4j.protocol", Java("SparkException", "Job aborted", Java("ArithmeticException", "by zero"))),
         "ArithmeticException: by zero"),
        (raised_by("py4j.protocol", Java("NullPointerException", None)), "NullPointerException"),
        (raised_by("py4j.protocol", _WORKER), "ZeroDivisionError: by zero"),
        (raised_by("pyspark.errors.exceptions", message="no such column"), "PySparkError: no such column"),
    ],
)  # fmt: skip
def test_first_cause_is_reported(exc: Exception, told: str) -> None:
    error = as_spark_error(exc)
    assert str(error) == told
    with pytest.raises(SparkError) as raised, short_spark_errors():
        raise exc
    assert raised.value.__cause__ is exc


def raised_after(exc: Exception, cause: Exception) -> Exception:
    exc.__context__ = cause
    return exc


@pytest.mark.parametrize(
    "exc",
    [
        raised_by("pyspark.errors.exceptions.base", message="can not accept object in type <class 'numpy.float64'>."),
        raised_by("pyspark.errors.exceptions.base", message="Can not infer schema for type: `float64`."),
        raised_by("pyspark.errors.exceptions.base", message="Can not infer schema for type: `ndarray`."),
        raised_after(raised_by("pyspark.errors.exceptions.base", message="Unable to infer the type of the field `x`."),
                    raised_by("pyspark.errors.exceptions.base", message="Can not infer schema for type: `int64`.")),
        raised_by("py4j.protocol", Java("PickleException", "no construction of ClassDict (for numpy.dtype)")),
    ],
)  # fmt: skip
def test_numpy_values_in_rows_are_told_how_to_convert(exc: Exception) -> None:
    assert "write float(x) or x.item()" in str(as_spark_error(exc))


def test_other_errors_have_no_word_about_numpy() -> None:
    missing = raised_by("py4j.protocol", Java("PythonException", "ModuleNotFoundError: No module named 'numpy'"))
    assert "float(x)" not in str(as_spark_error(missing))


def test_other_exceptions_pass() -> None:
    assert as_spark_error(ValueError("ours")) is None
    with pytest.raises(ValueError, match="ours"), short_spark_errors():
        raise ValueError("ours")
