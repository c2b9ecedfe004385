"""How an application's queries are divided, as users see it: the answer of ``/admin/get_traffic``. (pure)"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from clipper_nb.protocol.records import Configuration, Replica
from clipper_nb.protocol.route import format_share


@dataclass(frozen=True)
class TrafficTarget:
    """A model or a version that gets a share of an application's queries.

    Attributes
    ----------
    target : str
        ``"model"``, which is its current version, or ``"model:version"``.
    model : str or None
        The version that answers, as ``"model:version"``; ``None`` if the model has no current version.
    weight : float
        As it was set.
    share : float
        Its weight divided by the sum of all weights, from 0 to 1.
    num_replicas : int
        Number of connected replicas of that version. Without one, the other targets answer its queries.
    """

    target: str
    model: str | None
    weight: float
    share: float
    num_replicas: int

    def __str__(self) -> str:
        version = f" (now {self.model})" if self.model not in (None, self.target) else ""
        state = "" if self.num_replicas else " without a replica"
        return f"{self.target}{version} {format_share(self.share)}{state}"


@dataclass(frozen=True, repr=False)
class ApplicationTraffic:
    """How an application's queries are divided among models and versions.

    Attributes
    ----------
    app_name : str
    targets : tuple of TrafficTarget
        In the order in which they were set; none if no model is linked.
    """

    app_name: str
    targets: tuple[TrafficTarget, ...] = ()

    @property
    def shares(self) -> dict[str, float]:
        """The share of the queries of each target, from 0 to 1; ``conn.set_traffic`` accepts it."""
        return {target.target: target.share for target in self.targets}

    def __repr__(self) -> str:
        return f"<Traffic of {self.app_name!r}: {', '.join(map(str, self.targets)) or 'no model is linked'}>"


def describe_traffic(
    configuration: Configuration, application_name: str, replicas: Iterable[Replica]
) -> ApplicationTraffic:
    """Return how an application's queries are divided now; *replicas* are those that are connected."""
    route = configuration.routes.get(application_name)
    if route is None:
        return ApplicationTraffic(application_name)
    num_replicas = Counter(replica.model_id for replica in replicas)
    targets = []
    for target in route.targets:
        model_id = target.resolve(configuration.current_versions)
        model, number = (None, 0) if model_id is None else (str(model_id), num_replicas[model_id])
        targets.append(TrafficTarget(str(target), model, target.weight, route.share_of(target), number))
    return ApplicationTraffic(application_name, tuple(targets))
