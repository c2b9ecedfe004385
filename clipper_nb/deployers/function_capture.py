"""Serialises an R function with what it uses, as ``capture.R`` finds it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from clipper_nb.deployers.r_session import r_source, start_r, undisturbed_r
from clipper_nb.errors import InvalidRequestError, SerializationError


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


def find_function(func: Any) -> Any:
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
            f"func must be an R function, held through rpy2, or the name of one in R's global environment; "
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
    with undisturbed_r():
        try:
            capture = rinterface.evalr(r_source("capture.R"))
            found = capture(fn, rinterface.StrSexpVector(list(packages)))
        except rinterface.embedded.RRuntimeError as exc:
            raise SerializationError(f"The R function cannot be read or serialised: {str(exc).strip()}") from exc
        parts = dict(zip(found.names, found, strict=True))
        texts = {name: list(part) for name, part in parts.items() if isinstance(part, rinterface.StrSexpVector)}
        return captured_from_parts(texts, bytes(parts["serialized"]) if not texts["refused"] else b"")


def captured_from_parts(texts: Mapping[str, Sequence[str]], serialized: bytes) -> CapturedFunction:
    """Return what ``capture.R`` has found: *texts* are its character vectors.

    Raises
    ------
    InvalidRequestError
        A package that the function needs is not installed.
    SerializationError
        The function uses what cannot leave R's process.
    """
    if texts["refused"]:
        raise SerializationError(
            f"The R function cannot leave this process with what it uses: {', '.join(texts['refused'])}. "
            "Create connections and pointers inside the function."
        )
    if texts["missing"]:
        raise InvalidRequestError(
            f"The R function needs packages that are not installed here: {', '.join(texts['missing'])}."
        )
    return CapturedFunction(
        serialized=serialized,
        r_version=texts["r_version"][0],
        packages=dict(zip(texts["packages"], texts["versions"], strict=True)),
        attached=list(texts["attached"]),
        library_paths=list(texts["library_paths"]),
    )
