"""Deploys a pipeline of Hugging Face."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from clipper_nb.cluster.deploy_options import DeployOptions, with_options
from clipper_nb.deployers.endpoint import endpoint
from clipper_nb.deployers.frameworks.framework_version import FrameworkModel, deploy_framework_model
from clipper_nb.deployers.frameworks.libraries import import_framework
from clipper_nb.errors import InvalidRequestError
from clipper_nb.model_functions.frameworks import huggingface as loader
from clipper_nb.protocol.input_types import InputType

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from clipper_nb.cluster.handles import VersionHandle
    from clipper_nb.connection import ClipperConnection

__all__ = ["create_endpoint", "deploy_huggingface_model"]


@with_options(DeployOptions, timeout_s=180.0)
def deploy_huggingface_model(
    clipper_conn: ClipperConnection,
    name: str,
    version: int | str | None,
    input_type: str,
    func: Callable[[Any, Any], Any] | None,
    pipeline: Any,
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
    """Deploy a pipeline of Hugging Face with a function around it as a version, and make that version current.

    The pipeline saves its model, tokenizer and configuration, and each replica loads these files: nothing is asked of a
    hub.

    Parameters
    ----------
    func : callable, optional
        ``func(model, inputs)`` takes the pipeline as *model*, and a list of inputs as that of
        :func:`clipper_nb.deployers.python.deploy_python_closure` does, and returns one output per input, in order.
        ``None`` returns what the pipeline returns for the texts.
    pipeline : transformers.Pipeline
        One of files on this machine or in its cache: ``transformers.pipeline("text-classification", model="folder")``.
    base_image : str
        For Docker: an image with the notebook's Python minor version to build upon.
    pkgs_to_install : list of str, optional
        pip requirements, besides or instead of those that are found: transformers and PyTorch.
    sample_inputs : list or data frame, optional
        Inputs that the function answers here with the model that is passed, and each replica with the one that it
        loaded, before it serves. A replica with different answers is rejected; numbers may differ by a millionth.
    **options : DeployOptions
        Those of every deployer.

    Raises
    ------
    DeploymentError
        transformers is not installed here; the message says what to install.
    InvalidRequestError
        The model is something else, or an argument is wrong; the message says what to pass.
    SerializationError
        The function cannot be pickled, or transformers cannot save the model.
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
    >>> def moods(pipeline, texts):
    ...     return [answer["label"] for answer in pipeline(list(texts))]
    >>> deploy_huggingface_model(conn, "moods", 1, "strings", moods, pipeline)
    <Version moods:1: strings, current, 1 replica>
    """
    new = clipper_conn.new_version(
        name, version, input_type, base_image=base_image, labels=labels, registry=registry, num_replicas=num_replicas,
        batch_size=batch_size, packages=pkgs_to_install, **options,
    )  # fmt: skip
    transformers = import_framework("transformers", extra="huggingface", what="pipelines of Hugging Face")
    if not isinstance(pipeline, transformers.Pipeline):
        raise InvalidRequestError(
            f"pipeline must be a transformers.Pipeline, not {type(pipeline).__name__}: make one of a task and a model, "
            "transformers.pipeline('text-classification', model=folder)."
        )
    if func is None and new.input_type is not InputType.STRINGS:
        raise InvalidRequestError(
            f"Without a function a pipeline gets texts, and input_type is '{new.input_type}'. Choose 'strings', or "
            "pass a function: func(pipeline, inputs)."
        )
    model = FrameworkModel(
        framework="huggingface",
        model=pipeline,
        save=lambda folder: pipeline.save_pretrained(str(folder)),
        modules=["transformers", "torch"],
        facts={"task": pipeline.task},
    )
    return deploy_framework_model(clipper_conn, new, model, func or loader.predict_texts, sample_inputs, setup)


create_endpoint = endpoint(
    deploy_huggingface_model,
    what="a pipeline of Hugging Face of the same name",
    example="""
>>> create_endpoint(conn, "moods", "strings", None, pipeline, slo_micros=1_000_000)
>>> conn.predict("moods", "What a day!").output
""",
)
