"""``python -m clipper_nb.runtime.management_frontend``: run the management frontend until SIGTERM."""

from __future__ import annotations

import asyncio
import logging

from clipper_nb.runtime.http.server import HttpServer
from clipper_nb.runtime.management_frontend.handlers import make_application
from clipper_nb.runtime.management_frontend.service import ManagementService
from clipper_nb.runtime.process import run_until_signalled
from clipper_nb.runtime.settings import management_frontend_settings
from clipper_nb.runtime.state.redis_store import RedisStore

logger = logging.getLogger(__name__)


async def serve(stopping: asyncio.Event) -> None:
    """Serve until *stopping* is set."""
    settings = management_frontend_settings()
    store = RedisStore(
        settings.redis.url, key_prefix=settings.redis.key_prefix, ca_certificates=settings.redis.ca_certificates
    )
    service = ManagementService(store)
    service.start()
    application = make_application(service, token=settings.admin_token)
    server = HttpServer(None, application, settings.http_limits)
    listening = settings.http.open_socket()
    await server.start(listening)
    logger.info("management frontend listens on %s:%s", *listening.getsockname()[:2])
    await stopping.wait()
    service.end_waits()
    await server.stop()
    await service.stop()
    await store.close()


if __name__ == "__main__":
    run_until_signalled(serve)
