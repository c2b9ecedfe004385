"""Bodies of the management frontend, and the error body of both frontends.

Field names are Clipper's. Requests are decoded strictly by type; unknown fields are ignored, as Clipper did.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

import msgspec
from msgspec import Struct

from clipper_nb.errors import InvalidRequestError
from clipper_nb.protocol.autoscaling import ScalingRule
from clipper_nb.protocol.environment_variables import NO_VARIABLES, EnvironmentVariables, check_variables
from clipper_nb.protocol.input_types import InputType, parse_input_type
from clipper_nb.protocol.json_schema import check_schema
from clipper_nb.protocol.names import ModelId, check_model_name, check_version
from clipper_nb.protocol.number_rules import (
    ADAPTIVE_BATCH_SIZE,
    BatchSize,
    QueryNumber,
    ReplicaCount,
    SloMicros,
    TokenLifetime,
)
from clipper_nb.protocol.provenance import NO_PROVENANCE, Provenance
from clipper_nb.protocol.records import (
    CONTAINERLESS_IMAGE,
    Configuration,
    FrontendPresence,
    ModelVersion,
    VersionOptions,
    options_of,
)
from clipper_nb.protocol.typed_values import read_json

CHANGE_IN_DOUBT = "Change in doubt"
"""Error code of a failure after which the change may have been made."""


class AddApplication(Struct):
    """``/admin/add_app``"""

    name: str
    input_type: str
    default_output: str
    latency_slo_micros: SloMicros


class ApplicationName(Struct):
    """``/admin/delete_app``, ``/admin/get_application``"""

    name: str


class ModelLinks(Struct):
    """``/admin/add_model_links``, ``/admin/delete_model_links``"""

    app_name: str
    model_names: list[str]

    @property
    def only_model_name(self) -> str:
        """The name of the one model; raises ``InvalidRequestError``."""
        if len(self.model_names) != 1:
            raise InvalidRequestError(f"A link has exactly one model; {len(self.model_names)} were named.")
        return self.model_names[0]


class SetTraffic(Struct, omit_defaults=True):
    """``/admin/set_traffic``"""

    app_name: str
    weights: dict[str, Any]
    policy: dict[str, Any] | None = None


class LinkedModelsOf(Struct):
    """``/admin/get_linked_models``, ``/admin/get_traffic``"""

    app_name: str


class SetShadow(Struct):
    """``/admin/set_shadow``"""

    app_name: str
    model: Any
    """``"model:version"``, or ``None`` for no shadow any more."""
    share: Any = 1.0


class TrafficOf(Struct):
    """``/admin/get_shadow_report``, ``/admin/abort_roll_out``, ``/admin/promote_roll_out``"""

    app_name: str


class AddModel(VersionOptions, frozen=True):
    """``/admin/add_model``"""

    model_name: str
    model_version: str
    input_type: str
    labels: list[str] = []
    container_name: str = CONTAINERLESS_IMAGE
    batch_size: BatchSize = ADAPTIVE_BATCH_SIZE
    provenance: Provenance = NO_PROVENANCE
    num_replicas: ReplicaCount = 0
    claim_id: str | None = None
    environment_variables: EnvironmentVariables = NO_VARIABLES
    becomes_current: bool = True
    autoscaling: ScalingRule | None = None


class NumReplicas(Struct):
    """``/admin/set_num_replicas``"""

    model_name: str
    model_version: str
    num_replicas: ReplicaCount
    claim_id: str | None = None


class ClaimVersion(Struct):
    """``/admin/claim_version``"""

    model_name: str
    model_version: str
    claim_id: str
    holder: str
    is_new: bool
    replaces: str | None = None
    has_foreign_image: bool = False


class ClaimName(Struct):
    """``/admin/release_claim``"""

    model_name: str
    model_version: str
    claim_id: str


class AwaitedReplicas(Struct, frozen=True):
    """What a caller waits for while it holds a claim."""

    num_replicas: ReplicaCount
    input_type: InputType


class HoldClaim(Struct):
    """``/admin/hold_claim``"""

    model_name: str
    model_version: str
    claim_id: str
    awaited: AwaitedReplicas | None = None


class ClaimHeld(Struct, frozen=True):
    """Answer of ``/admin/hold_claim``."""

    is_held: bool
    """Whether the claim is still held, and can be held again."""
    is_complete: bool = False
    """Whether exactly the awaited replicas are connected to every query frontend."""
    other_input_type: InputType | None = None
    """The input type of a connected replica, if it is not the awaited one."""


class DeployState(Struct, frozen=True):
    """Answer of ``/admin/get_deploy_state``: the state that a deploy of a version must agree with."""

    release: str
    """Release of the management frontend."""
    query_frontend_releases: list[str]
    """Releases of the live query frontends."""
    is_registered: bool
    current_version: str | None
    """The model's input type."""
    has_application: bool
    """Whether there is an application with the model's name."""
    linked_input_types: dict[str, InputType]
    """Input types of the applications that are linked to the model, by name."""
    next_version: str = ""
    """The version that a deploy of the model gets which names none; older releases do not return it."""
    num_replicas: int = 0
    """How many replicas of the current version should run."""
    autoscaling: ScalingRule | None = None
    """By which rule the cluster sets that number."""


