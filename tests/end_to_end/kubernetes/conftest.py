"""The tests of this folder, and those that they take from others, run on Kubernetes alone."""

from __future__ import annotations

import pytest


@pytest.fixture(scope="module")
def kind(kubernetes_kind: str) -> str:
    """For tests of the other container managers: their clusters run here."""
    return kubernetes_kind
