"""What a function takes along, what it needs where it goes, and what cannot go with it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from html import escape
from typing import Any

from clipper_nb.closures.environment_reads import find_environment_reads
from clipper_nb.closures.estimators import as_function
from clipper_nb.closures.imported_files import NO_FILES, ImportedFiles, find_imported_files
from clipper_nb.closures.parts import Part, find_parts
from clipper_nb.closures.pickler import measure_noting, pickle_noting
from clipper_nb.closures.requirements import NO_REQUIREMENTS, Requirements, find_requirements
from clipper_nb.closures.user_modules import is_user_module, user_modules_by_value
from clipper_nb.closures.variables import Variable, find_variables, functions_used
from clipper_nb.display.html import LEFT, table
from clipper_nb.errors import InvalidRequestError
from clipper_nb.model_functions.json_function import JsonFunction

__all__ = ["Captured", "ClosureReport", "Refused", "closure_report"]

_SAME_NUMBERS = "each replica draws the same numbers from it; create it in the function for other numbers"


@dataclass(frozen=True)
class Captured:
    """A variable that travels with the function.

    Attributes
    ----------
    size_bytes : int
        Size when pickled alone; what several variables share is counted in each.
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
    """What a deploy of a function takes along and needs; a cell shows it when it is the last line.

    Attributes
    ----------
    function : str
    size_bytes : int
        Size of the function pickled with all that it takes along; 0 when it cannot be pickled.
    captured : list of Captured
        Variables from outside that it, or a function that it uses, reads; largest first.
    user_modules : list of str
        The user's own modules, which travel too.
    requirements : Requirements
        Installed distributions that it needs.
    refused : list of Refused
        What cannot travel; a deploy raises ``SerializationError`` then.
    cause : str
        Why it cannot be pickled; empty when it can.
    files : ImportedFiles
        Files of the user's own modules that are not in the pickle, since the function imports them when it is called.
    environment_variables : list of str
        Names of the environment variables that it reads; their values travel beside it, and are in no image or report.
    imports : list of str
        Installed modules that unpickling it imports.
    generators : list of str
        Generators of random numbers that travel with their state, so each replica draws the same numbers from them.
    """

    function: str
    size_bytes: int
    captured: Sequence[Captured] = ()
    user_modules: Sequence[str] = ()
    requirements: Requirements = NO_REQUIREMENTS
    refused: Sequence[Refused] = ()
    cause: str = ""
    files: ImportedFiles = NO_FILES
    environment_variables: Sequence[str] = ()
    imports: Sequence[str] = ()
    generators: Sequence[str] = ()

    def __or__(self, other: ClosureReport) -> ClosureReport:
        """Return the report of a function that travels together with another one, under its own name."""
        return replace(
            self,
            size_bytes=self.size_bytes + other.size_bytes,
            captured=sorted([*self.captured, *other.captured], key=lambda found: -found.size_bytes),
            user_modules=sorted({*self.user_modules, *other.user_modules}),
            requirements=self.requirements | other.requirements,
            files=self.files | other.files,
            environment_variables=sorted({*self.environment_variables, *other.environment_variables}),
            imports=sorted({*self.imports, *other.imports}),
            generators=sorted({*self.generators, *other.generators}),
        )

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain values that JSON can hold."""
        plain = asdict(replace(self, files=NO_FILES))
        del plain["files"], plain["imports"], plain["generators"], plain["requirements"]["pickled"]
        plain["requirements"]["pinned"] = list(self.requirements.pinned)
        return {**plain, "captured": list(plain["captured"]), "refused": list(plain["refused"])}

    def __repr__(self) -> str:
        """Return one line."""
        needs = ", ".join(f"{name} {version}" for name, version in self.requirements.direct.items())
        parts = [f"{format_size(self.size_bytes)}" if self.size_bytes else "cannot travel"]
        parts.append(f"takes along {', '.join(found.name for found in self.captured) or 'nothing'}")
        parts.append(f"needs {needs or 'nothing'}")
        if self.environment_variables:
            parts.append(f"reads {', '.join(self.environment_variables)}")
        if self.generators:
            parts.append(f"each replica draws the same numbers from {', '.join(self.generators)}")
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
        rows += [("reads", name, "environment variable") for name in self.environment_variables]
        rows += [("takes along the state of", name, _SAME_NUMBERS) for name in self.generators]
        rows += [
            ("needs", name, requirements.unpinnable.get(name, version)) for name, version in requirements.direct.items()
        ]
        size = format_size(self.size_bytes) if self.size_bytes else "cannot travel"
        found = table(rows, columns=(LEFT, LEFT, LEFT), attributes='cellpadding="4"')
        return (
            f"<details{' open' if self.refused else ''}><summary>What <code>{escape(self.function)}</code> takes "
            f"along: {escape(size)}</summary>{found}</details>"
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
    return pickle_with_report(as_function(func))[1]


def pickle_with_report(func: Callable[..., Any]) -> tuple[bytes, ClosureReport]:
    """Return the pickle of the function, empty when it has none, and the report."""
    if not callable(func):
        raise InvalidRequestError(f"func must be a function that takes a list of inputs, not {type(func).__name__}.")
    name = str(getattr(func, "__name__", type(func).__name__))
    own = func.func if isinstance(func, JsonFunction) else func
    with user_modules_by_value():
        pickled, pickler = pickle_noting(func)
        variables = find_variables(own, pickler.functions)
        captured, refused, generators = _weigh([found for found in variables if pickler.refused or not found.is_code])
    files = find_imported_files(pickler.imported)
    modules = pickler.modules | files.modules
    modules = {module for module in modules if module and module.partition(".")[0] != "cloudpickle"}
    users_modules = sorted(
        {*files.places, *(module for module in modules if is_user_module(module, sys.modules.get(module)))}
    )
    installed = {module for module in modules if module not in users_modules and not _is_below(module, users_modules)}
    return pickled, ClosureReport(
        function=name,
        size_bytes=len(pickled) + files.size_bytes() if pickled else 0,
        captured=captured,
        user_modules=users_modules,
        requirements=find_requirements(installed, pickler.of_objects & installed),
        refused=refused,
        cause="; ".join(dict.fromkeys(cause for _, cause in pickler.refused)),
        files=files,
        environment_variables=find_environment_reads(functions_used(own, pickler.functions), files.sources()),
        imports=sorted(filter(_is_importable, installed - pickler.imported)),
        generators=generators,
    )


def format_size(size_bytes: int) -> str:
    """Return a size: ``"812 bytes"``, ``"12 kB"``, ``"3.4 MB"``."""
    if size_bytes < 1000:
        return f"{size_bytes} bytes"
    if size_bytes < 999_500:
        return f"{size_bytes / 1e3:.0f} kB"
    return f"{size_bytes / 1e6:,.1f} MB"


def format_places(found: Captured | Refused) -> str:
    """Return where a variable was assigned, if that is known, and where it is used."""
    return f"made in {found.made_at}, used in {found.used_at}" if found.made_at else f"used in {found.used_at}"


def _weigh(variables: Sequence[Variable]) -> tuple[list[Captured], list[Refused], list[str]]:
    """Return what can travel, largest first, all parts of the rest that cannot, and the user's random generators."""
    captured: list[Captured] = []
    generators: list[str] = []
    refused: dict[tuple[str, int], Refused] = {}
    for variable in variables:
        size_bytes, pickler = measure_noting(variable.value)
        for part, cause in _culprits(variable, pickler.refused):
            name = f"{variable.name}{part.path}"
            found = Refused(name, type(part.value).__name__, variable.used_at, cause, variable.made_at)
            refused.setdefault((name, id(part.value)), found)
        if not variable.is_code and not pickler.refused:
            names = variable.name, type(variable.value).__name__
            captured.append(Captured(*names, size_bytes, variable.used_at, variable.made_at))
            parts = find_parts(variable.value, {*map(id, pickler.generators)})
            generators += [f"{variable.name}{part.path}" for part in parts if not part.owner]
    return sorted(captured, key=lambda found: -found.size_bytes), list(refused.values()), generators


def _culprits(variable: Variable, refused: Sequence[tuple[Any, str]]) -> Iterator[tuple[Part, str]]:
    """Yield the parts of a variable that cannot travel, with causes; itself when only pickling shows that.

    For a private part of a library's object, yield the object: the user does not know what is inside.
    """
    causes = {id(culprit): cause for culprit, cause in refused}
    found = False
    for part in find_parts(variable.value, set(causes)):
        found = True
        cause = causes[id(part.value)]
        if part.owner:
            why, _, _ = cause.partition("; ")
            cause = f"it holds {variable.name}{part.path} ({why}); create it inside the function"
        yield part.owner or part, cause
    if refused and not found and not variable.is_code:
        yield Part("", variable.value), refused[0][1]


def _is_importable(module: str) -> bool:
    """Return whether a module was imported by that name; classes may say that they are of another one."""
    spec = getattr(sys.modules.get(module), "__spec__", None)
    return spec is not None and spec.name == module


def _is_below(module: str, packages: Sequence[str]) -> bool:
    return any(module.startswith(f"{package}.") for package in packages)
