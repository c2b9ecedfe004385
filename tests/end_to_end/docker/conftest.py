"""What is special to Docker: the fixtures of the folder above, with clusters of containers alone."""

from __future__ import annotations

import pytest


@pytest.fixture(scope="module")
def kind() -> str:
    """Which container manager runs the cluster."""
    return "docker"
