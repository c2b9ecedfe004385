"""REST client of the management frontend; its failures become our errors here and nowhere else."""

from __future__ import annotations

from typing import Any, cast

from clipper_nb.errors import (
    ClipperException,
    ClusterUnreachableError,
    ExistsError,
    InvalidRequestError,
    ManagementError,
    NotFoundError,
    StateUnavailableError,
)
from clipper_nb.http_client import HttpClient
from clipper_nb.protocol import rest
from clipper_nb.protocol.names import ModelId
from clipper_nb.protocol.provenance import NO_PROVENANCE, Provenance
from clipper_nb.protocol.resource_limits import ResourceLimits

_TIMEOUT_S = 20.0

_ERRORS: dict[int, type[ClipperException]] = {
    400: InvalidRequestError,
    404: NotFoundError,
    409: ExistsError,
    503: StateUnavailableError,
    504: ClusterUnreachableError,
}


class ManagementClient:
    """Asks the management frontend; one method per admin call.

    Parameters
    ----------
    address : str
        ``host:port``.
    token : str
        The cluster's bearer token.
    """

    def __init__(self, address: str, token: str) -> None:
        self._http = HttpClient(address, "management frontend")
        self._headers = {
            "Authorization": f"Bearer {token}",
            "Content-Type": "application/json",
            # A kept connection can break under a request when the frontend is started again, and then nobody knows
            # whether the call was carried out. A new one waits for the frontend instead.
            "Connection": "close",
        }

    def register_application(self, name: str, input_type: str, default_output: str, slo_micros: int) -> None:
        """Add an application."""
        self._call("add_app", rest.AddApplication(name, input_type, default_output, slo_micros))

    def unregister_application(self, name: str) -> None:
        """Remove an application."""
        self._call("delete_app", rest.ApplicationName(name))

    def link_model(self, application_name: str, model_name: str) -> None:
        """Link a model to an application."""
        self._call("add_model_links", rest.ModelLinks(application_name, [model_name]))

    def unlink_model(self, application_name: str, model_name: str) -> None:
        """Remove a link."""
        self._call("delete_model_links", rest.ModelLinks(application_name, [model_name]))

    def register_model(
        self,
        model_id: ModelId,
        input_type: str,
        image: str,
        labels: list[str],
        batch_size: int,
        limits: ResourceLimits,
        provenance: Provenance = NO_PROVENANCE,
    ) -> None:
        """Add a model version and make it current."""
        self._call("add_model", rest.AddModel(*model_id, input_type, labels, image, batch_size, limits, provenance))

    def unregister_model(self, model_id: ModelId) -> None:
        """Remove a model version."""
        self._call("delete_versioned_model", rest.ModelVersionName(*model_id))

    def set_model_version(self, model_id: ModelId) -> None:
        """Make a registered version current."""
        self._call("set_model_version", rest.ModelVersionName(*model_id))

    def get_applications(self) -> list[dict[str, Any]]:
        """Return all applications."""
        return cast("list[dict[str, Any]]", self._call("get_all_applications", rest.Listing(verbose=True)))

    def get_application(self, name: str) -> dict[str, Any] | None:
        """Return one application, or ``None``."""
        return self._call("get_application", rest.ApplicationName(name)) or None

    def get_linked_models(self, application_name: str) -> list[str]:
        """Return the names of an application's linked models."""
        return cast("list[str]", self._call("get_linked_models", rest.LinkedModelsOf(application_name)))

    def get_models(self) -> list[dict[str, Any]]:
        """Return all model versions."""
        return cast("list[dict[str, Any]]", self._call("get_all_models", rest.Listing(verbose=True)))

    def get_model(self, model_id: ModelId) -> dict[str, Any] | None:
        """Return one model version, or ``None``."""
        return self._call("get_model", rest.ModelVersionName(*model_id)) or None

    def get_current_model_version(self, name: str) -> str:
        """Return a model's current version."""
        return cast("str", self._call("get_current_model_version", rest.ModelName(name)))

    def get_replicas(self) -> list[dict[str, Any]]:
        """Return the connected replicas."""
        return cast("list[dict[str, Any]]", self._call("get_all_containers", rest.Listing(verbose=True)))

    def get_query_frontends(self) -> list[dict[str, Any]]:
        """Return the query frontends that live, each with the replicas that are connected to it."""
        return cast("list[dict[str, Any]]", self._call("get_all_query_frontends", rest.Listing(verbose=True)))

    def get_replica(self, model_id: ModelId, replica_id: int) -> dict[str, Any] | None:
        """Return one connected replica, or ``None``."""
        return self._call("get_container", rest.ReplicaName(*model_id, replica_id)) or None

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def _call(self, action: str, request: Any) -> Any:
        status, body = self._http.request(
            "POST", f"/admin/{action}", body=rest.format_body(request), headers=self._headers, timeout_s=_TIMEOUT_S
        )
        try:
            answer = rest.parse_body(body)
        except ValueError as exc:
            raise ManagementError(status, body.decode("utf-8", "replace")) from exc
        if status == 200:
            return answer
        if status in _ERRORS and isinstance(answer, dict) and "cause" in answer:
            raise _ERRORS[status](answer["cause"])
        raise ManagementError(status, body.decode("utf-8", "replace"))
