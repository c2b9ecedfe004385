"""What a user relies on, with two query frontends in pods of their own: tests of the other container managers."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from clipper_nb import ClipperConnection
from tests.end_to_end.test_json_inputs import (  # noqa: F401
    echo,
    test_large_batch_and_large_input_are_answered,
    test_value_of_a_notebook_arrives_as_it_is,
    test_what_is_not_json_is_refused,
)
from tests.end_to_end.test_promises import (  # noqa: F401
    test_every_admin_call_is_seen_by_the_next_query,
    test_scaling_down_and_stopping_versions_loses_no_query,
    test_version_switch_loses_no_query_and_ends_old_answers,
)
from tests.support.clusters import running_cluster

pytestmark = [pytest.mark.kubernetes, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def shared(kind: str) -> Iterator[ClipperConnection]:
    with running_cluster(kind, num_frontend_replicas=2) as conn:
        yield conn


@pytest.fixture
def conn(shared: ClipperConnection) -> ClipperConnection:
    """The same cluster for tests that have one of their own elsewhere."""
    return shared
