"""Imports a framework, or says what to install."""

from __future__ import annotations

import importlib
from typing import Any

from clipper_nb.errors import DeploymentError


def import_framework(module: str, *, extra: str, what: str) -> Any:
    """Return the module *module*.

    Parameters
    ----------
    module : str
    extra : str
        The extra of this package that installs it.
    what : str
        What it is needed for: ``"ONNX models"``.

    Raises
    ------
    DeploymentError
        It is not installed, or cannot be imported.
    """
    try:
        return importlib.import_module(module)
    except ImportError as exc:
        raise DeploymentError(
            f"Deploying {what} needs {module.partition('.')[0]}: pip install 'clipper-nb[{extra}]'. "
            f"{type(exc).__name__}: {exc}"
        ) from exc
