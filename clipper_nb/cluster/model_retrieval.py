"""Gets a deployed function back from its image: as a callable, or as source text with what it needed."""

from __future__ import annotations

import pickle
import platform
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from clipper_nb.errors import IncompatibleEnvironmentError, InvalidRequestError, NotFoundError, SerializationError
from clipper_nb.images.model_metadata import METADATA_FILE, FileReader, parse_metadata

_FUNCTION_FILE = "func.pkl"


@dataclass(frozen=True)
class ModelSource:
    """What is known of a deployed function.

    Attributes
    ----------
    source : str or None
        Its text as it was in the notebook; ``None`` where it had none, as a function made by ``exec``.
    requirements : list of str
        Its pip requirements, pinned.
    system_packages : list of str
        The packages of Debian that it was deployed with.
    python_version : str
        The notebook's.
    report : dict
        Its closure report, as ``ClosureReport.to_dict()`` gives it.
    """

    source: str | None
    requirements: Sequence[str]
    system_packages: Sequence[str]
    python_version: str
    report: dict[str, Any]


def fetch_function(model_id: str, read_files: FileReader) -> Callable[[list[Any]], Any]:
    """Return the function that was deployed.

    Raises
    ------
    InvalidRequestError
        It is no Python function.
    IncompatibleEnvironmentError
        It was pickled by another minor version of Python than this one.
    SerializationError
        It needs something that is not here; the sentence says what.
    """
    metadata, files = _read(model_id, read_files, "can be called here")
    here, there = platform.python_version(), str(metadata["python_version"])
    if here.split(".")[:2] != there.split(".")[:2]:
        raise IncompatibleEnvironmentError(
            model_id, {"Python": (there, here)}, sides=("its notebook", "this one"),
            hint="Call it where that Python is.",
        )  # fmt: skip
    try:
        function: Callable[[list[Any]], Any] = pickle.loads(files[_FUNCTION_FILE])
    except Exception as exc:  # whatever unpickling runs
        raise SerializationError(
            f"The function of {model_id} cannot be loaded here: {type(exc).__name__}: {exc}. get_model_source() says "
            "what it requires."
        ) from exc
    return function


def read_source(model_id: str, read_files: FileReader) -> ModelSource:
    """Return what the deploy kept of the function's text and needs; raises as :func:`fetch_function` does."""
    metadata, _files = _read(model_id, read_files, "has a source in Python")
    return ModelSource(
        source=metadata.get("source"),
        requirements=list(metadata.get("requirements", ())),
        system_packages=list(metadata.get("system_packages", ())),
        python_version=str(metadata["python_version"]),
        report=dict(metadata.get("report", {})),
    )


def _read(model_id: str, read_files: FileReader, what: str) -> tuple[dict[str, Any], dict[str, bytes]]:
    files = dict(read_files([METADATA_FILE, _FUNCTION_FILE]))
    metadata = parse_metadata(files.get(METADATA_FILE, b""))
    if not metadata:
        raise NotFoundError(f"The image of {model_id} has no {METADATA_FILE}: no deployer of clipper_nb made it.")
    if metadata.get("kind") != "python_closure" or _FUNCTION_FILE not in files:
        raise InvalidRequestError(f"{model_id} is of kind '{metadata.get('kind')}'; only a Python function {what}.")
    return metadata, files
