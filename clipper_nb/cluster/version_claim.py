"""A version that this process deploys or scales: no other caller touches its replicas meanwhile."""

from __future__ import annotations

import contextlib
import secrets
import threading
import time
from itertools import chain, repeat
from types import TracebackType

from clipper_nb.clients.management_client import ManagementClient
from clipper_nb.clients.this_process import this_process
from clipper_nb.errors import (
    ClaimLostError,
    ClipperException,
    VersionClaimedError,
)
from clipper_nb.protocol.names import ModelId
from clipper_nb.protocol.rest import AwaitedReplicas, ClaimHeld

_RETRY_INTERVALS_S = (0.005, 0.01, 0.02, 0.05, 0.1)
_RETRY_INTERVAL_S = _RETRY_INTERVALS_S[-1]
_HOLD_AFTER_S = 0.3
"""A claim lapses two seconds after it was taken or last held; most deploys of a running cluster end sooner."""
_JOIN_TIMEOUT_S = 2.0


class VersionClaim:
    """A claim on one version; as a context manager it is taken, held by a thread, and released.

    An open request holds it, unless the ``with`` ends at once: the kernel closes the request when this process is
    killed, and the claim lapses two seconds later. Then the cluster stops what was started under it.

    Parameters
    ----------
    management : ManagementClient
    model_id : ModelId
    is_new : bool
        Whether the version is to be deployed; else it is registered, and is to be scaled.
    wait_s : float
        Seconds to wait for another caller's claim to end.
    has_foreign_image : bool
        Whether the version's image may be one that no deployer made; its containers may have been written for Clipper.

    Raises
    ------
    VersionClaimedError
        On entry: another caller still has it after *wait_s*.
    VersionExistsError
        On entry: the version is new, and registered.
    ModelNotFoundError
        On entry: the version is not new, and not registered.
    """

    def __init__(
        self,
        management: ManagementClient,
        model_id: ModelId,
        *,
        is_new: bool,
        wait_s: float = 0.0,
        has_foreign_image: bool = False,
    ) -> None:
        self.model_id = model_id
        self.claim_id = secrets.token_hex(8)
        self._management = management
        self._is_new = is_new
        self._wait_s = wait_s
        self._has_foreign_image = has_foreign_image
        self.is_lost = False
        self._is_held_here = False
        self._has_ended = False
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    def __enter__(self) -> VersionClaim:
        """Take the claim."""
        deadline_s = time.monotonic() + self._wait_s
        for interval_s in chain(_RETRY_INTERVALS_S, repeat(_RETRY_INTERVAL_S)):
            try:
                self._take(self.claim_id)
                break
            except VersionClaimedError:
                if time.monotonic() >= deadline_s:
                    raise
            time.sleep(interval_s)
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Release it; when the cluster cannot be reached, it lapses."""
        self._stopping.set()
        if not self._has_ended:
            with contextlib.suppress(ClipperException):
                self._management.release_claim(self.model_id, self.claim_id)
        if self._thread is not None:
            self._thread.join(_JOIN_TIMEOUT_S)

    def check(self) -> None:
        """Raise :class:`ClaimLostError` when the version was stopped, or the claim has lapsed."""
        if self.is_lost:
            raise ClaimLostError(str(self.model_id))

    def hold(self, awaited: AwaitedReplicas) -> ClaimHeld:
        """Hold the claim by a request that is answered when the awaited replicas are connected, or the claim ends."""
        self._is_held_here = True
        try:
            return self._hold(self.claim_id, awaited)
        finally:
            self._is_held_here = False

    def ended(self) -> None:
        """Record that the version is registered, which has ended the claim: there is nothing to release."""
        self._has_ended = True

    def take_back(self) -> bool:
        """Ensure that no earlier request of this claim can register the version now; return whether none did.

        If none did, what was started may be stopped. ``False`` also means that this cannot be determined: the cluster
        itself stops what turns out to be unwanted.
        """
        before, self.claim_id = self.claim_id, secrets.token_hex(8)
        try:
            self._take(self.claim_id, replaces=before)
        except ClipperException:
            return False
        return True

    def _take(self, claim_id: str, replaces: str | None = None) -> None:
        self._management.claim_version(
            self.model_id, claim_id, this_process(),
            is_new=self._is_new, replaces=replaces, has_foreign_image=self._has_foreign_image,
        )  # fmt: skip
        self._thread = threading.Thread(
            target=self._keep_holding, args=(claim_id,), name=f"clipper_nb claim {self.model_id}", daemon=True
        )
        self._thread.start()

    def _hold(self, claim_id: str, awaited: AwaitedReplicas | None = None) -> ClaimHeld:
        held = self._management.hold_claim(self.model_id, claim_id, awaited)
        if not held.is_held:
            self.is_lost = claim_id == self.claim_id
        return held

    def _keep_holding(self, claim_id: str) -> None:
        """Keep one request open until the claim ends, in this process or in the cluster."""
        while not self._stopping.wait(_HOLD_AFTER_S) and claim_id == self.claim_id:
            if self._is_held_here:
                continue
            with contextlib.suppress(ClipperException):  # the frontend or Redis restarts
                if not self._hold(claim_id).is_held:
                    return
