"""What the panels show: a cluster as it was seen at one moment. (pure)"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from clipper_nb.display.html import Severity
from clipper_nb.panels.counts import ShadowCounts
from clipper_nb.panels.history import NO_TRAFFIC, History, Traffic
from clipper_nb.protocol.autoscaling import Autoscaling
from clipper_nb.protocol.descriptions import ApplicationInfo, ReplicaInfo, VersionInfo
from clipper_nb.protocol.input_types import InputType
from clipper_nb.protocol.names import ModelId
from clipper_nb.protocol.policies import Policy
from clipper_nb.protocol.records import CONTAINERLESS_IMAGE
from clipper_nb.protocol.roll_out import RollOutInfo

if TYPE_CHECKING:
    from clipper_nb.protocol.containers import ObservedContainer

_DEFAULTS_TO_WARN_OF = 0.01
_RECENT_S = 60.0
_SPARKLINE_LENGTH = 40


@dataclass(frozen=True)
class Status:
    """The state of something, in a word or two."""

    level: Severity
    text: str


@dataclass(frozen=True)
class TargetState:
    """A model or a version that gets a share of an application's queries, with the last minute's traffic."""

    target: str
    """``"model"`` or ``"model:version"``, as it was set."""
    model_id: str | None
    """The version that answers, as ``name:version``, or ``None``."""
    share: float
    """The share that it should get, from 0 to 1."""
    traffic: Traffic = NO_TRAFFIC
    """What that version answered of the application's queries, also as another target."""


@dataclass(frozen=True)
class ApplicationState:
    """One application with its latest traffic.

    Attributes
    ----------
    traffic, last_minute : Traffic
        Of the last ten seconds, and of the last minute.
    has_only_defaults : bool
        Whether it has been queried and has never answered a prediction.
    """

    name: str
    input_type: InputType
    default_output: str
    slo_s: float
    linked_model: str | None
    split: str = ""
    """Among which models and versions its queries are divided, if they are."""
    targets: Sequence[TargetState] = ()
    """Where its queries go; none if nothing is linked."""
    policy: Policy | None = None
    """What chooses among them; ``None`` is the weights alone."""
    shadow: ShadowCounts | None = None
    traffic: Traffic = NO_TRAFFIC
    last_minute: Traffic = NO_TRAFFIC
    has_only_defaults: bool = False
    recent_rates: Sequence[float] = ()

    @property
    def status(self) -> Status:
        """Its status: does it answer predictions within its SLO?"""
        if self.linked_model is None:
            return Status("warning", "not linked")
        share, recent_share = self.traffic.default_share, self.last_minute.default_share
        if share >= 0.5:
            return Status("problem", f"{share:.0%} defaults")
        if share >= _DEFAULTS_TO_WARN_OF:
            return Status("warning", f"{share:.0%} defaults")
        if recent_share >= _DEFAULTS_TO_WARN_OF:
            return Status("warning", f"{recent_share:.0%} defaults in 1 min")
        if self.has_only_defaults:
            return Status("warning", "only defaults so far")
        if self.traffic.p99_s is None:
            return Status("idle", "no queries")
        if self.traffic.p99_s > self.slo_s:
            return Status("warning", "p99 over SLO")
        return Status("ok", "SLO met")


@dataclass(frozen=True)
class VersionState:
    """One version of a model with its replicas and latest traffic."""

    model_name: str
    version: str
    input_type: InputType
    registered_at: float
    is_current: bool
    is_containerless: bool
    num_connected: int
    containers: Sequence[ObservedContainer] = ()
    traffic: Traffic = NO_TRAFFIC
    example_input: Any = None
    """The input of the first sample that it was deployed with, as in JSON."""
    input_schema: Mapping[str, Any] | None = field(default=None, hash=False)
    """The JSON Schema of its inputs."""
    autoscaling: Autoscaling | None = None
    """Within which bounds the cluster sets the number of its replicas, if it does."""
    own: Mapping[str, Sequence[float]] = field(default_factory=dict, hash=False)
    """What it counts itself, by name: the values of all replicas and labels."""

    @property
    def model_id(self) -> str:
        """``name:version``"""
        return f"{self.model_name}:{self.version}"

    @property
    def num_wanted(self) -> int:
        """How many replicas there should be; those that keep restarting count too."""
        return self.num_connected if self.is_containerless else len(self.containers)

    @property
    def status(self) -> Status:
        """Its status: are its replicas ready?"""
        if self.num_connected < self.num_wanted:
            if any(container.num_exits for container in self.containers):
                return Status("problem", f"{self.num_connected} of {self.num_wanted}, restarting")
            return Status("warning", f"{self.num_connected} of {self.num_wanted} ready")
        if self.num_wanted == 0:
            return Status("problem", "no replica") if self.is_current else Status("idle", "stopped")
        if self.traffic.errors_per_s > 0:
            return Status("warning", "model errors")
        return Status("ok", "ready")


