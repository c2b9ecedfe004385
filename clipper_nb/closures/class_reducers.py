"""Completes what cloudpickle loses of a notebook's types: enum aliases and attributes, and typing's own objects.

Like :mod:`clipper_nb.closures.reducers`, the reductions name what is Python's or cloudpickle's own alone.
"""

from __future__ import annotations

import enum
import functools
import pickle
from collections.abc import Callable
from typing import Any

from clipper_nb.model_functions.struct_classes import read_annotations

_MADE_BY_ENUM = {"_value_", "_name_", "__objclass__", "_sort_order_", "_inverted_"}
_POSITION_OF_MEMBERS = 3
"""Of the arguments from which cloudpickle makes an enum."""
_IS_HEAP_TYPE = 1 << 9
"""In a class's flags: that Python code defined it; other classes keep in C what their objects hold."""
CACHE = "__msgspec_cache__"
"""Name of the class attribute in which msgspec keeps what it found out about a class."""
_OF_PARAMETERS = ("bound", "covariant", "contravariant", "infer_variance")


def complete_enum(cls: enum.EnumMeta, reduced: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return cloudpickle's reduction of an enum with its aliases, and with the attributes that its members have.

    Raises
    ------
    pickle.PicklingError
        Its ``__new__`` makes other members than those that their values make.
    """
    make, arguments, (variables, slots), *iterators, set_state = reduced
    members: dict[str, enum.Enum] = dict(cls.__members__)
    for member in members.values():
        _check_content(cls, member)
    values = {name: member.value for name, member in members.items()}
    attributes = {name: _own_attributes(member) for name, member in members.items()}
    state = {name: value for name, value in variables.items() if name not in members}, slots
    return (
        make,
        (*arguments[:_POSITION_OF_MEMBERS], values, *arguments[_POSITION_OF_MEMBERS + 1 :]),
        (state, attributes),
        *iterators,
        _make_set_state(set_state),
    )


def _own_attributes(member: enum.Enum) -> dict[str, Any]:
    return {name: value for name, value in vars(member).items() if name not in _MADE_BY_ENUM}


def _check_content(cls: enum.EnumMeta, member: enum.Enum) -> None:
    """Return if the value makes the text, number or other data that the member itself is."""
    mixed_in: type = getattr(cls, "_member_type_", object)
    data: Any = next(base for base in mixed_in.__mro__ if not base.__flags__ & _IS_HEAP_TYPE)
    if data is object:
        return
    arguments = member.value if isinstance(member.value, tuple) else (member.value,)
    try:
        is_same = data.__eq__(data(*arguments), member)
    except Exception:
        is_same = False
    if is_same is not True:
        raise pickle.PicklingError(
            f"the enum {cls.__name__} has a __new__ that makes {member.name} another {data.__name__} than its value "
            "does; derive it from Enum alone"
        )


def _make_set_state(set_class_state: Callable[..., Any]) -> Callable[..., None]:
    def set_state(cls: Any, state: Any) -> None:  # within a function, so that it travels itself
        class_state, attributes = state
        set_class_state(cls, class_state)
        for name, values in attributes.items():
            vars(cls.__members__[name]).update(values)

    return set_state


def reduce_record_type(cls: type, reduced: Any) -> Any:
    """Return cloudpickle's reduction of a class that msgspec knows, without what it keeps there, which cannot travel.

    Annotations that are text are read here: elsewhere there may be other things of these names, or none.
    """
    if not isinstance(reduced, tuple):
        return reduced
    make, arguments, (variables, slots), *rest = reduced
    variables = {name: value for name, value in variables.items() if name != CACHE}
    if "__annotations__" in variables:
        variables["__annotations__"] = read_annotations(cls)
    return make, arguments, (variables, slots), *rest


def is_of_typing(obj: Any) -> bool:
    """Return whether it is a NewType, a ParamSpec, a TypeVarTuple or a ``type`` alias: pickle has but their names."""
    cls = type(obj)
    return cls.__name__ in _REDUCTIONS and cls.__module__ in ("typing", "typing_extensions")


def reduce_typing(obj: Any) -> tuple[Any, ...]:
    """Return what rebuilds an object that :func:`is_of_typing`."""
    return _REDUCTIONS[type(obj).__name__](obj)


def _reduce_new_type(obj: Any) -> tuple[Any, ...]:
    return type(obj), (obj.__name__, obj.__supertype__), dict(vars(obj))


def _reduce_parameter(obj: Any) -> tuple[Any, ...]:
    options = {name: value for name in _OF_PARAMETERS if (value := getattr(obj, f"__{name}__", None))}
    if getattr(obj, "has_default", bool)():
        options["default"] = obj.__default__
    new: Callable[..., Any] = type(obj)
    return functools.partial(new, obj.__name__, **options), ()


def _reduce_alias(obj: Any) -> tuple[Any, ...]:
    new: Callable[..., Any] = type(obj)
    return functools.partial(new, obj.__name__, obj.__value__, type_params=obj.__type_params__), ()


_REDUCTIONS: dict[str, Callable[[Any], tuple[Any, ...]]] = {
    "NewType": _reduce_new_type,
    "ParamSpec": _reduce_parameter,
    "TypeVarTuple": _reduce_parameter,
    "TypeAliasType": _reduce_alias,
}
