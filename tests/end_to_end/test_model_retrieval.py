"""A deployed function comes back: from this notebook or another, as it was."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import numpy as np
import pytest

from clipper_nb import (
    ClipperConnection,
    DockerContainerManager,
    InvalidRequestError,
    ModelNotFoundError,
)
from clipper_nb.deployers.python import create_endpoint, deploy_python_closure
from tests.support.clusters import source_of

pytestmark = pytest.mark.cluster

SLO_MICROS = 20_000_000
WEIGHTS = np.array([1.0, 10.0])


def weigh(inputs: list[Any]) -> list[float]:
    return [float(x @ WEIGHTS) for x in inputs]


@pytest.fixture(scope="module")
def weighed(shared: ClipperConnection) -> str:
    """An application whose model has two versions."""
    create_endpoint(shared, "weighed", "doubles", weigh, slo_micros=SLO_MICROS)
    deploy_python_closure(shared, "weighed", 2, "doubles", lambda inputs: [0.0 for _ in inputs])
    return "weighed"


def test_fetched_function_can_be_called(shared: ClipperConnection, weighed: str) -> None:
    fetched = shared.fetch_model(weighed, 1)
    assert fetched([np.array([3.0, 4.0])]) == [43.0]
    assert shared.fetch_model(weighed)([np.array([3.0, 4.0])]) == [0.0]  # the current one


def test_source_and_requirements_are_stored(shared: ClipperConnection, weighed: str) -> None:
    kept = shared.get_model_source(weighed, 1)
    assert kept.source is not None
    assert kept.source.startswith("def weigh(inputs")
    assert f"numpy=={np.__version__}" in kept.requirements
    assert [found["name"] for found in kept.report["captured"]] == ["WEIGHTS"]
    assert kept.python_version.split(".")[:2] == [str(part) for part in sys.version_info[:2]]


def test_another_kernel_can_fetch_the_function(shared: ClipperConnection, weighed: str) -> None:
    program = (
        "import numpy\nfrom clipper_nb import *\n"
        f"conn = ClipperConnection({source_of(shared.cm)}); conn.connect()\n"
        f"print(conn.fetch_model({weighed!r}, 1)([numpy.array([3.0, 4.0])]))\n"
    )
    finished = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert finished.stdout.strip() == "[43.0]"


def test_failed_fetch_is_reported(shared: ClipperConnection, weighed: str) -> None:
    with pytest.raises(ModelNotFoundError):
        shared.fetch_model(weighed, 3)
    shared.register_model("elsewhere", 1, "doubles")
    with pytest.raises(InvalidRequestError, match="containerless"):
        shared.get_model_source("elsewhere")
    if isinstance(shared.cm, DockerContainerManager):  # nothing of a look stays
        wanted = {"ancestor": f"{shared.cm.cluster_name}-{weighed}:1", "status": "created"}
        assert shared.cm.docker_client.containers.list(all=True, filters=wanted) == []
