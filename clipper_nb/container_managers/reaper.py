"""Stops undesired replicas, which a cut-off deploy or scale leaves behind, and starts what autoscaling asks for.

What should run is in Redis. A caller claims a version before it starts replicas of it, so a replica of a version that
is neither registered nor claimed is an orphan. A reaper runs beside each cluster: in the supervisor of an embedded
one, and in every notebook that is connected to one on Docker or Kubernetes. It starts replicas of versions alone whose
number the cluster sets itself, and claims them as a notebook does, so that of several reapers one starts them.
"""

from __future__ import annotations

import contextlib
import logging
import secrets
import threading
import time
from collections.abc import Callable, Sequence

from msgspec.structs import replace

from clipper_nb.clients.management_client import ManagementClient
from clipper_nb.clients.this_process import this_process
from clipper_nb.container_managers.reconcile import missing_replicas, undesired_replicas
from clipper_nb.errors import ClipperException, VersionClaimedError
from clipper_nb.protocol.containers import ObservedContainer
from clipper_nb.protocol.names import ModelId
from clipper_nb.protocol.rest import DesiredReplicas

logger = logging.getLogger(__name__)

_LOOK_INTERVAL_S = 20.0
"""How often it checks when nothing changes: a suspended process may start replicas long after its claim."""
_RETRY_INTERVAL_S = 1.0
_SETTLE_S = 0.3
"""Time for the caller that unregisters a version to stop its replicas itself."""


class Reaper:
    """Follows which replicas should run, and stops all others, in its own thread.

    Parameters
    ----------
    management : ManagementClient
        Closed by the caller, after ``stop``.
    observe : callable
        Returns the replicas that run.
    stop : callable
        Stops the replicas of the given names; unknown ones are fine.
    start : callable
        Starts replicas of a version, of which at least one runs, until so many do.
    """

    def __init__(
        self,
        management: ManagementClient,
        observe: Callable[[], Sequence[ObservedContainer]],
        stop: Callable[[list[str]], None],
        start: Callable[[ModelId, int], None],
    ) -> None:
        self._management = management
        self._observe = observe
        self._stop = stop
        self._start = start
        self._not_before_s: dict[ModelId, float] = {}
        """When replicas are tried again that could not be started."""
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="clipper_nb reaper", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Let the thread end; it may wait some more seconds for an answer."""
        self._stopping.set()

    def _run(self) -> None:
        known: DesiredReplicas | None = None
        while not self._stopping.is_set():
            try:
                revision = -1 if known is None else known.revision
                desired = self._management.get_desired_replicas(revision, _LOOK_INTERVAL_S)
                # An unchanged revision means that the interval is over; a change of applications only needs no action.
                is_due = known is None or desired.revision == revision or replace(desired, revision=revision) != known
                if is_due and not self._stopping.wait(_SETTLE_S):
                    self.look()
                known = desired
            except ClipperException as exc:  # the frontend or the engine is down
                logger.debug("%s", exc)
                self._stopping.wait(_RETRY_INTERVAL_S)
            except Exception:
                logger.exception("the search for undesired replicas failed")
                self._stopping.wait(_RETRY_INTERVAL_S)

    def look(self) -> None:
        """Stop the replicas that should not run now, and start those of autoscaled versions that should.

        What runs is observed before what should run is read: an observed replica had its claim before that.
        """
        observed = self._observe()
        if not observed:
            return
        desired = self._management.get_desired_replicas()
        names = undesired_replicas(observed, desired)
        if names:
            models = {each.model for each in observed if each.name in names}
            level = logging.INFO if models <= set(desired.autoscaled) else logging.WARNING
            logger.log(level, "stopping replicas that should not run: %s", ", ".join(names))
            self._stop(names)
        for model_id in missing_replicas(observed, desired):
            if time.monotonic() >= self._not_before_s.get(model_id, 0.0):
                self._start_missing(model_id)

    def _start_missing(self, model_id: ModelId) -> None:
        """Start what is missing of an autoscaled version, unless another caller is at it."""
        claim_id = secrets.token_hex(8)
        try:
            self._management.claim_version(model_id, claim_id, this_process(), is_new=False)
            try:
                desired = self._management.get_desired_replicas()  # it may have changed until it was claimed
                if str(model_id) in desired.autoscaled:
                    self._start(model_id, desired.num_replicas[str(model_id)])
            finally:
                with contextlib.suppress(ClipperException):  # it lapses
                    self._management.release_claim(model_id, claim_id)
        except VersionClaimedError as exc:
            logger.debug("%s", exc)
        except ClipperException as exc:
            logger.warning("replicas of %s cannot be started: %s", model_id, exc)
            self._not_before_s[model_id] = time.monotonic() + _LOOK_INTERVAL_S
