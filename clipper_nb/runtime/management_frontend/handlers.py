"""Admin routes: parse the body, ask the service, format the answer."""

from __future__ import annotations

import asyncio
import hmac
import logging
import time
from collections.abc import Awaitable, Callable, Iterator
from http import HTTPStatus
from itertools import islice
from typing import Any, Union

import tornado.web
from msgspec import Struct

from clipper_nb.errors import InvalidRequestError, ModelNotFoundError
from clipper_nb.protocol import descriptions, rest
from clipper_nb.protocol.autoscaling import SetAutoscaling, check_autoscaling
from clipper_nb.protocol.descriptions import ApplicationInfo, ReplicaInfo, TokenInfo, VersionInfo
from clipper_nb.protocol.names import ModelId
from clipper_nb.protocol.number_rules import checked
from clipper_nb.protocol.query_history import QueryHistory
from clipper_nb.protocol.records import Application, Configuration
from clipper_nb.protocol.roll_out_plan import StartRollOut
from clipper_nb.protocol.traffic import ApplicationTraffic
from clipper_nb.runtime.http.errors import JsonHandler, LiveHandler, MetricsHandler, UnknownPathHandler
from clipper_nb.runtime.management_frontend import rules, scaling_rules
from clipper_nb.runtime.management_frontend.service import ManagementService
from clipper_nb.runtime.management_frontend.traffic_calls import TrafficCalls
from clipper_nb.runtime.metrics.admin_calls import AdminCalls

logger = logging.getLogger(__name__)

Read = Callable[[ManagementService, Any], Awaitable[Any]]
Change = Callable[[ManagementService, Any, Union[str, None]], Awaitable[None]]
"""Called with the change's id and its request; a change with a known id is not applied again."""

_LONGEST_KEY = 200
_SLICE_LENGTH = 50
"""Number of a list's records that are encoded at once, which takes about a millisecond."""


class AdminHandler(JsonHandler):
    """One admin call: what it does and the type of its request."""

    def initialize(
        self,
        service: ManagementService,
        token: str,
        calls: AdminCalls,
        action: Any,
        request_type: type[Struct],
    ) -> None:
        """Store the route's arguments (called by Tornado)."""
        self._service = service
        self._token = token
        self._calls = calls
        self._action = action
        self._request_type = request_type

    def prepare(self) -> None:
        """Reject callers without the token; methods other than POST are rejected anyway."""
        if self.request.method != "POST":
            return
        scheme, _, token = self.request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not hmac.compare_digest(token.strip().encode(), self._token.encode()):
            self.set_header("WWW-Authenticate", "Bearer")
            raise tornado.web.HTTPError(
                HTTPStatus.UNAUTHORIZED,
                "This call needs the cluster's token in the header 'Authorization: Bearer <token>'; "
                "ClipperConnection.connect() finds it.",
            )

    async def post(self) -> None:
        """Answer the call."""
        request = rest.parse_request(self.request.body, self._request_type)
        answer = await self._answer(request)
        if isinstance(answer, Iterator):
            self.finish(await _format_in_slices(answer))
        else:
            self.finish(rest.format_body("Success" if answer is None else answer))

    async def _answer(self, request: Any) -> Any:
        raise NotImplementedError

    def on_finish(self) -> None:
        """Count the call."""
        self._calls.count(self.request.path, self.get_status())


async def _format_in_slices(items: Iterator[Any]) -> bytes:
    """Return *items* as a JSON list, encoded in slices between which other calls are served."""
    slices = []
    while some := list(islice(items, _SLICE_LENGTH)):
        slices.append(rest.format_body(some)[1:-1])
        await asyncio.sleep(0)
    return b"[" + b",".join(slices) + b"]"


class ReadHandler(AdminHandler):
    """An admin call that changes nothing; if the record does not exist it answers ``{}``, as Clipper did."""

    async def _answer(self, request: Any) -> Any:
        answer = await self._action(self._service, request)
        return {} if answer is None else answer


