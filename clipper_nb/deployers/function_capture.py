"""Serialises an R function with what it uses, as ``capture.R`` finds it."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from clipper_nb.closures.report import Captured, ClosureReport
from clipper_nb.closures.requirements import Requirements
from clipper_nb.deployers.r_session import r_source, start_r, undisturbed_r
from clipper_nb.errors import InvalidRequestError, SerializationError
from clipper_nb.protocol.environment_variables import NO_VARIABLES, EnvironmentVariables

_REQUIRED_ARGUMENTS = """
function(f) {
  arguments <- formals(f)[names(formals(f)) != "..."]
  as.character(names(Filter(function(default) identical(default, quote(expr = )), arguments)))
}
"""


@dataclass(frozen=True)
class CapturedFunction:
    """An R function that may leave the notebook."""

    serialized: bytes
    r_version: str
    packages: dict[str, str]
    """Name and version of each R package that it needs."""
    attached: list[str]
    """The packages to attach, in this order."""
    library_paths: list[str]
    """The folders in which the notebook's R finds packages."""
    variables: tuple[Captured, ...] = ()
    """The largest variables that travel, those in environments of models too."""
    environment_variables: EnvironmentVariables = NO_VARIABLES
    """Those that it reads, with their values in the notebook's R."""
    serialized_setup: bytes | None = None
    """A function to call once before this one is loaded."""

    def with_setup(self, setup: CapturedFunction) -> CapturedFunction:
        """Return it together with *setup*, and with what that needs."""
        return replace(
            self,
            serialized_setup=setup.serialized,
            packages={**self.packages, **setup.packages},
            variables=tuple(sorted({*self.variables, *setup.variables}, key=lambda found: -found.size_bytes)),
            environment_variables=EnvironmentVariables(
                {**self.environment_variables.values, **setup.environment_variables.values}
            ),
        )

    def report(self, name: str) -> ClosureReport:
        """Return what the function of that name takes along and needs."""
        needs = Requirements(direct=self.packages)
        size_bytes = len(self.serialized) + len(self.serialized_setup or b"")
        names = self.environment_variables.names
        return ClosureReport(name, size_bytes, captured=self.variables, requirements=needs, environment_variables=names)


def find_setup(setup: Any) -> Any:
    """Return *setup* as the function; raises as :func:`find_function`, and if it cannot be called without arguments."""
    found = find_function(setup, "setup")
    rinterface = start_r()
    with undisturbed_r():
        required = list(rinterface.evalr(_REQUIRED_ARGUMENTS, envir=rinterface.baseenv)(found))
    if required:
        raise InvalidRequestError(
            f"setup is called without arguments; the R function takes {', '.join(map(str, required))}."
        )
    return found


def find_function(func: Any, argument: str = "func") -> Any:
    """Return *func*, an R function or the name of a global one, as the function.

    Raises
    ------
    DeploymentError
        There is no rpy2 or no R here.
    InvalidRequestError
        It is neither.
    """
    rinterface = start_r()
    with undisturbed_r():
        if isinstance(func, str) and func in rinterface.globalenv:
            func = rinterface.globalenv.find(func)
    if not isinstance(func, rinterface.SexpClosure):
        raise InvalidRequestError(
            f"{argument} must be an R function, held through rpy2, or the name of one in R's global environment; "
            f"{func!r} is neither."
        )
    return func


def capture_function(func: Any, packages: Sequence[str] = ()) -> CapturedFunction:
    """Return *func*, an R function or the name of a global one, with all that it uses.

    Raises
    ------
    DeploymentError
        There is no rpy2 or no R here.
    InvalidRequestError
        *func* is no R function, or a package that it needs is not installed here.
    SerializationError
        Something that it uses cannot leave this process.
    """
    fn = find_function(func)
    rinterface = start_r()
    with undisturbed_r(), tempfile.TemporaryDirectory(prefix="clipper_nb-") as folder:
        path = Path(folder) / "captured"
        try:
            capture = rinterface.evalr(r_source("capture.R"), envir=rinterface.baseenv)
            found = capture(fn, rinterface.StrSexpVector(list(packages)), rinterface.StrSexpVector([str(path)]))
        except rinterface.embedded.RRuntimeError as exc:
            raise SerializationError(f"The R function cannot be read or serialised: {str(exc).strip()}") from exc
        return captured_from_parts({name: list(part) for name, part in zip(found.names, found, strict=True)}, path)


def captured_from_parts(parts: Mapping[str, Sequence[Any]], path: Path) -> CapturedFunction:
    """Return what ``capture.R`` has found: *parts* are its vectors, and *path* is the file that it has written.

    Raises
    ------
    InvalidRequestError
        A package that the function needs is not installed.
    SerializationError
        The function uses what cannot leave R's process.
    """
    if parts["refused"]:
        raise SerializationError(
            f"The R function cannot leave this process with what it uses: {', '.join(parts['refused'])}. "
            "Create connections and pointers inside the function."
        )
    if parts["missing"]:
        raise InvalidRequestError(
            f"The R function needs packages that are not installed here: {', '.join(parts['missing'])}."
        )
    users = zip(
        parts["variables"], parts["variable_types"], parts["variable_bytes"], parts["variable_users"], strict=True
    )
    return CapturedFunction(
        serialized=path.read_bytes(),
        r_version=parts["r_version"][0],
        packages=dict(zip(parts["packages"], parts["versions"], strict=True)),
        attached=list(parts["attached"]),
        library_paths=list(parts["library_paths"]),
        variables=tuple(Captured(name, kind, int(size_bytes), used_at) for name, kind, size_bytes, used_at in users),
        environment_variables=EnvironmentVariables(
            dict(zip(parts["environment_names"], parts["environment_values"], strict=True))
        ),
    )
