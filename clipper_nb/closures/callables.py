"""Refuses what cannot be called with a list of inputs, or returns no outputs: at the deploy, not at each query."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Sequence
from types import MethodWrapperType
from typing import Any

from clipper_nb.closures.reducers import CachedFunction, is_ufunc
from clipper_nb.errors import InvalidRequestError

INPUTS = ("inputs",)
"""What a function of Python is called with."""
MODEL_INPUTS = ("model", "inputs")
"""What a function of a framework's model is called with."""
SPARK_INPUTS = ("spark", "model", "inputs")
"""What a function of Spark is called with."""


class _AnyDefault:
    def __repr__(self) -> str:
        return "..."


_ANY_DEFAULT = _AnyDefault()


def check_function(func: Any, called_with: Sequence[str] = INPUTS) -> None:
    """Return if *func* can be called with the arguments *called_with*, and may return one output per input.

    A callable that does not say what it takes, as some compiled ones, passes.

    Raises
    ------
    InvalidRequestError
        It is no function, a class, takes other arguments, or yields its outputs asynchronously.
    """
    call = f"func({', '.join(called_with)})"
    refusal = _refuse_kind(func, call) or _refuse_parameters(func, len(called_with), call)
    if refusal:
        raise InvalidRequestError(refusal)


def _refuse_kind(func: Any, call: str) -> str:
    """Return why it is not called at all: it is a class, no function, or a function of a kind that cannot answer."""
    if inspect.isclass(func):
        return (
            f"func must be a function that is called as {call}, not the class '{func.__name__}'. Pass a method of an "
            f"object, such as {func.__name__}(...).predict, or an object whose class defines __call__."
        )
    if not callable(func):
        return f"func must be a function that takes a list of inputs, called as {call}, not {type(func).__name__}."
    if isinstance(func, CachedFunction):
        return (
            f"Function '{_name_of(func)}' has a cache, and a list of inputs cannot be the key of one. Put the cache on "
            "a function that takes one input, and call that for each."
        )
    called = without_partial(func)
    if inspect.isasyncgenfunction(called if inspect.isroutine(called) else type(called).__call__):
        return (
            f"Function '{_name_of(func)}' is an async generator. Return a list with one output per input, in place of "
            "yield; 'async def' and 'await' may stay."
        )
    return ""


def _refuse_parameters(func: Any, num_arguments: int, call: str) -> str:
    """Return why it cannot be called with so many arguments, if it says what it takes."""
    takes = _other_parameters(func, num_arguments)
    return f"Function '{_name_of(func)}' takes {takes}; it is called as {call}. {_advice(func, takes)}" if takes else ""


def _name_of(func: Any) -> str:
    called = without_partial(func)
    return str(getattr(called, "__name__", type(called).__name__))


def without_partial(func: Any) -> Any:
    """Return what is called in the end, without arguments that are set before."""
    while isinstance(func, functools.partial):
        func = func.func
    return func


def _other_parameters(func: Any, num_arguments: int) -> str | None:
    """Return the parameters of *func* if it cannot be called with so many arguments."""
    if is_ufunc(func):
        return None if func.nin == num_arguments else f"{func.nin} arrays"
    signature = signature_of(func)
    if signature is None:
        return None
    try:
        signature.bind(*range(num_arguments))
    except TypeError:
        return _format_parameters(signature)
    return None


def signature_of(func: Callable[..., Any]) -> inspect.Signature | None:
    """Return what is called: the wrapper's own signature where ``functools.wraps`` hides it, if it has one."""
    if isinstance(func, MethodWrapperType):  # a generator's __next__: pickle knows the better reason
        return None
    for follows in (False, True):
        try:
            return inspect.signature(func, follow_wrapped=follows)
        except Exception:  # compiled, or an object with a __signature__ of its own making
            continue
    return None


def _format_parameters(signature: inspect.Signature) -> str:
    """Return the parameters without the values of defaults, which may be large, or secret."""
    empty = inspect.Parameter.empty
    shown = [
        parameter.replace(annotation=empty, default=empty if parameter.default is empty else _ANY_DEFAULT)
        for parameter in signature.parameters.values()
    ]
    return str(inspect.Signature(shown)) if shown else "no arguments"


def _advice(func: Callable[..., Any], takes: str) -> str:
    *owner, name = str(getattr(func, "__qualname__", "")).split(".")
    if takes.startswith("(self") and owner:
        return f"Pass the method of an object: {owner[-1]}(...).{name}."
    if takes == "no arguments":
        return "Give it a parameter for the inputs."
    return "Set its other arguments before, by functools.partial or default values."