class ChangeHandler(AdminHandler):
    """An admin call that changes the configuration, only once for all requests with the same ``Idempotency-Key``."""

    async def _answer(self, request: Any) -> None:
        key = self.request.headers.get("Idempotency-Key")
        if key is not None and not 0 < len(key) <= _LONGEST_KEY:
            raise InvalidRequestError(f"The header Idempotency-Key must have 1 to {_LONGEST_KEY} characters.")
        await self._action(self._service, request, key and f"{self.request.path} {key}")


class HoldHandler(AdminHandler):
    """A request that stays open while its caller lives, at most half a minute."""

    def prepare(self) -> None:
        """Create the event that is set when the caller is gone."""
        super().prepare()
        self._gone = asyncio.Event()

    def on_connection_close(self) -> None:
        """Record that the caller is gone."""
        self._gone.set()

    async def _answer(self, request: Any) -> rest.ClaimHeld:
        return await self._service.hold_claim(request, self._gone)


class PingHandler(JsonHandler):
    """``GET /admin/ping``, as Clipper answered it."""

    def get(self) -> None:
        """Answer ``PONG``."""
        self.finish("PONG")


class ReadyHandler(JsonHandler):
    """``GET /readyz``: whether the configuration can be read."""

    def initialize(self, service: ManagementService) -> None:
        """Store the route's arguments (called by Tornado)."""
        self._service = service

    async def get(self) -> None:
        """Answer 200, or 503 while Redis is unreachable."""
        await self._service.read_configuration()
        self.finish(rest.format_body({"ready": True}))

    head = get


async def _delete_application(service: ManagementService, request: rest.ApplicationName, key: str | None) -> None:
    await service.unregister_application(request.name, key)


async def _add_model(service: ManagementService, request: rest.AddModel, key: str | None) -> None:
    await service.register_version(request, key)


async def _add_application(service: ManagementService, request: rest.AddApplication, key: str | None) -> None:
    await service.register_application(request, key)


async def _delete_model_version(service: ManagementService, request: rest.ModelVersionName, key: str | None) -> None:
    await service.unregister_version(_model_id(request), key)


async def _set_model_version(service: ManagementService, request: rest.ModelVersionName, key: str | None) -> None:
    await service.set_current_version(_model_id(request), key)


async def _set_autoscaling(service: ManagementService, request: SetAutoscaling, key: str | None) -> None:
    model_id, at = ModelId(request.model_name, request.model_version), time.time()
    scaling = check_autoscaling(
        min_replicas=request.min_replicas, max_replicas=request.max_replicas, target=request.target,
        period_s=request.period_s, stable_s=request.stable_s,
    )  # fmt: skip
    claim_id = request.claim_id
    await service.change(lambda before: scaling_rules.set_autoscaling(before, model_id, scaling, claim_id, at=at), key)


async def _get_all_applications(service: ManagementService, request: rest.Listing) -> Iterator[Any]:
    configuration = await service.read_configuration()
    applications = [configuration.applications[name] for name in sorted(configuration.applications)]
    if not request.verbose:
        return (application.name for application in applications)
    return (_describe_application(configuration, application) for application in applications)


async def _get_application(service: ManagementService, request: rest.ApplicationName) -> ApplicationInfo | None:
    configuration = await service.read_configuration()
    application = configuration.applications.get(request.name)
    return None if application is None else _describe_application(configuration, application)


def _describe_application(configuration: Configuration, application: Application) -> ApplicationInfo:
    name = application.name
    route = configuration.routes.get(name)
    linked_models = [] if route is None else list(route.model_names)
    traffic = () if route is None or route.is_link else descriptions.describe_targets(configuration, route)
    return descriptions.describe_application(
        application,
        linked_models,
        configuration.current_version_of(name),
        traffic,
        None if route is None else route.policy,
    )


async def _get_linked_models(service: ManagementService, request: rest.LinkedModelsOf) -> list[str]:
    configuration = await service.read_configuration()
    rules.find_application(configuration, request.app_name)
    route = configuration.routes.get(request.app_name)
    return [] if route is None else list(route.model_names)


async def _get_traffic(service: ManagementService, request: rest.LinkedModelsOf) -> ApplicationTraffic:
    return await service.get_traffic(request.app_name)


