"""Admin routes: parse the body, ask the service, format the answer."""

from __future__ import annotations

import hmac
import logging
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Any

import tornado.web
from msgspec import Struct
from prometheus_client import CollectorRegistry, Counter

from clipper_nb.errors import ModelNotFoundError
from clipper_nb.protocol import names, rest
from clipper_nb.protocol.names import ModelId
from clipper_nb.protocol.records import Application, Configuration
from clipper_nb.runtime.http import JsonHandler, LiveHandler, MetricsHandler, UnknownPathHandler, exposition_of
from clipper_nb.runtime.management_frontend.service import ManagementService

logger = logging.getLogger(__name__)

Action = Callable[[ManagementService, Any], Awaitable[Any]]


class AdminHandler(JsonHandler):
    """One admin call: an action and the type of its request."""

    def initialize(
        self,
        service: ManagementService,
        token: str,
        requests: Counter,
        action: Action,
        request_type: type[Struct],
    ) -> None:
        """Take what the route was made with."""
        self._service = service
        self._token = token
        self._requests = requests
        self._action = action
        self._request_type = request_type

    def prepare(self) -> None:
        """Refuse who does not have the token; other methods than POST are refused anyway."""
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
        """Do the action."""
        request = rest.parse_request(self.request.body, self._request_type)
        answer = await self._action(self._service, request)
        self.finish(rest.format_body("Success" if answer is None else answer))

    def on_finish(self) -> None:
        """Count the call."""
        self._requests.labels(path=self.request.path, status=str(self.get_status())).inc()


class PingHandler(JsonHandler):
    """``GET /admin/ping``, as Clipper answered it."""

    def get(self) -> None:
        """Answer ``PONG``."""
        self.finish("PONG")


class ReadyHandler(JsonHandler):
    """``GET /readyz``: the configuration can be read."""

    def initialize(self, service: ManagementService) -> None:
        """Take the service."""
        self._service = service

    async def get(self) -> None:
        """Answer 200, or 503 while Redis is away."""
        await self._service.read_configuration()
        self.finish(rest.format_body({"ready": True}))

    head = get


async def _add_application(service: ManagementService, request: rest.AddApplication) -> None:
    await service.register_application(request)


async def _delete_application(service: ManagementService, request: rest.ApplicationName) -> None:
    await service.unregister_application(request.name)


async def _add_model_links(service: ManagementService, request: rest.ModelLinks) -> None:
    await service.link_model(request)


async def _delete_model_links(service: ManagementService, request: rest.ModelLinks) -> None:
    await service.unlink_model(request)


async def _add_model(service: ManagementService, request: rest.AddModel) -> None:
    await service.register_version(request)


async def _delete_model_version(service: ManagementService, request: rest.ModelVersionName) -> None:
    await service.unregister_version(_model_id(request))


async def _set_model_version(service: ManagementService, request: rest.ModelVersionName) -> None:
    await service.set_current_version(_model_id(request))


async def _get_all_applications(service: ManagementService, request: rest.Listing) -> list[Any]:
    configuration = await service.read_configuration()
    applications = [configuration.applications[name] for name in sorted(configuration.applications)]
    if not request.verbose:
        return [application.name for application in applications]
    return [_describe_application(configuration, application) for application in applications]


async def _get_application(service: ManagementService, request: rest.ApplicationName) -> dict[str, Any]:
    configuration = await service.read_configuration()
    application = configuration.applications.get(request.name)
    if application is None:
        return {}
    return _describe_application(configuration, application)


def _describe_application(configuration: Configuration, application: Application) -> dict[str, Any]:
    answering = configuration.current_version_of(application.name)
    example = answering.provenance.example if answering else None
    return rest.describe_application(application, configuration.links.get(application.name), example)


async def _get_linked_models(service: ManagementService, request: rest.LinkedModelsOf) -> list[str]:
    return await service.get_linked_models(request.app_name)


