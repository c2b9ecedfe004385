"""Deploys a model of LightGBM."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from clipper_nb.closures.frame_schema import in_fitted_order
from clipper_nb.cluster.deploy_options import DeployOptions, with_options
from clipper_nb.deployers.endpoint import endpoint
from clipper_nb.deployers.frameworks.framework_version import FrameworkModel, deploy_framework_model, for_rows
from clipper_nb.deployers.frameworks.libraries import import_framework
from clipper_nb.deployers.frameworks.number_categories import refuse_number_categories
from clipper_nb.errors import InvalidRequestError
from clipper_nb.model_functions.frameworks import lightgbm as loader

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from clipper_nb.cluster.handles import VersionHandle
    from clipper_nb.connection import ClipperConnection

__all__ = ["create_endpoint", "deploy_lightgbm_model"]


@with_options(DeployOptions, timeout_s=60.0)
def deploy_lightgbm_model(
    clipper_conn: ClipperConnection,
    name: str,
    version: int | str | None,
    input_type: str,
    func: Callable[[Any, Any], Any] | None,
    lightgbm_model: Any,
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
    """Deploy a model of LightGBM with a function around it as a version of a model, and make that version current.

    LightGBM saves it in its own format (text), and each replica loads a ``lightgbm.Booster`` from that.

    Parameters
    ----------
    func : callable, optional
        ``func(model, inputs)`` takes that booster as *model*, and a list of inputs as that of
        :func:`clipper_nb.deployers.python.deploy_python_closure` does, and returns one output per input, in order.
        ``None`` returns ``model.predict`` of the rows: of numbers, or with input type ``"json"`` and
        ``sample_inputs=df`` of a data frame.
    lightgbm_model : lightgbm.Booster
        A trained one; of an estimator such as ``LGBMClassifier`` its ``booster_``, which predicts probabilities. If it
        was trained with a data frame, rows find its columns by name.
    base_image : str
        For Docker: an image with the notebook's Python minor version to build upon.
    pkgs_to_install : list of str, optional
        pip requirements, besides or instead of those that are found: LightGBM. Debian's ``libgomp1``, which it needs,
        is installed too.
    sample_inputs : list or data frame, optional
        Inputs that the function answers here with the model that is passed, and each replica with the one that it
        loaded, before it serves. A replica with different answers is rejected; numbers may differ by a millionth.
    **options : DeployOptions
        Those of every deployer.

    Raises
    ------
    DeploymentError
        LightGBM is not installed here; the message says what to install.
    InvalidRequestError
        The model is something else, or an argument is wrong; the message says what to pass.
    SerializationError
        The function cannot be pickled, or LightGBM cannot save the model.
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
    >>> deploy_lightgbm_model(conn, "wines", 1, "doubles", None, lightgbm.train(parameters, data))
    <Version wines:1: doubles, current, 1 replica>

    With a function:

    >>> def is_red(model, inputs):
    ...     return model.predict(np.stack(inputs)) > 0.5
    >>> deploy_lightgbm_model(conn, "wines", None, "doubles", is_red, classifier.booster_)
    <Version wines:2: doubles, current, 1 replica>
    """
    new = clipper_conn.new_version(
        name, version, input_type, base_image=base_image, labels=labels, registry=registry, num_replicas=num_replicas,
        batch_size=batch_size, packages=pkgs_to_install, **options,
    )  # fmt: skip
    lightgbm = import_framework("lightgbm", extra="lightgbm", what="models of LightGBM")
    _check_is_booster(lightgbm, lightgbm_model)
    if func is None:
        refuse_number_categories("LightGBM", loader.categories_of_model(lightgbm_model), new.input_type)
    model = FrameworkModel(
        framework="lightgbm",
        model=lightgbm_model,
        save=lambda folder: lightgbm_model.save_model(folder / loader.MODEL_FILE, num_iteration=-1),
        modules=["lightgbm"],
        facts={"best_iteration": lightgbm_model.best_iteration},
        columns=loader.columns_of_model(lightgbm_model),
        system_packages=["libgomp1"],
    )
    if func is None:
        sample_inputs = in_fitted_order(sample_inputs, model.columns)
    return deploy_framework_model(
        clipper_conn, new, model, func or for_rows(loader.predict_rows, new.input_type), sample_inputs, setup
    )


create_endpoint = endpoint(
    deploy_lightgbm_model,
    what="a model of LightGBM of the same name",
    example="""
>>> create_endpoint(conn, "wines", "doubles", None, booster, slo_micros=100_000)
>>> conn.predict("wines", [13.2, 1.78, 2.14]).output
""",
)


def _check_is_booster(lightgbm: Any, model: Any) -> None:
    if isinstance(model, lightgbm.Booster):
        return
    name = type(model).__name__
    advice = "Deploy other estimators with deploy_python_closure."
    if isinstance(model, getattr(lightgbm, "LGBMModel", ())):
        advice = (
            "LightGBM's format holds only the booster of an estimator: pass its booster_, whose predict() of a "
            f"classifier returns probabilities, or deploy the {name} itself with deploy_python_closure."
        )
    raise InvalidRequestError(f"lightgbm_model must be a lightgbm.Booster, not {name}. {advice}")
