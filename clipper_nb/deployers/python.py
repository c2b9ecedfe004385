"""Deploys a Python function."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from clipper_nb.closures.callables import check_function
from clipper_nb.closures.estimators import as_function, is_estimator
from clipper_nb.closures.function_pickle import pickle_with_setup
from clipper_nb.closures.input_annotations import take_inputs
from clipper_nb.closures.notebook_environment import notebook_environment, refuse_other_versions
from clipper_nb.closures.report import closure_report
from clipper_nb.closures.requirements import NO_REQUIREMENTS
from clipper_nb.closures.sample_outputs import read_sample_inputs, samples_file
from clipper_nb.closures.trial import unpickle_function
from clipper_nb.cluster.deploy_options import DeployOptions, with_options
from clipper_nb.deployers.bundle import bundle
from clipper_nb.deployers.endpoint import endpoint
from clipper_nb.display.cell import show_in_cell
from clipper_nb.protocol.model_folder import FUNCTION_FILE, SETUP_FILE, PythonMetadata
from clipper_nb.protocol.number_columns import columns_of

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from clipper_nb.cluster.handles import VersionHandle
    from clipper_nb.connection import ClipperConnection

__all__ = ["closure_report", "create_endpoint", "deploy_python_closure"]


@with_options(DeployOptions)
def deploy_python_closure(
    clipper_conn: ClipperConnection,
    name: str,
    version: int | str | None,
    input_type: str,
    func: Callable[[list[Any]], Any],
    base_image: str = "default",
    labels: Sequence[str] | None = None,
    registry: str | None = None,
    num_replicas: int | None = None,
    batch_size: int = -1,
    pkgs_to_install: Sequence[str] | None = None,
    *,
    method: str | None = None,
    sample_inputs: Sequence[Any] | None = None,
    capture_packages: bool = True,
    allow_large: bool = False,
    setup: Callable[[], Any] | None = None,
    **options: Unpack[DeployOptions],
) -> VersionHandle:
    """Deploy a Python function, or a fitted estimator, as a version of a model, and make that version current.

    The function travels with what it uses from the notebook: other functions and classes of cells, fitted models,
    and your own modules that are not installed. When this returns, the replicas have loaded it and serve it.

    Parameters
    ----------
    func : callable
        ``func(inputs)`` takes a list of inputs and returns one output per input, in order. Inputs are read-only 1-D
        arrays of int32, float32, float64 or int8, or ``str``. With input type ``"json"`` its annotation says what
        they are: values of JSON without one, or with ``list[dict]``; with ``list[T]`` objects of a dataclass,
        TypedDict, msgspec.Struct or pydantic model; with ``pandas.DataFrame`` one data frame, with the columns and
        dtypes of *sample_inputs*. An input that does not fit is refused before it costs a replica. It may be
        ``async def``, or return a list of awaitables, which are awaited together in the replica's one event loop. It
        may be called twice for one input when a replica is lost, so it should have no side effects.
        A fitted estimator, as of scikit-learn, may come in its place: its ``predict`` gets a 2-D array with a row per
        input, a data frame if it was fitted with one of pandas, or for ``"strings"`` a list of texts. Numbers of a row
        have no names: with ``"json"`` and ``sample_inputs=df`` columns are found by name, in any order. Texts that it
        returns stay text unless *text_outputs* says otherwise.
    base_image : str
        For Docker: an image with the notebook's Python minor version to build upon, ``python:3.X-slim-bookworm`` by
        default. The embedded cluster runs the notebook's own Python.
    pkgs_to_install : list of str, optional
        pip requirements, installed for this version alone, besides or instead of those that are found.
    method : str, optional
        The method of an estimator that answers, in place of ``"predict"``: ``"predict_proba"``, ``"transform"``.
    sample_inputs : list or data frame, optional
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
    environment_variables : dict or list, optional
        Environment variables of the replicas: ``{"NAME": "value"}``, or ``["NAME"]`` with the notebook's values. Those
        that the function's code reads, and ``TZ``, travel anyway.
        They are kept with the version, and stand in no image, log or report.
    **options : DeployOptions
        Those of every deployer.

    Raises
    ------
    SerializationError
        The function cannot be pickled; the message names the variable and the line.
    InvalidRequestError
        It takes along too much, it cannot be called with a list, or an argument is wrong; an estimator is not fitted.
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
    <Version total:1: doubles, current, 1 replica>

    The next version, of an estimator:

    >>> deploy_python_closure(conn, "digits", None, "doubles", forest, method="predict_proba")
    <Version digits:4: doubles, current, 1 replica>
    """
    if method is not None or is_estimator(func):
        options.setdefault("text_outputs", "text")  # labels, which nobody has written as JSON
    new = clipper_conn.new_version(
        name, version, input_type, base_image=base_image, labels=labels, registry=registry, num_replicas=num_replicas,
        batch_size=batch_size, packages=pkgs_to_install, allow_large=allow_large, **options,
    )  # fmt: skip
    func = as_function(func, method, new.input_type)
    check_function(func)
    taken = take_inputs(func, new.input_type, sample_inputs)
    inputs = read_sample_inputs(new, sample_inputs, columns_of(taken.schema))
    pickled, pickled_setup, report = pickle_with_setup(taken.func, setup, allow_large=allow_large)
    new = new.with_variables(report.environment_variables)
    environment = notebook_environment(report.requirements)
    refuse_other_versions(str(new.model_id), environment, new.packages)
    to_install = report.requirements if capture_packages else NO_REQUIREMENTS
    metadata = PythonMetadata(
        input_type=str(new.input_type),
        input_schema=taken.schema,
        environment=environment,
        modules=report.requirements.pickled,
        requirements=to_install.pinned,
        unpinnable=to_install.unpinnable,
        system_packages=new.system_packages,
        imports=tuple(report.imports),
        source=_source_of(func),
        report=report.to_dict(),
    )

    def meanwhile() -> Mapping[str, bytes]:
        show_in_cell(report)
        return samples_file(new, inputs, lambda: unpickle_function(pickled))

    with bundle(metadata, new, inputs) as folder:
        (folder / FUNCTION_FILE).write_bytes(pickled)
        if pickled_setup is not None:
            (folder / SETUP_FILE).write_bytes(pickled_setup)
        report.files.write(folder)
        return clipper_conn.deploy_version(new, str(folder), meanwhile, owns_files=True)


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