async def _get_all_models(service: ManagementService, request: rest.Listing) -> Iterator[Any]:
    configuration = await service.read_configuration()
    versions = sorted(configuration.versions.values(), key=lambda version: (version.name, version.registered_at))
    if not request.verbose:
        return (str(version.model_id) for version in versions)
    return (_describe_version(configuration, version.model_id) for version in versions)


async def _get_model(service: ManagementService, request: rest.ModelVersionName) -> VersionInfo | None:
    configuration = await service.read_configuration()
    model_id = ModelId(request.model_name, request.model_version)
    return _describe_version(configuration, model_id) if model_id in configuration.versions else None


async def _get_environment_variables(service: ManagementService, request: rest.ModelVersionName) -> dict[str, str]:
    configuration = await service.read_configuration()
    version = configuration.versions.get(ModelId(request.model_name, request.model_version))
    return {} if version is None else dict(version.environment_variables.values)


async def _get_current_version(service: ManagementService, request: rest.ModelName) -> str:
    configuration = await service.read_configuration()
    current = configuration.current_versions.get(request.model_name)
    if current is None:
        raise ModelNotFoundError(request.model_name, known=sorted(configuration.current_versions))
    return current


async def _get_all_replicas(service: ManagementService, request: rest.Listing) -> Iterator[Any]:
    replicas = await service.read_replicas()
    if not request.verbose:
        return (f"{replica.model_id}:{replica.replica_id}" for replica in replicas)
    return map(descriptions.describe_replica, replicas)


async def _get_query_frontends(service: ManagementService, request: rest.Listing) -> list[Any]:
    frontends = await service.read_query_frontends()
    if not request.verbose:
        return [frontend.frontend_id for frontend in frontends]
    return [descriptions.describe_query_frontend(frontend) for frontend in frontends]


async def _get_replica(service: ManagementService, request: rest.ReplicaName) -> ReplicaInfo | None:
    for replica in await service.read_replicas():
        if (*replica.model_id, replica.replica_id) == (
            request.model_name,
            request.model_version,
            request.replica_id,
        ):
            return descriptions.describe_replica(replica)
    return None


async def _get_deploy_state(service: ManagementService, request: rest.ModelVersionName) -> rest.DeployState:
    return await service.read_deploy_state(_model_id(request))


async def _get_claims(service: ManagementService, request: rest.Listing) -> list[Any]:
    claims = (await service.read_configuration()).claims
    if not request.verbose:
        return [str(model_id) for model_id in claims]
    return [descriptions.describe_claim(claim) for claim in claims.values()]


async def _get_tokens(service: ManagementService, request: rest.TokensOf) -> list[TokenInfo]:
    configuration = await service.read_configuration()
    found = rules.find_tokens(configuration, request.app_name)
    return [descriptions.describe_token(token, with_digest=request.with_digests) for token in found]


async def _get_query_history(service: ManagementService, request: rest.QueryId) -> QueryHistory:
    return await service.read_query_history(checked(request).query_id)


def _model_id(request: rest.ModelVersionName) -> ModelId:
    return ModelId(request.model_name, request.model_version)


def _describe_version(configuration: Configuration, model_id: ModelId) -> VersionInfo:
    is_current = configuration.current_versions.get(model_id.name) == model_id.version
    return descriptions.describe_model_version(
        configuration.versions[model_id],
        is_current=is_current,
        num_replicas=configuration.num_replicas.get(model_id, 0),
        autoscaling=configuration.autoscaling.get(model_id),
    )


_CHANGES: dict[str, tuple[Change, type[Struct]]] = {
    "add_app": (_add_application, rest.AddApplication),
    "delete_app": (_delete_application, rest.ApplicationName),
    "add_model_links": (ManagementService.link_model, rest.ModelLinks),
    "delete_model_links": (ManagementService.unlink_model, rest.ModelLinks),
    "set_traffic": (ManagementService.set_traffic, rest.SetTraffic),
    "create_token": (ManagementService.create_token, rest.CreateToken),
    "revoke_token": (ManagementService.revoke_token, rest.TokenName),
    "add_model": (_add_model, rest.AddModel),
    "delete_versioned_model": (_delete_model_version, rest.ModelVersionName),
    "set_model_version": (_set_model_version, rest.ModelVersionName),
    "set_num_replicas": (ManagementService.set_num_replicas, rest.NumReplicas),
    "set_autoscaling": (_set_autoscaling, SetAutoscaling),
    "claim_version": (ManagementService.claim_version, rest.ClaimVersion),
    "release_claim": (ManagementService.release_claim, rest.ClaimName),
}

