"""Applications, versions and replicas as the management frontend describes them to its clients.

The fields have our names inside and Clipper's on the wire. A field that an older frontend does not send has a default;
fields that a newer one adds are ignored.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import UNSET, Struct, UnsetType, field, to_builtins

from clipper_nb.protocol.application_tokens import ApplicationToken
from clipper_nb.protocol.autoscaling import Autoscaling
from clipper_nb.protocol.input_types import InputType
from clipper_nb.protocol.names import ModelId, parse_model_id
from clipper_nb.protocol.policies import Policy
from clipper_nb.protocol.provenance import NO_PROVENANCE, Example
from clipper_nb.protocol.records import (
    Application,
    Claim,
    Configuration,
    FrontendPresence,
    ModelVersion,
    Replica,
    VersionOptions,
    options_of,
)
from clipper_nb.protocol.route import Route, format_share

_FIRST_OF_VERSION = (
    "model_name", "model_version", "input_type", "labels", "container_name", "batch_size", "num_replicas",
)  # fmt: skip


class TargetInfo(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A model or a version that gets a share of an application's queries."""

    target: str
    """``"model"``, which is its current version, or ``"model:version"``."""
    weight: float
    """As it was set."""
    share: float
    """Its weight divided by the sum of all weights, from 0 to 1."""
    model: str | None = None
    """The version that answers, as ``"name:version"``; not sent if there is none."""
    input_schema: Mapping[str, Any] | None = None
    """The JSON Schema of its inputs; not sent if it has none."""


