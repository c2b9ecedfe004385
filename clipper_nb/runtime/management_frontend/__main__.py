"""``python -m clipper_nb.runtime.management_frontend``: run the management frontend until SIGTERM."""

from __future__ import annotations

import asyncio
import logging

import tornado.httpserver
from prometheus_client import CollectorRegistry

from clipper_nb.runtime.management_frontend.handlers import make_application
from clipper_nb.runtime.management_frontend.service import ManagementService
from clipper_nb.runtime.process import run_until_signalled
from clipper_nb.runtime.settings import management_frontend_settings
from clipper_nb.runtime.state.redis_store import RedisStore

logger = logging.getLogger(__name__)


async def serve(stopping: asyncio.Event) -> None:
    """Serve until *stopping* is set."""
    settings = management_frontend_settings()
    store = RedisStore(settings.redis_url)
    service = ManagementService(store)
    service.start()
    application = make_application(service, token=settings.admin_token, registry=CollectorRegistry())
    server = tornado.httpserver.HTTPServer(application, max_body_size=settings.max_body_size_bytes)
    listening = settings.http.open_socket()
    server.add_socket(listening)
    logger.info("management frontend listens on %s:%s", *listening.getsockname()[:2])
    await stopping.wait()
    server.stop()
    await server.close_all_connections()
    await service.stop()
    await store.close()


if __name__ == "__main__":
    run_until_signalled(serve)
