"""Deploys an R function."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from clipper_nb.closures.function_pickle import check_size
from clipper_nb.closures.sample_outputs import read_sample_inputs, samples_file, write_samples
from clipper_nb.cluster.deploy_options import DeployOptions, with_options
from clipper_nb.cluster.surroundings import check_environment_variables
from clipper_nb.deployers.bundle import bundle
from clipper_nb.deployers.endpoint import endpoint
from clipper_nb.deployers.function_capture import CapturedFunction, capture_function, find_function, find_setup
from clipper_nb.deployers.r_session import environment_of_r, start_r, undisturbed_r
from clipper_nb.deployers.sample_columns import sample_columns
from clipper_nb.display.cell import show_in_cell
from clipper_nb.model_functions.r_function import RFunction
from clipper_nb.model_functions.r_metrics import metrics_source
from clipper_nb.protocol.columns import Column, columns_schema
from clipper_nb.protocol.input_types import InputType
from clipper_nb.protocol.model_folder import R_FUNCTION_FILE, R_SETUP_FILE, RMetadata
from clipper_nb.protocol.samples import Samples

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from clipper_nb.cluster.handles import VersionHandle
    from clipper_nb.cluster.new_version import NewVersion
    from clipper_nb.connection import ClipperConnection

__all__ = ["create_endpoint", "define_metrics", "deploy_r_model"]


def define_metrics() -> None:
    """Define ``count_metric``, ``set_metric`` and ``observe_metric`` in R's global environment, for functions to call.

    ``count_metric(name, by = 1, labels = NULL, description = "")`` and ``set_metric(name, value, ...)`` are a counter
    and a gauge, ``observe_metric(name, value, ..., buckets = NULL)`` is a histogram; labels are ``c(language = "de")``.
    What they count appears on ``/metrics`` as with ``clipper_nb.metrics``. R's own package clippernb has them too.

    Raises
    ------
    DeploymentError
        There is no rpy2 or no R here.
    """
    rinterface = start_r()
    with undisturbed_r():
        rinterface.evalr(metrics_source(), envir=rinterface.globalenv)


@with_options(DeployOptions)
def deploy_r_model(
    clipper_conn: ClipperConnection,
    name: str,
    version: int | str | None,
    input_type: str,
    func: Any,
    base_image: str = "default",
    labels: Sequence[str] | None = None,
    registry: str | None = None,
    num_replicas: int | None = None,
    batch_size: int = -1,
    pkgs_to_install: Sequence[str] | None = None,
    *,
    sample_input: Any = None,
    allow_large: bool = False,
    sample_inputs: Sequence[Any] | None = None,
    setup: Any = None,
    **options: Unpack[DeployOptions],
) -> VersionHandle:
    """Deploy an R function as a version of a model, and make that version current.

    The function travels with the globals that it uses, directly or through other functions, with the session's classes
    and methods (S3, S4, reference classes, R6) of what it uses, and with the names of the packages that are attached or
    that it uses. They are found by reading its code: a name that is built at run time is not found. When this returns,
    the replicas have loaded it and serve it.

    Parameters
    ----------
    func : rpy2 function or str
        An R function, as rpy2 holds it, or the name of one in R's global environment. It takes a list of inputs,
        which are integer, double or raw vectors or character scalars, or values of JSON: objects are named lists,
        lists of scalars of one kind are vectors with NA for ``null``, other lists are lists; and returns a list or
        vector with one output per input, or a matrix or data frame with one row per input. Text stays text; other
        outputs become JSON by their type: rows, names and tables objects, factors text, dates and times ISO 8601 with
        the zone, ``difftime`` seconds, ``bit64::integer64`` whole numbers (text above 2^53), NA ``null``, NaN and
        infinities ``"NaN"``, ``"Infinity"``.
    base_image : str
        For Docker: an image to build upon that Debian's R of the notebook's minor version can be installed in,
        ``python:3.X-slim-bookworm`` (R 4.2) by default. The embedded cluster runs the notebook's own R.
    pkgs_to_install : list of str, optional
        Names of R packages that it needs besides those that are found.
    sample_input : data frame, optional
        With it the function takes one data frame, with a row per input, and inputs are JSON objects, ``{"wt": 2.6,
        "gear": "four"}`` (*input_type* ``"json"``), or their text (``"strings"``). Columns have the names and types
        of the sample's: integer, double, logical, character, factor with its levels, Date (``"2024-02-29"``), POSIXct
        (``"2024-02-29T12:00:00Z"``; without an offset in the sample's time zone). ``null`` is NA. Names that the
        sample does not have are ignored. A missing column, an unknown level or a value of another type is an error
        answer for that input, or a 400 with ``"json"``. The sample is a data frame of R, held through rpy2, the name
        of one that R finds, or one of pandas; it may have no rows.
    allow_large : bool
        Lets a function take along more than 100 MB. The error otherwise names the largest variables, also those in the
        environment of a fitted model's formula.
    sample_inputs : list, optional
        Inputs that the function answers here, and each replica before it serves; rows as JSON where it takes a data
        frame. A replica with different answers is rejected; numbers may differ by a millionth.
    setup : rpy2 function or str, optional
        An R function, or the name of a global one, called once in each replica, without arguments, after packages are
        loaded and before *func* is: for settings, such as ``function() options(digits = 4)``.
    system_packages : list of str, optional
        For Docker: packages of Debian that this version needs, such as ``"libcurl4"``. The embedded cluster has the
        machine's.
    environment_variables : dict or list, optional
        Environment variables of the replicas: ``{"NAME": "value"}``, or ``["NAME"]`` with their values in R. Those that
        the function's code reads, as ``Sys.getenv("NAME")``, and ``TZ``, travel anyway.
        They are kept with the version, and stand in no image, log or report.
    **options : DeployOptions
        Those of every deployer.

    Raises
    ------
    SerializationError
        The function uses a connection or an external pointer; the message names the variable.
    DeploymentError
        There is no R or no rpy2 here.
    InvalidRequestError
        *func* is no R function, *sample_input* no data frame, a column of it has no form in JSON, or the function takes
        along more than 100 MB.
    PredictionError
        It stops on the samples in the notebook.
    ParityError
        A replica's answers to the samples differ; the message says where.
    ModelImportError, ModelLoadError, ReplicaStartError, StartTimeoutError
        A replica could not load it. Nothing is left of the deploy and the old version keeps serving.
    ExistsError
        The model has that version already.

    Examples
    --------
    >>> total = rpy2.robjects.r("function(inputs) sapply(inputs, sum)")
    >>> deploy_r_model(conn, "total", 1, "doubles", total)

    With a data frame:

    >>> r("fit <- lm(mpg ~ wt, mtcars); fuel <- function(cars) predict(fit, cars)")
    >>> deploy_r_model(conn, "fuel", 1, "strings", "fuel", sample_input="mtcars")
    """
    variables = check_environment_variables(options.pop("environment_variables", None), environment_of_r())
    new = clipper_conn.new_version(
        name, version, input_type, base_image=base_image, labels=labels, registry=registry, num_replicas=num_replicas,
        batch_size=batch_size, allow_large=allow_large, environment_variables=variables.values, **options,
    )  # fmt: skip
    inputs = read_sample_inputs(new, sample_inputs)
    columns = [] if sample_input is None else sample_columns(sample_input, input_type)
    fn = find_function(func)
    captured = capture_function(fn, pkgs_to_install or ())
    if setup is not None:
        captured = captured.with_setup(capture_function(find_setup(setup)))
    report = captured.report(func if isinstance(func, str) else "function")
    check_size(report, allow_large=allow_large)

    def meanwhile() -> Mapping[str, bytes]:
        show_in_cell(report)
        with undisturbed_r():
            return samples_file(new, inputs, lambda: RFunction(fn, columns))

    return deploy_captured_function(clipper_conn, new, captured, columns, sample_inputs=inputs, meanwhile=meanwhile)


def deploy_captured_function(
    clipper_conn: ClipperConnection,
    new: NewVersion,
    captured: CapturedFunction,
    columns: Sequence[Column] = (),
    samples: Samples | None = None,
    *,
    sample_inputs: Sequence[Any] | None = None,
    meanwhile: Callable[[], Mapping[str, bytes]] | None = None,
) -> VersionHandle:
    """Deploy an R function that was captured before, in this process or in another R; rpy2 is not needed for it.

    Parameters
    ----------
    clipper_conn : ClipperConnection
    new : NewVersion
        The version that it becomes, as ``new_version()`` described it.
    captured : CapturedFunction
    columns : list of Column
        Those of the data frame that the function takes; none when it takes a list.
    samples : Samples, optional
        What it answers where it was captured.
    sample_inputs : list, optional
        The samples without their answers, which *meanwhile* returns.
    meanwhile : callable, optional
        As for ``deploy_version()``.
    """
    new = new.with_variables(captured.environment_variables.names, captured.environment_variables.values)
    metadata = RMetadata(
        input_type=str(new.input_type),
        input_schema=columns_schema(columns) if new.input_type is InputType.JSON else None,
        environment={"R": captured.r_version},
        system_packages=new.system_packages,
        r_version=captured.r_version,
        r_packages=captured.packages,
        r_attached=tuple(captured.attached),
        r_library_paths=tuple(captured.library_paths),
        r_columns=tuple(columns),
        report=captured.report(new.model_id.name).to_dict(),
    )
    with bundle(metadata, new, sample_inputs) as folder:
        (folder / R_FUNCTION_FILE).write_bytes(captured.serialized)
        if captured.serialized_setup is not None:
            (folder / R_SETUP_FILE).write_bytes(captured.serialized_setup)
        if samples is not None:
            write_samples(samples, folder)
        return clipper_conn.deploy_version(new, str(folder), meanwhile, owns_files=True)


create_endpoint = endpoint(
    deploy_r_model,
    example="""
>>> total = rpy2.robjects.r("function(inputs) sapply(inputs, sum)")
>>> create_endpoint(conn, "total", "doubles", total, slo_micros=100_000)
>>> conn.predict("total", [1.0, 2.0]).output
3.0
""",
)
