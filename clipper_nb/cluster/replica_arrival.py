"""Waits until the management frontend reports connected replicas, while the caller watches their containers."""

from __future__ import annotations

import threading
from types import TracebackType

from clipper_nb.cluster.new_version import NewVersion
from clipper_nb.cluster.version_claim import VersionClaim
from clipper_nb.errors import ClipperException, ReplicaStartError
from clipper_nb.protocol.input_types import InputType
from clipper_nb.protocol.rest import AwaitedReplicas


class ReplicaArrival:
    """One open request that the management frontend answers when the replicas are connected, in a thread.

    The request holds the claim too, so it ends with the claim. After half a minute it is sent again, until the context
    is left.

    Parameters
    ----------
    claim : VersionClaim
        The claim under which the replicas were started.
    wanted : NewVersion
    """

    def __init__(self, claim: VersionClaim, wanted: NewVersion) -> None:
        self._claim = claim
        self._wanted = wanted
        self._is_over = threading.Event()
        self._is_complete = False
        self._error: ClipperException | None = None
        threading.Thread(
            target=self._listen, name=f"clipper_nb replicas of {wanted.model_id}", daemon=True
        ).start()  # fmt: skip

    def __enter__(self) -> ReplicaArrival:
        """Return itself."""
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Send no more requests: the caller waits no longer."""
        self._is_over.set()

    def wait(self, timeout_s: float) -> bool:
        """Wait at most *timeout_s*, and return whether the replicas are connected to every query frontend.

        Raises
        ------
        ReplicaStartError
            A connected replica serves an input type different from the version's.
        ClusterUnreachableError, StateUnavailableError
            The management frontend or Redis does not answer.
        """
        self._is_over.wait(timeout_s)
        if self._error is not None:
            raise self._error
        return self._is_complete

    def _listen(self) -> None:
        awaited = AwaitedReplicas(self._wanted.num_replicas, self._wanted.input_type)
        try:
            while not self._is_over.is_set():
                held = self._claim.hold(awaited)
                if held.other_input_type is not None:
                    self._error = _other_input_type(self._wanted, held.other_input_type)
                self._is_complete = held.is_complete
                if self._error or held.is_complete or not held.is_held:
                    return
        except ClipperException as exc:
            self._error = exc
        finally:
            self._is_over.set()


def _other_input_type(wanted: NewVersion, input_type: InputType) -> ReplicaStartError:
    return ReplicaStartError(
        str(wanted.model_id), f"serves inputs of type {input_type}, and the version takes {wanted.input_type}"
    )
