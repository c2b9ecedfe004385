"""Pickles an object and notes what travels with it: functions by value, and modules that must be there on arrival."""

from __future__ import annotations

import dis
import io
import pickle
import sys
from collections.abc import Iterator
from types import BuiltinFunctionType, CodeType, FunctionType, ModuleType
from typing import Any

import cloudpickle

from clipper_nb.deployers.immovable_objects import describe_immovable


class NotingPickler(cloudpickle.Pickler):  # type: ignore[misc]
    """A pickler that notes what it meets.

    Attributes
    ----------
    modules : set of str
        Modules that whatever is pickled comes from, by their full names.
    imported : set of str
        Those of them that functions import when they are called.
    functions : list of FunctionType
        Functions that travel by value, in the order in which they were met.
    """

    def __init__(self, file: io.BytesIO) -> None:
        super().__init__(file)
        self.modules: set[str] = set()
        self.imported: set[str] = set()
        self.functions: list[FunctionType] = []

    def reducer_override(self, obj: Any) -> Any:
        """Note *obj*, and let cloudpickle go on with it."""
        if isinstance(obj, ModuleType):
            self.modules.add(obj.__name__)
        elif isinstance(obj, FunctionType) and not travels_by_name(obj):
            self.functions.append(obj)
            self.imported.update(imported_modules(obj))
            self.modules |= self.imported
        elif (immovable := describe_immovable(obj)) is not None and not _is_standard_stream(obj):
            # Also what could be pickled: cloudpickle would make a text of a file that is read.
            raise pickle.PicklingError(f"cannot take along {immovable}")
        else:
            owner = obj if isinstance(obj, (type, FunctionType, BuiltinFunctionType)) else type(obj)
            self.modules.add(str(getattr(owner, "__module__", None) or ""))
        return super().reducer_override(obj)


def _is_standard_stream(obj: Any) -> bool:
    """Return whether it is one that cloudpickle takes along by name."""
    return any(obj is stream for stream in (sys.stdout, sys.stderr))


def travels_by_name(func: FunctionType) -> bool:
    """Return whether a function is pickled as the name of an installed module's attribute."""
    module = sys.modules.get(func.__module__ or "")
    if module is None or func.__module__ == "__main__":
        return False
    if func.__module__.partition(".")[0] in {
        name.partition(".")[0] for name in cloudpickle.list_registry_pickle_by_value()
    }:
        return False
    found: Any = module
    for part in func.__qualname__.split("."):
        found = getattr(found, part, None)
    return found is func


def imported_modules(func: FunctionType) -> Iterator[str]:
    """Give the modules that a function's own ``import`` statements name, also those of functions within it."""
    parents = str(func.__globals__.get("__package__") or "").split(".")
    for name, level in _imports(func.__code__):
        above = parents[: len(parents) - level + 1] if level else []
        found = ".".join(filter(None, [*above, name]))
        if found:
            yield found


def _imports(code: CodeType) -> Iterator[tuple[str, int]]:
    """Give the name in each ``import`` statement, and how many dots are before it."""
    before: list[Any] = [0, 0]
    for instruction in dis.get_instructions(code):
        if instruction.opname == "IMPORT_NAME":
            yield str(instruction.argval or ""), int(before[-2] or 0)  # the level, the names, and then this
        before.append(instruction.argval)
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _imports(constant)


def used_names(func: FunctionType) -> Iterator[tuple[str, Any, int]]:
    """Give the variables from outside that a function uses: name, value, and the line that uses it first."""
    lines = dict(_lines_of_names(func.__code__))
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
    """Give names from outside with their lines, last first, so that a dict keeps the first."""
    found: list[tuple[str, int]] = []
    line = code.co_firstlineno
    for instruction in dis.get_instructions(code):
        # From Python 3.13 on starts_line says whether a line begins here, and line_number which one it is.
        number = getattr(instruction, "line_number", instruction.starts_line)
        line = line if number is None else int(number)
        if instruction.opname in ("LOAD_GLOBAL", "LOAD_NAME", "LOAD_DEREF", "LOAD_CLASSDEREF"):
            found.append((str(instruction.argval), line))
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            found += _lines_of_names(constant)
    yield from reversed(found)
