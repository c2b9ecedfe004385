"""The variables from outside that a function and those that travel with it use, and where."""

from __future__ import annotations

import dis
import functools
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from types import BuiltinFunctionType, CodeType, FunctionType, MethodType, ModuleType
from typing import Any

from clipper_nb.closures.pickler import travels_by_name
from clipper_nb.closures.reducers import CachedFunction, is_ufunc
from clipper_nb.closures.source_lines import find_assignment, format_place
from clipper_nb.model_functions.estimator_function import EstimatorFunction

_THE_CALL = "the call itself"


@dataclass(frozen=True)
class Variable:
    """A variable from outside that a function uses.

    Attributes
    ----------
    used_at : str
        Function and line that uses it first.
    made_at : str
        Cell, or file, and line that assigned it; empty when that is not known.
    """

    name: str
    value: Any
    used_at: str
    made_at: str = ""

    @property
    def is_code(self) -> bool:
        """True for a function or class: it may hold what cannot travel, but can travel itself."""
        return isinstance(self.value, (type, *_FUNCTIONS)) or is_ufunc(self.value)


_FUNCTIONS = (FunctionType, BuiltinFunctionType, CachedFunction)


def find_variables(func: Callable[..., Any], functions: Sequence[FunctionType]) -> list[Variable]:
    """Return the variables of a function and of *functions*, those that travel with it; each but modules once."""
    found: dict[tuple[str, int], Variable] = {}
    for name, value in _bound(func).items():
        found[name, id(value)] = Variable(name, value, _THE_CALL)
    for function in functions_used(func, functions):
        for variable in _variables_of(function):
            found.setdefault((variable.name, id(variable.value)), variable)
    return list(found.values())


def functions_used(func: Callable[..., Any], functions: Sequence[FunctionType]) -> Iterator[FunctionType]:
    """Yield a function, *functions*, which travel with it, and those of the user's that they use."""
    return _with_those_used([*([func] if isinstance(func, FunctionType) else []), *functions])


def _with_those_used(functions: list[FunctionType]) -> Iterator[FunctionType]:
    """Yield functions with those that they use, except for what is not the user's code."""
    seen: set[int] = set()
    todo = list(functions)
    while todo:
        function = todo.pop(0)
        if id(function) in seen or _is_made_by_python(function):
            continue
        seen.add(id(function))
        yield function
        used = (value for _, value, _ in used_names(function))
        todo += [value for value in used if isinstance(value, FunctionType) and not travels_by_name(value)]


def _is_made_by_python(function: FunctionType) -> bool:
    """Return whether it is within a function of the standard library, or a method that was generated for a class."""
    module = str(function.__globals__.get("__name__")).partition(".")[0]
    is_generated = function.__code__.co_filename == "<string>" and function.__name__.startswith("__")
    return is_generated or module in sys.stdlib_module_names - {"__main__"}


def _variables_of(function: FunctionType) -> Iterator[Variable]:
    filename = function.__code__.co_filename
    place = f"{function.__name__}, {format_place(filename, function.__code__.co_firstlineno)}"
    for name, value in _defaults(function):
        yield Variable(name, value, place)
    for name, value in vars(function).items():
        if name != "__wrapped__":  # by functools.wraps, a function that is visited separately
            yield Variable(f"{function.__name__}.{name}", value, place)
    for name, value, line in used_names(function):
        if isinstance(value, ModuleType):
            continue
        used_at = f"{function.__name__}, {format_place(filename, line)}"
        yield Variable(name, value, used_at, find_assignment(function, name))


def _bound(func: Callable[..., Any]) -> dict[str, Any]:
    """Return what a callable that is no plain function is bound to: an object, or arguments given in advance."""
    if isinstance(func, functools.partial):
        arguments = {f"argument {position}": value for position, value in enumerate(func.args)}
        return {**_bound(func.func), **arguments, **func.keywords}
    if isinstance(func, MethodType):
        return {"self": func.__self__}
    if isinstance(func, EstimatorFunction):
        return {"estimator": func.estimator}
    return {} if isinstance(func, (type, *_FUNCTIONS)) else {"self": func}


def _defaults(function: FunctionType) -> Iterator[tuple[str, Any]]:
    """Yield the parameters of a function that have default values."""
    code = function.__code__
    values = function.__defaults__ or ()
    names = code.co_varnames[: code.co_argcount]
    yield from zip(names[len(names) - len(values) :], values, strict=True)
    yield from (function.__kwdefaults__ or {}).items()


def used_names(func: FunctionType) -> Iterator[tuple[str, Any, int]]:
    """Yield the variables from outside that a function uses: name, value, and the line that uses it first."""
    lines: dict[str, int] = {}
    for name, line in _lines_of_names(func.__code__):
        lines.setdefault(name, line)
    cells = dict(zip(func.__code__.co_freevars, func.__closure__ or (), strict=False))
    for name, line in lines.items():
        if name in cells:
            try:
                yield name, cells[name].cell_contents, line
            except ValueError:  # not set yet
                continue
        elif name in func.__globals__:
            yield name, func.__globals__[name], line


def _lines_of_names(code: CodeType) -> Iterator[tuple[str, int]]:
    """Yield each use of a name from outside, with its line."""
    line = code.co_firstlineno
    for instruction in dis.get_instructions(code):
        # From Python 3.13 on starts_line says whether a line begins here, and line_number which one it is.
        number = getattr(instruction, "line_number", instruction.starts_line)
        line = line if number is None else int(number)
        if instruction.opname in ("LOAD_GLOBAL", "LOAD_NAME", "LOAD_DEREF", "LOAD_CLASSDEREF"):
            yield str(instruction.argval), line
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _lines_of_names(constant)
