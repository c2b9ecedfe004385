"""What runs with ``--everything`` alone: on Docker and Kubernetes, tests of what is the same there; and long ones.

Both kinds of cluster run the same frontends and the same replicas, and tests/end_to_end/test_alike.py proves that they
answer alike, word for word. A test of nothing else has the marker ``same_on_docker``, and runs on Docker with
``--everything`` alone; ``also_on_docker`` excepts one that shows how Docker differs, or that the image is good.
A test with the marker ``long`` takes a quarter of a minute or more; it names what stands for it in ``make test``.

On Kubernetes a test for each kind of cluster runs with ``-m kubernetes --everything`` alone, but for those with the
marker ``also_on_kubernetes``, which ``make test-kubernetes`` runs too; ``not_on_kubernetes`` says why one cannot.
"""

from __future__ import annotations

import pytest

ON_KUBERNETES = pytest.param(
    "kubernetes", marks=[pytest.mark.kubernetes, pytest.mark.same_on_kubernetes, pytest.mark.timeout(600)]
)
"""The kind of cluster as a parameter of a test that runs on the others too."""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--everything", action="store_true", help="long tests too, and what is the same on Docker, or Kubernetes"
    )


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Deselect what is the same elsewhere, what is long, and what was not asked for."""
    everything, asked = bool(config.getoption("--everything")), str(config.getoption("-m"))
    left_out = [item for item in items if _is_left_out(item, everything=everything, asked=asked)]
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if item not in left_out]


def _is_left_out(item: pytest.Item, *, everything: bool, asked: str) -> bool:
    markers = {marker.name for marker in item.iter_markers()}
    if "same_on_kubernetes" in markers and ("kubernetes" not in asked or "not_on_kubernetes" in markers):
        return True  # who runs one file has no Kubernetes
    return not everything and is_left_out(markers)


def is_left_out(markers: set[str]) -> bool:
    """Return whether a test with these markers runs with ``--everything`` alone."""
    if "same_on_kubernetes" in markers:
        return "long" in markers or "also_on_kubernetes" not in markers
    return "long" in markers or (markers >= {"docker", "same_on_docker"} and "also_on_docker" not in markers)
