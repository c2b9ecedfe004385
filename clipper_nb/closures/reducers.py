"""Reduces objects that pickle loses: those whose name only this process has, or that create their own lock.

Each reduction is what ``__reduce__`` would return; all that it names is Python's or NumPy's own, so no other process
needs this package to load it.
"""

from __future__ import annotations

import dataclasses
import functools
import os
import sys
from collections.abc import Callable
from types import FunctionType, ModuleType
from typing import Any

import msgspec

from clipper_nb.closures.user_modules import is_user_module

CachedFunction = type(functools.lru_cache(len))
"""The type that ``functools.cache`` and ``functools.lru_cache`` wrap a function in."""
_SENTINELS = (object, type(dataclasses.MISSING))
"""Types of objects that mean something by being themselves: a copy of ``dataclasses.MISSING`` would be a default."""
_OF_CONSTRAINTS = (
    "gt", "ge", "lt", "le", "multiple_of", "pattern", "min_length", "max_length", "tz", "title", "description",
    "examples", "extra_json_schema", "extra",
)  # fmt: skip
_DISPATCHER_CODE = functools.singledispatch(len).__code__  # type: ignore[attr-defined]


def reduce_object(obj: Any) -> tuple[Any, ...] | None:
    """Return what rebuilds *obj* elsewhere, or ``None`` when pickle itself can do it."""
    if isinstance(obj, CachedFunction):
        return _reduce_cached(obj)
    if obj is os.environ:  # by value it would take all variables of the notebook along
        return getattr, (os, "environ")
    if isinstance(obj, functools.cached_property):
        return functools.cached_property, (obj.func,), {"attrname": obj.attrname}
    if isinstance(obj, FunctionType) and obj.__code__ is _DISPATCHER_CODE:
        return _reduce_dispatcher(obj)
    if is_ufunc(obj):
        return _reduce_to_name(obj, obj.__name__)
    if type(obj) in _SENTINELS:
        return _reduce_to_name(obj)
    return _reduce_constraint(obj) if isinstance(obj, msgspec.Meta) else None


def is_ufunc(obj: Any) -> bool:
    """Return whether it is a compiled function of NumPy, SciPy or another library that works on whole arrays."""
    return any(f"{cls.__module__}.{cls.__qualname__}" == "numpy.ufunc" for cls in type(obj).__mro__)


def is_reduced_by_identity(obj: Any) -> bool:
    """Return whether its type alone does not say how it is reduced."""
    return isinstance(obj, type(os.environ)) or type(obj) in _SENTINELS


def _reduce_cached(cached: Any) -> tuple[Any, ...]:
    """Keep its function and its size, but nothing that is in the cache."""
    size = cached.cache_parameters()
    new = functools._lru_cache_wrapper, (cached.__wrapped__, size["maxsize"], size["typed"], functools._CacheInfo)
    return *new, dict(vars(cached))


def _reduce_dispatcher(dispatch: Any) -> tuple[Any, ...]:
    """Keep its functions, but not its weak table of what was found for a class."""
    functions = dict(dispatch.registry)
    return functools.singledispatch, (functions.pop(object),), functions, None, None, _make_register()


def _make_register() -> Callable[[Any, dict[type, Any]], None]:
    def register(dispatch: Any, functions: dict[type, Any]) -> None:  # within a function, so that it travels itself
        for cls, function in functions.items():
            dispatch.register(cls, function)

    return register


def _reduce_constraint(meta: msgspec.Meta) -> tuple[Any, ...]:
    options = {name: value for name in _OF_CONSTRAINTS if (value := getattr(meta, name)) is not None}
    return functools.partial(msgspec.Meta, **options), ()


def _reduce_to_name(obj: Any, name: str | None = None) -> tuple[Any, ...] | None:
    """Reduce to the attribute of an installed module, a public one if there is one; ``None`` if none has it.

    A ufunc knows only its name; pickle would take the first module that has it, which may be the user's own. An object
    that code compares by identity knows nothing at all.
    """
    found = [
        (module_name.count("._"), module_name.count("."), module_name, module, own_name)
        for module_name, module in list(sys.modules.items())
        if isinstance(module, ModuleType)
        and (own_name := _name_in(module, obj, name)) is not None
        and module_name != "__main__"
        and not is_user_module(module_name, module)
    ]
    return (getattr, min(found, key=lambda each: each[:3])[3:]) if found else None


def _name_in(module: ModuleType, obj: Any, name: str | None) -> str | None:
    variables = vars(module)
    if name is not None:
        return name if variables.get(name) is obj else None
    return next((own_name for own_name, value in list(variables.items()) if value is obj), None)
