"""``python -m clipper_nb.runtime.query_frontend``: run a query frontend, or several, until SIGTERM."""

from __future__ import annotations

import asyncio

from clipper_nb.runtime.process import run_until_signalled
from clipper_nb.runtime.query_frontend.app import QueryFrontend
from clipper_nb.runtime.settings import query_frontend_settings
from clipper_nb.runtime.state.redis_store import RedisStore
from clipper_nb.runtime.tasks import end_tasks
from clipper_nb.runtime.workers.parent import die_with_parent, serve_with_workers


async def serve(stopping: asyncio.Event) -> None:
    """Serve until *stopping* is set."""
    settings = query_frontend_settings()
    if settings.num_frontends > 1 and settings.worker is None:
        await serve_with_workers(settings, stopping)
        return
    if settings.worker is not None:
        die_with_parent(settings.worker.parent_pid)
    store = RedisStore(
        settings.redis.url, key_prefix=settings.redis.key_prefix, ca_certificates=settings.redis.ca_certificates
    )
    frontend = QueryFrontend(settings, store)
    starting = asyncio.ensure_future(frontend.start())
    waiting = asyncio.ensure_future(stopping.wait())
    await asyncio.wait({starting, waiting}, return_when=asyncio.FIRST_COMPLETED)
    if starting.done():
        starting.result()
        await waiting
    else:
        await end_tasks([starting])
    await frontend.stop()
    await store.close()


if __name__ == "__main__":
    run_until_signalled(serve)
