"""Deploys a SavedModel of TensorFlow."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clipper_nb.cluster.deploy_options import DeployOptions, with_options
from clipper_nb.deployers.endpoint import endpoint
from clipper_nb.deployers.frameworks.framework_version import FrameworkModel, copy_files, deploy_framework_model
from clipper_nb.deployers.frameworks.libraries import import_framework
from clipper_nb.errors import InvalidRequestError
from clipper_nb.protocol.user_paths import user_path

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from clipper_nb.cluster.handles import VersionHandle
    from clipper_nb.connection import ClipperConnection

__all__ = ["create_endpoint", "deploy_tensorflow_model"]


@with_options(DeployOptions, timeout_s=180.0)
def deploy_tensorflow_model(
    clipper_conn: ClipperConnection,
    name: str,
    version: int | str | None,
    input_type: str,
    func: Callable[[Any, Any], Any],
    tf_sess_or_saved_model_path: Any,
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
    """Deploy a SavedModel of TensorFlow with a function around it as a version, and make that version current.

    The folder is copied, or a ``tf.Module`` is saved as one, and each replica loads it with ``tf.saved_model.load``.

    Parameters
    ----------
    func : callable
        ``func(model, inputs)`` takes the loaded object as *model*, and a list of inputs as that of
        :func:`clipper_nb.deployers.python.deploy_python_closure` does, and returns one output per input, in order.
        It calls what was saved: ``model.signatures["serving_default"](...)``, or a ``tf.function`` of a module.
    tf_sess_or_saved_model_path : str, path or tf.Module
        A folder that ``tf.saved_model.save`` or ``model.export`` wrote, or a module. Sessions of TensorFlow 1, which
        Clipper took too, have to be saved first: ``tf.compat.v1.saved_model.simple_save``.
    base_image : str
        For Docker: an image with the notebook's Python minor version to build upon.
    pkgs_to_install : list of str, optional
        pip requirements, besides or instead of those that are found: TensorFlow.
    sample_inputs : list or data frame, optional
        Inputs that the function answers here with the model that is passed, and each replica with the one that it
        loaded, before it serves. A replica with different answers is rejected; numbers may differ by a millionth.
    **options : DeployOptions
        Those of every deployer.

    Raises
    ------
    DeploymentError
        TensorFlow is not installed here; the message says what to install.
    InvalidRequestError
        The model is something else, or an argument is wrong; the message says what to pass.
    SerializationError
        The function cannot be pickled, or TensorFlow cannot save the model.
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
    >>> def predict(model, inputs):
    ...     return model.signatures["serving_default"](tf.constant(np.stack(inputs)))["output_0"].numpy()
    >>> deploy_tensorflow_model(conn, "digits", 1, "floats", predict, "export/digits")
    <Version digits:1: floats, current, 1 replica>
    """
    new = clipper_conn.new_version(
        name, version, input_type, base_image=base_image, labels=labels, registry=registry, num_replicas=num_replicas,
        batch_size=batch_size, packages=pkgs_to_install, **options,
    )  # fmt: skip
    tensorflow = import_framework("tensorflow", extra="tensorflow", what="models of TensorFlow")
    given = tf_sess_or_saved_model_path
    path = _saved_path(tensorflow, given)
    model = FrameworkModel(
        framework="tensorflow",
        model=given if path is None else _load(tensorflow, path),
        save=(lambda folder: _save(tensorflow, given, folder)) if path is None else partial(copy_files, path),
        modules=["tensorflow"],
    )
    return deploy_framework_model(clipper_conn, new, model, func, sample_inputs, setup)


create_endpoint = endpoint(
    deploy_tensorflow_model,
    what="a SavedModel of TensorFlow of the same name",
    example="""
>>> create_endpoint(conn, "digits", "floats", predict, "export/digits", slo_micros=100_000)
>>> conn.predict("digits", pixels).output
""",
)


def _saved_path(tensorflow: Any, given: Any) -> Path | None:
    """Return the folder of a SavedModel, ``None`` for a module; raise ``InvalidRequestError`` for something else."""
    if isinstance(given, tensorflow.Module):
        return None
    if isinstance(given, tensorflow.compat.v1.Session):
        raise InvalidRequestError(
            "A session of TensorFlow 1 cannot be deployed itself. Save it, and pass the folder: "
            "tf.compat.v1.saved_model.simple_save(session, folder, inputs={...}, outputs={...})."
        )
    if not isinstance(given, (str, os.PathLike)):
        raise InvalidRequestError(
            "tf_sess_or_saved_model_path must be the folder of a SavedModel or a tf.Module, not "
            f"{type(given).__name__}."
        )
    path = user_path("tf_sess_or_saved_model_path", given)
    if not (path / "saved_model.pb").is_file():
        raise InvalidRequestError(
            f"tf_sess_or_saved_model_path is {str(path)!r}, and there is no file 'saved_model.pb' in that folder: save "
            "the model with tf.saved_model.save, a model of Keras with model.export."
        )
    return path


def _save(tensorflow: Any, module: Any, folder: Path) -> None:
    tensorflow.saved_model.save(module, str(folder))


def _load(tensorflow: Any, path: Path) -> Any:
    try:
        return tensorflow.saved_model.load(str(path))
    except Exception as exc:  # TensorFlow's own, of many classes
        raise InvalidRequestError(f"TensorFlow cannot load {str(path)!r}: {type(exc).__name__}: {exc}") from exc
