"""The folder of one model version: the names of its files, and ``metadata.json``, which says what they hold.

A deployer writes it, an image keeps it, replicas load from it. Images outlive releases: unknown fields are ignored, and
missing ones have defaults.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Union, get_args

import msgspec

from clipper_nb.errors import InvalidRequestError
from clipper_nb.protocol.columns import Column
from clipper_nb.protocol.provenance import Example, Provenance
from clipper_nb.protocol.samples import parse_samples
from clipper_nb.protocol.typed_values import read_value

METADATA_FILE = "metadata.json"
SAMPLES_FILE = "samples.json"
"""Inputs with the outputs that each replica must return for them; missing without samples."""
FUNCTION_FILE = "func.pkl"
SETUP_FILE = "setup.pkl"
"""A function to run once before the model is loaded; missing without one."""
R_FUNCTION_FILE = "func.rds"
R_SETUP_FILE = "setup.rds"
"""As ``SETUP_FILE``, a function of R."""
SPARK_MODEL_FOLDER = "pyspark_model_data"
"""A model in Spark's own format."""
FRAMEWORK_MODEL_FOLDER = "framework_model"
"""A model in the format of its framework."""
MODULES_FOLDER = "modules"
"""The user's own modules, from which a replica imports."""
FILES_FOLDER = "files"
"""Files that travel; the working directory of a replica whose model has some."""

_WHERE = f"{METADATA_FILE} in the model's folder"
_MAX_EXAMPLE_BYTES = 4096
"""Kept small: the configuration, which holds the example, is sent to every query frontend."""

FileReader = Callable[[Sequence[str]], Mapping[str, bytes]]
"""Returns the contents of the named files that a model's folder has."""


class ModelMetadata(msgspec.Struct, frozen=True, kw_only=True):
    """What is known about models of every kind."""

    input_type: str = ""
    python_version: str = ""
    """The notebook's Python version."""
    environment: Mapping[str, str] = {}
    """Versions by name; a replica must have the same minor versions."""
    modules: Mapping[str, str] = {}
    """By distribution whose objects are in the pickle, a module of it: a replica may have it from another one."""
    requirements: tuple[str, ...] = ()
    """The distributions that the model uses, as pip requirements with versions."""
    unpinnable: Mapping[str, str] = {}
    """By name, why something that it uses cannot be installed elsewhere."""
    system_packages: tuple[str, ...] = ()
    environment_variables: tuple[str, ...] = ()
    """Names of the environment variables that replicas get; their values are never in the folder."""
    files: tuple[str, ...] = ()
    """The files and folders of the notebook's working directory that travel."""
    input_schema: Mapping[str, Any] | None = None
    """The JSON Schema of one input; ``None`` for any value of the input type."""
    imports: tuple[str, ...] = ()
    """Installed modules that loading it imports, as far as that is known."""
    samples: str | None = None
    """A digest of the inputs of the samples that each replica answers; their file may come after its start."""

    @property
    def kind(self) -> str:
        """Decides which adapter loads the model."""
        return str(self.__struct_config__.tag)

    @property
    def base_kind(self) -> str:
        """Decides which base image its image is built on: one that has what the adapter needs."""
        return self.kind


class PythonMetadata(ModelMetadata, frozen=True, kw_only=True, tag_field="kind", tag="python_closure"):
    """A Python function."""

    source: str | None = None
    """Its source; ``None`` if it has none, like a function created by ``exec``."""
    report: Mapping[str, Any] = {}
    """Its closure report."""


class PySparkMetadata(ModelMetadata, frozen=True, kw_only=True, tag_field="kind", tag="pyspark"):
    """A function with a Spark model."""

    model_class: str | None = None
    """``module:name``, or ``None`` if there is no model."""
    threshold: float | msgspec.UnsetType | None = msgspec.UNSET
    """The threshold of an mllib classifier, a number or ``None``; Spark does not save it."""
    session_settings: Mapping[str, str] = {}
    driver_memory_bytes: int = 1024**3
    report: Mapping[str, Any] = {}
    """The function's closure report."""


class RMetadata(ModelMetadata, frozen=True, kw_only=True, tag_field="kind", tag="r"):
    """An R function."""

    r_version: str = ""
    r_packages: Mapping[str, str] = {}
    """Version by name of each R package that it needs."""
    r_attached: tuple[str, ...] = ()
    """Packages to attach, in this order."""
    r_library_paths: tuple[str, ...] = ()
    """Library folders of the notebook's R."""
    r_columns: tuple[Column, ...] = ()
    """Columns of the data frame that it takes; empty if it takes a list."""
    report: Mapping[str, Any] = {}
    """Its closure report."""


