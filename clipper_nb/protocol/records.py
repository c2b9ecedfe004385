"""The records that cross process borders; all frozen."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from msgspec import Struct

from clipper_nb.protocol.application_tokens import ApplicationToken
from clipper_nb.protocol.autoscaling import Autoscaling, VersionLoad
from clipper_nb.protocol.environment import DEFAULT_HANG_TIMEOUT_S
from clipper_nb.protocol.environment_variables import NO_VARIABLES, EnvironmentVariables
from clipper_nb.protocol.input_types import InputType
from clipper_nb.protocol.names import ModelId, next_version
from clipper_nb.protocol.number_rules import HangTimeout
from clipper_nb.protocol.provenance import NO_PROVENANCE, Provenance
from clipper_nb.protocol.resource_limits import NO_LIMITS, ResourceLimits
from clipper_nb.protocol.roll_out import RollOut
from clipper_nb.protocol.route import Route, RouteTarget
from clipper_nb.protocol.shadow import Shadow

CONTAINERLESS_IMAGE = "NO_CONTAINER"
"""Image of a version that was registered without one: any container that connects to the RPC port serves it."""

DEFAULT_OUTPUT = "null"
"""The default output of an application that is registered without one."""
DEFAULT_SLO_MICROS = 1_000_000
"""The SLO of an application that is registered without one."""

TextOutputs = Literal["json", "text"]
"""What a text that a model returns becomes: JSON where it is JSON, as Clipper reads it, or always text."""
TEXT_OUTPUTS: tuple[TextOutputs, ...] = get_args(TextOutputs)

DEFAULT_REASONS = (
    "not_linked", "no_ready_replica", "queued_too_long", "model_too_slow", "model_error", "not_confident",
)  # fmt: skip
"""Why an application answered with its default output."""

REFUSAL_REASONS = ("no_token", "wrong_proof")
"""Why a query frontend refused a model container."""


@dataclass(frozen=True)
class Application:
    """A named REST endpoint."""

    name: str
    input_type: InputType
    default_output: str
    slo_micros: int
    registered_at: float
    """Seconds since the epoch; distinguishes a re-registered application from its predecessor."""


class VersionOptions(Struct, frozen=True, kw_only=True):
    """How a version is served; in the request that registers it, in what is kept and told of it, and in exported files.

    A new option has a default, for what was written before.
    """

    limits: ResourceLimits = NO_LIMITS
    isolate_errors: bool = True
    """Whether a batch that the model raised on is computed again in parts."""
    hang_timeout_s: HangTimeout = DEFAULT_HANG_TIMEOUT_S
    """After how long at one batch a replica is replaced; ``None`` is never."""
    text_outputs: TextOutputs = "json"
    network_access: bool | None = None


def options_of(version: object) -> dict[str, Any]:
    """Return the options of a version by their names, for another record of it."""
    return {name: getattr(version, name) for name in VersionOptions.__struct_fields__}


class ModelVersion(VersionOptions, frozen=True):
    """One registered version of a model; immutable once registered."""

    name: str
    version: str
    input_type: InputType
    image: str
    labels: tuple[str, ...]
    batch_size: int
    registered_at: float
    provenance: Provenance = NO_PROVENANCE
    environment_variables: EnvironmentVariables = NO_VARIABLES

    @property
    def model_id(self) -> ModelId:
        """The version's id."""
        return ModelId(self.name, self.version)


@dataclass(frozen=True)
class Claim:
    """The right of one caller to start and stop replicas of a version, until it is registered or scaled."""

    claim_id: str
    model_name: str
    model_version: str
    holder: str
    """The holder, readable by a person: ``process 4711 on host laptop``."""
    has_foreign_image: bool = False
    """Whether the version's image may be one that no deployer of this package made."""

    @property
    def model_id(self) -> ModelId:
        """The version that is claimed."""
        return ModelId(self.model_name, self.model_version)


@dataclass(frozen=True)
class Replica:
    """One running model container that is connected to a query frontend."""

    model_name: str
    model_version: str
    replica_id: int
    input_type: InputType

    @property
    def model_id(self) -> ModelId:
        """The version that it serves."""
        return ModelId(self.model_name, self.model_version)


