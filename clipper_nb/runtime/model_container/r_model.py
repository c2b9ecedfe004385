"""An R function as a model: R runs inside this process, in the thread that predicts."""

from __future__ import annotations

import importlib.resources
import logging
from pathlib import Path
from typing import Any

from clipper_nb.errors import DeploymentError
from clipper_nb.model_functions.r_function import RError, RFunction
from clipper_nb.protocol.load_report import UnreadableHere
from clipper_nb.protocol.model_environment import find_conflicts
from clipper_nb.protocol.model_folder import R_FUNCTION_FILE, R_SETUP_FILE, RMetadata
from clipper_nb.runtime.model_container.python_model import PythonModel

logger = logging.getLogger(__name__)

_QUIT_IS_AN_ERROR = """
for (name in c("quit", "q")) local({
  called <- name
  unlockBinding(called, baseenv())
  assign(called, function(...) stop(called, "() was called, which would end the replica"), baseenv())
  lockBinding(called, baseenv())
})
"""


def load_r_model(folder: Path, metadata: RMetadata) -> PythonModel:
    """Return the R function in *folder*, with its packages loaded, and after its ``setup`` if it has one.

    Raises
    ------
    UnreadableHere
        This R has another minor version than the notebook's.
    DeploymentError
        rpy2 or R is missing here.
    ImportError
        An R package is missing.
    RError
        ``setup`` stopped.
    """
    try:
        import rpy2.rinterface as rinterface

        rinterface.initr()
    except Exception as exc:  # without R rpy2 raises errors of many types
        raise DeploymentError(
            "R functions run through rpy2, which the replica's Python cannot use. Install R, and then pip install "
            f"'clipper-nb[r]'. {type(exc).__name__}: {str(exc).strip()}"
        ) from exc
    rinterface.evalr("options(warn = 1)")  # log warnings immediately
    rinterface.evalr(_QUIT_IS_AN_ERROR)
    here = rinterface.evalr('paste(R.version$major, R.version$minor, sep = ".")')[0]
    conflicts = find_conflicts({"R": metadata.r_version}, {"R": str(here)})
    if conflicts:
        raise UnreadableHere(conflicts)
    rinterface.evalr("function(paths) .libPaths(c(paths, .libPaths()))")(
        rinterface.StrSexpVector(metadata.r_library_paths)
    )
    for package, version in metadata.r_packages.items():
        _load_package(rinterface, package, version, is_attached=package in metadata.r_attached)
    if (folder / R_SETUP_FILE).exists():
        _set_up(rinterface, _restore(rinterface, folder / R_SETUP_FILE))
    return PythonModel(RFunction(_restore(rinterface, folder / R_FUNCTION_FILE), metadata.r_columns))


def _restore(rinterface: Any, path: Path) -> Any:
    source = importlib.resources.files("clipper_nb.runtime.model_container").joinpath("restore.R").read_text()
    restore = rinterface.evalr(source, envir=rinterface.baseenv)
    return restore(rinterface.ByteSexpVector.from_memoryview(memoryview(path.read_bytes())))


def _set_up(rinterface: Any, setup: Any) -> None:
    try:
        setup()
    except rinterface.embedded.RRuntimeError as exc:
        raise RError(f"The function setup stopped: {str(exc).strip()}") from exc


def _load_package(rinterface: Any, name: str, version: str, *, is_attached: bool) -> None:
    load = rinterface.baseenv["library" if is_attached else "loadNamespace"]
    options = {"character.only": True} if is_attached else {}
    try:
        load(rinterface.StrSexpVector([name]), **options)
    except rinterface.embedded.RRuntimeError as exc:
        raise ImportError(f"The R package '{name}' cannot be loaded: {str(exc).strip()}", name=name) from exc
    here = rinterface.evalr("function(name) as.character(packageVersion(name))")(rinterface.StrSexpVector([name]))[0]
    if here != version:
        logger.warning("the R package %s is %s here and %s in the notebook", name, here, version)
