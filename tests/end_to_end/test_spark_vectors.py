"""A single vector is predicted by a model of pyspark.ml as a data frame is, without a job."""

from __future__ import annotations

from typing import Any

import pytest

from clipper_nb.errors import InvalidRequestError
from clipper_nb.spark_vectors import predict_vector
from tests.support.spark import FLOWERS, QUIET, flowers_frame

pytestmark = [pytest.mark.spark, pytest.mark.timeout(600), *QUIET, pytest.mark.usefixtures("jvms_of_short_lives")]


def test_a_vector_is_predicted_as_transform_does_or_not_at_all(spark: Any) -> None:
    from pyspark.ml.classification import DecisionTreeClassifier, LogisticRegression, OneVsRest
    from pyspark.ml.clustering import KMeans
    from pyspark.ml.regression import LinearRegression

    flowers = flowers_frame(spark)
    for estimator in (LogisticRegression(maxIter=3), LinearRegression(), KMeans(k=3, seed=1)):
        model = estimator.fit(flowers)
        expected = [row.prediction for row in model.transform(flowers).collect()]
        assert [predict_vector(model, flower) for flower in FLOWERS] == expected
    tree = DecisionTreeClassifier(maxDepth=2).setThresholds([0.9, 0.05, 0.05]).fit(flowers)
    with pytest.raises(InvalidRequestError, match="ignores its thresholds"):
        predict_vector(tree, FLOWERS[0])
    with pytest.raises(InvalidRequestError, match="OneVsRestModel cannot predict a single vector"):
        predict_vector(OneVsRest(classifier=LogisticRegression(maxIter=1)).fit(flowers), FLOWERS[0])