class DesiredReplicasSince(Struct):
    """``/admin/get_desired_replicas``"""

    known_revision: int = -1
    wait_s: float = 0.0


class DesiredReplicas(Struct, frozen=True):
    """Answer of ``/admin/get_desired_replicas``: which replicas of a cluster should run."""

    revision: int
    num_replicas: dict[str, int]
    """By ``name:version``, for every registered version."""
    images: dict[str, str]
    """By ``name:version``, for every registered version."""
    claimed: list[str]
    """``name:version`` of those that a caller is deploying or scaling now."""
    autoscaled: list[str] = []
    """``name:version`` of those whose number the cluster sets itself, so that missing ones are started, too."""


class ModelVersionName(Struct):
    """``/admin/delete_versioned_model``, ``…/set_model_version``, ``…/get_model``, ``…/get_environment_variables``"""

    model_name: str
    model_version: str


class ModelName(Struct):
    """``/admin/get_current_model_version``"""

    model_name: str


class ReplicaName(Struct):
    """``/admin/get_container``"""

    model_name: str
    model_version: str
    replica_id: int


class CreateToken(Struct):
    """``/admin/create_token``"""

    app_name: str
    token_name: str
    digest: str
    """SHA-256 of the token, in lower case hexadecimal digits; the token itself stays with the caller."""
    expires_s: TokenLifetime = None


class TokenName(Struct):
    """``/admin/revoke_token``"""

    app_name: str
    token_name: str


class TokensOf(Struct):
    """``/admin/get_tokens``"""

    app_name: str
    with_digests: bool = False
    """Whether to return what the cluster keeps of each token, for a copy of the application."""


class QueryId(Struct):
    """``/admin/get_query_history``"""

    query_id: QueryNumber


class Listing(Struct):
    """``/admin/get_all_applications``, ``…/get_all_models``, ``…/get_all_containers``, ``…/get_all_query_frontends``"""

    verbose: bool = False


_RequestT = TypeVar("_RequestT", bound=Struct)


def parse_request(body: bytes, request_type: type[_RequestT]) -> _RequestT:
    """Return the admin request in *body*.

    Raises
    ------
    InvalidRequestError
        The body is not JSON or a field is missing or of the wrong type; the error names it.
    """
    try:
        return read_json(body or b"{}", request_type)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as exc:
        fields = ", ".join(f"'{name}'" for name in request_type.__struct_fields__)
        raise InvalidRequestError(f"{exc}. Expected a JSON object with the fields {fields}.") from exc


def parse_version(request: AddModel, *, registered_at: float) -> ModelVersion:
    """Return the version that a request describes; raises ``InvalidRequestError`` for a bad name, type or schema."""
    input_type = parse_input_type(request.input_type)
    check_schema(request.provenance.input_schema, input_type)
    return ModelVersion(
        name=check_model_name(request.model_name),
        version=check_version(request.model_version),
        input_type=input_type,
        image=request.container_name,
        labels=tuple(request.labels),
        batch_size=request.batch_size,
        registered_at=registered_at,
        provenance=request.provenance,
        environment_variables=check_variables(request.environment_variables.values),
        **options_of(request),
    )


def format_body(value: Any) -> bytes:
    """Return *value* as JSON."""
    return msgspec.json.encode(value)


def parse_body(body: bytes, body_type: Any = Any) -> Any:
    """Return the JSON value in *body*; raises ``ValueError`` if it is not JSON or not of *body_type*."""
    try:
        return read_json(body, body_type)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as exc:
        raise ValueError(str(exc)) from exc


def format_error(error: str, cause: str) -> bytes:
    """Return the body of a failure."""
    return msgspec.json.encode({"error": error, "cause": cause})


def describe_deploy_state(
    configuration: Configuration, frontends: Sequence[FrontendPresence], model_id: ModelId, release: str
) -> DeployState:
    """Return the state that a deploy of a version must agree with."""
    linked = (name for name, route in configuration.routes.items() if model_id.name in route.model_names)
    current_version = configuration.current_versions.get(model_id.name)
    current = ModelId(model_id.name, current_version or "")
    scaling = configuration.autoscaling.get(current)
    return DeployState(
        release=release,
        query_frontend_releases=[frontend.release or "before 0.1.0" for frontend in frontends],
        is_registered=model_id in configuration.versions,
        current_version=current_version,
        has_application=model_id.name in configuration.applications,
        linked_input_types={name: configuration.applications[name].input_type for name in linked},
        next_version=configuration.next_version_of(model_id.name),
        num_replicas=configuration.num_replicas.get(current, 0),
        autoscaling=None if scaling is None else scaling.rule,
    )
