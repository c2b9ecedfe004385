"""Deploys a model of XGBoost."""

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
from clipper_nb.model_functions.frameworks import xgboost as loader

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from clipper_nb.cluster.handles import VersionHandle
    from clipper_nb.connection import ClipperConnection

__all__ = ["create_endpoint", "deploy_xgboost_model"]


@with_options(DeployOptions, timeout_s=60.0)
def deploy_xgboost_model(
    clipper_conn: ClipperConnection,
    name: str,
    version: int | str | None,
    input_type: str,
    func: Callable[[Any, Any], Any] | None,
    xgboost_model: Any,
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
    """Deploy a model of XGBoost with a function around it as a version of a model, and make that version current.

    XGBoost saves it in its own format (UBJSON), and each replica loads an object of the same class from that, with its
    parameters, which the file does not have.

    Parameters
    ----------
    func : callable, optional
        ``func(model, inputs)`` takes that object as *model*, and a list of inputs as that of
        :func:`clipper_nb.deployers.python.deploy_python_closure` does, and returns one output per input, in order.
        ``None`` returns ``model.predict`` of the rows: of numbers, or with input type ``"json"`` and
        ``sample_inputs=df`` of a data frame.
    xgboost_model : xgboost.Booster, XGBClassifier, XGBRegressor, XGBRanker, XGBRFClassifier or XGBRFRegressor
        A fitted one. If it was fitted with a data frame, rows find its columns by name.
    base_image : str
        For Docker: an image with the notebook's Python minor version to build upon.
    pkgs_to_install : list of str, optional
        pip requirements, besides or instead of those that are found: XGBoost, and scikit-learn for its estimators.
    sample_inputs : list or data frame, optional
        Inputs that the function answers here with the model that is passed, and each replica with the one that it
        loaded, before it serves. A replica with different answers is rejected; numbers may differ by a millionth.
    **options : DeployOptions
        Those of every deployer.

    Raises
    ------
    DeploymentError
        XGBoost is not installed here; the message says what to install.
    InvalidRequestError
        The model is something else, or an argument is wrong; the message says what to pass.
    SerializationError
        The function cannot be pickled, or XGBoost cannot save the model.
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
    >>> deploy_xgboost_model(conn, "wines", 1, "doubles", None, xgboost.XGBClassifier().fit(rows, labels))
    <Version wines:1: doubles, current, 1 replica>

    With a function:

    >>> def probabilities(model, inputs):
    ...     return model.predict_proba(np.stack(inputs))
    >>> deploy_xgboost_model(conn, "wines", None, "doubles", probabilities, classifier)
    <Version wines:2: doubles, current, 1 replica>
    """
    new = clipper_conn.new_version(
        name, version, input_type, base_image=base_image, labels=labels, registry=registry, num_replicas=num_replicas,
        batch_size=batch_size, packages=pkgs_to_install, **options,
    )  # fmt: skip
    xgboost = import_framework("xgboost", extra="xgboost", what="models of XGBoost")
    parameters = _parameters(xgboost, xgboost_model)
    if func is None:
        refuse_number_categories("XGBoost", loader.categories_of_model(xgboost_model), new.input_type)
    is_booster = isinstance(xgboost_model, xgboost.Booster)
    model = FrameworkModel(
        framework="xgboost",
        model=xgboost_model,
        save=lambda folder: xgboost_model.save_model(folder / loader.MODEL_FILE),
        modules=["xgboost"] if is_booster else ["xgboost", "sklearn"],
        facts={"model_class": f"{type(xgboost_model).__module__}:{type(xgboost_model).__qualname__}", **parameters},
        columns=loader.columns_of_model(xgboost_model),
    )
    if func is None:
        sample_inputs = in_fitted_order(sample_inputs, model.columns)
    return deploy_framework_model(
        clipper_conn, new, model, func or for_rows(loader.predict_rows, new.input_type), sample_inputs, setup
    )


create_endpoint = endpoint(
    deploy_xgboost_model,
    what="a model of XGBoost of the same name",
    example="""
>>> create_endpoint(conn, "wines", "doubles", None, classifier, slo_micros=100_000)
>>> conn.predict("wines", [13.2, 1.78, 2.14]).output
""",
)


def _parameters(xgboost: Any, model: Any) -> dict[str, Any]:
    """Return the parameters to make a replica's object with; raise unless it is a fitted model of XGBoost itself."""
    name = type(model).__name__
    known = isinstance(model, (xgboost.Booster, xgboost.XGBModel)) and type(model).__module__.startswith("xgboost.")
    if not known:
        raise InvalidRequestError(
            f"xgboost_model must be an xgboost.Booster or an estimator such as xgboost.XGBClassifier, not {name}. "
            "Deploy other estimators, and classes of your own, with deploy_python_closure."
        )
    if isinstance(model, xgboost.Booster):
        return {"parameters": {}}
    if not model.__sklearn_is_fitted__():
        raise InvalidRequestError(f"{name} is not fitted; call its fit() first.")
    return {"parameters": {key: value for key, value in model.get_params().items() if _travels(key, value)}}


def _travels(name: str, value: Any) -> bool:
    """Return whether a replica needs a parameter: not its default, and not the GPU that the model was trained on."""
    return isinstance(value, (bool, int, float, str)) and value == value and name != "device"
