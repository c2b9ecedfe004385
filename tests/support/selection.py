"""What ``make test`` leaves to ``make test-all``: on Docker, the tests of what is the same there, and long ones.

Both kinds of cluster run the same frontends and the same replicas, and tests/end_to_end/test_alike.py proves that they
answer alike, word for word. A test of nothing else has the marker ``same_on_docker``, and runs on Docker with
``--everything`` alone; ``also_on_docker`` excepts one that shows how Docker differs, or that the image is good.
A test with the marker ``long`` takes a quarter of a minute or more; it names what stands for it in ``make test``.
"""

from __future__ import annotations

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--everything", action="store_true", help="long tests too, and on Docker what is the same there")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Deselect what is the same on Docker, and what is long."""
    if config.getoption("--everything"):
        return
    left_out = [item for item in items if is_left_out({marker.name for marker in item.iter_markers()})]
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if item not in left_out]


def is_left_out(markers: set[str]) -> bool:
    """Return whether a test with these markers runs with ``--everything`` alone."""
    return "long" in markers or (markers >= {"docker", "same_on_docker"} and "also_on_docker" not in markers)
