"""A call in R that takes longer than a replica may be silent."""

from __future__ import annotations

from typing import Any

import pytest

from clipper_nb.deployers.r import create_endpoint
from clipper_nb.runtime.rpc.sessions import SILENCE_TIMEOUT_S
from tests.support.clusters import running_cluster

pytestmark = [pytest.mark.cluster, pytest.mark.r, pytest.mark.long, pytest.mark.timeout(180)]


def test_heartbeats_go_on_while_r_computes(r: Any) -> None:
    """Through processes alone: who sends heartbeats is the same in a container.

    ``test_other_threads_run_while_r_computes`` in tests/model_functions/test_r_function.py stands for it.
    """
    took_s = SILENCE_TIMEOUT_S + 4
    with running_cluster("local") as conn:
        wait = r(f"function(inputs) {{ Sys.sleep({took_s}); lapply(inputs, sum) }}")
        create_endpoint(conn, "long", "doubles", wait, slo_micros=100_000_000)
        before = conn.get_all_model_replicas()
        answer = conn.predict("long", [1.0, 2.0])
        assert (answer.output, answer.default) == (3.0, False)
        assert answer.latency_s > SILENCE_TIMEOUT_S
        assert conn.get_all_model_replicas() == before
