"""REST client of the management frontend; its failures become our errors here and nowhere else.

A frontend or a Redis that ends restarts within a second or two, so calls are repeated meanwhile. That is safe for
changes too: each has a key, and the frontend makes a change once, however often it is sent.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, TypeVar

import msgspec

from clipper_nb.clients.http_client import Http, HttpClient
from clipper_nb.clients.trust import Trust
from clipper_nb.errors import (
    ApplicationNotFoundError,
    ClipperException,
    ClusterUnreachableError,
    ExistsError,
    InvalidRequestError,
    ManagementError,
    NotFoundError,
    StateUnavailableError,
    VersionClaimedError,
)
from clipper_nb.protocol import rest
from clipper_nb.protocol.autoscaling import Autoscaling, SetAutoscaling
from clipper_nb.protocol.descriptions import (
    ApplicationInfo,
    ClaimInfo,
    FrontendInfo,
    ReplicaInfo,
    TokenInfo,
    VersionInfo,
)
from clipper_nb.protocol.input_types import InputType
from clipper_nb.protocol.names import ModelId
from clipper_nb.protocol.number_rules import checked
from clipper_nb.protocol.policies import Policy
from clipper_nb.protocol.query_history import QueryHistory
from clipper_nb.protocol.roll_out import RollOutInfo
from clipper_nb.protocol.roll_out_plan import StartRollOut
from clipper_nb.protocol.shadow import ShadowReport
from clipper_nb.protocol.traffic import ApplicationTraffic

_TIMEOUT_S = 20.0
_LONG_POLL_TIMEOUT_S = 60.0
_FIRST_REPEAT_INTERVAL_S = 0.01
_LONGEST_REPEAT_INTERVAL_S = 0.1
_CHANGE_SETTLES_WITHIN_S = 6.0
_READ_SETTLES_WITHIN_S = 3.0
_EVERYTHING = rest.Listing(verbose=True)
_NONE = b"{}"
"""The answer when nothing has that name."""
_UNKNOWN_OUTCOME = "Whether the change was made is not known: look before you repeat it."

_ERRORS: dict[int, type[ClipperException]] = {
    400: InvalidRequestError,
    404: NotFoundError,
    409: ExistsError,
    423: VersionClaimedError,
    503: StateUnavailableError,
    504: ClusterUnreachableError,
}

_AnswerT = TypeVar("_AnswerT")


class ManagementClient:
    """Asks the management frontend; one method per admin call.

    Parameters
    ----------
    http : Http
        Sends requests to the management frontend.
    token : str
        The cluster's bearer token.
    clock : callable
        Returns monotonic seconds.
    sleep : callable
        Waits between two tries of a call.
    """

    def __init__(
        self,
        http: Http,
        token: str,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._http = http
        self._clock = clock
        self._sleep = sleep
        self._headers = {
            "Authorization": f"Bearer {token}",
            "Content-Type": "application/json",
        }

    @classmethod
    def at(cls, address: str, token: str, trust: Trust | None = None) -> ManagementClient:
        """Return a client of the management frontend at ``host:port``, a URL, or ``unix:`` and a socket's path.

        *trust* is how the frontend proves itself over TLS.
        """
        return cls(HttpClient(address, "management frontend", trust=trust), token)

    def register_application(self, name: str, input_type: InputType, default_output: str, slo_micros: int) -> None:
        """Add an application."""
        self._change("add_app", rest.AddApplication(name, input_type, default_output, slo_micros))

    def unregister_application(self, name: str) -> None:
        """Remove an application."""
        self._change("delete_app", rest.ApplicationName(name))

    def create_token(self, application_name: str, name: str, digest: str, expires_s: float | None) -> None:
        """Add a token of an application, of which only the digest is sent."""
        self._change("create_token", rest.CreateToken(application_name, name, digest, expires_s))

    def revoke_token(self, application_name: str, name: str) -> None:
        """Remove a token of an application."""
        self._change("revoke_token", rest.TokenName(application_name, name))

    def get_tokens(self, application_name: str, *, with_digests: bool = False) -> list[TokenInfo]:
        """Return the tokens of an application, oldest first."""
        return self._call("get_tokens", rest.TokensOf(application_name, with_digests), list[TokenInfo])

    def get_query_history(self, query_id: int) -> QueryHistory:
        """Return what happened to a query."""
        return self._call("get_query_history", checked(rest.QueryId(query_id)), QueryHistory)

    def link_model(self, application_name: str, model_name: str) -> None:
        """Link a model to an application."""
        self._change("add_model_links", rest.ModelLinks(application_name, [model_name]))

    def unlink_model(self, application_name: str, model_name: str) -> None:
        """Remove a link."""
        self._change("delete_model_links", rest.ModelLinks(application_name, [model_name]))

    def register_model(self, version: rest.AddModel) -> None:
        """Add a model version and make it current, unless the request says otherwise."""
        self._change("add_model", version)

    def unregister_model(self, model_id: ModelId) -> None:
        """Remove a model version."""
        self._change("delete_versioned_model", rest.ModelVersionName(*model_id))

    def set_model_version(self, model_id: ModelId) -> None:
        """Make a registered version current."""
        self._change("set_model_version", rest.ModelVersionName(*model_id))

    def set_num_replicas(self, model_id: ModelId, num_replicas: int, claim_id: str | None = None) -> None:
        """Set how many replicas of a registered version should run."""
        self._change("set_num_replicas", rest.NumReplicas(*model_id, num_replicas, claim_id))

    def set_autoscaling(self, model_id: ModelId, scaling: Autoscaling, claim_id: str) -> None:
        """Let the cluster set how many replicas of a registered version run."""
        bounds = (scaling.min_replicas, scaling.max_replicas)
        self._change(
            "set_autoscaling",
            SetAutoscaling(*model_id, *bounds, scaling.target, scaling.period_s, scaling.stable_s, claim_id),
        )

    def claim_version(
        self,
        model_id: ModelId,
        claim_id: str,
        holder: str,
        *,
        is_new: bool,
        replaces: str | None = None,
        has_foreign_image: bool = False,
    ) -> None:
        """Claim a version, to deploy it (*is_new*) or to scale it."""
        request = rest.ClaimVersion(*model_id, claim_id, holder, is_new, replaces, has_foreign_image)
        self._change("claim_version", request)

    def hold_claim(
        self, model_id: ModelId, claim_id: str, awaited: rest.AwaitedReplicas | None = None
    ) -> rest.ClaimHeld:
        """Keep a claim from lapsing for half a minute at most, or until the awaited replicas are connected."""
        request = rest.HoldClaim(*model_id, claim_id, awaited)
        return self._call("hold_claim", request, rest.ClaimHeld, timeout_s=_LONG_POLL_TIMEOUT_S)

    def release_claim(self, model_id: ModelId, claim_id: str) -> None:
        """End a claim; one that cannot be released now lapses by itself."""
        self._change("release_claim", rest.ClaimName(*model_id, claim_id), settles_within_s=0.5)

    def get_desired_replicas(self, known_revision: int = -1, wait_s: float = 0.0) -> rest.DesiredReplicas:
        """Return which replicas should run; waits up to *wait_s* for a revision that is not the known one."""
        request = rest.DesiredReplicasSince(known_revision, wait_s)
        return self._call("get_desired_replicas", request, rest.DesiredReplicas, timeout_s=wait_s + _TIMEOUT_S)

    def get_deploy_state(self, model_id: ModelId) -> rest.DeployState:
        """Return the state that a deploy of a version is checked against."""
        return self._call("get_deploy_state", rest.ModelVersionName(*model_id), rest.DeployState)

    def get_claims(self) -> list[ClaimInfo]:
        """Return the versions that are being deployed or scaled now, each with its claim's holder."""
        return self._call("get_all_claims", _EVERYTHING, list[ClaimInfo])

    def get_applications(self) -> list[ApplicationInfo]:
        """Return all applications."""
        return self._call("get_all_applications", _EVERYTHING, list[ApplicationInfo])

    def get_application(self, name: str) -> ApplicationInfo | None:
        """Return one application, or ``None``."""
        return self._find("get_application", rest.ApplicationName(name), ApplicationInfo)

    def find_application(self, name: str) -> ApplicationInfo:
        """Return one application; the error for an unknown name lists the known ones."""
        found = self.get_application(name)
        if found is None:
            raise ApplicationNotFoundError(name, [application.name for application in self.get_applications()])
        return found

    def get_linked_models(self, application_name: str) -> list[str]:
        """Return the names of an application's linked models."""
        return self._call("get_linked_models", rest.LinkedModelsOf(application_name), list[str])

    def set_traffic(self, application_name: str, weights: Mapping[str, float], policy: Policy | None = None) -> None:
        """Divide an application's queries by checked weights, or by a checked policy."""
        fields = None if policy is None else msgspec.to_builtins(policy)
        self._change("set_traffic", rest.SetTraffic(application_name, dict(weights), fields))

    def get_traffic(self, application_name: str) -> ApplicationTraffic:
        """Return how an application's queries are divided."""
        return self._call("get_traffic", rest.LinkedModelsOf(application_name), ApplicationTraffic)

    def set_shadow(self, application_name: str, model_id: ModelId | None, share: float = 1.0) -> None:
        """Ask a version besides; ``None`` ends it."""
        model = None if model_id is None else str(model_id)
        self._change("set_shadow", rest.SetShadow(application_name, model, share))

    def get_shadow_report(self, application_name: str) -> ShadowReport:
        """Return what an application's shadow answered."""
        return self._call("get_shadow_report", rest.TrafficOf(application_name), ShadowReport)

    def start_roll_out(self, request: StartRollOut) -> None:
        """Begin to raise a version's share."""
        self._change("start_roll_out", request)

    def abort_roll_out(self, application_name: str) -> None:
        """Restore the traffic of before."""
        self._change("abort_roll_out", rest.TrafficOf(application_name))

    def promote_roll_out(self, application_name: str) -> None:
        """Send all queries to the version at once."""
        self._change("promote_roll_out", rest.TrafficOf(application_name))

    def get_roll_outs(self) -> list[RollOutInfo]:
        """Return the last roll-out of each application."""
        return self._call("get_roll_outs", _EVERYTHING, list[RollOutInfo])

    def get_models(self) -> list[VersionInfo]:
        """Return all model versions."""
        return self._call("get_all_models", _EVERYTHING, list[VersionInfo])

    def get_model(self, model_id: ModelId) -> VersionInfo | None:
        """Return one model version, or ``None``."""
        return self._find("get_model", rest.ModelVersionName(*model_id), VersionInfo)

    def get_environment_variables(self, model_id: ModelId) -> dict[str, str]:
        """Return the environment variables that the replicas of a version get, with their values."""
        return self._call("get_environment_variables", rest.ModelVersionName(*model_id), dict[str, str])

    def get_current_model_version(self, name: str) -> str:
        """Return a model's current version."""
        return self._call("get_current_model_version", rest.ModelName(name), str)

    def get_replicas(self) -> list[ReplicaInfo]:
        """Return the connected replicas."""
        return self._call("get_all_containers", _EVERYTHING, list[ReplicaInfo])

    def get_query_frontends(self) -> list[FrontendInfo]:
        """Return the live query frontends, each with the replicas that are connected to it."""
        return self._call("get_all_query_frontends", _EVERYTHING, list[FrontendInfo])

    def get_replica(self, model_id: ModelId, replica_id: int) -> ReplicaInfo | None:
        """Return one connected replica, or ``None``."""
        return self._find("get_container", rest.ReplicaName(*model_id, replica_id), ReplicaInfo)

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def _change(self, action: str, request: Any, *, settles_within_s: float = _CHANGE_SETTLES_WITHIN_S) -> None:
        """Make a change once, however often it has to be sent; its numbers are checked first."""
        checked(request)
        headers = {**self._headers, "Idempotency-Key": secrets.token_hex(8)}
        try:
            answer = self._request(action, request, headers, _TIMEOUT_S, settles_within_s)
        except ClusterUnreachableError as exc:
            raise ClusterUnreachableError(f"{exc.msg} {_UNKNOWN_OUTCOME}") from exc
        if answer.status == HTTPStatus.SERVICE_UNAVAILABLE and answer.was_in_doubt:
            # The last try changed nothing, but an earlier one may have.
            raise StateUnavailableError(f"The cluster's Redis does not answer. {_UNKNOWN_OUTCOME}", is_in_doubt=True)
        _read_answer(answer, object)

    def _find(self, action: str, request: Any, answer_type: type[_AnswerT]) -> _AnswerT | None:
        answer = self._read(action, request)
        return None if answer.body == _NONE else _read_answer(answer, answer_type)

    def _call(self, action: str, request: Any, answer_type: type[_AnswerT], timeout_s: float = _TIMEOUT_S) -> _AnswerT:
        return _read_answer(self._read(action, request, timeout_s), answer_type)

    def _read(self, action: str, request: Any, timeout_s: float = _TIMEOUT_S) -> _Answer:
        return self._request(action, request, self._headers, timeout_s, _READ_SETTLES_WITHIN_S)

    def _request(
        self, action: str, request: Any, headers: Mapping[str, str], timeout_s: float, settles_within_s: float
    ) -> _Answer:
        """Return the answer; send a call again that a restart of the frontend or of Redis cut off."""
        deadline_s = self._clock() + settles_within_s
        was_in_doubt = False
        interval_s = _FIRST_REPEAT_INTERVAL_S
        while True:
            try:
                status, body = self._http.request(
                    "POST", f"/admin/{action}", body=rest.format_body(request), headers=headers, timeout_s=timeout_s
                )
                was_in_doubt = was_in_doubt or rest.CHANGE_IN_DOUBT.encode() in body
                if status != HTTPStatus.SERVICE_UNAVAILABLE or self._clock() >= deadline_s:
                    return _Answer(status, body, was_in_doubt)
            except ClusterUnreachableError as exc:
                was_in_doubt = True
                if not exc.is_passing or self._clock() >= deadline_s:
                    raise
            self._sleep(interval_s)
            interval_s = min(2 * interval_s, _LONGEST_REPEAT_INTERVAL_S)


@dataclass(frozen=True)
class _Answer:
    """The management frontend's last answer to a call."""

    status: int
    body: bytes
    was_in_doubt: bool
    """Whether an answer to an earlier try was lost, or said that Redis may have the change."""

    @property
    def text(self) -> str:
        """The body, as text for a person."""
        return self.body.decode("utf-8", "replace")


def _read_answer(answer: _Answer, answer_type: type[_AnswerT]) -> _AnswerT:
    """Return the answer of a call that succeeded."""
    if answer.status != HTTPStatus.OK:
        raise _failure(answer)
    try:
        value: _AnswerT = rest.parse_body(answer.body, answer_type)
    except ValueError as exc:
        raise ManagementError(answer.status, f"{exc}: {answer.text}") from exc
    return value


def _failure(answer: _Answer) -> ClipperException:
    try:
        failure = rest.parse_body(answer.body)
    except ValueError:
        failure = None
    if answer.status in _ERRORS and isinstance(failure, dict) and "cause" in failure:
        return _ERRORS[answer.status](failure["cause"])
    return ManagementError(answer.status, answer.text)
