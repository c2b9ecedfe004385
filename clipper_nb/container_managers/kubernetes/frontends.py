"""Where this process reaches the frontends of a cluster on Kubernetes, and whether they answer there."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from clipper_nb.clients.trust import Trust
from clipper_nb.container_managers.kubernetes import names
from clipper_nb.container_managers.kubernetes.access import Access, Address
from clipper_nb.container_managers.readiness import answers, wait_for

_ANSWER_TIMEOUT_S = 30.0


@dataclass(frozen=True)
class Frontends:
    """Host and port of each."""

    query: Address
    management: Address

    @classmethod
    def find(cls, access: Access, cluster: str) -> Frontends:
        """Return those of a cluster; raises :class:`ClusterUnreachableError` if one cannot be reached from here."""
        return cls(
            access.find(names.query_frontend_name(cluster)), access.find(names.management_frontend_name(cluster))
        )

    def wait_until_they_answer(self, trust: Trust | None, check: Callable[[], None]) -> None:
        """Return when both answer; raises :class:`ClusterUnreachableError` after half a minute, or *check*."""
        deadline_s = time.monotonic() + _ANSWER_TIMEOUT_S
        for host, port in (self.management, self.query):
            wait_for(partial(answers, host, port, trust), deadline_s, check)
