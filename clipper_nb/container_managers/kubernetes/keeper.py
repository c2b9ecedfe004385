"""What a connected notebook does for its cluster, in threads: it watches pods, stops undesired replicas, and scales.

Kubernetes itself brings back what was killed.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Sequence

from clipper_nb.clients.management_client import ManagementClient
from clipper_nb.container_managers.kubernetes.reflector import Reflector
from clipper_nb.container_managers.reaper import Reaper
from clipper_nb.protocol.containers import ObservedContainer
from clipper_nb.protocol.names import ModelId


class Keeper:
    """A watch and a reaper of one cluster, until ``stop``, or until nobody holds *owner* any more.

    Parameters
    ----------
    owner : object
        The container manager; nothing here refers to it.
    reflector : Reflector
    management : ManagementClient
        Closed with it.
    observe, stop_named, scale : callable
        As a :class:`Reaper` takes them.
    """

    def __init__(
        self,
        owner: object,
        reflector: Reflector,
        management: ManagementClient,
        observe: Callable[[], Sequence[ObservedContainer]],
        stop_named: Callable[[list[str]], None],
        scale: Callable[[ModelId, int], None],
    ) -> None:
        self._reflector = reflector
        self._management = management
        self._reaper = Reaper(management, observe, stop_named, scale)
        self._of_owner = weakref.finalize(owner, self._let_end)
        self._of_owner.atexit = False  # the threads are daemons

    def start(self) -> None:
        """Start both threads."""
        self._reflector.start()
        self._reaper.start()

    def stop(self) -> None:
        """Let both end; they may wait some more seconds for an answer."""
        self._of_owner.detach()
        self._let_end()

    def _let_end(self) -> None:
        # No wait: any thread may collect the owner, one of these too.
        self._reflector.stop()
        self._reaper.stop()
        self._management.close()
