"""The folder of one model version, as deployers write it and images, replicas and notebooks read it."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import pytest
from msgspec import UNSET

from clipper_nb.errors import InvalidRequestError
from clipper_nb.images import templates
from clipper_nb.protocol.columns import Column
from clipper_nb.protocol.model_folder import (
    KINDS,
    FrameworkMetadata,
    Metadata,
    PySparkMetadata,
    PythonMetadata,
    RMetadata,
    parse_metadata,
    read_folder,
    read_metadata,
    read_provenance,
    write_metadata,
)
from clipper_nb.protocol.provenance import NO_PROVENANCE, Example, Provenance
from clipper_nb.protocol.samples import Samples, format_samples

PYTHON_0_1 = """{
 "environment": {
  "Python": "3.11.7",
  "cloudpickle": "3.1.2"
 },
 "input_type": "doubles",
 "kind": "python_closure",
 "python_version": "3.11.7",
 "report": {
  "captured": [],
  "function": "f\\u00fcr"
 },
 "requirements": [
  "numpy==2.0.1"
 ],
 "source": "def f(x): ...\\n",
 "system_packages": [],
 "unpinnable": {}
}
"""
"""As release 0.1 wrote it."""
PYSPARK_0_1 = json.dumps(
    {
        "driver_memory_bytes": 2048, "environment": {}, "input_type": "strings", "kind": "pyspark",
        "model_class": "pyspark.mllib.classification:SVMModel", "python_version": "3.11.7", "report": {},
        "requirements": [], "session_settings": {"spark.sql.ansi.enabled": "true"}, "system_packages": [],
        "threshold": None, "unpinnable": {},
    }
)  # fmt: skip
R_0_1 = json.dumps(
    {
        "environment": {"R": "4.2.2"}, "input_type": "strings", "kind": "r", "python_version": "3.11.7",
        "r_attached": ["MASS"], "r_library_paths": ["/usr/lib/R/library"], "r_packages": {"MASS": "7.3"},
        "r_version": "4.2.2", "system_packages": ["libcurl4"],
        "r_columns": [
            {"name": "gear", "type": "factor", "levels": ["3", "4"], "is_ordered": True, "time_zone": ""},
        ],
    }
)  # fmt: skip


def test_release_0_1_python_metadata_survives_a_round_trip(tmp_path: Path) -> None:
    (tmp_path / "metadata.json").write_text(PYTHON_0_1)
    metadata = read_metadata(tmp_path)
    assert metadata == PythonMetadata(
        input_type="doubles",
        python_version="3.11.7",
        environment={"Python": "3.11.7", "cloudpickle": "3.1.2"},
        requirements=("numpy==2.0.1",),
        source="def f(x): ...\n",
        report={"captured": [], "function": "für"},
    )
    assert json.loads(PYTHON_0_1).items() <= json.loads(written(metadata, tmp_path)).items()


def test_pyspark_metadata_of_release_0_1_is_read(tmp_path: Path) -> None:
    metadata = parse_metadata(PYSPARK_0_1.encode())
    assert isinstance(metadata, PySparkMetadata)
    assert (metadata.model_class, metadata.threshold) == ("pyspark.mllib.classification:SVMModel", None)
    assert (metadata.session_settings, metadata.driver_memory_bytes) == ({"spark.sql.ansi.enabled": "true"}, 2048)
    assert json.loads(PYSPARK_0_1).items() <= json.loads(written(metadata, tmp_path)).items()


def test_r_metadata_of_release_0_1_is_read(tmp_path: Path) -> None:
    metadata = parse_metadata(R_0_1.encode())
    assert isinstance(metadata, RMetadata)
    assert metadata.r_columns == (Column("gear", "factor", ("3", "4"), is_ordered=True),)
    assert (metadata.r_version, metadata.r_attached, metadata.r_packages) == ("4.2.2", ("MASS",), {"MASS": "7.3"})
    assert json.loads(R_0_1).items() <= json.loads(written(metadata, tmp_path)).items()


@pytest.mark.parametrize("kind", KINDS)
def test_missing_fields_get_defaults_and_unknown_are_ignored(tmp_path: Path, kind: str) -> None:
    metadata = parse_metadata(json.dumps({"kind": kind, "of_a_later_release": [1]}).encode())
    assert metadata.kind == kind
    assert parse_metadata(written(metadata, tmp_path).encode()) == parse_metadata(json.dumps({"kind": kind}).encode())


def test_each_kind_has_a_base_image() -> None:
    base_kinds = {parse_metadata(json.dumps({"kind": kind}).encode()).base_kind for kind in KINDS}
    assert base_kinds < set(templates.library_images())
    assert FrameworkMetadata().base_kind == PythonMetadata().kind  # frameworks are packages of versions


def test_same_metadata_is_the_same_bytes_in_whatever_order(tmp_path: Path) -> None:
    first, second = {"a": "1", "b": "2"}, {"b": "2", "a": "1"}
    texts = {written(RMetadata(r_packages=packages), tmp_path) for packages in (first, second)}
    assert len(texts) == 1


@pytest.mark.parametrize("threshold", [UNSET, None, 0.25])
def test_threshold_none_differs_from_an_unset_threshold(tmp_path: Path, threshold: float | None) -> None:
    write_metadata(PySparkMetadata(threshold=threshold), tmp_path)
    found = read_metadata(tmp_path)
    assert isinstance(found, PySparkMetadata)
    assert found.threshold is threshold or found.threshold == threshold
    assert ("threshold" in (tmp_path / "metadata.json").read_text()) is (threshold is not UNSET)


def test_folder_without_metadata_holds_a_python_function(tmp_path: Path) -> None:
    assert read_metadata(tmp_path) == PythonMetadata()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "metadata.json in the model's folder has no 'kind'"),
        ("[]", "has no 'kind'"),
        ('{"environment": {}}', "has no 'kind'"),
        ('{"kind": "fortran"}', "kind 'fortran'; known: python_closure, pyspark, r"),
        ('{"kind": ["r"]}', r"kind \['r'\]; known"),
        ('{"kind": "r", "r_packages": []}', r"cannot be used: Expected `object`, got `array` - at `\$.r_packages`"),
    ],
)
def test_invalid_metadata_is_refused(content: str, message: str) -> None:
    with pytest.raises(InvalidRequestError, match=message):
        parse_metadata(content.encode())


def test_metadata_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    (tmp_path / "metadata.json").mkdir()
    with pytest.raises(InvalidRequestError, match="in the model's folder cannot be read"):
        read_metadata(tmp_path)


# --- what is kept with a version


def test_environment_and_the_first_sample_are_kept(tmp_path: Path) -> None:
    (tmp_path / "metadata.json").write_text(json.dumps({"environment": {"Python": "3.11.7"}}))
    (tmp_path / "samples.json").write_text(format_samples(Samples([[1.0], [2.0]], ['{"a": 1}', "x"])))
    found = read_provenance(partial(read_folder, tmp_path))
    assert found == Provenance({"Python": "3.11.7"}, 2, Example([1.0], {"a": 1}))


def test_a_large_sample_is_counted_and_not_kept(tmp_path: Path) -> None:
    (tmp_path / "samples.json").write_text(format_samples(Samples([[1.0] * 2000], ["1"])))
    assert read_provenance(partial(read_folder, tmp_path)) == Provenance({}, 1, None)


@pytest.mark.parametrize("metadata", ["", "no JSON", "[]", "{}", '{"environment": 3}'])
def test_foreign_folder_has_no_provenance(tmp_path: Path, metadata: str) -> None:
    (tmp_path / "metadata.json").write_text(metadata)
    assert read_provenance(partial(read_folder, tmp_path)) == NO_PROVENANCE


def written(metadata: Metadata, folder: Path) -> str:
    """Return the text of the file."""
    write_metadata(metadata, folder)
    return (folder / "metadata.json").read_text()
