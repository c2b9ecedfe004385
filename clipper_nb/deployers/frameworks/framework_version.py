"""Deploys a version that is a function and a model which its framework has saved."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clipper_nb.closures.callables import MODEL_INPUTS, check_function
from clipper_nb.closures.function_pickle import pickle_function, pickle_with_setup
from clipper_nb.closures.input_annotations import TakenInputs, take_inputs
from clipper_nb.closures.notebook_environment import notebook_environment, refuse_other_versions
from clipper_nb.closures.requirements import Requirements, find_requirements
from clipper_nb.closures.sample_outputs import read_sample_inputs, samples_file
from clipper_nb.cluster.new_version import NewVersion
from clipper_nb.deployers.bundle import bundle
from clipper_nb.errors import ClipperException, SerializationError
from clipper_nb.model_functions.coroutines import AwaitingFunction
from clipper_nb.model_functions.frameworks.carried import Carried
from clipper_nb.model_functions.frameworks.framework_function import FrameworkFunction
from clipper_nb.model_functions.frameworks.loaders import loader_module
from clipper_nb.protocol.input_types import InputType
from clipper_nb.protocol.model_folder import FRAMEWORK_MODEL_FOLDER, FUNCTION_FILE, SETUP_FILE, FrameworkMetadata
from clipper_nb.protocol.number_columns import columns_of, columns_schema

if TYPE_CHECKING:
    from clipper_nb.cluster.handles import VersionHandle
    from clipper_nb.connection import ClipperConnection


@dataclass(frozen=True)
class FrameworkModel:
    """A model that may leave the notebook, as its framework's deployer describes it."""

    framework: str
    """The name of its loader in ``model_functions/frameworks``."""
    model: Any
    """What answers the samples in the notebook: the user's own, so that replicas are compared with that."""
    save: Callable[[Path], None]
    """Writes it into an empty folder."""
    modules: Sequence[str]
    """The imported modules that a replica needs to load it; their distributions are installed in its image."""
    facts: Mapping[str, Any] = field(default_factory=dict)
    """What the loader needs besides the files; values of JSON."""
    columns: Sequence[str] | None = None
    """The names of an input's numbers, if the model knows them."""
    travelling: Mapping[str, Any] = field(default_factory=dict)
    """Objects by the name of their file, that no framework saves: they are pickled as a function is."""
    system_packages: Sequence[str] = ()
    """Packages of Debian that the framework needs."""
    requirements: Requirements | None = None
    """What to install in place of what *modules* come from."""


def deploy_framework_model(
    conn: ClipperConnection,
    new: NewVersion,
    model: FrameworkModel,
    func: Callable[[Any, Any], Any],
    sample_inputs: Any = None,
    setup: Callable[[], Any] | None = None,
    taken: TakenInputs | None = None,
) -> VersionHandle:
    """Deploy ``func(model, inputs)`` with the model, and make that version current.

    Parameters
    ----------
    conn : ClipperConnection
    new : NewVersion
        What the caller specified; checked.
    model : FrameworkModel
    func : callable
    sample_inputs : list or data frame, optional
    setup : callable, optional
    taken : TakenInputs, optional
        How the function takes inputs, where it is not its annotation that says so.

    Raises
    ------
    SerializationError
        The function cannot be pickled, or the framework cannot save the model.
    InvalidRequestError
        The function cannot be called with a model and a list.
    PredictionError, ParityError, DeploymentError
        As for :func:`clipper_nb.deployers.python.deploy_python_closure`.
    """
    check_function(func, MODEL_INPUTS)
    taken = taken or _taken(func, new, sample_inputs, model.columns)
    inputs = read_sample_inputs(new, sample_inputs, columns_of(taken.schema))
    pickled, pickled_setup, report = pickle_with_setup(taken.func, setup)
    requirements = report.requirements | (model.requirements or find_requirements(model.modules))
    files = {FUNCTION_FILE: pickled}
    if pickled_setup is not None:
        files[SETUP_FILE] = pickled_setup
    for file, value in model.travelling.items():
        files[file], report_of_value = pickle_function(Carried(value))
        requirements |= report_of_value.requirements
        report |= report_of_value
    new = new.with_variables(report.environment_variables)
    new = replace(new, system_packages=tuple(dict.fromkeys([*new.system_packages, *model.system_packages])))
    environment = notebook_environment(requirements)
    refuse_other_versions(str(new.model_id), environment, new.packages)
    metadata = FrameworkMetadata(
        input_type=str(new.input_type),
        input_schema=taken.schema,
        environment=environment,
        modules=requirements.pickled,
        requirements=requirements.pinned,
        unpinnable=requirements.unpinnable,
        system_packages=new.system_packages,
        imports=(*report.imports, *model.modules, loader_module(model.framework)),
        framework=model.framework,
        facts=model.facts,
        report=report.to_dict(),
    )

    def meanwhile() -> Mapping[str, bytes]:
        return samples_file(new, inputs, lambda: FrameworkFunction(AwaitingFunction(taken.func), model.model))

    with bundle(metadata, new, inputs) as folder:
        for file, content in files.items():
            (folder / file).write_bytes(content)
        report.files.write(folder)
        _save(model, folder / FRAMEWORK_MODEL_FOLDER)
        return conn.deploy_version(new, str(folder), meanwhile, owns_files=True)


def _taken(func: Callable[..., Any], new: NewVersion, sample_inputs: Any, columns: Sequence[str] | None) -> TakenInputs:
    taken = take_inputs(func, new.input_type, sample_inputs, position=len(MODEL_INPUTS) - 1)
    if columns is None or not new.input_type.is_numeric:
        return taken
    return TakenInputs(taken.func, columns_schema(new.input_type, columns))


def _save(model: FrameworkModel, folder: Path) -> None:
    folder.mkdir()
    try:
        model.save(folder)
    except ClipperException:
        raise
    except Exception as exc:
        reason = (str(exc).strip().splitlines() or [""])[0]
        raise SerializationError(
            f"{model.framework} cannot save this {type(model.model).__name__}: {type(exc).__name__}: {reason}"
        ) from exc


def for_rows(predict: Callable[[Any, Any], Any], input_type: InputType) -> Callable[[Any, Any], Any]:
    """Return a function of rows as one that takes, with input type ``json``, a data frame of pandas."""
    if input_type is not InputType.JSON:
        return predict
    import pandas as pd

    def predict_frame(model: Any, inputs: Any) -> Any:
        return predict(model, inputs)

    predict_frame.__annotations__["inputs"] = pd.DataFrame
    return predict_frame


def copy_files(source: Path, folder: Path) -> None:
    """Copy the files and folders of *source* into the folder of a model."""
    shutil.copytree(source, folder, dirs_exist_ok=True)


def no_pickle(name: str) -> Any:
    """Return no object: for loaders in the notebook of models beside which nothing is pickled."""
    raise FileNotFoundError(name)
