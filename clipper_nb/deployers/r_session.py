"""R inside the notebook's process, as rpy2 runs it."""

from __future__ import annotations

import contextlib
import importlib.resources
import warnings
from collections.abc import Iterator, Mapping
from typing import Any

from clipper_nb.errors import DeploymentError


def start_r() -> Any:
    """Return ``rpy2.rinterface`` with R running; it may have started long ago, for the notebook's own cells.

    Raises
    ------
    DeploymentError
        There is no rpy2 or no R here; the message says what to install.
    """
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


def environment_of_r() -> Mapping[str, str]:
    """Return R's environment variables, also those that a cell of R has set, which ``os.environ`` does not show."""
    rinterface = start_r()
    with undisturbed_r():
        values = rinterface.evalr("Sys.getenv()")
        return dict(zip(map(str, values.names), map(str, values), strict=True))


@contextlib.contextmanager
def undisturbed_r() -> Iterator[None]:
    """Reserve R for this thread, and keep its messages, such as those of loaded packages, out of the notebook."""
    from rpy2.rinterface_lib import callbacks, openrlib

    with openrlib.rlock:
        before = callbacks.consolewrite_print, callbacks.consolewrite_warnerror
        callbacks.consolewrite_print = callbacks.consolewrite_warnerror = lambda _text: None
        try:
            yield
        finally:
            callbacks.consolewrite_print, callbacks.consolewrite_warnerror = before


def r_source(name: str) -> str:
    """Return the text of an R file beside this one; it is an R function."""
    return importlib.resources.files("clipper_nb.deployers").joinpath(name).read_text()
