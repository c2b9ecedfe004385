"""What a function takes along, what it needs where it goes, and what cannot go with it."""

from __future__ import annotations

import functools
import io
import pickle
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from html import escape
from types import BuiltinFunctionType, FunctionType, MethodType, ModuleType
from typing import Any

from clipper_nb.deployers.closure_walk import NotingPickler, travels_by_name, used_names
from clipper_nb.deployers.immovable_objects import describe_immovable
from clipper_nb.deployers.imported_files import NO_FILES, ImportedFiles, find_imported_files
from clipper_nb.deployers.places import find_assignment, format_place
from clipper_nb.deployers.requirements import NO_REQUIREMENTS, Requirements, find_requirements
from clipper_nb.deployers.user_modules import is_user_module, user_modules_by_value
from clipper_nb.errors import InvalidRequestError

__all__ = ["Captured", "ClosureReport", "Refused", "closure_report"]

_MAX_DEPTH = 3


@dataclass(frozen=True)
class Captured:
    """A variable that travels with the function.

    Attributes
    ----------
    size_bytes : int
        Pickled alone; variables that share something are each counted with it.
    used_at : str
        Function and line that uses it first.
    made_at : str
        Cell, or file, and line that assigned it; empty when that is not known.
    """

    name: str
    type: str
    size_bytes: int
    used_at: str
    made_at: str = ""


@dataclass(frozen=True)
class Refused:
    """A variable, or a part of it such as ``config['lock']``, that cannot leave this process, and why."""

    name: str
    type: str
    used_at: str
    cause: str
    made_at: str = ""


