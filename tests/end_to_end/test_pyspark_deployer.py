"""PySpark models: deployed with the notebook's own session, and compared with what they predict in the notebook."""

from __future__ import annotations

import contextlib
import decimal
import json
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest

from clipper_nb import ClipperConnection
from clipper_nb.deployers.pyspark import create_endpoint, deploy_pyspark_model
from clipper_nb.deployers.python import deploy_python_closure
from clipper_nb.errors import (
    IncompatibleEnvironmentError,
    InvalidInputError,
    InvalidRequestError,
    NotFoundError,
    ParityError,
    PredictionError,
    SerializationError,
)
from clipper_nb.spark_vectors import predict_vector
from tests.support.clusters import eventually, exported_and_imported, http_request, observe
from tests.support.jvms import short_lived_options
from tests.support.spark import FLOWERS, QUIET, SPECIES, flowers_frame

pytestmark = [
    pytest.mark.cluster, pytest.mark.spark, pytest.mark.same_on_docker, pytest.mark.timeout(600), *QUIET,
    pytest.mark.usefixtures("jvms_of_short_lives"),
]  # fmt: skip

SLO_MICROS = 60_000_000
ASKED = FLOWERS[::10]
TEXTS = ["a star is born", "the tax form is late", "the star of the film", "no tax on films", ""]


@dataclass
class Flower:
    petal: float
    sepal: float | None = None


@pytest.fixture(scope="module")
def forest(spark: Any) -> Any:
    from pyspark.ml.classification import RandomForestClassifier

    return RandomForestClassifier(numTrees=5, seed=1).fit(flowers_frame(spark))


def _labeled_points(spark: Any) -> Any:
    """The first species against the second."""
    from pyspark.mllib.regression import LabeledPoint

    return spark.sparkContext.parallelize(
        [LabeledPoint(label, flower) for flower, label in zip(FLOWERS[:100], SPECIES[:100], strict=True)], 2
    )


def _served(conn: ClipperConnection, application: str, inputs: Any) -> list:
    return [prediction.output for prediction in conn.predict_batch(application, inputs)]


def _as_sent(outputs: Any) -> list:
    """What outputs are after they have travelled as JSON."""
    plain = [output.toArray().tolist() if hasattr(output, "toArray") else output for output in outputs]
    return json.loads(json.dumps(plain))


def predict_each(spark: Any, model: Any, inputs: list) -> list:
    return [model.predict(x) for x in inputs]


def test_mllib_logistic_regression_keeps_its_own_threshold(shared: ClipperConnection, spark: Any) -> None:
    """Spark itself would load it with the threshold 0.5."""
    from pyspark.mllib.classification import LogisticRegressionWithLBFGS

    model = LogisticRegressionWithLBFGS.train(_labeled_points(spark), iterations=10)
    model.clearThreshold()
    scores = sorted(predict_each(spark, model, list(FLOWERS[:100])))
    model.setThreshold((scores[75] + scores[76]) / 2)  # between two scores: the image's BLAS may differ in the last bit
    create_endpoint(shared, "logistic", "doubles", predict_each, model, spark.sparkContext, slo_micros=SLO_MICROS)
    expected = predict_each(spark, model, list(FLOWERS[:100]))
    assert sum(expected) == 24  # with 0.5 it would be 50
    assert _served(shared, "logistic", FLOWERS[:100]) == expected


@pytest.mark.long
def test_mllib_svm_without_threshold_returns_margins(shared: ClipperConnection, spark: Any, tmp_path: Path) -> None:
    """And does from the file of an exported configuration, and as a version that is numbered by the cluster.

    ``test_mllib_logistic_regression_keeps_its_own_threshold`` stands for it, and R's versions for the file and number.
    """
    from pyspark.mllib.classification import SVMWithSGD

    model = SVMWithSGD.train(_labeled_points(spark), iterations=10)
    model.clearThreshold()
    create_endpoint(shared, "svm", "doubles", predict_each, model, spark, slo_micros=SLO_MICROS)
    expected = [float(margin) for margin in predict_each(spark, model, list(ASKED))]
    assert len(set(expected)) > 2
    margins = pytest.approx(expected, rel=1e-12)  # an image's BLAS may add otherwise
    assert _served(shared, "svm", ASKED) == margins
    assert exported_and_imported(shared, "svm", tmp_path / "exported.tar") == ("svm:1",)
    assert _served(shared, "svm", ASKED) == margins
    assert deploy_pyspark_model(shared, "svm", None, "doubles", predict_each, model, spark).version == "2"


