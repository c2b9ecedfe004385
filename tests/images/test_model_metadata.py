"""What is kept with a version of what its deploy knew."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import pytest

from clipper_nb.images.model_metadata import read_folder, read_provenance
from clipper_nb.protocol.provenance import NO_PROVENANCE, Example, Provenance
from clipper_nb.protocol.samples import Samples, format_samples


def test_environment_and_the_first_sample_are_kept(tmp_path: Path) -> None:
    (tmp_path / "metadata.json").write_text(json.dumps({"environment": {"Python": "3.11.7"}}))
    (tmp_path / "samples.json").write_text(format_samples(Samples([[1.0], [2.0]], ['{"a": 1}', "x"])))
    found = read_provenance(partial(read_folder, tmp_path))
    assert found == Provenance({"Python": "3.11.7"}, 2, Example([1.0], {"a": 1}))


def test_a_large_sample_is_counted_and_not_kept(tmp_path: Path) -> None:
    (tmp_path / "samples.json").write_text(format_samples(Samples([[1.0] * 2000], ["1"])))
    assert read_provenance(partial(read_folder, tmp_path)) == Provenance({}, 1, None)


@pytest.mark.parametrize("metadata", ["", "no JSON", "[]", "{}", '{"environment": 3}'])
def test_a_folder_of_somebody_else_tells_nothing(tmp_path: Path, metadata: str) -> None:
    (tmp_path / "metadata.json").write_text(metadata)
    assert read_provenance(partial(read_folder, tmp_path)) == NO_PROVENANCE
