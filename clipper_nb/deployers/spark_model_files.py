"""Writes a PySpark model in Spark's own format, on this machine, and returns what a replica needs to read it."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from msgspec import UNSET, UnsetType

from clipper_nb.closures.user_modules import is_user_module
from clipper_nb.errors import DeploymentError, InvalidRequestError, SerializationError

_ALWAYS_TOLD = ("spark.sql.session.timeZone", "spark.sql.ansi.enabled", "spark.sql.execution.arrow.pyspark.enabled")
"""Settings that a replica gets with their default values too, which depend on the machine or the release."""
_CHANGE_ANSWERS = re.compile(
    r"spark\.sql\.(session|ansi|legacy|functions|execution\.(arrow|pandas|pyspark|pythonUDF)|pyspark|parser|collation|"
    r"defaultCollation|datetime|decimalOperations|caseSensitive|storeAssignmentPolicy|mapKeyDedupPolicy|timestampType|"
    r"groupBy\w+|orderBy\w+|crossJoin|variable|json|csv|parquet|orc|avro|files|sources\.default)(\.|$)"
)
"""Settings that a replica gets if the session has set them: what SQL means, and how values become those of Python, of
pandas and of files. The others are about speed or the machine."""


def find_session(sc: Any) -> Any:
    """Return the session of the caller's *sc*, a ``SparkContext`` or a ``SparkSession``.

    Raises
    ------
    DeploymentError
        There is no PySpark here.
    InvalidRequestError
        It is neither, it is a session of Spark Connect, or it has been stopped.
    """
    try:
        from pyspark import SparkContext
        from pyspark.sql import SparkSession
    except ImportError as exc:
        raise DeploymentError(
            "Deploying PySpark models needs PySpark, and for it Java 17 (on Debian: apt install "
            f"openjdk-17-jre-headless): pip install 'clipper-nb[pyspark]'. {type(exc).__name__}: {exc}"
        ) from exc
    if type(sc).__module__.startswith("pyspark.sql.connect."):
        raise InvalidRequestError(
            "This session is a remote one of Spark Connect, which cannot write a model on this machine; use a session "
            "with master local[*]."
        )
    if not isinstance(sc, (SparkContext, SparkSession)):
        raise InvalidRequestError(f"sc must be a SparkContext or a SparkSession, not {type(sc).__name__}.")
    context = sc.sparkContext if isinstance(sc, SparkSession) else sc
    if context._jsc is None or context._jsc.sc().isStopped():
        raise InvalidRequestError("This SparkContext has been stopped; create a new session and load the model in it.")
    return sc if isinstance(sc, SparkSession) else SparkSession(sc)


def result_settings(session: Any) -> dict[str, str]:
    """Return the session's settings that change answers."""
    told = {name: session.conf.get(name) for name in _ALWAYS_TOLD}  # with a default it would hide Spark's own
    return {**{name: value for name, value in _set_settings(session).items() if _CHANGE_ANSWERS.match(name)}, **told}


def _set_settings(session: Any) -> dict[str, str]:
    """Return what was set in the session, or when it was built; Spark 3 tells only the latter."""
    in_session = getattr(session.conf, "getAll", None)
    return dict(session.sparkContext.getConf().getAll()) if in_session is None else dict(in_session)


def describe_spark_model(model: Any) -> tuple[str | None, float | UnsetType | None]:
    """Return what a replica must know to load *model*: its class, and a threshold that Spark does not save.

    Raises
    ------
    InvalidRequestError
        It is no fitted model of Spark.
    SerializationError
        Spark cannot save it, or could not load it; the message names the class.
    """
    if model is None:
        return None, UNSET
    is_mllib = _check_is_model(model)
    for part in _parts(model):
        module = type(part).__module__
        if module == "__main__" or is_user_module(module, sys.modules.get(module)):
            raise SerializationError(
                f"The model has a part of class {type(part).__name__}, which is defined in the notebook or in a file "
                "that is not installed, and Spark can load only classes that it can import. Put the class into a "
                "package, and pass that in pkgs_to_install."
            )
    has_threshold = is_mllib and hasattr(model, "clearThreshold")
    return f"{type(model).__module__}:{type(model).__qualname__}", model.threshold if has_threshold else UNSET


def save_spark_model(model: Any, session: Any, folder: Path) -> None:
    """Write *model* into *folder*, by Spark itself.

    Raises
    ------
    SerializationError
        It cannot be saved; the message names the class.
    DeploymentError
        Spark's files are not on this machine.
    """
    address = folder.resolve().as_uri()  # the default file system may be another
    try:
        if hasattr(model, "write"):
            model.write().overwrite().save(address)
        else:
            model.save(session.sparkContext, address)
    except Exception as exc:
        raise SerializationError(
            f"Spark cannot save this {type(model).__name__}: {type(exc).__name__}: {_first_line(exc)}"
        ) from exc
    check_files_are_here(folder, master=session.sparkContext.master)


def check_files_are_here(folder: Path, *, master: str) -> None:
    """Raise ``DeploymentError`` when Spark's executors have written the files on other machines."""
    finished = [marker.parent for marker in folder.rglob("_SUCCESS")]
    if not finished or not all(any(part.glob("**/part-*")) for part in finished):
        raise DeploymentError(
            f"Spark (master {master}) has saved the model, but its files are not on this machine: the executors wrote "
            "them to their own disks. Save it to storage that both share, load it in a session with master local[*], "
            "and deploy from there."
        )


def _check_is_model(model: Any) -> bool:
    """Return whether *model* is one of ``pyspark.mllib``; raise unless it is a fitted model that Spark can save."""
    from pyspark.ml import Estimator
    from pyspark.ml.util import MLWritable

    name = type(model).__name__
    if isinstance(model, Estimator):
        raise InvalidRequestError(f"pyspark_model is a {name}, which is not fitted; pass what its fit() returns.")
    if isinstance(model, MLWritable) and hasattr(model, "load"):
        return False
    # Not every model that can be saved derives from MLWritable.
    if type(model).__module__.startswith("pyspark.mllib.") and hasattr(model, "save") and hasattr(model, "load"):
        return True
    if type(model).__module__.startswith("pyspark."):
        raise SerializationError(f"Spark has no format for a {name}: it cannot be saved, so it cannot be deployed.")
    raise InvalidRequestError(f"pyspark_model must be a model of pyspark.ml or pyspark.mllib, or None, not a {name}.")


def _parts(model: Any) -> Iterator[Any]:
    """Yield the model and the stages of pipelines in it."""
    yield model
    for inner in [*getattr(model, "stages", ()), getattr(model, "bestModel", None)]:
        if inner is not None:
            yield from _parts(inner)


def _first_line(exc: Exception) -> str:
    return (str(exc).strip().splitlines() or [""])[0]
