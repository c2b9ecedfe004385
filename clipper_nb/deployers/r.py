"""Deploys an R function."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from clipper_nb.closures.function_pickle import check_size
from clipper_nb.closures.report import show_in_cell
from clipper_nb.closures.sample_outputs import answer_samples, write_samples
from clipper_nb.deployers.bundle import bundle
from clipper_nb.deployers.endpoint import endpoint
from clipper_nb.deployers.function_capture import CapturedFunction, capture_function, find_function
from clipper_nb.deployers.r_session import undisturbed_r
from clipper_nb.deployers.sample_columns import sample_columns
from clipper_nb.model_functions.r_function import RFunction
from clipper_nb.protocol.columns import Column
from clipper_nb.protocol.model_folder import R_FUNCTION_FILE, RMetadata
from clipper_nb.protocol.samples import Samples

if TYPE_CHECKING:
    from clipper_nb.cluster.new_version import NewVersion
    from clipper_nb.cluster.surroundings import ChosenVariables
    from clipper_nb.connection import ClipperConnection
    from clipper_nb.protocol.records import TextOutputs
    from clipper_nb.protocol.resource_limits import ResourceLimits

__all__ = ["create_endpoint", "deploy_r_model"]


def deploy_r_model(
    clipper_conn: ClipperConnection,
    name: str,
    version: int | str,
    input_type: str,
    func: Any,
    base_image: str = "default",
    labels: Sequence[str] | None = None,
    registry: str | None = None,
    num_replicas: int = 1,
    batch_size: int = -1,
    pkgs_to_install: Sequence[str] | None = None,
    *,
    sample_input: Any = None,
    allow_large: bool = False,
    timeout_s: float = 60.0,
    limits: ResourceLimits | None = None,
    isolate_errors: bool = True,
    hang_timeout_s: float | None = 30.0,
    sample_inputs: Sequence[Any] | None = None,
    system_packages: Sequence[str] | None = None,
    text_outputs: TextOutputs = "json",
    environment_variables: ChosenVariables = None,
    files: Sequence[str] | None = None,
) -> None:
    """Deploy an R function as a version of a model, and make that version current.

    The function travels with the globals that it uses, directly or through other functions, and with the names of the
    packages that are attached or that it uses. They are found by reading its code: a name that is built at run time is
    not found. When this returns, the replicas have loaded it and serve it.

    Parameters
    ----------
    clipper_conn : ClipperConnection
        A connected one.
    name : str
        The model's name.
    version : str or int
        Any text that is a valid Docker tag; versions are immutable.
    input_type : str
        ``"ints"``, ``"floats"``, ``"doubles"``, ``"bytes"`` or ``"strings"``.
    func : rpy2 function or str
        An R function, as rpy2 holds it, or the name of one in R's global environment. It takes a list of inputs, which
        are integer, double or raw vectors or character scalars, and returns a list or vector with one output per input,
        or a matrix or data frame with one row per input. Text stays text; other outputs become JSON by their type:
        rows, names and tables objects, factors text, dates and times ISO 8601 with the zone, ``difftime`` seconds,
        ``bit64::integer64`` whole numbers (text above 2^53), NA ``null``, NaN and infinities ``"NaN"``, ``"Infinity"``.
    base_image : str
        For Docker: an image to build upon that Debian's R of the notebook's minor version can be installed in,
        ``python:3.X-slim-bookworm`` (R 4.2) by default. The embedded cluster runs the notebook's own R.
    labels : list of str, optional
        Kept with the version.
    registry : str, optional
        For Docker: where to push the image.
    num_replicas : int
        How many processes serve it.
    batch_size : int
        The most inputs that the function gets at once; -1 adapts to the SLO.
    pkgs_to_install : list of str, optional
        Names of R packages that it needs besides those that are found.
    sample_input : data frame, optional
        With it the function takes one data frame, with a row per input, and inputs are JSON objects as text
        (*input_type* ``"strings"``): ``'{"wt": 2.6, "gear": "four"}'``. Columns have the names and types of the
        sample's: integer, double, logical, character, factor with its levels, Date (``"2024-02-29"``), POSIXct
        (``"2024-02-29T12:00:00Z"``; without an offset in the sample's time zone). ``null`` is NA. Names that the sample
        does not have are ignored. A missing column, an unknown level or a value of another type is an error answer for
        that input. The sample is a data frame of R, held through rpy2, the name of one that R finds, or one of pandas;
        it may have no rows.
    allow_large : bool
        Lets a function take along more than 100 MB. The error otherwise names the largest variables, also those in the
        environment of a fitted model's formula.
    timeout_s : float
        Seconds that the replicas may take to load the function.
    limits : ResourceLimits, optional
        For Docker: memory, cores and processes that each replica may use.
    isolate_errors : bool
        Whether a batch that the function raises on is computed again in parts, so that one bad input fails alone.
    hang_timeout_s : float, optional
        A replica that is busy with one batch for longer than this, and than ten times the longest SLO of its queries,
        is replaced. ``None`` turns that off.
    sample_inputs : list, optional
        Inputs that the function answers here, and each replica before it serves; rows as JSON text where it takes a
        data frame. A replica with different answers is rejected; numbers may differ by a millionth.
    system_packages : list of str, optional
        For Docker: packages of Debian that this version needs, such as ``"libcurl4"``. The embedded cluster has the
        machine's.
    text_outputs : str
        ``"json"``: text that the function returns is read as JSON where it is JSON, as Clipper does, so ``"1E5"``
        becomes the number 100000.0. ``"text"``: text stays text. Other outputs become JSON by their type either way.
    environment_variables : dict or list, optional
        Environment variables of the replicas: ``{"NAME": "value"}``, or ``["NAME"]`` with the notebook's values.
        ``TZ`` travels anyway.
        They are kept with the version, and stand in no image, log or report.
    files : list of str, optional
        Files and folders below the notebook's working directory; replicas find them under the same relative paths.

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
    new = clipper_conn.new_version(
        name, version, input_type, base_image=base_image, labels=labels, registry=registry, num_replicas=num_replicas,
        batch_size=batch_size, timeout_s=timeout_s, limits=limits,
        system_packages=system_packages, isolate_errors=isolate_errors, hang_timeout_s=hang_timeout_s,
        text_outputs=text_outputs, environment_variables=environment_variables, files=files,
        allow_large=allow_large,
    )  # fmt: skip
    columns = [] if sample_input is None else sample_columns(sample_input, input_type)
    fn = find_function(func)
    captured = capture_function(fn, pkgs_to_install or ())
    report = captured.report(func if isinstance(func, str) else "function")
    check_size(report, allow_large=allow_large)
    show_in_cell(report)
    samples = None
    if sample_inputs is not None:
        with undisturbed_r():
            samples = answer_samples(new, RFunction(fn, columns), sample_inputs)
    deploy_captured_function(clipper_conn, new, captured, columns, samples)


def deploy_captured_function(
    clipper_conn: ClipperConnection,
    new: NewVersion,
    captured: CapturedFunction,
    columns: Sequence[Column] = (),
    samples: Samples | None = None,
) -> None:
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
    """
    metadata = RMetadata(
        input_type=str(new.input_type),
        environment={"R": captured.r_version},
        system_packages=new.system_packages,
        r_version=captured.r_version,
        r_packages=captured.packages,
        r_attached=tuple(captured.attached),
        r_library_paths=tuple(captured.library_paths),
        r_columns=tuple(columns),
        report=captured.report(new.model_id.name).to_dict(),
    )
    with bundle(metadata, new) as folder:
        (folder / R_FUNCTION_FILE).write_bytes(captured.serialized)
        if samples is not None:
            write_samples(samples, folder)
        clipper_conn.deploy_version(new, str(folder))


create_endpoint = endpoint(
    deploy_r_model,
    example="""
>>> total = rpy2.robjects.r("function(inputs) sapply(inputs, sum)")
>>> create_endpoint(conn, "total", "doubles", total, slo_micros=100_000)
>>> conn.predict("total", [1.0, 2.0]).output
3.0
""",
)
