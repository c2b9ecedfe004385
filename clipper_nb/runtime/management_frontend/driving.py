"""Looks again and again at what the management frontend drives itself, whatever goes wrong in one look."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from clipper_nb.errors import ClusterUnreachableError, StateUnavailableError
from clipper_nb.runtime.management_frontend.service import ManagementService

logger = logging.getLogger(__name__)

RETRY_INTERVAL_S = 1.0
IDLE_INTERVAL_S = 30.0
"""Its begin is noticed; this is for a Redis that was restored to an older state."""


async def keep_looking(look: Callable[[], Awaitable[float]], service: ManagementService, what: str) -> None:
    """Call *look* until cancelled.

    Parameters
    ----------
    look : callable
        Returns after how long to look again, in seconds; ``IDLE_INTERVAL_S`` if only a change gives it something to do.
    service : ManagementService
    what : str
        What waits while it fails, for the log.
    """
    while True:
        interval_s = RETRY_INTERVAL_S
        try:
            interval_s = await look()
        except (StateUnavailableError, ClusterUnreachableError) as exc:
            logger.warning("%s: waiting: %s", what, exc)
        except Exception:  # a fault in one look must not end the others
            logger.exception("%s: waiting", what)
        if interval_s == IDLE_INTERVAL_S:
            await service.wait_for_change(interval_s)
        else:
            await asyncio.sleep(interval_s)
