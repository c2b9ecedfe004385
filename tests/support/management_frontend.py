"""A management frontend without a socket: what a ManagementClient is given in place of an HTTP client."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping
from typing import Any

from clipper_nb import ClipperConnection
from clipper_nb.clients.management_client import ManagementClient
from clipper_nb.container_managers.base import ContainerManager
from clipper_nb.protocol import rest
from tests.support.fake_clock import FakeClock

Json = dict[str, Any]

_HOLDING_TIMEOUT_S = 1.0


def application(name: str, *linked_models: str, input_type: str = "doubles", **fields: Any) -> Json:
    """Return an application as the wire has it."""
    record = {"name": name, "input_type": input_type, "default_output": "-1", "latency_slo_micros": 20_000}
    return {**record, "linked_models": list(linked_models), **fields}


def version(name: str, version: str = "1", *, is_current: bool = True, **fields: Any) -> Json:
    """Return a registered version of a model as the wire has it."""
    record = {
        "model_name": name, "model_version": version, "input_type": "doubles", "labels": [], "batch_size": -1,
        "container_name": f"{name}:{version}-image", "registered_at": float(len(version)), "num_replicas": 1,
        "is_current_version": is_current, "limits": {}, "environment": {}, "num_samples": 0, "example": None,
    }  # fmt: skip
    return {**record, **fields}


def replica(model: str, replica_id: int = 0, *, input_type: str = "doubles") -> Json:
    """Return a connected replica of ``name:version`` as the wire has it."""
    name, _, number = model.partition(":")
    record = {"model_id": model, "model_name": name, "model_version": number, "model_replica_id": replica_id}
    return {**record, "input_type": input_type}


class ManagementFrontend:
    """Answers admin calls from what it is given; changes are recorded, and answered with success.

    Parameters
    ----------
    applications, versions : list of dict
    replicas : callable
        Returns the connected replicas as they are now.

    Attributes
    ----------
    calls : list of tuple
        The path and the request of every call, in order.
    answers : dict
        By action, what it answers: a value, a function of the request, or an exception.
    """

    base_url, what = "http://management", "management frontend"

    def __init__(
        self,
        *,
        applications: list[Json] | None = None,
        versions: list[Json] | None = None,
        replicas: Callable[[], list[Json]] = list,
    ) -> None:
        self.calls: list[tuple[Any, ...]] = []
        known = {(found["model_name"], found["model_version"]): found for found in versions or []}
        by_name = {found["name"]: found for found in applications or []}
        self._ended_claims: set[str | None] = set()
        self._claims_changed = threading.Condition()
        self.answers: dict[str, Any] = {
            "get_all_applications": list(by_name.values()),
            "get_tokens": [],
            "get_application": lambda request: by_name.get(request["name"], {}),
            "get_all_models": list(known.values()),
            "get_model": lambda request: known.get((request["model_name"], request["model_version"]), {}),
            "get_current_model_version": lambda request: next(
                number for (name, number), found in known.items()
                if name == request["model_name"] and found["is_current_version"]
            ),
            "get_all_containers": lambda request: replicas(),
            "get_all_query_frontends": lambda request: [{"query_frontend_id": "query", "replicas": replicas()}],
            "get_all_claims": [],
            "get_roll_outs": [],
            "claim_version": lambda request: self._end_claim(request["replaces"]),
            "hold_claim": lambda request: self._hold_claim(request, replicas),
            "release_claim": lambda request: self._end_claim(request["claim_id"]),
            "add_model": lambda request: self._end_claim(request["claim_id"]),
        }  # fmt: skip

    @property
    def changes(self) -> list[str]:
        """The names of the calls that change something, in order."""
        actions = (path.removeprefix("/admin/") for path, *_ in self.calls)
        return [action for action in actions if not action.startswith(("get_", "hold_"))]

    def requests(self, action: str) -> list[Json]:
        """Return the requests of one kind of call."""
        return [call[1] for call in self.calls if call[0] == f"/admin/{action}"]

    def request(
        self,
        method: str,
        path: str,
        *,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        timeout_s: float,
        is_repeatable: bool = False,
    ) -> tuple[int, bytes]:
        """Answer as the management frontend does."""
        assert method == "POST"
        action, request = path.removeprefix("/admin/"), json.loads(body or b"{}")
        self.calls.append((path, request))
        answer = self.answers.get(action, "Success")
        if callable(answer):
            answer = answer(request)
        if isinstance(answer, Exception):
            raise answer
        return answer if isinstance(answer, tuple) else (200, json.dumps(answer).encode())

    def close(self) -> None:
        """Have nothing to close."""

    def _hold_claim(self, request: Json, replicas: Callable[[], list[Json]]) -> Json:
        model = f"{request['model_name']}:{request['model_version']}"
        awaited = request.get("awaited")
        if awaited and sum(found["model_id"] == model for found in replicas()) == awaited["num_replicas"]:
            return {"is_held": True, "is_complete": True}
        with self._claims_changed:
            is_over = self._claims_changed.wait_for(
                lambda: request["claim_id"] in self._ended_claims, _HOLDING_TIMEOUT_S
            )
        return {"is_held": not is_over}

    def _end_claim(self, claim_id: str | None) -> str:
        with self._claims_changed:
            self._ended_claims.add(claim_id)
            self._claims_changed.notify_all()
        return "Success"


def refusal(status: int, cause: str) -> tuple[int, bytes]:
    """Return an answer that refuses a call."""
    return status, rest.format_error("Refused", cause)


def replicas_of(manager: ContainerManager) -> Callable[[], list[Json]]:
    """Return what connects every replica of a manager that runs."""
    return lambda: [
        replica(found.model or "", number)
        for number, found in enumerate(manager.observe_replicas())
        if found.is_running and not found.num_exits
    ]


def client_of(frontend: ManagementFrontend) -> ManagementClient:
    """Return a client of it, for which time passes only while it waits between two tries."""
    clock = FakeClock()
    return ManagementClient(frontend, "token", clock=clock, sleep=clock.advance)


def connection_to(frontend: ManagementFrontend, manager: ContainerManager) -> ClipperConnection:
    """Return a connection that is connected to it."""
    conn = ClipperConnection(manager)
    conn.connected, conn._management = True, client_of(frontend)
    return conn