class ApplicationInfo(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An application with its link."""

    name: str
    input_type: InputType
    default_output: str
    slo_micros: int = field(name="latency_slo_micros")
    linked_models: Sequence[str]
    """None or one, or those among which its traffic is divided, that of the largest share first."""
    traffic: Sequence[TargetInfo] = ()
    """Not sent if all queries go to the current version of one model."""
    example: Example | None = None
    """An example of the version that answers, of several that of the largest share; not sent if there is none."""
    input_schema: Mapping[str, Any] | None = None
    """The JSON Schema of that version's inputs; not sent if there is none."""
    model: str | None = None
    """That version, as ``"name:version"``; not sent if there is none."""
    policy: Policy | None = None
    """By which one of the targets of its traffic is chosen, or all are asked; not sent if there is none."""

    @property
    def linked_model(self) -> str | None:
        """The model that it sends its queries to, of several that of the largest share."""
        return next(iter(self.linked_models), None)

    @property
    def routing(self) -> str:
        """Where its queries go, for a person to read; empty if nowhere."""
        shares = ", ".join(f"{each.target} {format_share(each.share)}" for each in self.traffic)
        policy = "" if self.policy is None else f" by {self.policy}"
        return f"{shares}{policy}" or self.linked_model or ""


class VersionInfo(VersionOptions, frozen=True, kw_only=True):
    """A registered version of a model, and its desired state."""

    name: str = field(name="model_name")
    version: str = field(name="model_version")
    input_type: InputType
    labels: Sequence[str]
    image: str = field(name="container_name")
    batch_size: int
    num_replicas: int | None = None
    """How many replicas should run; ``None`` if the frontend does not send it."""
    autoscaling: Autoscaling | None = None
    """Within which bounds the cluster sets that number; ``None`` if it does not."""
    environment: Mapping[str, str] = {}
    environment_variables: Sequence[str] = ()
    """Names of the variables that its replicas get from the deploy."""
    num_samples: int = 0
    example: Example | None = None
    input_schema: Mapping[str, Any] | None = None
    """The JSON Schema of one input; ``None`` if any value of its type is one."""
    registered_at: float
    """Seconds since the epoch."""
    is_current: bool = field(name="is_current_version")

    @property
    def model_id(self) -> ModelId:
        """The version's id."""
        return ModelId(self.name, self.version)

    def to_dict(self) -> dict[str, Any]:
        """Return it as it is sent; what tells versions apart comes first."""
        sent: dict[str, Any] = to_builtins(self)
        return {**{name: sent[name] for name in _FIRST_OF_VERSION}, **sent}


class ReplicaInfo(Struct, frozen=True, kw_only=True):
    """A replica that is connected to a query frontend."""

    model: str = field(name="model_id")
    """``name:version``"""
    model_name: str
    model_version: str
    replica_id: int = field(name="model_replica_id")
    input_type: InputType

    @property
    def model_id(self) -> ModelId:
        """The version that it serves."""
        return ModelId(self.model_name, self.model_version)


class FrontendInfo(Struct, frozen=True, kw_only=True):
    """A live query frontend, with the replicas that are connected to it."""

    frontend_id: str = field(name="query_frontend_id")
    replicas: Sequence[ReplicaInfo]


class ClaimInfo(Struct, frozen=True, kw_only=True):
    """A version that is being deployed or scaled now."""

    model: str = field(name="model_id")
    """``name:version``"""
    holder: str = ""
    """The claim's holder, readable by a person."""

    @property
    def model_id(self) -> ModelId:
        """The version that is claimed."""
        return parse_model_id(self.model)


class TokenInfo(Struct, frozen=True, kw_only=True):
    """A token of an application, without anything that could replace it."""

    name: str = field(name="token_name")
    created_at: float
    """Seconds since the epoch."""
    expires_at: float | None = None
    """Seconds since the epoch; ``None`` for never."""
    digest: str | UnsetType = UNSET
    """SHA-256 of the token, if it was asked for."""


def describe_targets(configuration: Configuration, route: Route) -> list[TargetInfo]:
    """Return the description of a route's targets."""
    found = [(target, configuration.version_of(target)) for target in route.targets]
    return [
        TargetInfo(
            target=str(target),
            weight=target.weight,
            share=route.share_of(target),
            model=str(version.model_id) if version else None,
            input_schema=version.provenance.input_schema if version else None,
        )
        for target, version in found
    ]


def describe_application(
    application: Application,
    linked_models: Sequence[str],
    answering: ModelVersion | None = None,
    traffic: Sequence[TargetInfo] = (),
    policy: Policy | None = None,
) -> ApplicationInfo:
    """Return the description of an application, with example and schema of the version that answers for it, if any."""
    provenance = answering.provenance if answering else NO_PROVENANCE
    return ApplicationInfo(
        name=application.name,
        input_type=application.input_type,
        default_output=application.default_output,
        slo_micros=application.slo_micros,
        linked_models=linked_models,
        traffic=traffic,
        example=provenance.example,
        input_schema=provenance.input_schema,
        model=str(answering.model_id) if answering else None,
        policy=policy,
    )


def describe_model_version(
    version: ModelVersion, *, is_current: bool, num_replicas: int, autoscaling: Autoscaling | None = None
) -> VersionInfo:
    """Return the description of a version; *num_replicas* of it should run."""
    return VersionInfo(
        name=version.name,
        version=version.version,
        input_type=version.input_type,
        labels=list(version.labels),
        image=version.image,
        batch_size=version.batch_size,
        num_replicas=num_replicas,
        autoscaling=autoscaling,
        environment=version.provenance.environment,
        environment_variables=version.environment_variables.names,
        num_samples=version.provenance.num_samples,
        example=version.provenance.example,
        input_schema=version.provenance.input_schema,
        registered_at=version.registered_at,
        is_current=is_current,
        **options_of(version),
    )


def describe_replica(replica: Replica) -> ReplicaInfo:
    """Return the description of a connected replica."""
    return ReplicaInfo(
        model=str(replica.model_id),
        model_name=replica.model_name,
        model_version=replica.model_version,
        replica_id=replica.replica_id,
        input_type=replica.input_type,
    )


def describe_query_frontend(frontend: FrontendPresence) -> FrontendInfo:
    """Return the description of a query frontend."""
    return FrontendInfo(
        frontend_id=frontend.frontend_id, replicas=[describe_replica(replica) for replica in frontend.replicas]
    )


def describe_claim(claim: Claim) -> ClaimInfo:
    """Return the description of a claim, without its id, which only the holder may know."""
    return ClaimInfo(model=str(claim.model_id), holder=claim.holder)


def describe_token(token: ApplicationToken, *, with_digest: bool = False) -> TokenInfo:
    """Return the description of a token."""
    return TokenInfo(
        name=token.name,
        created_at=token.created_at,
        expires_at=token.expires_at,
        digest=token.digest if with_digest else UNSET,
    )
