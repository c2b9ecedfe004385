"""The environment variables that code reads: ``os.environ["X"]``, ``os.getenv("X")``, ``"X" in os.environ`` etc.

Names are found in the byte code, as constants or as variables that hold a text; names that are computed are not.
"""

from __future__ import annotations

import dis
import os
from collections.abc import Iterable, Iterator, Mapping
from enum import Enum
from types import CodeType, FunctionType, ModuleType
from typing import Any

from clipper_nb.closures.variables import used_names


class _Thing(Enum):
    OS = "os"
    ENVIRON = "os.environ"
    READER = "os.getenv"
    """Or a method of ``os.environ`` whose first argument is a name."""


_ATTRIBUTES = {
    (_Thing.OS, "environ"): _Thing.ENVIRON,
    (_Thing.OS, "getenv"): _Thing.READER,
    (_Thing.ENVIRON, "get"): _Thing.READER,
    (_Thing.ENVIRON, "pop"): _Thing.READER,
    (_Thing.ENVIRON, "setdefault"): _Thing.READER,
    (_Thing.ENVIRON, "__getitem__"): _Thing.READER,
}
_IGNORED = frozenset({"CACHE", "EXTENDED_ARG", "NOP", "PRECALL", "PUSH_NULL", "RESUME", "NOT_TAKEN"})
_NAMES = ("LOAD_GLOBAL", "LOAD_NAME", "LOAD_DEREF", "LOAD_CLASSDEREF", "LOAD_FAST", "LOAD_FAST_CHECK",
          "LOAD_FAST_BORROW", "LOAD_FROM_DICT_OR_GLOBALS", "LOAD_FROM_DICT_OR_DEREF")  # fmt: skip
_ATTRIBUTE_LOADS = ("LOAD_ATTR", "LOAD_METHOD")
_CHANGES = ("STORE_SUBSCR", "DELETE_SUBSCR")


def find_environment_reads(functions: Iterable[FunctionType], sources: Iterable[str]) -> list[str]:
    """Return the names that *functions* read, and the modules whose source texts are given; in order."""
    found: set[str] = set()
    for function in functions:
        values = {name: _value_of(value) for name, value, _ in used_names(function)}
        found.update(_reads(function.__code__, values))
    for source in sources:
        try:
            code = compile(source, "<module>", "exec", dont_inherit=True)
        except (SyntaxError, ValueError):
            continue  # importing it raises the error
        found.update(_reads(code, {}))
    return sorted(found)


def _value_of(value: Any) -> Any:
    if isinstance(value, ModuleType):
        return _Thing.OS if value is os else None
    if value is os.environ:
        return _Thing.ENVIRON
    if value is os.getenv:
        return _Thing.READER
    return str(value) if type(value) is str else None


def _reads(code: CodeType, values: Mapping[str, Any]) -> Iterator[str]:
    """Yield what *code* and the functions within it read; *values* has what is known of their variables."""
    known = {**values, **_imported(code)}
    for each in _with_nested(code):
        yield from _reads_of_one(each, known)


def _reads_of_one(code: CodeType, known: Mapping[str, Any]) -> Iterator[str]:
    instructions = [each for each in dis.get_instructions(code) if each.opname not in _IGNORED]
    opnames = [each.opname for each in instructions[1:]] + [""]
    below: Any = None  # what is on the stack, as far as it matters
    top: Any = None
    for instruction, following in zip(instructions, opnames, strict=True):
        value = _loaded(instruction, top, known)
        if isinstance(value, str) and (top is _Thing.READER or (top is _Thing.ENVIRON and following not in _CHANGES)):
            yield value
        if instruction.opname not in _ATTRIBUTE_LOADS:
            below = top
        if isinstance(below, str) and value is _Thing.ENVIRON and following == "CONTAINS_OP":
            yield below
        top = value


def _loaded(instruction: dis.Instruction, top: Any, known: Mapping[str, Any]) -> Any:
    """Return what an instruction puts on the stack, if it is something that is looked for."""
    name = instruction.argval
    if instruction.opname in _ATTRIBUTE_LOADS:
        return _ATTRIBUTES.get((top, name)) if isinstance(top, _Thing) else None
    if instruction.opname == "LOAD_CONST":
        return name if type(name) is str else None
    return known.get(name) if instruction.opname in _NAMES else None


def _imported(code: CodeType) -> dict[str, Any]:
    """Return the variables into which *code*, or a function within it, imports ``os`` or a part of it."""
    found: dict[str, Any] = {}
    for each in _with_nested(code):
        value: Any = None
        for instruction in dis.get_instructions(each):
            name = instruction.argval
            if instruction.opname == "IMPORT_NAME":
                value = _Thing.OS if name == "os" else None
            elif instruction.opname == "IMPORT_FROM":
                value = _ATTRIBUTES.get((_Thing.OS, name)) if value is not None else None
            elif instruction.opname.startswith("STORE_") and value is not None and type(name) is str:
                found[name] = value
                value = _Thing.OS  # the module is still there for the next name of "from os import"
            elif instruction.opname == "POP_TOP":
                value = None
    return found


def _with_nested(code: CodeType) -> Iterator[CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _with_nested(constant)
