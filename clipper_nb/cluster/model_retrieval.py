"""Gets a deployed function back from its image: as a callable, or as source text with what it needed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from clipper_nb.errors import IncompatibleEnvironmentError, InvalidRequestError, NotFoundError, SerializationError
from clipper_nb.model_functions.function_copy import unpickle_copy
from clipper_nb.protocol.model_environment import PYTHON, describe_environment, find_conflicts
from clipper_nb.protocol.model_folder import FUNCTION_FILE, METADATA_FILE, FileReader, PythonMetadata, parse_metadata


@dataclass(frozen=True)
class ModelSource:
    """The source, requirements and report of a deployed function.

    Attributes
    ----------
    source : str or None
        Its text as it was in the notebook; ``None`` if it had none, such as a function created by ``exec``.
    requirements : list of str
        Its pip requirements, pinned.
    system_packages : list of str
        The packages of Debian that it was deployed with.
    python_version : str
        The notebook's.
    report : dict
        Its closure report, as ``ClosureReport.to_dict()`` returns it.
    environment_variables, files : list of str
        The names of the environment variables and files that its replicas have.
    """

    source: str | None
    requirements: Sequence[str]
    system_packages: Sequence[str]
    python_version: str
    report: dict[str, Any]
    environment_variables: Sequence[str] = ()
    files: Sequence[str] = ()


def fetch_function(model_id: str, read_files: FileReader) -> Callable[[list[Any]], Any]:
    """Return the function that was deployed.

    Raises
    ------
    InvalidRequestError
        It is no Python function.
    IncompatibleEnvironmentError
        It was pickled by another minor version of Python than this one.
    SerializationError
        It needs something that is missing here; the message says what.
    """
    metadata, files = _read(model_id, read_files, "can be called here")
    conflicts = find_conflicts({PYTHON: metadata.python_version}, describe_environment(()))
    if conflicts:
        raise IncompatibleEnvironmentError(
            model_id, conflicts, sides=("its notebook", "this one"), hint="Call it from a notebook with that Python."
        )
    try:
        function: Callable[[list[Any]], Any] = unpickle_copy(files[FUNCTION_FILE])
    except Exception as exc:  # whatever unpickling runs
        raise SerializationError(
            f"The function of {model_id} cannot be loaded here: {type(exc).__name__}: {exc}. get_model_source() says "
            "what it requires."
        ) from exc
    return function


def read_source(model_id: str, read_files: FileReader) -> ModelSource:
    """Return what the deploy stored of the function's text and needs; raises like :func:`fetch_function`."""
    metadata, _files = _read(model_id, read_files, "has a source in Python")
    return ModelSource(
        source=metadata.source,
        requirements=list(metadata.requirements),
        system_packages=list(metadata.system_packages),
        python_version=metadata.python_version,
        report=dict(metadata.report),
        environment_variables=list(metadata.environment_variables),
        files=list(metadata.files),
    )


def _read(model_id: str, read_files: FileReader, what: str) -> tuple[PythonMetadata, Mapping[str, bytes]]:
    files = read_files([METADATA_FILE, FUNCTION_FILE])
    if METADATA_FILE not in files:
        raise NotFoundError(f"The image of {model_id} has no {METADATA_FILE}: no deployer of clipper_nb made it.")
    metadata = parse_metadata(files[METADATA_FILE])
    if not isinstance(metadata, PythonMetadata) or FUNCTION_FILE not in files:
        raise InvalidRequestError(f"{model_id} is of kind '{metadata.kind}'; only a Python function {what}.")
    return metadata, files