async def _get_all_models(service: ManagementService, request: rest.Listing) -> list[Any]:
    configuration = await service.read_configuration()
    versions = sorted(configuration.versions.values(), key=lambda version: (version.name, version.registered_at))
    if not request.verbose:
        return [str(version.model_id) for version in versions]
    return [_describe_version(configuration, version.model_id) for version in versions]


async def _get_model(service: ManagementService, request: rest.ModelVersionName) -> dict[str, Any]:
    configuration = await service.read_configuration()
    model_id = ModelId(request.model_name, request.model_version)
    return _describe_version(configuration, model_id) if model_id in configuration.versions else {}


async def _get_current_version(service: ManagementService, request: rest.ModelName) -> str:
    configuration = await service.read_configuration()
    current = configuration.current_versions.get(request.model_name)
    if current is None:
        raise ModelNotFoundError(request.model_name, known=sorted(configuration.current_versions))
    return current


async def _get_all_replicas(service: ManagementService, request: rest.Listing) -> list[Any]:
    replicas = await service.read_replicas()
    if not request.verbose:
        return [f"{replica.model_id}:{replica.replica_id}" for replica in replicas]
    return [rest.describe_replica(replica) for replica in replicas]


async def _get_query_frontends(service: ManagementService, request: rest.Listing) -> list[Any]:
    frontends = await service.read_query_frontends()
    if not request.verbose:
        return [frontend.frontend_id for frontend in frontends]
    return [rest.describe_query_frontend(frontend) for frontend in frontends]


async def _get_replica(service: ManagementService, request: rest.ReplicaName) -> dict[str, Any]:
    for replica in await service.read_replicas():
        if (*replica.model_id, replica.replica_id) == (
            request.model_name,
            request.model_version,
            request.replica_id,
        ):
            return rest.describe_replica(replica)
    return {}


def _model_id(request: rest.ModelVersionName) -> ModelId:
    return ModelId(names.check_model_name(request.model_name), names.check_version(request.model_version))


def _describe_version(configuration: Configuration, model_id: ModelId) -> dict[str, Any]:
    is_current = configuration.current_versions.get(model_id.name) == model_id.version
    return rest.describe_model_version(configuration.versions[model_id], is_current=is_current)


_ADMIN_ROUTES: dict[str, tuple[Action, type[Struct]]] = {
    "add_app": (_add_application, rest.AddApplication),
    "delete_app": (_delete_application, rest.ApplicationName),
    "add_model_links": (_add_model_links, rest.ModelLinks),
    "delete_model_links": (_delete_model_links, rest.ModelLinks),
    "add_model": (_add_model, rest.AddModel),
    "delete_versioned_model": (_delete_model_version, rest.ModelVersionName),
    "set_model_version": (_set_model_version, rest.ModelVersionName),
    "get_all_applications": (_get_all_applications, rest.Listing),
    "get_application": (_get_application, rest.ApplicationName),
    "get_linked_models": (_get_linked_models, rest.LinkedModelsOf),
    "get_all_models": (_get_all_models, rest.Listing),
    "get_model": (_get_model, rest.ModelVersionName),
    "get_current_model_version": (_get_current_version, rest.ModelName),
    "get_all_containers": (_get_all_replicas, rest.Listing),
    "get_all_query_frontends": (_get_query_frontends, rest.Listing),
    "get_container": (_get_replica, rest.ReplicaName),
}


def make_application(service: ManagementService, *, token: str, registry: CollectorRegistry) -> tornado.web.Application:
    """Return the management frontend's Tornado application."""
    requests = Counter(
        "clipper_admin_requests", "Admin calls by path and status", ["path", "status"], registry=registry
    )
    shared = {"service": service, "token": token, "requests": requests}
    routes: list[Any] = [
        (rf"/admin/{path}", AdminHandler, {**shared, "action": action, "request_type": request_type})
        for path, (action, request_type) in _ADMIN_ROUTES.items()
    ]
    routes += [
        (r"/admin/ping", PingHandler),
        (r"/livez", LiveHandler),
        (r"/readyz", ReadyHandler, {"service": service}),
        (r"/metrics", MetricsHandler, {"exposition": exposition_of(registry)}),
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
