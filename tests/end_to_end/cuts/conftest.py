"""The cluster that all cuts of a run share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.end_to_end.cuts.cutting import Cutter, local_cutter


@pytest.fixture(scope="session")
def cutter() -> Iterator[Cutter]:
    """What cuts calls on one embedded cluster."""
    with local_cutter() as found:
        yield found
