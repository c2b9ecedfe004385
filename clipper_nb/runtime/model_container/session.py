"""The container's side of one session: how to handle each message, when to send heartbeats, when to give up. (pure)"""

from __future__ import annotations

from clipper_nb.protocol.rpc import FromFrontend, FrontendEnd, FrontendGoodbye, FrontendHeartbeat, PredictRequest

HEARTBEAT_INTERVAL_S = 5.0
SILENCE_TIMEOUT_S = 30.0


class ContainerSession:
    """One session with a query frontend; a lost session is replaced, never repaired.

    Parameters
    ----------
    now_s : float
        The current time on the monotonic clock.
    """

    def __init__(self, now_s: float) -> None:
        self._last_heard_s = now_s
        self._last_sent_s = now_s
        self.challenge = b""
        """What the frontend has asked this container to prove itself with, last."""
        self.accepts_metrics = False
        """True if the frontend reads what the model counts itself."""
        self.is_registered = False
        """True if the frontend knows what this container serves."""
        self.may_leave = False
        """True if the frontend has released the container."""
        self.end_reason: str | None = None
        """Why this process must end, if the frontend has said so."""

    def receive(self, message: FromFrontend, *, now_s: float) -> PredictRequest | None:
        """Process a message; return the batch to predict, if it is one.

        The caller then checks ``wants_metadata`` and ``may_leave``.
        """
        self._last_heard_s = now_s
        if isinstance(message, PredictRequest):
            return message
        if isinstance(message, FrontendHeartbeat) and message.wants_metadata:
            self.is_registered = False
            self.challenge = message.challenge
            self.accepts_metrics = message.accepts_metrics
        elif isinstance(message, FrontendGoodbye):
            self.may_leave = True
        elif isinstance(message, FrontendEnd):
            self.end_reason = message.reason
        return None

    @staticmethod
    def wants_metadata(message: FromFrontend) -> bool:
        """True if the message asks what this container serves."""
        return isinstance(message, FrontendHeartbeat) and message.wants_metadata

    def sent(self, *, now_s: float) -> None:
        """Record that something was sent, which counts as a heartbeat."""
        self._last_sent_s = now_s

    def heartbeat_is_due(self, *, now_s: float) -> bool:
        """Return whether to send a heartbeat now."""
        return now_s - self._last_sent_s >= HEARTBEAT_INTERVAL_S

    def is_lost(self, *, now_s: float) -> bool:
        """Return whether the frontend has been silent for too long."""
        return now_s - self._last_heard_s > SILENCE_TIMEOUT_S

    def seconds_until_heartbeat(self, *, now_s: float) -> float:
        """Return how long nothing needs to be sent."""
        return max(0.0, self._last_sent_s + HEARTBEAT_INTERVAL_S - now_s)