@pytest.mark.also_on_docker
def test_modules_variables_files_and_setup_travel(
    shared: ClipperConnection, kind: str, spark: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "spark_helpers.py").write_text("def doubled(x):\n    return float(2 * x[0])\n")
    (tmp_path / "words.txt").write_text("a b")
    monkeypatch.setenv("T", "0.9")

    def prepare() -> None:
        decimal.getcontext().prec = 5

    def serve(session: Any, model: Any, inputs: list) -> list:
        from spark_helpers import doubled  # type: ignore[import-not-found]

        words = session.read.text(os.path.abspath("words.txt")).collect()[0][0]
        return [f"{os.environ['T']} {words} {decimal.getcontext().prec} {doubled(x)}" for x in inputs]

    java = {} if kind == "local" else {"JDK_JAVA_OPTIONS": short_lived_options(archive=None)}
    create_endpoint(
        shared, "spark-travel", "doubles", serve, None, spark, slo_micros=SLO_MICROS,
        files=["words.txt"], setup=prepare, environment_variables=java,
    )  # fmt: skip
    assert _served(shared, "spark-travel", [[1.0], [2.5]]) == ["0.9 a b 5 2.0", "0.9 a b 5 5.0"]
    shared.stop_models(["spark-travel"])


def classify_texts(spark: Any, model: Any, inputs: list) -> list:
    rows = [(json.loads(text)["text"],) for text in inputs]
    return [row.probability for row in model.transform(spark.createDataFrame(rows, "text string")).collect()]


def test_a_pipeline_on_json_strings(shared: ClipperConnection, spark: Any) -> None:
    from pyspark.ml import Pipeline
    from pyspark.ml.classification import LogisticRegression
    from pyspark.ml.feature import HashingTF, Tokenizer

    stages = [
        Tokenizer(inputCol="text", outputCol="words"),
        HashingTF(inputCol="words", outputCol="features", numFeatures=64),
        LogisticRegression(maxIter=5, regParam=0.01),
    ]
    labeled = [(text, float("tax" in text)) for text in TEXTS]
    model = Pipeline(stages=stages).fit(spark.createDataFrame(labeled, ["text", "label"]))
    inputs = [json.dumps({"text": text}) for text in TEXTS]
    create_endpoint(
        shared, "texts", "strings", classify_texts, model, spark, slo_micros=SLO_MICROS, sample_inputs=inputs
    )
    assert _served(shared, "texts", inputs) == _as_sent(classify_texts(spark, model, inputs))
    broken = shared.predict("texts", "no JSON")
    assert (broken.default, broken.reason) == (True, "model_error")
    assert "JSONDecodeError" in str(broken.explanation)


def _settings(spark: Any) -> dict[str, Any]:
    arrow = "spark.sql.execution.arrow"
    return {
        "arrow": spark.conf.get(f"{arrow}.pyspark.enabled"), "ansi": spark.conf.get("spark.sql.ansi.enabled"),
        "null size": spark.sql("select size(cast(null as array<int>))").first()[0],
        "batch": spark.conf.get(f"{arrow}.maxRecordsPerBatch"),
    }  # fmt: skip


