"""Which settings of the notebook's Spark a replica gets."""

from __future__ import annotations

from typing import Any

import pytest

from clipper_nb.deployers.spark_model_files import result_settings


class _Conf:
    """The settings of a session, as PySpark 4 shows them: a default value is told only without another one."""

    def __init__(self, **was_set: str) -> None:
        self.getAll = {f"spark.sql.{name}": value for name, value in was_set.items()}

    def get(self, name: str) -> str:
        return self.getAll.get(name, "the default")


class _Session:
    def __init__(self, name: str, value: str) -> None:
        self.conf = _Conf(**{name: value})


_ALWAYS = {"session.timeZone", "ansi.enabled", "execution.arrow.pyspark.enabled"}


@pytest.mark.parametrize(
    "name",
    ["caseSensitive", "legacy.sizeOfNull", "execution.arrow.maxRecordsPerBatch", "execution.pandas.structHandlingMode",
     "mapKeyDedupPolicy", "storeAssignmentPolicy", "timestampType", *sorted(_ALWAYS)],
)  # fmt: skip
def test_setting_that_changes_answers_is_told(name: str) -> None:
    told: dict[str, Any] = result_settings(_Session(name, "as set"))
    assert told.pop(f"spark.sql.{name}") == "as set"
    assert told == {f"spark.sql.{always}": "the default" for always in _ALWAYS - {name}}


@pytest.mark.parametrize(
    "name", ["shuffle.partitions", "warehouse.dir", "extensions", "adaptive.enabled", "sources.other"]
)
def test_setting_about_speed_or_machine_stays_here(name: str) -> None:
    assert set(result_settings(_Session(name, "as set"))) == {f"spark.sql.{always}" for always in _ALWAYS}
