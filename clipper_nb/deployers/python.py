"""Deploys a Python function."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from clipper_nb.closures.callables import check_function
from clipper_nb.closures.function_pickle import pickle_with_setup
from clipper_nb.closures.notebook_environment import notebook_environment, refuse_other_versions
from clipper_nb.closures.report import closure_report, show_in_cell
from clipper_nb.closures.requirements import NO_REQUIREMENTS
from clipper_nb.closures.sample_outputs import answer_samples, write_samples
from clipper_nb.closures.trial import unpickle_function
from clipper_nb.deployers.bundle import bundle
from clipper_nb.deployers.endpoint import endpoint
from clipper_nb.protocol.model_folder import FUNCTION_FILE, SETUP_FILE, PythonMetadata

if TYPE_CHECKING:
    from clipper_nb.cluster.surroundings import ChosenVariables
    from clipper_nb.connection import ClipperConnection
    from clipper_nb.protocol.records import TextOutputs
    from clipper_nb.protocol.resource_limits import ResourceLimits

__all__ = ["closure_report", "create_endpoint", "deploy_python_closure"]


def deploy_python_closure(
    clipper_conn: ClipperConnection,
    name: str,
    version: int | str,
    input_type: str,
    func: Callable[[list[Any]], Any],
    base_image: str = "default",
    labels: Sequence[str] | None = None,
    registry: str | None = None,
    num_replicas: int = 1,
    batch_size: int = -1,
    pkgs_to_install: Sequence[str] | None = None,
    *,
    timeout_s: float = 60.0,
    limits: ResourceLimits | None = None,
    isolate_errors: bool = True,
    hang_timeout_s: float | None = 30.0,
    sample_inputs: Sequence[Any] | None = None,
    capture_packages: bool = True,
    allow_large: bool = False,
    system_packages: Sequence[str] | None = None,
    text_outputs: TextOutputs = "json",
    environment_variables: ChosenVariables = None,
    files: Sequence[str] | None = None,
    setup: Callable[[], Any] | None = None,
) -> None:
    """Deploy a Python function as a version of a model, and make that version current.

    The function travels with what it uses from the notebook: other functions and classes of cells, fitted models,
    and your own modules that are not installed. When this returns, the replicas have loaded it and serve it.

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
    func : callable
        ``func(inputs)`` takes a list of inputs and returns one output per input, in order. Inputs are read-only 1-D
        arrays of int32, float32, float64 or int8, or ``str``. It may be ``async def``, or return a list of awaitables,
        which are awaited together in the replica's one event loop. It may be called twice for one input when a
        replica is lost, so it should have no side effects.
    base_image : str
        For Docker: an image with the notebook's Python minor version to build upon, ``python:3.X-slim-bookworm`` by
        default. The embedded cluster runs the notebook's own Python.
    labels : list of str, optional
        Kept with the version.
    registry : str, optional
        For Docker: where to push the image.
    num_replicas : int
        How many processes serve it.
    batch_size : int
        The most inputs that the function gets at once; -1 adapts to the SLO.
    pkgs_to_install : list of str, optional
        pip requirements, installed for this version alone, besides or instead of those that are found.
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
        Inputs that the function answers here, and each replica before it serves. A replica with different answers is
        rejected; numbers may differ by a millionth.
    capture_packages : bool
        For Docker: whether to install what the function uses, in the notebook's versions; see :func:`closure_report`.
        The embedded cluster has the notebook's packages anyway.
    allow_large : bool
        Whether the function may take along more than 100 MB.
    system_packages : list of str, optional
        For Docker: packages of Debian that this version needs, such as ``"libgomp1"`` for lightgbm. The embedded
        cluster has the machine's.
    text_outputs : str
        ``"json"``: text that the function returns is read as JSON where it is JSON, as Clipper does, so ``"1E5"``
        becomes the number 100000.0. ``"text"``: text stays text. Other outputs become JSON by their type either way.
    environment_variables : dict or list, optional
        Environment variables of the replicas: ``{"NAME": "value"}``, or ``["NAME"]`` with the notebook's values. Those
        that the function's code reads, and ``TZ``, travel anyway.
        They are kept with the version, and stand in no image, log or report.
    files : list of str, optional
        Files and folders below the notebook's working directory; replicas find them under the same relative paths.
    setup : callable, optional
        Called once in each replica, without arguments, before the model is loaded: for settings of libraries, such as
        ``sklearn.set_config``.

    Raises
    ------
    SerializationError
        The function cannot be pickled; the message names the variable and the line.
    InvalidRequestError
        It takes along too much, it cannot be called with a list, or an argument is wrong.
    PredictionError
        It raises on the samples in the notebook.
    IncompatibleEnvironmentError
        The replica's minor version of Python, or of a package that the pickle needs, differs from the notebook's.
    ParityError
        A replica's answers to the samples differ; the message says where.
    ModelImportError, ModelLoadError, ReplicaStartError, StartTimeoutError
        A replica could not load it; carries the replica's traceback and log. Nothing is left of the deploy and the old
        version keeps serving.
    ExistsError
        The model has that version already.

    Examples
    --------
    >>> def total(inputs):
    ...     return [x.sum() for x in inputs]
    >>> deploy_python_closure(conn, "total", 1, "doubles", total)
    """
    new = clipper_conn.new_version(
        name, version, input_type, base_image=base_image, labels=labels, registry=registry, num_replicas=num_replicas,
        batch_size=batch_size, packages=pkgs_to_install, timeout_s=timeout_s, limits=limits,
        system_packages=system_packages, isolate_errors=isolate_errors, hang_timeout_s=hang_timeout_s,
        text_outputs=text_outputs, environment_variables=environment_variables, files=files,
        allow_large=allow_large,
    )  # fmt: skip
    check_function(func)
    pickled, pickled_setup, report = pickle_with_setup(func, setup, allow_large=allow_large)
    new = new.with_variables(report.environment_variables)
    samples = None if sample_inputs is None else answer_samples(new, unpickle_function(pickled), sample_inputs)
    show_in_cell(report)
    environment = notebook_environment(report.requirements)
    refuse_other_versions(str(new.model_id), environment, new.packages)
    to_install = report.requirements if capture_packages else NO_REQUIREMENTS
    metadata = PythonMetadata(
        input_type=str(new.input_type),
        environment=environment,
        modules=report.requirements.pickled,
        requirements=to_install.pinned,
        unpinnable=to_install.unpinnable,
        system_packages=new.system_packages,
        source=_source_of(func),
        report=report.to_dict(),
    )
    with bundle(metadata, new) as folder:
        (folder / FUNCTION_FILE).write_bytes(pickled)
        if pickled_setup is not None:
            (folder / SETUP_FILE).write_bytes(pickled_setup)
        report.files.write(folder)
        if samples is not None:
            write_samples(samples, folder)
        clipper_conn.deploy_version(new, str(folder))


create_endpoint = endpoint(
    deploy_python_closure,
    example="""
>>> create_endpoint(conn, "total", "doubles", lambda inputs: [x.sum() for x in inputs], slo_micros=100_000)
>>> conn.predict("total", [1.0, 2.0]).output
3.0
""",
)


def _source_of(func: Callable[..., Any]) -> str | None:
    try:
        return inspect.getsource(func)
    except (OSError, TypeError):  # created by exec, or an object that can be called
        return None