def ask_forest(spark: Any, model: Any, inputs: list) -> list:
    if inputs[0][0] == -1:
        return []
    if inputs[0][0] == -2:
        return spark.sql("select raise_error('petals are\npositive')").collect()
    if inputs[0][0] == -3:
        return spark.sparkContext.parallelize(inputs).map(lambda x: 1 // int(x[1])).collect()
    if inputs[0][0] == -4:
        return [{"zone": spark.sql("select current_timezone()").first()[0], **_settings(spark)}]
    if inputs[0][0] == -5:
        return spark.createDataFrame([(x[0],) for x in inputs], ["x"]).collect()
    from pyspark.ml.linalg import Vectors

    rows = spark.createDataFrame([(Vectors.dense(x),) for x in inputs], ["features"])
    predictions = [row.prediction for row in model.transform(rows).collect()]
    assert [predict_vector(model, x) for x in inputs] == predictions
    return predictions


@pytest.fixture(scope="module")
def species(shared: ClipperConnection, spark: Any, forest: Any) -> str:
    """An application with a random forest of pyspark.ml."""
    for name, value in {"ansi.enabled": "false", "legacy.sizeOfNull": "true"}.items():
        spark.conf.set(f"spark.sql.{name}", value)
    spark.conf.set("spark.sql.execution.arrow.maxRecordsPerBatch", "7")
    create_endpoint(
        shared, "species", "doubles", ask_forest, forest, spark, slo_micros=SLO_MICROS, sample_inputs=ASKED[:2]
    )
    return "species"


def test_a_random_forest_also_after_errors(shared: ClipperConnection, spark: Any, forest: Any, species: str) -> None:
    expected = ask_forest(spark, forest, list(ASKED))
    assert set(expected) == {0.0, 1.0, 2.0}
    assert _served(shared, species, ASKED) == expected
    (replica,) = [name for name in shared.get_all_model_replicas() if name.startswith("species:")]
    for first, told in [
        (-1.0, "0 outputs for 1 inputs"),
        (-2.0, "SparkRuntimeException: [USER_RAISED_EXCEPTION] petals are"),
        (-3.0, "SparkError: ZeroDivisionError: integer division or modulo by zero"),
    ]:
        failed = shared.predict(species, [first, 0.0])
        assert (failed.default, failed.reason) == (True, "model_error")
        assert told in str(failed.explanation)
    assert _served(shared, species, ASKED) == expected
    assert replica in shared.get_all_model_replicas()


def test_rows_keep_their_names_and_the_notebooks_settings(shared: ClipperConnection, spark: Any, species: str) -> None:
    assert _settings(spark) == {"arrow": "false", "ansi": "false", "null size": -1, "batch": "7"}
    assert shared.predict(species, [-4.0]).output == {"zone": "Pacific/Auckland", **_settings(spark)}
    assert "write float(x) or x.item()" in str(shared.predict(species, [-5.0]).explanation)


def test_values_of_spark_are_what_was_meant(shared: ClipperConnection, spark: Any, shell: Any) -> None:
    """Rows in rows, vectors, decimals, days and NaN; alone, in a batch, over REST, by the magic, and with samples."""
    import datetime
    import math

    def kinds(session: Any, model: Any, inputs: list) -> list:
        from pyspark.ml.linalg import Vectors
        from pyspark.sql import Row

        columns = "n int, price decimal(5,2), day date, took interval day to second"
        columns += ", tags map<string,int>, inner struct<s:double>"
        hour, day = datetime.timedelta(hours=1), datetime.date(2024, 2, 29)
        rows = [(int(x[0]), decimal.Decimal("1.10"), day, hour, {"a": 1}, Row(s=math.nan)) for x in inputs]
        found = session.createDataFrame(rows, columns).collect()
        if inputs[0][0] < 0:
            return session.createDataFrame(rows, columns).select("n", "price").toPandas()
        return [[row, Vectors.sparse(2, {1: 0.5}), Vectors.dense([row.n])] for row in found]

    def codes(session: Any, model: Any, inputs: list) -> Any:
        import pandas as pd

        return pd.Series([float(x[0]) for x in inputs]).astype("category").cat.codes

    def answer(n: int, nan: Any) -> list:
        fields = {"n": n, "price": "1.10", "day": "2024-02-29", "took": "PT1H", "tags": {"a": 1}, "inner": {"s": nan}}
        return [fields, [0.0, 0.5], [float(n)]]

    samples = [[1.0], [2.0]]
    create_endpoint(
        shared, "spark-kinds", "doubles", kinds, None, spark, slo_micros=SLO_MICROS, sample_inputs=samples
    )  # fmt: skip
    for inputs in ([[1.0]], samples):
        _, reply = http_request(
            shared.get_query_addr(), "POST", "/spark-kinds/predict", json.dumps({"input_batch": inputs})
        )  # fmt: skip
        assert [each["output"] for each in reply["batch_predictions"]] == [answer(int(n), "NaN") for (n,) in inputs]
    here = [answer(int(n), math.nan) for (n,) in samples]
    assert repr(_served(shared, "spark-kinds", samples)) == repr(here)
    assert repr(shared.predict("spark-kinds", [1.0]).output) == repr(here[0])
    assert repr(shell.run_line_magic("predict", "--conn conn spark-kinds [2.0]").output) == repr(here[1])
    assert _served(shared, "spark-kinds", [[-1.0], [-2.0]]) == [{"n": -1, "price": "1.10"}, {"n": -2, "price": "1.10"}]
    with pytest.raises(ParityError, match="depends on its neighbours"):
        deploy_pyspark_model(shared, "codes", 1, "doubles", codes, None, spark, sample_inputs=[[2.0], [1.0]])
    shared.stop_models(["spark-kinds"])


def test_a_data_frame_is_scored_with_the_same_numbers(
    shared: ClipperConnection, spark: Any, forest: Any, species: str
) -> None:
    flowers = flowers_frame(spark).repartition(3)
    scored = shared.predict_dataframe(species, flowers, "features", "predicted")
    assert scored.schema["predicted"].dataType.simpleString() == "double"
    expected = {(row.features, row.label, row.prediction) for row in forest.transform(flowers).collect()}
    assert {(row.features, row.label, row.predicted) for row in scored.collect()} == expected
    assert scored.count() == len(FLOWERS)
    assert not [name for name in shared.get_all_apps() if name.startswith("predict-dataframe")]


def test_a_data_frame_that_cannot_be_scored(shared: ClipperConnection, spark: Any, species: str) -> None:
    wrong = spark.createDataFrame([([5.0, 3.0, 1.0, 0.2],), ([5.0],)], "measures array<double>")
    with pytest.raises(PredictionError, match=r"Row \d has no prediction: .*SparkError: ArrayIndexOutOfBounds"):
        shared.predict_dataframe(species, wrong, "measures", "predicted")
    with pytest.raises(InvalidRequestError, match="no column 'features'; it has measures"):
        shared.predict_dataframe(species, wrong, "features", "predicted")
    nothing = spark.createDataFrame([(None,)], "measures array<double>")
    with pytest.raises(InvalidRequestError, match="Row 0 has no input"):
        shared.predict_dataframe(species, nothing, "measures", "predicted")
    with pytest.raises(NotFoundError, match="no application and no model"):
        shared.predict_dataframe("nobody", wrong, "measures", "predicted")
    assert not [name for name in shared.get_all_apps() if name.startswith("predict-dataframe")]


def add_in_sql(spark: Any, model: Any, inputs: list) -> list:
    return [{"language": "Spark", "sum": spark.sql(f"select {x[0]}d + {x[1]}d as sum").first().sum} for x in inputs]


@pytest.fixture(scope="module")
def mixed(shared: ClipperConnection, spark: Any) -> str:
    """An application whose first version is Spark without a model."""
    create_endpoint(shared, "mixed", "doubles", add_in_sql, None, spark, slo_micros=SLO_MICROS)
    return "mixed"


def test_a_python_and_a_spark_version_behind_one_application(shared: ClipperConnection, mixed: str) -> None:
    spark_answer = {"language": "Spark", "sum": 3.5}
    assert shared.predict(mixed, [1.0, 2.5]).output == spark_answer
    deploy_python_closure(shared, mixed, 2, "doubles", lambda xs: [{"language": "Python"} for _ in xs])
    assert shared.predict(mixed, [1.0, 2.5]).output == {"language": "Python"}
    shared.set_model_version(mixed, 1)
    assert shared.predict(mixed, [1.0, 2.5]).output == spark_answer


def _mixed_replica(conn: ClipperConnection) -> psutil.Process:
    first = next(container.pid for container in observe(conn, "replica") if container.model == "mixed:1")
    return psutil.Process(first)


def _java_of(replica: psutil.Process) -> psutil.Process | None:
    with contextlib.suppress(psutil.Error):
        return next((child for child in replica.children(recursive=True) if child.name() == "java"), None)
    return None


def _is_gone(process: psutil.Process) -> bool:
    with contextlib.suppress(psutil.NoSuchProcess):
        return process.status() == psutil.STATUS_ZOMBIE
    return True


@pytest.mark.not_on_kubernetes("its processes are those of nodes")
def test_replica_and_jvm_live_and_die_together(shared: ClipperConnection, mixed: str) -> None:
    """A replica without its JVM is started again, and a killed replica leaves no JVM."""
    java = _java_of(_mixed_replica(shared))
    assert java is not None
    addresses = {connection.laddr.ip for connection in java.net_connections("inet") if connection.status == "LISTEN"}
    assert {address.removeprefix("::ffff:") for address in addresses} <= {"127.0.0.1"}
    java.kill()
    eventually(lambda: shared.predict(mixed, [2.0, 2.0]).output == {"language": "Spark", "sum": 4.0}, within_s=120,
               what="the replica is back")  # fmt: skip
    replica = _mixed_replica(shared)
    java = _java_of(replica)
    assert java is not None
    replica.kill()
    eventually(lambda: _is_gone(java), within_s=30, what="the JVM is gone")


def test_a_sample_that_fails_here_fails_the_deploy(shared: ClipperConnection, spark: Any) -> None:
    with pytest.raises(PredictionError, match=r"in the notebook: SparkError: .*no_such_column"):
        deploy_pyspark_model(
            shared, "fails", 1, "doubles", lambda spark, model, xs: spark.sql("select no_such_column").collect(), None,
            spark, sample_inputs=[[1.0]],
        )  # fmt: skip
    assert not [model for model in shared.get_all_models() if model.startswith("fails:")]


@pytest.mark.long
def test_replica_with_different_answers_is_refused(shared: ClipperConnection, spark: Any) -> None:
    """That of the Python deployer in ``test_samples.py`` stands for it; rows are compared as dictionaries are."""
    here = os.getpid()

    def shifted(spark: Any, model: Any, inputs: list[Any]) -> list[Any]:
        shift = 1 if os.getpid() == here else 0
        return [spark.sql(f"select {int(x[0]) * shift} as product").head() for x in inputs]

    with pytest.raises(ParityError, match=r"sample 1: the notebook has 2 at \['product'\], the replica 0"):
        deploy_pyspark_model(
            shared, "differs", 1, "doubles", shifted, None, spark, sample_inputs=[[0.0], [2.0]]
        )  # fmt: skip
    assert not [model for model in shared.get_all_models() if model.startswith("differs:")]


def test_unserialisable_object_is_refused_by_name(shared: ClipperConnection, spark: Any, forest: Any) -> None:
    def deploy(func: Any, model: Any = None, sc: Any = spark) -> None:
        deploy_pyspark_model(shared, "refused", 1, "doubles", func, model, sc)

    frame = spark.range(3)
    config = {"frames": [frame]}
    with pytest.raises(SerializationError, match=r"'spark' \(SparkSession\), .* as arguments spark and model"):
        deploy(lambda session, model, inputs: spark.sql("select 1").collect())
    with pytest.raises(SerializationError, match=r"'config\['frames'\]\[0\]' \(DataFrame\), .*collect\(\)"):
        deploy(lambda session, model, inputs: config["frames"][0].collect())
    with pytest.raises(SerializationError, match=r"'forest' \(RandomForestClassificationModel\), .*pyspark_model"):
        deploy(lambda session, model, inputs: [forest.predict(x) for x in inputs])

    from pyspark.ml import PipelineModel, Transformer
    from pyspark.ml.classification import LogisticRegression
    from pyspark.ml.util import DefaultParamsReadable, DefaultParamsWritable
    from pyspark.mllib.feature import StandardScaler

    class Mine(Transformer, DefaultParamsReadable, DefaultParamsWritable):
        def _transform(self, dataset: Any) -> Any:
            return dataset

    scaler = StandardScaler().fit(spark.sparkContext.parallelize([[1.0], [2.0]]))
    with pytest.raises(SerializationError, match="no format for a StandardScalerModel"):
        deploy(predict_each, scaler)
    with pytest.raises(SerializationError, match="a part of class Mine"):
        deploy(predict_each, PipelineModel([Mine()]))
    with pytest.raises(InvalidRequestError, match="a LogisticRegression, which is not fitted"):
        deploy(predict_each, LogisticRegression())
    with pytest.raises(InvalidRequestError, match="or None, not a dict"):
        deploy(predict_each, {})
    with pytest.raises(InvalidRequestError, match="sc must be a SparkContext or a SparkSession, not str"):
        deploy(predict_each, forest, "local[*]")
    assert not [model for model in shared.get_all_models() if model.startswith("refused:")]


def test_another_version_of_spark_is_refused_with_both_sides(shared: ClipperConnection, spark: Any, mixed: str) -> None:
    with pytest.raises(IncompatibleEnvironmentError, match=rf"pyspark +{re.escape(spark.version)} +3\.5\.1"):
        deploy_pyspark_model(
            shared, "other", 1, "doubles", lambda spark, model, xs: xs, None, spark, pkgs_to_install=["pyspark==3.5.1"]
        )
    assert "other:1" not in shared.get_all_models()
    assert shared.get_model_info(mixed, 1)["environment"]["pyspark"] == spark.version


def test_function_of_records_gets_them(shared: ClipperConnection, spark: Any) -> None:
    def grown(spark: Any, model: Any, inputs: list[Flower]) -> list[float]:
        rows = spark.createDataFrame([(each.petal, each.sepal or 0.0) for each in inputs], "petal double, sepal double")
        return [row.petal + row.sepal for row in rows.collect()]

    create_endpoint(shared, "grown", "json", grown, None, spark, slo_micros=SLO_MICROS, sample_inputs=[{"petal": 1}])
    answers = shared.predict_batch("grown", [{"petal": 1.5}, {"petal": 2, "sepal": 0.5}])
    assert [answer.output for answer in answers] == [1.5, 2.5]
    with pytest.raises(InvalidInputError, match=r'Expected a number, got "x" - at `\$\.input\.petal`'):
        shared.predict("grown", {"petal": "x"})
