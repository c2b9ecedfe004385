"""A model that other versions pickled is refused before it is read; what it was made in is kept with the version."""

from __future__ import annotations

import pickle
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from clipper_nb import ClipperConnection, IncompatibleEnvironmentError
from clipper_nb.deployers.bundle import bundle
from clipper_nb.deployers.python import create_endpoint, deploy_python_closure
from clipper_nb.protocol.model_folder import PythonMetadata

pytestmark = pytest.mark.cluster

SLO_MICROS = 20_000_000
WEIGHTS = np.array([1.0, 2.0])


def weigh(inputs: list[Any]) -> list[float]:
    return [float(x @ WEIGHTS) for x in inputs]


@contextmanager
def pickled_elsewhere(**environment: str) -> Iterator[Path]:
    """Give the files of a model that was made with other versions; its pickle must not even be read."""
    with bundle(PythonMetadata(input_type="doubles", environment=environment)) as folder:
        (folder / "func.pkl").write_bytes(b"not to be read")
        yield folder


@pytest.mark.same_on_docker
@pytest.mark.parametrize(
    ("name", "here"),
    [
        pytest.param("Python", platform.python_version(), marks=pytest.mark.also_on_docker),  # it is the image's own
        ("numpy", np.__version__),
    ],
)
def test_other_versions_are_refused_with_both_sides(shared: ClipperConnection, name: str, here: str) -> None:
    versions = {"Python": platform.python_version(), name: "0.9.1"}
    with (
        pickled_elsewhere(**versions) as folder,
        pytest.raises(
            IncompatibleEnvironmentError, match=rf"elsewhere:1 was pickled by .*\n.*\n +{name} +0\.9\.1"
        ) as e,
    ):
        shared.build_and_deploy_model("elsewhere", 1, "doubles", str(folder))
    assert set(e.value.conflicts) == {name}
    assert e.value.conflicts[name][0] == "0.9.1"
    # Another image of the same minor version may have another patch.
    assert e.value.conflicts[name][1].rpartition(".")[0] == here.rpartition(".")[0]
    assert "UnreadableHere" in str(e.value.__cause__)
    assert e.value.exit_status == 1
    assert shared.get_model_info("elsewhere", 1) is None
    assert [found for found in shared.cm.observe_replicas() if found.model == "elsewhere:1"] == []


@pytest.mark.same_on_docker
def test_requirement_conflict_is_refused_before_the_build(shared: ClipperConnection) -> None:
    with pytest.raises(IncompatibleEnvironmentError, match=r"pkgs_to_install\n +numpy +\S+ +0\.9\.1"):
        deploy_python_closure(shared, "contradicted", 1, "doubles", weigh, pkgs_to_install=["numpy==0.9.1"])
    assert "contradicted:1" not in shared.get_all_models()


def test_environment_and_example_are_stored_with_the_version(shared: ClipperConnection) -> None:
    create_endpoint(
        shared, "weighed", "doubles", weigh, slo_micros=SLO_MICROS, sample_inputs=[[1.0, 1.0], np.array([0.0, 2.0])]
    )
    known = shared.get_model_info("weighed", 1)
    assert known is not None
    assert known["environment"]["Python"] == platform.python_version()
    assert known["environment"]["numpy"] == np.__version__
    assert (known["num_samples"], known["example"]) == (2, {"input": [1.0, 1.0], "output": 3.0})
    application = shared.get_app_info("weighed")
    assert application is not None
    assert application["example"] == known["example"]
    assert shared.predict("weighed", application["example"]["input"]).output == application["example"]["output"]
    # The image says so too, to a deploy that has nothing else.
    image = known["container_name"]
    shared.deploy_model("weighed", 2, "doubles", image)
    again = shared.get_model_info("weighed", 2)
    assert again is not None
    assert {key: again[key] for key in ("environment", "num_samples", "example")} == {
        key: known[key] for key in ("environment", "num_samples", "example")
    }
    shared.stop_models(["weighed"])


@pytest.mark.same_on_docker
def test_a_model_that_says_nothing_of_its_versions_is_served(shared: ClipperConnection) -> None:
    with bundle(PythonMetadata(input_type="strings")) as folder:
        (folder / "func.pkl").write_bytes(pickle.dumps(list))
        shared.build_and_deploy_model("plain", 1, "strings", str(folder))
    known = shared.get_model_info("plain", 1)
    assert known is not None
    assert (known["environment"], known["num_samples"], known["example"]) == ({}, 0, None)
    shared.stop_models(["plain"])
