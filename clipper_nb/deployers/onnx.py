"""Deploys an ONNX model."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clipper_nb.cluster.deploy_options import DeployOptions, with_options
from clipper_nb.deployers.endpoint import endpoint
from clipper_nb.deployers.frameworks.framework_version import (
    FrameworkModel,
    copy_files,
    deploy_framework_model,
    no_pickle,
)
from clipper_nb.deployers.frameworks.libraries import import_framework
from clipper_nb.deployers.frameworks.onnx_files import check_onnx_input, save_onnx_files
from clipper_nb.errors import InvalidRequestError
from clipper_nb.model_functions.frameworks import onnx as loader

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from clipper_nb.cluster.handles import VersionHandle
    from clipper_nb.connection import ClipperConnection

__all__ = ["create_endpoint", "deploy_onnx_model"]


@with_options(DeployOptions, timeout_s=60.0)
def deploy_onnx_model(
    clipper_conn: ClipperConnection,
    name: str,
    version: int | str | None,
    input_type: str,
    func: Callable[[Any, Any], Any] | None,
    onnx_model: Any,
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
    """Deploy an ONNX model with a function around it as a version of a model, and make that version current.

    The file of the model is copied, with the files of weights that it names, and each replica opens an
    ``onnxruntime.InferenceSession`` of it on the processor.

    Parameters
    ----------
    func : callable, optional
        ``func(model, inputs)`` takes that session as *model*, and a list of inputs as that of
        :func:`clipper_nb.deployers.python.deploy_python_closure` does, and returns one output per input, in order.
        ``None`` gives rows of numbers, or texts, to the model's one input, in its type and shape, and returns its
        output; of several outputs, an object per input that has them by name.
    onnx_model : path, bytes or onnx.ModelProto
    base_image : str
        For Docker: an image with the notebook's Python minor version to build upon.
    pkgs_to_install : list of str, optional
        pip requirements, besides or instead of those that are found: onnxruntime, which needs NumPy.
    sample_inputs : list or data frame, optional
        Inputs that the function answers here with the model that is passed, and each replica with the one that it
        loaded, before it serves. A replica with different answers is rejected; numbers may differ by a millionth.
    **options : DeployOptions
        Those of every deployer.

    Raises
    ------
    DeploymentError
        ONNX Runtime is not installed here; the message says what to install.
    InvalidRequestError
        The model is something else, or an argument is wrong; the message says what to pass.
    SerializationError
        The function cannot be pickled, or ONNX Runtime cannot save the model.
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
    >>> deploy_onnx_model(conn, "digits", 1, "floats", None, "digits.onnx")
    <Version digits:1: floats, current, 1 replica>

    With a function:

    >>> def labels(session, inputs):
    ...     return session.run(["label"], {"X": np.stack(inputs)})[0]
    >>> deploy_onnx_model(conn, "digits", None, "floats", labels, "digits.onnx")
    <Version digits:2: floats, current, 1 replica>
    """
    new = clipper_conn.new_version(
        name, version, input_type, base_image=base_image, labels=labels, registry=registry, num_replicas=num_replicas,
        batch_size=batch_size, packages=pkgs_to_install, **options,
    )  # fmt: skip
    runtime = import_framework("onnxruntime", extra="onnx", what="ONNX models")
    with tempfile.TemporaryDirectory(prefix="clipper_nb-onnx-") as temporary:
        save_onnx_files(onnx_model, Path(temporary))
        try:
            session = loader.load(Path(temporary), {}, no_pickle)
        except Exception as exc:  # ONNX Runtime has a class for each status, without a common one
            raise InvalidRequestError(
                f"ONNX Runtime {runtime.__version__} cannot load this model: {type(exc).__name__}: {exc}"
            ) from exc
        if func is None:
            check_onnx_input(session, new.input_type)
        model = FrameworkModel(
            framework="onnx",
            model=session,
            save=lambda folder: copy_files(Path(temporary), folder),
            modules=["onnxruntime"],
        )
        return deploy_framework_model(clipper_conn, new, model, func or loader.predict_rows, sample_inputs, setup)


create_endpoint = endpoint(
    deploy_onnx_model,
    what="an ONNX model of the same name",
    example="""
>>> create_endpoint(conn, "digits", "floats", None, "digits.onnx", slo_micros=100_000)
>>> conn.predict("digits", pixels).output
""",
)
