"""Deploys a model of MLflow."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clipper_nb.closures.callables import MODEL_INPUTS, check_function
from clipper_nb.cluster.deploy_options import DeployOptions, with_options
from clipper_nb.deployers.endpoint import endpoint
from clipper_nb.deployers.frameworks.framework_version import (
    FrameworkModel,
    copy_files,
    deploy_framework_model,
    for_rows,
)
from clipper_nb.deployers.frameworks.libraries import import_framework
from clipper_nb.deployers.frameworks.mlflow_requirements import find_system_packages, read_requirements
from clipper_nb.deployers.frameworks.mlflow_signature import taken_by_signature
from clipper_nb.errors import InvalidRequestError
from clipper_nb.model_functions.frameworks import mlflow as loader
from clipper_nb.protocol.input_types import InputType
from clipper_nb.protocol.user_paths import user_path

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from clipper_nb.cluster.handles import VersionHandle
    from clipper_nb.connection import ClipperConnection

__all__ = ["create_endpoint", "deploy_mlflow_model"]


@with_options(DeployOptions, timeout_s=120.0)
def deploy_mlflow_model(
    clipper_conn: ClipperConnection,
    name: str,
    version: int | str | None,
    input_type: str,
    func: Callable[[Any, Any], Any] | None,
    mlflow_model: Any,
    base_image: str = "default",
    labels: Sequence[str] | None = None,
    registry: str | None = None,
    num_replicas: int | None = None,
    batch_size: int = -1,
    pkgs_to_install: Sequence[str] | None = None,
    *,
    sample_inputs: Sequence[Any] | None = None,
    setup: Callable[[], Any] | None = None,
    **options: Unpack[DeployOptions],
) -> VersionHandle:
    """Deploy a model of MLflow with a function around it as a version of a model, and make that version current.

    The folder of the model is copied as it is, and each replica loads it with ``mlflow.pyfunc``. Its signature says
    what an input is, and one that does not fit is refused before it costs a replica.

    Parameters
    ----------
    func : callable, optional
        ``func(model, inputs)`` takes the ``mlflow.pyfunc.PyFuncModel`` as *model*, and a list of inputs as that of
        :func:`clipper_nb.deployers.python.deploy_python_closure` does, and returns one output per input, in order.
        ``None`` returns ``model.predict(inputs)``. Either gets what the signature says in place of the list: a data
        frame with the columns and dtypes, an array, or a dict of arrays by name.
    mlflow_model : str or path
        A folder that ``save_model`` of any flavor wrote, or an address that MLflow knows: ``models:/name/version``,
        ``runs:/id/path``. With input type ``"json"`` an input is an object with the columns by name; a column that is
        not required may be missing. Inputs of numbers are for models whose columns are all of numbers.
    base_image : str
        For Docker: an image with the notebook's Python minor version to build upon.
    pkgs_to_install : list of str, optional
        pip requirements, besides or instead of those that are found: those of the model's
        ``requirements.txt``.
    sample_inputs : list or data frame, optional
        Inputs that the function answers here with the model that is passed, and each replica with the one that it
        loaded, before it serves. A replica with different answers is rejected; numbers may differ by a millionth.
    **options : DeployOptions
        Those of every deployer.

    Raises
    ------
    DeploymentError
        MLflow is not installed here; the message says what to install.
    InvalidRequestError
        The model is something else, or an argument is wrong; the message says what to pass.
    SerializationError
        The function cannot be pickled, or MLflow cannot save the model.
    PredictionError
        The function raises on the samples in the notebook.
    ParityError
        A replica's answers to the samples differ; the message says where.
    ModelImportError, ModelLoadError, ReplicaStartError, StartTimeoutError
        A replica could not load it. Nothing is left of the deploy and the old version keeps serving.
    ExistsError
        The model has that version already.

    Examples
    --------
    >>> deploy_mlflow_model(conn, "wines", 1, "json", None, "models:/wines/3")
    <Version wines:1: json, current, 1 replica>
    >>> deploy_mlflow_model(conn, "wines", 2, "doubles", None, "mlruns/models/wines")
    <Version wines:2: doubles, current, 1 replica>
    """
    new = clipper_conn.new_version(
        name, version, input_type, base_image=base_image, labels=labels, registry=registry, num_replicas=num_replicas,
        batch_size=batch_size, packages=pkgs_to_install, **options,
    )  # fmt: skip
    mlflow = import_framework("mlflow.pyfunc", extra="mlflow", what="models of MLflow")
    with tempfile.TemporaryDirectory(prefix="clipper_nb-mlflow-") as temporary:
        folder = _fetch(mlflow_model, Path(temporary))
        try:
            loaded = mlflow.load_model(str(folder))
        except Exception as exc:
            raise InvalidRequestError(
                f"MLflow cannot load {str(mlflow_model)!r} here, so no replica could: {type(exc).__name__}: {exc}"
            ) from exc
        signature = loaded.metadata.signature
        specs = None if signature is None or signature.inputs is None else signature.inputs.to_dict()
        requirements = read_requirements(folder)
        model = FrameworkModel(
            framework="mlflow",
            model=loaded,
            save=lambda into: copy_files(folder, into),
            modules=["mlflow"],
            requirements=requirements,
            system_packages=find_system_packages(requirements),
        )
        predict = func or loader.predict
        check_function(predict, MODEL_INPUTS)
        # Without a signature, samples of a data frame say what the columns are.
        is_by_sample = not specs and new.input_type is InputType.JSON and hasattr(sample_inputs, "columns")
        taken = None if is_by_sample else taken_by_signature(predict, new.input_type, specs)
        if is_by_sample and func is None:
            predict = for_rows(loader.predict, new.input_type)
        return deploy_framework_model(clipper_conn, new, model, predict, sample_inputs, setup, taken)


create_endpoint = endpoint(
    deploy_mlflow_model,
    what="a model of MLflow of the same name",
    example="""
>>> create_endpoint(conn, "wines", "json", None, "models:/wines/3", slo_micros=500_000)
>>> conn.predict("wines", {"alcohol": 13.2, "hue": 1.05}).output
""",
)


def _fetch(mlflow_model: Any, temporary: Path) -> Path:
    """Return the folder of the model, on this machine.

    Raises
    ------
    InvalidRequestError
        There is no such model; the message says what MLflow says.
    """
    if not isinstance(mlflow_model, (str, os.PathLike)):
        raise InvalidRequestError(
            "mlflow_model must be the folder of a model, or its address as MLflow writes it: 'models:/name/1', "
            f"'runs:/id/model', not {type(mlflow_model).__name__}. Save a model first, by save_model of its flavor."
        )
    address = str(mlflow_model)
    if "://" not in address and not address.startswith(("models:", "runs:")):
        folder = user_path("mlflow_model", address)
    else:
        import mlflow

        try:
            folder = Path(mlflow.artifacts.download_artifacts(artifact_uri=address, dst_path=str(temporary)))
        except Exception as exc:  # of the store, which may be any
            raise InvalidRequestError(f"MLflow cannot get {address!r}: {type(exc).__name__}: {exc}") from exc
    if not (folder / "MLmodel").is_file():
        raise InvalidRequestError(f"mlflow_model is {address!r}, and there is no file 'MLmodel' in that folder.")
    return folder
