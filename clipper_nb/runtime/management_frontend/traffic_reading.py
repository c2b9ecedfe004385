"""Reads how an application's queries are divided, and what their feedback says."""

from __future__ import annotations

from collections.abc import Iterable

from clipper_nb.protocol.records import Replica
from clipper_nb.protocol.score_books import book_of
from clipper_nb.protocol.traffic import ApplicationTraffic, describe_traffic
from clipper_nb.runtime.management_frontend.rules import find_application
from clipper_nb.runtime.state.store import StateStore


async def read_traffic(
    store: StateStore, application_name: str, replicas: Iterable[Replica], now_s: float
) -> ApplicationTraffic:
    """Return an application's traffic; *replicas* are connected, *now_s* is seconds since the epoch.

    Raises
    ------
    ApplicationNotFoundError
        There is no such application.
    """
    configuration = await store.read_configuration()
    application = find_application(configuration, application_name)
    route = configuration.routes.get(application_name)
    policy = None if route is None else route.policy
    (counts,) = await store.feedback.read(book_of(application, policy))
    half_life_s = None if policy is None else policy.half_life_s
    scores = {arm: found.faded(now_s, half_life_s) for arm, found in counts.items()}
    return describe_traffic(configuration, application_name, replicas, scores)
