"""Spark does not keep the order of rows that it shuffles: samples show it before the first query."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from clipper_nb.closures.sample_outputs import answer_samples
from clipper_nb.cluster.new_version import make_new_version
from clipper_nb.errors import ParityError
from clipper_nb.model_functions.spark_function import SparkFunction
from tests.support.spark import QUIET, notebook_session

pytestmark = [pytest.mark.spark, *QUIET]

NET = make_new_version("net", 1, "strings")
TEXTS = ["hotel", "delta", "alpha", "charlie", "golf", "bravo", "echo", "foxtrot"]


@pytest.fixture(scope="module")
def spark() -> Iterator[Any]:
    with notebook_session() as session:
        yield session


def shuffled(spark: Any, texts: list[str]) -> Any:
    """Return a row for each text, with its number, after a shuffle by the texts, as for a join or a group."""
    return spark.createDataFrame(list(enumerate(texts)), "number int, text string").repartition(4, "text")


def test_answers_in_the_order_of_a_shuffle_are_refused(spark: Any) -> None:
    def by_place(spark: Any, _model: None, inputs: list[str]) -> list[str]:
        return [row.text for row in shuffled(spark, inputs).collect()]

    with pytest.raises(ParityError, match="not at the place of its input"):
        answer_samples(NET, SparkFunction(by_place, spark, None), TEXTS)


def test_rows_that_are_sorted_by_their_numbers_are_answers(spark: Any) -> None:
    def by_number(spark: Any, _model: None, inputs: list[str]) -> list[str]:
        return [row.text for row in shuffled(spark, inputs).orderBy("number").collect()]

    samples = answer_samples(NET, SparkFunction(by_number, spark, None), TEXTS)
    assert samples.outputs == TEXTS
