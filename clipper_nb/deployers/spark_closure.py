"""Finds what a function holds of the notebook's own Spark, which no other process can use."""

from __future__ import annotations

import dis
import functools
import sys
from collections.abc import Callable, Iterator, Mapping
from types import CodeType, FunctionType, MethodType, ModuleType
from typing import Any

from clipper_nb.deployers.user_modules import is_user_module
from clipper_nb.errors import SerializationError

_MAX_ELEMENTS = 10_000
"""Of one container: whoever keeps a DataFrame among more values than that learns it from the pickle."""
_ADVICE = {
    "SparkSession": "use the first argument of func(spark, model, inputs), the replica's own session",
    "SparkContext": "use spark.sparkContext, of the first argument of func(spark, model, inputs)",
    "DataFrame": "make it inside the function with its argument spark, or collect() it before",
    "RDD": "make it inside the function with spark.sparkContext, or collect() it before",
    "Column": "make it inside the function",
    "Broadcast": "use its value",
    "Accumulator": "replicas share no accumulators; return what you count",
    "model": "pass it as pyspark_model, and use the argument model; or make it inside the function",
}


def refuse_spark_objects(func: Callable[..., Any]) -> None:
    """Raise ``SerializationError`` when *func* uses an object of the notebook's Spark; the sentence names it."""
    is_spark = _spark_kinds()
    for path, value in _reachable(func):
        kind = is_spark(value)
        if kind is not None:
            name = getattr(func, "__name__", type(func).__name__)
            raise SerializationError(
                f"Function '{name}' holds '{path}', a {type(value).__name__}, which cannot leave this process: "
                f"{_ADVICE[kind]}."
            )


def _spark_kinds() -> Callable[[Any], str | None]:
    """Return what tells the kind of a Spark object, and ``None`` for anything else."""
    from py4j.java_gateway import JavaObject
    from pyspark import Accumulator, Broadcast, SparkContext
    from pyspark.ml.wrapper import JavaWrapper
    from pyspark.mllib.common import JavaModelWrapper
    from pyspark.rdd import RDD
    from pyspark.sql import Column, DataFrame, SparkSession

    kinds: dict[type, str] = {
        SparkSession: "SparkSession", SparkContext: "SparkContext", DataFrame: "DataFrame", RDD: "RDD",
        Column: "Column", Broadcast: "Broadcast", Accumulator: "Accumulator",
        JavaWrapper: "model", JavaModelWrapper: "model", JavaObject: "model",
    }  # fmt: skip

    def kind_of(value: Any) -> str | None:
        return next((kind for known, kind in kinds.items() if isinstance(value, known)), None)

    return kind_of


def _reachable(func: Any) -> Iterator[tuple[str, Any]]:
    """Yield what travels with *func*, each with how it is reached: ``helper.settings['spark']``."""
    seen: set[int] = set()
    alive: list[Any] = []  # ids are of use only while their objects live
    waiting: list[tuple[str, Any]] = [("", func)]
    while waiting:
        path, value = waiting.pop()
        if id(value) in seen:
            continue
        seen.add(id(value))
        alive.append(value)
        if path:
            yield path, value
        waiting.extend(_parts(path, value))


def _parts(path: str, value: Any) -> Iterator[tuple[str, Any]]:
    inside = f"{path}." if path else ""
    if isinstance(value, FunctionType):
        if _is_users(value.__module__) or not path:
            yield from ((f"{inside}{name}", found) for name, found in _captured(value).items())
    elif isinstance(value, MethodType):
        yield path, value.__func__
        yield f"{inside}self", value.__self__
    elif isinstance(value, functools.partial):
        yield path, value.func
        yield from _parts(path, [*value.args, *value.keywords.values()])
    elif isinstance(value, Mapping):
        if len(value) <= _MAX_ELEMENTS:
            yield from ((f"{path}[{key!r}]", found) for key, found in value.items())
    elif isinstance(value, (list, tuple, set, frozenset)):
        if len(value) <= _MAX_ELEMENTS:
            yield from ((f"{path}[{position}]", found) for position, found in enumerate(value))
    elif isinstance(value, type):
        if _is_users(value.__module__):
            yield from ((f"{inside}{name}", found) for name, found in vars(value).items())
    elif isinstance(value, (staticmethod, classmethod)):
        yield path, value.__func__
    elif not isinstance(value, ModuleType) and _is_users(type(value).__module__):
        yield path, type(value)
        yield from ((f"{inside}{name}", found) for name, found in getattr(value, "__dict__", {}).items())


def _captured(func: FunctionType) -> dict[str, Any]:
    """Return the variables from outside that a function uses, by name, as pickling it finds them."""
    names = set(_global_names(func.__code__))
    captured = {name: func.__globals__[name] for name in sorted(names) if name in func.__globals__}
    for name, cell in zip(func.__code__.co_freevars, func.__closure__ or (), strict=True):
        try:
            captured[name] = cell.cell_contents
        except ValueError:  # not filled yet
            continue
    captured.update({f"default {position}": value for position, value in enumerate(func.__defaults__ or ())})
    captured.update(func.__kwdefaults__ or {})
    captured.update({name: value for name, value in vars(func).items() if name == "__wrapped__"})
    return captured


def _global_names(code: CodeType) -> Iterator[str]:
    for instruction in dis.get_instructions(code):
        if instruction.opname in ("LOAD_GLOBAL", "LOAD_NAME"):
            yield instruction.argval
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _global_names(constant)


def _is_users(module_name: str | None) -> bool:
    """Whether what a module defines travels by value: cells and modules of the user's own."""
    if module_name in (None, "__main__", "__mp_main__"):
        return True
    return is_user_module(str(module_name), sys.modules.get(str(module_name)))
