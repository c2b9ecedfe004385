"""Deploys a PySpark model."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from clipper_nb.closures.callables import SPARK_INPUTS, check_function
from clipper_nb.closures.function_pickle import pickle_with_setup
from clipper_nb.closures.input_annotations import take_inputs
from clipper_nb.closures.notebook_environment import notebook_environment, refuse_other_versions
from clipper_nb.closures.sample_outputs import read_sample_inputs, samples_file
from clipper_nb.cluster.deploy_options import DeployOptions, with_options
from clipper_nb.deployers.bundle import bundle
from clipper_nb.deployers.endpoint import endpoint
from clipper_nb.deployers.spark_model_files import (
    describe_spark_model,
    find_session,
    result_settings,
    save_spark_model,
)
from clipper_nb.model_functions.coroutines import AwaitingFunction
from clipper_nb.model_functions.spark_function import SparkFunction
from clipper_nb.protocol.model_folder import FUNCTION_FILE, SETUP_FILE, SPARK_MODEL_FOLDER, PySparkMetadata
from clipper_nb.protocol.number_columns import columns_of
from clipper_nb.protocol.resource_limits import JAVA_HEAP_SHARE, ResourceLimits
from clipper_nb.spark_vectors import predict_vector

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from clipper_nb.cluster.handles import VersionHandle
    from clipper_nb.connection import ClipperConnection

__all__ = ["create_endpoint", "deploy_pyspark_model", "predict_vector"]

_DEFAULT_DRIVER_MEMORY_BYTES = 1024**3


@with_options(DeployOptions, timeout_s=180.0)
def deploy_pyspark_model(
    clipper_conn: ClipperConnection,
    name: str,
    version: int | str | None,
    input_type: str,
    func: Callable[[Any, Any, list[Any]], Any],
    pyspark_model: Any,
    sc: Any,
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
    """Deploy a PySpark model with a function around it as a version of a model, and make that version current.

    Spark saves the model here and loads it in each replica, which has its own local Spark with one core. When this
    returns, the replicas have loaded it, have run a Spark job, and serve it.

    Parameters
    ----------
    func : callable
        ``func(spark, model, inputs)`` takes the replica's ``SparkSession``, the model as Spark loaded it, and a list of
        inputs, as that of :func:`clipper_nb.deployers.python.deploy_python_closure` does, and returns one output per
        input, in order. Spark gives rows another order when it shuffles them, as ``join``, ``groupBy``, ``orderBy``
        and ``ALSModel`` do: number the rows, and sort by the number last. *sample_inputs* show it before the first
        query. The function must not use the notebook's own session, context or data frames.
    pyspark_model : model of pyspark.ml or pyspark.mllib, or None
        A fitted model, such as a ``PipelineModel``; ``None`` for a function that needs only Spark.
    sc : SparkContext or SparkSession
        The notebook's, which saves the model.
    base_image : str
        For Docker: an image of Debian 12 with the notebook's Python minor version to build upon,
        ``python:3.X-slim-bookworm`` by default. The embedded cluster runs the notebook's own Python, PySpark and Java.
    num_replicas : int, optional
        How many processes serve it, each with a JVM: 1 by default. If the model's current version is autoscaled, the
        default is its number, and its bounds go on with this version; a number given here ends them.
    pkgs_to_install : list of str, optional
        pip requirements besides PySpark, NumPy, pandas and PyArrow.
    timeout_s : float
        Seconds that the replicas may take to start Spark and load the model.
    limits : ResourceLimits, optional
        Memory, cores and processes that each replica may use. Java's heap gets 0.6 of the memory, or 1 GiB
        without limits.
    sample_inputs : list, optional
        Inputs that the function answers here, and each replica before it serves, so that the first query finds all
        warm. A replica with different answers is rejected; numbers may differ by a millionth.
    environment_variables : dict or list, optional
        Environment variables of the replicas: ``{"NAME": "value"}``, or ``["NAME"]`` with the notebook's values. Those
        that the function's code reads, and ``TZ``, travel anyway.
        They are kept with the version, and stand in no image, log or report.
    **options : DeployOptions
        Those of every deployer.

    Raises
    ------
    SerializationError
        The function uses an object of the notebook's Spark, or Spark cannot save the model; the message names it.
    IncompatibleEnvironmentError
        A replica, or *pkgs_to_install*, has another minor version of what the notebook pickled or saved with.
    PredictionError
        It raises on the samples in the notebook.
    ParityError
        A replica's answers to the samples differ; the message says where.
    DeploymentError
        There is no PySpark here, or Spark saved the model on other machines.
    ModelImportError, ModelLoadError, ReplicaStartError, StartTimeoutError
        A replica could not load it. Nothing is left of the deploy and the old version keeps serving.
    ExistsError
        The model has that version already.

    Examples
    --------
    >>> def classify(spark, model, inputs):
    ...     rows = spark.createDataFrame([(text,) for text in inputs], "text string")
    ...     return [row.prediction for row in model.transform(rows).collect()]
    >>> deploy_pyspark_model(conn, "topics", 1, "strings", classify, pipeline_model, spark)
    """
    new = clipper_conn.new_version(
        name, version, input_type, base_image=base_image, labels=labels, registry=registry, num_replicas=num_replicas,
        batch_size=batch_size, packages=pkgs_to_install, **options,
    )  # fmt: skip
    check_function(func, SPARK_INPUTS)
    taken = take_inputs(func, new.input_type, sample_inputs, position=len(SPARK_INPUTS) - 1)
    inputs = read_sample_inputs(new, sample_inputs, columns_of(taken.schema))
    session = find_session(sc)
    pickled, pickled_setup, report = pickle_with_setup(taken.func, setup)
    new = new.with_variables(report.environment_variables)
    environment = notebook_environment(report.requirements, "pyspark")
    refuse_other_versions(str(new.model_id), environment, new.packages)
    model_class, threshold = describe_spark_model(pyspark_model)
    metadata = PySparkMetadata(
        input_type=str(new.input_type),
        input_schema=taken.schema,
        environment=environment,
        modules=report.requirements.pickled,
        requirements=report.requirements.pinned,
        unpinnable=report.requirements.unpinnable,
        system_packages=new.system_packages,
        model_class=model_class,
        threshold=threshold,
        session_settings=result_settings(session),
        driver_memory_bytes=_driver_memory_bytes(new.limits),
        report=report.to_dict(),
    )

    def meanwhile() -> Mapping[str, bytes]:
        return samples_file(new, inputs, lambda: SparkFunction(AwaitingFunction(taken.func), session, pyspark_model))

    with bundle(metadata, new, inputs) as folder:
        (folder / FUNCTION_FILE).write_bytes(pickled)
        if pickled_setup is not None:
            (folder / SETUP_FILE).write_bytes(pickled_setup)
        report.files.write(folder)
        if pyspark_model is not None:
            save_spark_model(pyspark_model, session, folder / SPARK_MODEL_FOLDER)
        return clipper_conn.deploy_version(new, str(folder), meanwhile, owns_files=True)


create_endpoint = endpoint(
    deploy_pyspark_model,
    what="a PySpark model of the same name",
    example="""
>>> def classify(spark, model, inputs):
...     return [predict_vector(model, x) for x in inputs]
>>> create_endpoint(conn, "species", "doubles", classify, forest, spark, slo_micros=500_000)
>>> conn.predict("species", [5.1, 3.5, 1.4, 0.2]).output
0.0
""",
)


def _driver_memory_bytes(limits: ResourceLimits) -> int:
    memory_bytes = limits.memory_bytes
    return _DEFAULT_DRIVER_MEMORY_BYTES if memory_bytes is None else int(JAVA_HEAP_SHARE * memory_bytes)
