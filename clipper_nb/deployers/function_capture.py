"""Serialises an R function with what it uses, as ``capture.R`` finds it."""

from __future__ import annotations

import contextlib
import importlib.resources
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from clipper_nb.errors import DeploymentError, InvalidRequestError, SerializationError


@dataclass(frozen=True)
class CapturedFunction:
    """An R function that may leave the notebook."""

    serialized: bytes
    r_version: str
    packages: dict[str, str]
    """Name and version of each R package that it needs."""
    attached: list[str]
    """Those to attach, in this order."""
    library_paths: list[str]
    """Where the notebook's R finds packages."""


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
    rinterface = _start_r()
    from rpy2.rinterface_lib import openrlib

    with openrlib.rlock, _quiet_console():
        if isinstance(func, str):
            func = rinterface.globalenv.find(func) if func in rinterface.globalenv else func
        if not isinstance(func, rinterface.SexpClosure):
            raise InvalidRequestError(
                f"func must be an R function, held through rpy2, or the name of one in R's global environment; "
                f"{func!r} is neither."
            )
        source = importlib.resources.files("clipper_nb.deployers").joinpath("capture.R").read_text()
        try:
            capture = rinterface.evalr(source)
            found = capture(func, rinterface.StrSexpVector(list(packages)))
        except rinterface.embedded.RRuntimeError as exc:
            raise SerializationError(f"The R function cannot be read or serialised: {str(exc).strip()}") from exc
        parts = dict(zip(found.names, found, strict=True))
        texts = {name: list(part) for name, part in parts.items() if isinstance(part, rinterface.StrSexpVector)}
        if texts["refused"]:
            raise SerializationError(
                f"The R function cannot leave this process with what it uses: {', '.join(texts['refused'])}. "
                "Connections and pointers must be made inside the function."
            )
        if texts["missing"]:
            raise InvalidRequestError(
                f"The R function needs packages that are not installed here: {', '.join(texts['missing'])}."
            )
        return CapturedFunction(
            serialized=bytes(parts["serialized"]),
            r_version=texts["r_version"][0],
            packages=dict(zip(texts["packages"], texts["versions"], strict=True)),
            attached=texts["attached"],
            library_paths=texts["library_paths"],
        )


def _start_r() -> Any:
    """Return ``rpy2.rinterface`` with R running; it may have started long ago, for the notebook's own cells."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import rpy2.rinterface as rinterface

            rinterface.initr()
            rinterface.evalr('loadNamespace("codetools")')
    except Exception as exc:  # without R rpy2 raises errors of many types
        raise DeploymentError(
            "Deploying R functions needs R with its package codetools (on Debian: apt install r-base-core "
            f"r-cran-codetools), and then pip install 'clipper-nb[r]'. {type(exc).__name__}: {str(exc).strip()}"
        ) from exc
    return rinterface


@contextlib.contextmanager
def _quiet_console() -> Iterator[None]:
    """Keep what R says meanwhile, as of packages that are loaded, out of the notebook."""
    from rpy2.rinterface_lib import callbacks

    before = callbacks.consolewrite_print, callbacks.consolewrite_warnerror
    callbacks.consolewrite_print = callbacks.consolewrite_warnerror = lambda _text: None
    try:
        yield
    finally:
        callbacks.consolewrite_print, callbacks.consolewrite_warnerror = before