@dataclass(frozen=True)
class ClosureReport:
    """What a deploy of a function amounts to; show it by making it the last line of a cell.

    Attributes
    ----------
    function : str
    size_bytes : int
        Of the function with all that it takes along, pickled; 0 when it cannot be.
    captured : list of Captured
        Variables from outside that it, or a function that it uses, reads; largest first.
    user_modules : list of str
        Modules of the user's own, which travel too.
    requirements : Requirements
        Installed distributions that it needs.
    refused : list of Refused
        What cannot travel; a deploy raises ``SerializationError`` then.
    cause : str
        Why it cannot be pickled; empty when it can.
    files : ImportedFiles
        Those of the user's own modules that are not in the pickle, since they are imported when the function is called.
    """

    function: str
    size_bytes: int
    captured: Sequence[Captured] = ()
    user_modules: Sequence[str] = ()
    requirements: Requirements = NO_REQUIREMENTS
    refused: Sequence[Refused] = ()
    cause: str = ""
    files: ImportedFiles = NO_FILES

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain values, which are JSON."""
        plain = asdict(replace(self, files=NO_FILES))
        del plain["files"]
        plain["requirements"]["pinned"] = list(self.requirements.pinned)
        return {**plain, "captured": list(plain["captured"]), "refused": list(plain["refused"])}

    def __repr__(self) -> str:
        """Return one line."""
        needs = ", ".join(f"{name} {version}" for name, version in self.requirements.direct.items())
        parts = [f"{format_size(self.size_bytes)}" if self.size_bytes else "cannot travel"]
        parts.append(f"takes along {', '.join(found.name for found in self.captured) or 'nothing'}")
        parts.append(f"needs {needs or 'nothing'}")
        if self.refused:
            parts.append(f"refused: {', '.join(found.name for found in self.refused)}")
        return f"<ClosureReport of {self.function}: {'; '.join(parts)}>"

    def _repr_html_(self) -> str:
        requirements = self.requirements
        rows = [("✖ cannot travel", f"{r.name} ({r.type})", f"{r.cause}, {format_places(r)}") for r in self.refused]
        rows += [
            ("takes along", f"{c.name} ({c.type})", f"{format_size(c.size_bytes)}, {format_places(c)}")
            for c in self.captured
        ]
        rows += [("takes along", module, "module of your own") for module in self.user_modules]
        rows += [
            ("needs", name, requirements.unpinnable.get(name, version)) for name, version in requirements.direct.items()
        ]
        lines = "".join(
            "<tr>" + "".join(f'<td align="left">{escape(cell)}</td>' for cell in row) + "</tr>" for row in rows
        )
        size = format_size(self.size_bytes) if self.size_bytes else "cannot travel"
        return (
            f"<details{' open' if self.refused else ''}><summary>What <code>{escape(self.function)}</code> takes "
            f'along: {escape(size)}</summary><table cellpadding="4"><tbody>{lines}</tbody></table></details>'
        )


def closure_report(func: Callable[..., Any]) -> ClosureReport:
    """Return what a deploy of *func* would take along and need, without deploying it.

    Raises
    ------
    InvalidRequestError
        It is not callable.

    Examples
    --------
    >>> closure_report(lambda inputs: [scale * x.sum() for x in inputs])
    <ClosureReport of <lambda>: 1 kB; takes along scale; needs nothing>
    """
    return pickle_with_report(func)[1]


def pickle_with_report(func: Callable[..., Any]) -> tuple[bytes, ClosureReport]:
    """Return the function pickled, empty when it cannot be, and what was found on the way."""
    if not callable(func):
        raise InvalidRequestError(f"func must be a function that takes a list of inputs, not {type(func).__name__}.")
    name = str(getattr(func, "__name__", type(func).__name__))
    with user_modules_by_value():
        file = io.BytesIO()
        pickler = NotingPickler(file)
        cause = ""
        try:
            pickler.dump(func)
        except Exception as exc:  # whatever the objects' own __reduce__ raise
            cause = _words(exc)
        captured, refused = _weigh(_variables(pickler.functions, func))
    files = find_imported_files(pickler.imported)
    modules = pickler.modules | files.modules
    modules = {module for module in modules if module and module.partition(".")[0] != "cloudpickle"}
    own = sorted({*files.places, *(module for module in modules if is_user_module(module, sys.modules.get(module)))})
    pickled = b"" if cause else file.getvalue()
    return pickled, ClosureReport(
        function=name,
        size_bytes=len(pickled) + files.size_bytes() if pickled else 0,
        captured=captured,
        user_modules=own,
        requirements=find_requirements(modules - set(own) - {module for module in modules if _is_below(module, own)}),
        refused=refused,
        cause=cause,
        files=files,
    )


def format_size(size_bytes: int) -> str:
    """Return a size: ``"812 bytes"``, ``"12 kB"``, ``"3.4 MB"``."""
    if size_bytes < 1000:
        return f"{size_bytes} bytes"
    if size_bytes < 999_500:
        return f"{size_bytes / 1e3:.0f} kB"
    return f"{size_bytes / 1e6:,.1f} MB"


def format_places(found: Captured | Refused) -> str:
    """Return where a variable was made, if that is known, and where it is used."""
    return f"made in {found.made_at}, used in {found.used_at}" if found.made_at else f"used in {found.used_at}"


def show_in_cell(report: ClosureReport) -> None:
    """Show the report in the running cell of a notebook; elsewhere nothing is shown."""
    get_ipython = getattr(sys.modules.get("IPython"), "get_ipython", None)
    if get_ipython is not None and getattr(get_ipython(), "kernel", None) is not None:
        from IPython.display import display

        display(report)  # type: ignore[no-untyped-call]


def _variables(functions: Sequence[FunctionType], func: Callable[..., Any]) -> dict[str, tuple[Any, str, str]]:
    """Return value, place of use and place of assignment of all but modules, classes and other functions."""
    found = {name: (value, "the call itself", "") for name, value in _bound(func).items()}
    todo = [*([func] if isinstance(func, FunctionType) else []), *functions]
    seen: set[int] = set()
    while todo:
        function = todo.pop(0)
        if id(function) in seen:
            continue
        seen.add(id(function))
        for name, value in _defaults(function):
            place = format_place(function.__code__.co_filename, function.__code__.co_firstlineno)
            found.setdefault(name, (value, f"{function.__name__}, {place}", ""))
        for name, value, line in used_names(function):
            if isinstance(value, FunctionType):
                todo += [] if travels_by_name(value) else [value]
            elif not isinstance(value, (ModuleType, type, BuiltinFunctionType)):
                used_at = f"{function.__name__}, {format_place(function.__code__.co_filename, line)}"
                found.setdefault(name, (value, used_at, find_assignment(function, name)))
    return found


def _bound(func: Callable[..., Any]) -> dict[str, Any]:
    """Return what a callable that is no plain function has tied to it: an object, or arguments given in advance."""
    if isinstance(func, functools.partial):
        arguments = {f"argument {position}": value for position, value in enumerate(func.args)}
        return {**_bound(func.func), **arguments, **func.keywords}
    if isinstance(func, MethodType):
        return {"self": func.__self__}
    return {} if isinstance(func, (FunctionType, BuiltinFunctionType, type)) else {"self": func}


def _defaults(function: FunctionType) -> Iterator[tuple[str, Any]]:
    """Give the parameters of a function that have values."""
    code = function.__code__
    values = function.__defaults__ or ()
    names = code.co_varnames[: code.co_argcount]
    yield from zip(names[len(names) - len(values) :], values, strict=True)
    yield from (function.__kwdefaults__ or {}).items()


def _weigh(variables: dict[str, tuple[Any, str, str]]) -> tuple[list[Captured], list[Refused]]:
    captured, refused = [], []
    for name, (value, used_at, made_at) in variables.items():
        try:
            captured.append(Captured(name, type(value).__name__, _pickled_size_bytes(value), used_at, made_at))
        except Exception as exc:  # whatever the object's own __reduce__ raises
            part, culprit = _culprit(name, value, _MAX_DEPTH)
            refused.append(Refused(part, type(culprit).__name__, used_at, _words(exc), made_at))
    return sorted(captured, key=lambda found: -found.size_bytes), refused


def _pickled_size_bytes(value: Any) -> int:
    file = io.BytesIO()
    NotingPickler(file).dump(value)
    return file.tell()


def _culprit(name: str, value: Any, depth: int) -> tuple[str, Any]:
    """Return name and value of the part of a variable that cannot be pickled, the variable itself where none is."""
    for label, part in _parts(value) if depth else ():
        try:
            _pickled_size_bytes(part)
        except Exception:  # whatever the object's own __reduce__ raises
            return _culprit(f"{name}{label}", part, depth - 1)
    return name, value


def _parts(value: Any) -> Iterator[tuple[str, Any]]:
    """Give attributes and items with what is written after the variable's name to have them."""
    if isinstance(value, dict):
        yield from ((f"[{key!r}]", item) for key, item in value.items())
    elif isinstance(value, (list, tuple)):
        yield from ((f"[{position}]", item) for position, item in enumerate(value))
    elif not isinstance(value, (type, ModuleType, FunctionType)) and describe_immovable(value) is None:
        yield from ((f".{name}", part) for name, part in getattr(value, "__dict__", {}).items())


def _words(exc: Exception) -> str:
    return str(exc) if isinstance(exc, pickle.PicklingError) else f"{type(exc).__name__}: {exc}"


def _is_below(module: str, packages: Sequence[str]) -> bool:
    return any(module.startswith(f"{package}.") for package in packages)
