"""The container's side of one session: what to do with each message, when to speak, when to give up. (pure)"""

from __future__ import annotations

from clipper_nb.protocol.rpc import FromFrontend, FrontendGoodbye, FrontendHeartbeat, PredictRequest

HEARTBEAT_INTERVAL_S = 5.0
SILENCE_TIMEOUT_S = 30.0


class ContainerSession:
    """One session with a query frontend; a lost one is replaced, never mended.

    Parameters
    ----------
    now_s : float
        Now, on the monotonic clock.
    """

    def __init__(self, now_s: float) -> None:
        self._last_heard_s = now_s
        self._last_sent_s = now_s
        self.is_registered = False
        """Whether the frontend has been told what this container serves."""
        self.may_leave = False
        """Whether the frontend has let the container go."""

    def receive(self, message: FromFrontend, *, now_s: float) -> PredictRequest | None:
        """Take a message; return the batch to predict, if it is one.

        After it, look at ``wants_metadata`` and ``may_leave``.
        """
        self._last_heard_s = now_s
        if isinstance(message, PredictRequest):
            return message
        if isinstance(message, FrontendHeartbeat) and message.wants_metadata:
            self.is_registered = False
        elif isinstance(message, FrontendGoodbye):
            self.may_leave = True
        return None

    @staticmethod
    def wants_metadata(message: FromFrontend) -> bool:
        """Whether the message asks what this container serves."""
        return isinstance(message, FrontendHeartbeat) and message.wants_metadata

    def sent(self, *, now_s: float) -> None:
        """Something was sent, which is as good as a heartbeat."""
        self._last_sent_s = now_s

    def heartbeat_is_due(self, *, now_s: float) -> bool:
        """Whether the frontend should hear something."""
        return now_s - self._last_sent_s >= HEARTBEAT_INTERVAL_S

    def is_lost(self, *, now_s: float) -> bool:
        """Whether the frontend has been silent for too long."""
        return now_s - self._last_heard_s > SILENCE_TIMEOUT_S

    def seconds_until_heartbeat(self, *, now_s: float) -> float:
        """How long nothing needs to be sent."""
        return max(0.0, self._last_sent_s + HEARTBEAT_INTERVAL_S - now_s)