class FrameworkMetadata(ModelMetadata, frozen=True, kw_only=True, tag_field="kind", tag="framework"):
    """A function with a model that its framework has saved in its own format."""

    framework: str = ""
    """The name of its loader in ``model_functions/frameworks``."""
    facts: Mapping[str, Any] = {}
    """What the loader needs to know besides the files."""
    report: Mapping[str, Any] = {}
    """The function's closure report."""

    @property
    def base_kind(self) -> str:
        """The image of Python functions: a framework is among the version's own packages."""
        return str(PythonMetadata.__struct_config__.tag)


Metadata = Union[PythonMetadata, PySparkMetadata, RMetadata, FrameworkMetadata]
KINDS: tuple[str, ...] = tuple(str(kind.__struct_config__.tag) for kind in get_args(Metadata))


def write_metadata(metadata: Metadata, folder: Path) -> None:
    """Write ``metadata.json`` into *folder*; equal metadata gives equal bytes, because images are named by content."""
    facts = {name: value for name, value in msgspec.structs.asdict(metadata).items() if value is not msgspec.UNSET}
    text = json.dumps({"kind": metadata.kind, **facts}, default=asdict, indent=1, sort_keys=True)
    (folder / METADATA_FILE).write_text(text + "\n")


def read_metadata(folder: Path) -> Metadata:
    """Return the metadata in *folder*; a folder without it holds a Python function.

    Raises
    ------
    InvalidRequestError
        The file has no kind, an unknown kind, or a field of the wrong type.
    """
    try:
        return parse_metadata((folder / METADATA_FILE).read_bytes())
    except FileNotFoundError:
        return PythonMetadata()
    except OSError as exc:
        raise InvalidRequestError(f"{_WHERE} cannot be read: {exc}.") from exc


def parse_metadata(content: bytes) -> Metadata:
    """Return the metadata in the JSON; raises the same errors as :func:`read_metadata`."""
    try:
        facts = json.loads(content)
        kind = facts["kind"]
    except (ValueError, TypeError, LookupError) as exc:
        raise InvalidRequestError(f"{_WHERE} has no 'kind': {exc}.") from exc
    if kind not in KINDS:
        raise InvalidRequestError(f"There is no loader for models of kind {kind!r}; known: {', '.join(KINDS)}.")
    try:
        metadata: Metadata = read_value(facts, Metadata)
        return metadata
    except msgspec.ValidationError as exc:
        raise InvalidRequestError(f"{_WHERE} cannot be used: {exc}.") from exc


def read_folder(folder: Path, names: Sequence[str]) -> dict[str, bytes]:
    """Return the contents of the named files that *folder* has."""
    return {name: (folder / name).read_bytes() for name in names if (folder / name).is_file()}


def write_files(files: Mapping[str, bytes], folder: Path) -> None:
    """Write files, by name, into *folder*."""
    for name, content in files.items():
        (folder / name).write_bytes(content)


def read_provenance(read_files: FileReader) -> Provenance:
    """Return the part of a folder's metadata that is kept with its version; empty if no deployer wrote the folder."""
    files = read_files([METADATA_FILE, SAMPLES_FILE])
    metadata = _parse_any_kind(files.get(METADATA_FILE, b""))
    known = Provenance(metadata.environment, input_schema=metadata.input_schema)
    if SAMPLES_FILE not in files:
        return known
    samples = parse_samples(files[SAMPLES_FILE].decode())
    example = Example(samples.inputs[0], _as_clients_get_it(samples.outputs[0]))
    return replace(known, num_samples=len(samples.inputs), example=example if _is_small_json(example) else None)


def _is_small_json(example: Example) -> bool:
    """Return whether an example is small, and is the same after it was written as JSON."""
    try:
        text = msgspec.json.encode([example.input, example.output])
    except (TypeError, ValueError, OverflowError):  # a whole number of more than 64 bits
        return False
    return len(text) <= _MAX_EXAMPLE_BYTES and bool(msgspec.json.decode(text) == [example.input, example.output])


def _as_clients_get_it(output: str) -> Any:
    try:
        return msgspec.json.decode(output)
    except msgspec.DecodeError:
        return output


def _parse_any_kind(content: bytes) -> ModelMetadata:
    """Return what models of every kind have, also of a later release; nothing if the file is not ours."""
    try:
        return read_value(json.loads(content), ModelMetadata)
    except ValueError:
        return ModelMetadata()