@dataclass(frozen=True)
class ClusterState:
    """A cluster as it was seen.

    Attributes
    ----------
    seen_at : float
        Seconds since the epoch; 0 before the first poll.
    problem : str
        Why it could not be seen since then; empty when it was.
    """

    cluster_name: str
    query_url: str = ""
    seen_at: float = 0.0
    applications: Sequence[ApplicationState] = ()
    versions: Sequence[VersionState] = ()
    roll_outs: Sequence[RollOutInfo] = ()
    problem: str = ""

    @property
    def model_names(self) -> list[str]:
        """The models, in order."""
        return sorted({version.model_name for version in self.versions})

    def application(self, name: str | None) -> ApplicationState | None:
        """Return an application by name."""
        return next((found for found in self.applications if found.name == name), None)

    def roll_out(self, application: str | None) -> RollOutInfo | None:
        """Return the last roll-out of an application, by its name."""
        return next((found for found in self.roll_outs if found.app_name == application), None)

    def versions_of(self, model_name: str | None) -> list[VersionState]:
        """Return a model's versions, the latest registered first."""
        return [version for version in self.versions if version.model_name == model_name]

    def current_version(self, model_name: str | None) -> VersionState | None:
        """Return the version of a model that answers queries."""
        return next((version for version in self.versions_of(model_name) if version.is_current), None)

    @property
    def worst(self) -> Mapping[Severity, int]:
        """The number of applications and versions at each level."""
        levels = [found.status.level for found in self.applications] + [found.status.level for found in self.versions]
        return Counter(levels)


def make_cluster_state(
    cluster_name: str,
    query_url: str,
    *,
    seen_at: float,
    applications: Sequence[ApplicationInfo],
    models: Sequence[VersionInfo],
    connected: Sequence[ReplicaInfo],
    containers: Sequence[ObservedContainer],
    history: History,
    roll_outs: Sequence[RollOutInfo] = (),
) -> ClusterState:
    """Return the state built from what the management frontend, the container manager and the metrics report."""
    num_connected = Counter(replica.model_id for replica in connected)
    return ClusterState(
        cluster_name=cluster_name,
        query_url=query_url,
        seen_at=seen_at,
        roll_outs=roll_outs,
        applications=[
            ApplicationState(
                name=record.name,
                input_type=record.input_type,
                default_output=record.default_output,
                slo_s=record.slo_micros / 1e6,
                linked_model=record.linked_model,
                split=record.routing if record.traffic else "",
                targets=_targets(record, history),
                policy=record.policy,
                shadow=history.shadow(record.name),
                traffic=history.application(record.name),
                last_minute=history.application(record.name, _RECENT_S),
                has_only_defaults=history.has_only_defaults(record.name),
                recent_rates=history.application_rates(record.name, _SPARKLINE_LENGTH),
            )
            for record in sorted(applications, key=lambda record: record.name)
        ],
        versions=[
            _version_state(record, num_connected, containers, history)
            for record in sorted(models, key=lambda record: (record.name, -record.registered_at))
        ],
    )


def _targets(record: ApplicationInfo, history: History) -> list[TargetState]:
    if len(record.traffic) > 1:
        return [
            TargetState(each.target, each.model, each.share, history.target(record.name, each.model or "", _RECENT_S))
            for each in record.traffic
        ]
    target = record.traffic[0].target if record.traffic else record.linked_model
    # One target has all that the application has.
    return (
        [] if target is None else [TargetState(target, record.model, 1.0, history.application(record.name, _RECENT_S))]
    )


def _version_state(
    record: VersionInfo,
    num_connected: Mapping[ModelId, int],
    containers: Sequence[ObservedContainer],
    history: History,
) -> VersionState:
    model_id = str(record.model_id)
    return VersionState(
        model_name=record.name,
        version=record.version,
        input_type=record.input_type,
        registered_at=record.registered_at,
        is_current=record.is_current,
        is_containerless=record.image == CONTAINERLESS_IMAGE,
        num_connected=num_connected.get(record.model_id, 0),
        containers=[container for container in containers if container.model == model_id],
        traffic=history.version(model_id),
        own=history.own(model_id),
        autoscaling=record.autoscaling,
        example_input=record.example.input if record.example else None,
        input_schema=record.input_schema,
    )
