"""What is special to Docker: the fixtures of the folder above, with clusters of containers alone."""

from __future__ import annotations

import pytest


@pytest.fixture(scope="module")
def kind() -> str:
    """Which container manager runs the cluster."""
    return "docker"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Restart the engine last of all, when no other test has a cluster."""
    items.sort(key=lambda item: item.path.name == "test_engine_restart.py")