_READS: dict[str, tuple[Read, type[Struct]]] = {
    "get_all_applications": (_get_all_applications, rest.Listing),
    "get_application": (_get_application, rest.ApplicationName),
    "get_linked_models": (_get_linked_models, rest.LinkedModelsOf),
    "get_traffic": (_get_traffic, rest.LinkedModelsOf),
    "get_tokens": (_get_tokens, rest.TokensOf),
    "get_all_models": (_get_all_models, rest.Listing),
    "get_model": (_get_model, rest.ModelVersionName),
    "get_environment_variables": (_get_environment_variables, rest.ModelVersionName),
    "get_current_model_version": (_get_current_version, rest.ModelName),
    "get_all_containers": (_get_all_replicas, rest.Listing),
    "get_all_query_frontends": (_get_query_frontends, rest.Listing),
    "get_container": (_get_replica, rest.ReplicaName),
    "get_desired_replicas": (ManagementService.read_desired_replicas, rest.DesiredReplicasSince),
    "get_deploy_state": (_get_deploy_state, rest.ModelVersionName),
    "get_all_claims": (_get_claims, rest.Listing),
    "get_query_history": (_get_query_history, rest.QueryId),
}

_TRAFFIC_CHANGES: dict[str, tuple[Any, type[Struct]]] = {
    "set_shadow": (TrafficCalls.set_shadow, rest.SetShadow),
    "start_roll_out": (TrafficCalls.start_roll_out, StartRollOut),
    "abort_roll_out": (TrafficCalls.abort_roll_out, rest.TrafficOf),
    "promote_roll_out": (TrafficCalls.promote_roll_out, rest.TrafficOf),
}

_TRAFFIC_READS: dict[str, tuple[Any, type[Struct]]] = {
    "get_shadow_report": (TrafficCalls.get_shadow_report, rest.TrafficOf),
    "get_roll_outs": (TrafficCalls.get_roll_outs, rest.Listing),
}


def make_application(service: ManagementService, traffic: TrafficCalls, *, token: str) -> tornado.web.Application:
    """Return the management frontend's Tornado application."""
    calls = AdminCalls()
    shared = {"service": service, "token": token, "calls": calls}
    kinds: list[tuple[type[AdminHandler], Any, dict[str, Any]]] = [
        (ChangeHandler, service, _CHANGES), (ReadHandler, service, _READS),
        (ChangeHandler, traffic, _TRAFFIC_CHANGES), (ReadHandler, traffic, _TRAFFIC_READS),
    ]  # fmt: skip
    routes: list[Any] = [
        (rf"/admin/{path}", handler, {**shared, "service": owner, "action": action, "request_type": request_type})
        for handler, owner, actions in kinds
        for path, (action, request_type) in actions.items()
    ]
    routes.append((r"/admin/hold_claim", HoldHandler, {**shared, "action": None, "request_type": rest.HoldClaim}))
    routes += [
        (r"/admin/ping", PingHandler),
        (r"/livez", LiveHandler),
        (r"/readyz", ReadyHandler, {"service": service}),
        (r"/metrics", MetricsHandler, {"exposition": calls.exposition}),
    ]
    return tornado.web.Application(
        routes,
        default_handler_class=UnknownPathHandler,
        unknown_path="The management frontend has no path {path}.",
        log_function=_log_failures,
    )


def _log_failures(handler: tornado.web.RequestHandler) -> None:
    if handler.get_status() >= HTTPStatus.INTERNAL_SERVER_ERROR:
        logger.warning("%s %s answered %d", handler.request.method, handler.request.path, handler.get_status())