@dataclass(frozen=True)
class Configuration:
    """Everything that the management frontend decides, at one revision."""

    revision: int = 0
    applications: Mapping[str, Application] = field(default_factory=dict)
    versions: Mapping[ModelId, ModelVersion] = field(default_factory=dict)
    current_versions: Mapping[str, str] = field(default_factory=dict)
    routes: Mapping[str, Route] = field(default_factory=dict)
    """The route of each linked application's queries, by application name."""
    num_replicas: Mapping[ModelId, int] = field(default_factory=dict)
    """How many replicas of each registered version should run."""
    claims: Mapping[ModelId, Claim] = field(default_factory=dict)
    """Versions whose replicas a caller is starting or stopping now, registered or not."""
    tokens: Mapping[str, ApplicationToken] = field(default_factory=dict)
    """The tokens of applications, by ``application:name``."""
    shadows: Mapping[str, Shadow] = field(default_factory=dict)
    """The versions that are asked besides, by application name."""
    roll_outs: Mapping[str, RollOut] = field(default_factory=dict)
    """The last roll-out of each application, also one that has ended, by application name."""
    autoscaling: Mapping[ModelId, Autoscaling] = field(default_factory=dict)
    """Within which bounds the cluster itself sets ``num_replicas``, for versions that are autoscaled."""

    def versions_of(self, model_name: str) -> list[ModelVersion]:
        """Return the registered versions of a model, in the order of their registration."""
        found = [version for version in self.versions.values() if version.name == model_name]
        return sorted(found, key=lambda version: version.registered_at)

    def versions_by_model(self) -> Mapping[str, list[ModelVersion]]:
        """Return the same of all models; an unknown one has none."""
        found: defaultdict[str, list[ModelVersion]] = defaultdict(list)
        for version in sorted(self.versions.values(), key=lambda version: version.registered_at):
            found[version.name].append(version)
        return found

    def next_version_of(self, model_name: str) -> str:
        """Return the version that a deploy of a model gets which names none; no caller deploys that one now."""
        return next_version(
            model_id.version for model_id in (*self.versions, *self.claims) if model_id.name == model_name
        )

    def linked_model_of(self, application_name: str) -> str | None:
        """Return the model that is linked to an application, of several that with the largest share, or ``None``."""
        route = self.routes.get(application_name)
        return None if route is None else route.model_names[0]

    def current_version_of(self, application_name: str) -> ModelVersion | None:
        """Return the version that answers for an application, of several that of the largest share, or ``None``."""
        route = self.routes.get(application_name)
        return None if route is None else self.version_of(route.main_target)

    def version_of(self, target: RouteTarget) -> ModelVersion | None:
        """Return the registered version that a target means now, or ``None``."""
        model_id = target.resolve(self.current_versions)
        return None if model_id is None else self.versions.get(model_id)

    def answering_versions(self, application_name: str) -> list[ModelId]:
        """Return the registered versions that an application's queries go to, each once."""
        route = self.routes.get(application_name)
        versions = () if route is None else map(self.version_of, route.targets)
        return list(dict.fromkeys(version.model_id for version in versions if version is not None))

    def model_names(self) -> list[str]:
        """Return the names of all models that have a version."""
        return sorted({model_id.name for model_id in self.versions})


@dataclass(frozen=True)
class FrontendPresence:
    """What one query frontend announces: the configuration it acts on, and the replicas connected to it."""

    frontend_id: str
    applied_revision: int
    announced_at: float
    """Differs from one announcement to the next; seconds on the frontend's own clock, which never steps back."""
    replicas: tuple[Replica, ...] = ()
    release: str = ""
    """The version of clipper_nb; empty before 0.1.0."""
    run_id: str = ""
    """The cluster's when it announced this."""
    loads: tuple[VersionLoad, ...] = ()
    """Of the versions that are autoscaled."""


@dataclass(frozen=True)
class Prediction:
    """One answer of an application.

    Attributes
    ----------
    output : object
        The model's output, parsed as JSON when it parses; the default output when ``default`` is true.
    default : bool
        Whether the output is the default output.
    reason : str or None
        Why the default output was returned: ``not_linked``, ``no_ready_replica``, ``queued_too_long``,
        ``model_too_slow``, ``model_error`` or ``not_confident``.
    explanation : str or None
        The same as a sentence.
    query_id : int
        Number of the query at the query frontend.
    latency_s : float
        Seconds from sending the request to receiving the reply, measured by the caller.
    model : str or None
        The version that was asked, as ``"name:version"``; ``None`` when there was none to ask, or several.
    confidence : float or None
        Where several versions were asked: the share of their weight that agrees with the output, from 0 to 1.
    models_used : tuple of str or None
        Where several versions were asked: those that answered in time.
    """

    output: Any
    default: bool
    reason: str | None
    explanation: str | None
    query_id: int = field(repr=False)  # with these two, the same answer would look different each time
    latency_s: float = field(repr=False)
    model: str | None = field(default=None, repr=False)
    confidence: float | None = field(default=None, repr=False)
    models_used: tuple[str, ...] | None = field(default=None, repr=False)
