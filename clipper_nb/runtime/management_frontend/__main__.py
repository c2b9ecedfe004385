"""``python -m clipper_nb.runtime.management_frontend``: run the management frontend until SIGTERM."""

from __future__ import annotations

import asyncio
import logging
import socket

from clipper_nb.runtime.http.guard import Guard
from clipper_nb.runtime.http.server import HttpServer
from clipper_nb.runtime.management_frontend.autoscaler import Autoscaler
from clipper_nb.runtime.management_frontend.handlers import make_application
from clipper_nb.runtime.management_frontend.roll_out_driver import RollOutDriver
from clipper_nb.runtime.management_frontend.roll_out_scores import scores_in
from clipper_nb.runtime.management_frontend.service import ManagementService
from clipper_nb.runtime.management_frontend.traffic_calls import TrafficCalls
from clipper_nb.runtime.process import keep_garbage_collector_short, run_until_signalled
from clipper_nb.runtime.settings import ManagementFrontendSettings, management_frontend_settings
from clipper_nb.runtime.state.redis_store import RedisStore
from clipper_nb.runtime.tasks import end_tasks

logger = logging.getLogger(__name__)


async def serve(stopping: asyncio.Event) -> None:
    """Serve until *stopping* is set."""
    settings = management_frontend_settings()
    store = RedisStore(
        settings.redis.url, key_prefix=settings.redis.key_prefix, ca_certificates=settings.redis.ca_certificates
    )
    service = ManagementService(store, run_id=settings.run_id)
    service.start()
    application = make_application(service, TrafficCalls(service, store), token=settings.admin_token)
    driving = [
        asyncio.create_task(
            RollOutDriver(service, store, read_scores=scores_in(store)).drive(), name="drive roll-outs"
        ),
        asyncio.create_task(Autoscaler(service, store).drive(), name="autoscale"),
    ]
    guard = Guard(settings.access, is_open=_is_open)
    server = HttpServer(None, application, settings.http_limits, guard=guard, tls=settings.tls)
    listening = settings.http.open_socket()
    unix_socket = _open_unix_socket(settings)
    await server.start(listening)
    if unix_socket is not None:
        await server.start_beside(unix_socket)
    keep_garbage_collector_short()
    logger.info("management frontend listens on %s:%s", *listening.getsockname()[:2])
    await stopping.wait()
    service.end_waits()
    await server.stop()
    await end_tasks(driving)
    await service.stop()
    await store.close()


def _open_unix_socket(settings: ManagementFrontendSettings) -> socket.socket | None:
    try:
        return settings.open_unix_socket()
    except OSError as exc:
        logger.warning("goes without a Unix socket: %s", exc)
        return None


def _is_open(path: bytes) -> bool:
    """Return whether a path needs no query token; admin calls ask for the cluster's other token themselves."""
    return path != b"/metrics"


if __name__ == "__main__":
    run_until_signalled(serve)
