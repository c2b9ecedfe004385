"""Bodies of the management frontend, and the error body of both frontends.

Field names are Clipper's. Requests are decoded strictly by type; unknown fields are ignored, as Clipper did.
"""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec
from msgspec import Struct

from clipper_nb.errors import InvalidRequestError
from clipper_nb.protocol.provenance import NO_PROVENANCE, Provenance
from clipper_nb.protocol.records import ADAPTIVE_BATCH_SIZE, CONTAINERLESS_IMAGE
from clipper_nb.protocol.resource_limits import NO_LIMITS, ResourceLimits

MAX_SLO_MICROS = 2**31 - 1
"""About 35.8 minutes, Clipper's limit."""


CHANGE_IN_DOUBT = "Change in doubt"
"""Word of a failure after which the change may have been made."""


class AddApplication(Struct):
    """``/admin/add_app``"""

    name: str
    input_type: str
    default_output: str
    latency_slo_micros: int


class ApplicationName(Struct):
    """``/admin/delete_app``, ``/admin/get_application``"""

    name: str


class ModelLinks(Struct):
    """``/admin/add_model_links``, ``/admin/delete_model_links``"""

    app_name: str
    model_names: list[str]


class LinkedModelsOf(Struct):
    """``/admin/get_linked_models``"""

    app_name: str


class AddModel(Struct):
    """``/admin/add_model``"""

    model_name: str
    model_version: str
    input_type: str
    labels: list[str] = []
    container_name: str = CONTAINERLESS_IMAGE
    batch_size: int = ADAPTIVE_BATCH_SIZE
    limits: ResourceLimits = NO_LIMITS
    provenance: Provenance = NO_PROVENANCE
    num_replicas: int = 0
    claim_id: str | None = None


class NumReplicas(Struct):
    """``/admin/set_num_replicas``"""

    model_name: str
    model_version: str
    num_replicas: int
    claim_id: str | None = None


class ClaimVersion(Struct):
    """``/admin/claim_version``"""

    model_name: str
    model_version: str
    claim_id: str
    holder: str
    is_new: bool
    replaces: str | None = None


class ClaimName(Struct):
    """``/admin/hold_claim``, ``/admin/release_claim``"""

    model_name: str
    model_version: str
    claim_id: str


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


class ClaimHeld(Struct, frozen=True):
    """Answer of ``/admin/hold_claim``"""

    is_held: bool
    """Whether the claim can be held again."""


class ModelVersionName(Struct):
    """``/admin/delete_versioned_model``, ``/admin/set_model_version``, ``/admin/get_model``"""

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


class Listing(Struct):
    """``/admin/get_all_applications``, ``…/get_all_models``, ``…/get_all_containers``, ``…/get_all_query_frontends``"""

    verbose: bool = False


_RequestT = TypeVar("_RequestT", bound=Struct)


def parse_request(body: bytes, request_type: type[_RequestT]) -> _RequestT:
    """Return the admin request in *body*.

    Raises
    ------
    InvalidRequestError
        The body is not JSON or a field is missing or of the wrong type; the sentence names it.
    """
    try:
        return msgspec.json.decode(body or b"{}", type=request_type)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as exc:
        fields = ", ".join(f"'{name}'" for name in request_type.__struct_fields__)
        raise InvalidRequestError(f"{exc}. Expected a JSON object with the fields {fields}.") from exc


def format_body(value: Any) -> bytes:
    """Return *value* as JSON."""
    return msgspec.json.encode(value)


def parse_body(body: bytes, body_type: Any = Any) -> Any:
    """Return the JSON value in *body*; raises ``ValueError`` when there is none, or none of *body_type*."""
    try:
        return msgspec.json.decode(body, type=body_type)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as exc:
        raise ValueError(str(exc)) from exc


def format_error(error: str, cause: str) -> bytes:
    """Return the body of a failure."""
    return msgspec.json.encode({"error": error, "cause": cause})
