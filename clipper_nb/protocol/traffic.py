"""How an application's queries are divided, as users see it: the answer of ``/admin/get_traffic``. (pure)"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from clipper_nb.protocol.policies import Policy
from clipper_nb.protocol.records import Configuration, Replica
from clipper_nb.protocol.route import format_share
from clipper_nb.protocol.score_books import arm_of
from clipper_nb.protocol.score_counts import NO_COUNTS, Counts


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
    score : float or None
        Mean score of its feedback, from 0 to 1, as far as it counts still; ``None`` without feedback.
    num_scores : float
        Number of scores in it; with a half-life, older ones count as less than one.
    """

    target: str
    model: str | None
    weight: float
    share: float
    num_replicas: int
    score: float | None = None
    num_scores: float = 0.0

    def __str__(self) -> str:
        version = f" (now {self.model})" if self.model not in (None, self.target) else ""
        state = "" if self.num_replicas else " without a replica"
        score = "" if self.score is None else f" (score {self.score:.3g} of {self.num_scores:.4g})"
        return f"{self.target}{version} {format_share(self.share)}{score}{state}"


@dataclass(frozen=True, repr=False)
class ApplicationTraffic:
    """How an application's queries are divided among models and versions.

    Attributes
    ----------
    app_name : str
    targets : tuple of TrafficTarget
        In the order in which they were set; none if no model is linked.
    policy : Policy or None
        By which a target is chosen; ``None`` is by weight. One that learns asks targets in shares of its own.
    """

    app_name: str
    targets: tuple[TrafficTarget, ...] = ()
    policy: Policy | None = None

    @property
    def shares(self) -> dict[str, float]:
        """The share of the queries of each target, from 0 to 1; ``conn.set_traffic`` accepts it."""
        return {target.target: target.share for target in self.targets}

    def __repr__(self) -> str:
        policy = "" if self.policy is None else f" by {self.policy}"
        return f"<Traffic of {self.app_name!r}{policy}: {', '.join(map(str, self.targets)) or 'no model is linked'}>"


def describe_traffic(
    configuration: Configuration,
    application_name: str,
    replicas: Iterable[Replica],
    scores: Mapping[str, Counts] | None = None,
) -> ApplicationTraffic:
    """Return how an application's queries are divided now; *replicas* are those that are connected.

    *scores* are those of its feedback, by ``arm_of`` the version.
    """
    route = configuration.routes.get(application_name)
    if route is None:
        return ApplicationTraffic(application_name)
    num_replicas = Counter(replica.model_id for replica in replicas)
    targets = []
    for target in route.targets:
        model_id = target.resolve(configuration.current_versions)
        model, number = (None, 0) if model_id is None else (str(model_id), num_replicas[model_id])
        version = configuration.version_of(target)
        counts = NO_COUNTS if scores is None or version is None else scores.get(arm_of(version), NO_COUNTS)
        share, num_scores = route.share_of(target), round(counts.num, 3)
        targets.append(TrafficTarget(str(target), model, target.weight, share, number, counts.mean, num_scores))
    return ApplicationTraffic(application_name, tuple(targets), route.policy)
