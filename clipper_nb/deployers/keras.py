"""Deploys a model of Keras."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from clipper_nb.cluster.deploy_options import DeployOptions, with_options
from clipper_nb.deployers.endpoint import endpoint
from clipper_nb.deployers.frameworks.framework_version import FrameworkModel, deploy_framework_model
from clipper_nb.deployers.frameworks.libraries import import_framework
from clipper_nb.errors import InvalidRequestError
from clipper_nb.model_functions.frameworks import keras as loader
from clipper_nb.protocol.user_paths import user_path

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from clipper_nb.cluster.handles import VersionHandle
    from clipper_nb.connection import ClipperConnection

__all__ = ["create_endpoint", "deploy_keras_model"]


@with_options(DeployOptions, timeout_s=120.0)
def deploy_keras_model(
    clipper_conn: ClipperConnection,
    name: str,
    version: int | str | None,
    input_type: str,
    func: Callable[[Any, Any], Any] | None,
    model_path_or_object: Any,
    base_image: str = "default",
    labels: Sequence[str] | None = None,
    registry: str | None = None,
    num_replicas: int | None = None,
    batch_size: int = -1,
    pkgs_to_install: Sequence[str] | None = None,
    *,
    custom_objects: Mapping[str, Any] | None = None,
    sample_inputs: Sequence[Any] | None = None,
    setup: Callable[[], Any] | None = None,
    **options: Unpack[DeployOptions],
) -> VersionHandle:
    """Deploy a model of Keras with a function around it as a version of a model, and make that version current.

    Keras saves it in its own format (``.keras``), and each replica loads it from that, with the backend that the
    notebook has: TensorFlow, PyTorch or JAX.

    Parameters
    ----------
    func : callable, optional
        ``func(model, inputs)`` takes the model as *model*, and a list of inputs as that of
        :func:`clipper_nb.deployers.python.deploy_python_closure` does, and returns one output per input, in order.
        ``None`` returns what the model returns for a row per input, in the shape of its input.
    model_path_or_object : keras.Model, str or path
        A model, or a file that ``model.save`` wrote.
    base_image : str
        For Docker: an image with the notebook's Python minor version to build upon.
    pkgs_to_install : list of str, optional
        pip requirements, besides or instead of those that are found: Keras and its backend.
    custom_objects : dict, optional
        Classes and functions by the name that the model has for them; those that are registered with Keras travel
        anyway.
    sample_inputs : list or data frame, optional
        Inputs that the function answers here with the model that is passed, and each replica with the one that it
        loaded, before it serves. A replica with different answers is rejected; numbers may differ by a millionth.
    **options : DeployOptions
        Those of every deployer.

    Raises
    ------
    DeploymentError
        Keras is not installed here; the message says what to install.
    InvalidRequestError
        The model is something else, or an argument is wrong; the message says what to pass.
    SerializationError
        The function cannot be pickled, or Keras cannot save the model.
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
    >>> deploy_keras_model(conn, "digits", 1, "floats", None, model)
    <Version digits:1: floats, current, 1 replica>
    """
    new = clipper_conn.new_version(
        name, version, input_type, base_image=base_image, labels=labels, registry=registry, num_replicas=num_replicas,
        batch_size=batch_size, packages=pkgs_to_install, **options,
    )  # fmt: skip
    keras = import_framework("keras", extra="keras", what="models of Keras")
    objects = {**keras.saving.get_custom_objects(), **(custom_objects or {})}
    loaded = _read(keras, model_path_or_object, objects)
    model = FrameworkModel(
        framework="keras",
        model=loaded,
        save=lambda folder: loaded.save(folder / loader.MODEL_FILE),
        modules=["keras", keras.backend.backend()],
        facts={"backend": keras.backend.backend(), "has_custom_objects": bool(objects)},
        travelling={loader.CUSTOM_OBJECTS_FILE: objects} if objects else {},
    )
    if func is None and not (hasattr(loaded, "input_shape") and isinstance(loaded.input_shape, tuple)):
        raise InvalidRequestError("The model has several inputs; pass a function that makes them: func(model, inputs).")
    return deploy_framework_model(clipper_conn, new, model, func or loader.predict_rows, sample_inputs, setup)


create_endpoint = endpoint(
    deploy_keras_model,
    what="a model of Keras of the same name",
    example="""
>>> create_endpoint(conn, "digits", "floats", None, model, slo_micros=100_000)
>>> conn.predict("digits", pixels).output
""",
)


def _read(keras: Any, given: Any, custom_objects: Mapping[str, Any]) -> Any:
    """Return the model, loaded if it is a file's path; raise ``InvalidRequestError`` if it is none."""
    if isinstance(given, keras.Model):
        return given
    if not isinstance(given, (str, os.PathLike)):
        raise InvalidRequestError(
            f"model_path_or_object must be a keras.Model or the path of a file of one, not {type(given).__name__}."
        )
    path = user_path("model_path_or_object", given)
    if not path.is_file():
        raise InvalidRequestError(f"model_path_or_object is {str(path)!r}, and there is no such file.")
    try:
        return keras.saving.load_model(path, custom_objects=dict(custom_objects), compile=False)
    except Exception as exc:  # of any layer's own code
        raise InvalidRequestError(f"Keras cannot load {str(path)!r}: {type(exc).__name__}: {exc}") from exc
