"""What waits for a replica of one model version: the queue, suspected inputs, and parts of failed batches."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterable
from typing import Any

from clipper_nb.protocol.names import ModelId
from clipper_nb.runtime.batching.deadline_queue import DeadlineQueue
from clipper_nb.runtime.batching.isolation import Isolation
from clipper_nb.runtime.batching.query import NO_READY_REPLICA, QUEUED_TOO_LONG, Computation
from clipper_nb.runtime.batching.suspects import Suspects, patience_ends_s

logger = logging.getLogger(__name__)

MAX_ATTEMPTS = 2
"""How often a computation is sent: once more if its replica is lost."""


class Backlog:
    """Decides where a computation waits, and which are not tried again.

    Parameters
    ----------
    model_id : ModelId
    clock : callable
        Monotonic seconds.
    call_at : callable
        Runs a function at an instant of *clock*.
    send_later : callable
        Looks at the end of the event loop's turn for what can be sent.
    """

    def __init__(
        self,
        model_id: ModelId,
        *,
        clock: Callable[[], float],
        call_at: Callable[[float, Callable[[], None]], Any],
        send_later: Callable[[], None],
    ) -> None:
        self._model_id = model_id
        self._clock = clock
        self._call_at = call_at
        self._send_later = send_later
        self.queue = DeadlineQueue()
        self.suspects = Suspects(model_id)
        self.isolation = Isolation()

    @property
    def num_waiting(self) -> int:
        """Computations that wait for a replica."""
        return self.queue.num_queued + self.suspects.count_held() + self.isolation.count_waiting()

    def put(self, computations: Iterable[Computation]) -> None:
        """Queue computations, separately if their inputs are suspected."""
        for computation in computations:
            if not self.hold(computation):
                self.queue.put(computation)

    def hold(self, computation: Computation) -> bool:
        """Hold back a computation of a suspected input until it can be tried separately."""
        if not self.suspects.hold(computation, now_s=self._clock()):
            return False
        look_again_s = patience_ends_s(computation)
        if look_again_s < math.inf:
            self._call_at(look_again_s, self._send_later)
        self._send_later()
        return True

    def put_back(self, computations: list[Computation], *, was_tried: bool) -> None:
        """Queue a lost replica's batch again; a batch that it had not begun does not count as an attempt."""
        if was_tried:
            self._accuse(computations)
        for computation in computations:
            computation.attempts += was_tried
            computation.sent_s = None
            if computation.is_obsolete:
                self._give_up_removed(computation)
            elif computation.attempts < MAX_ATTEMPTS:
                self.put([computation])
            else:
                computation.fail(
                    f"Two replicas of {self._model_id} were lost while they computed this prediction; the input may be "
                    "what ends them."
                )

    def give_up_late(self, too_late: list[Computation], expected_s: float) -> None:
        """Give up computations that cannot be answered in time by a batch that takes *expected_s*."""
        for computation in too_late:
            computation.give_up(
                QUEUED_TOO_LONG,
                "Failed to retrieve a prediction response within the specified latency SLO of "
                f"{1000 * computation.slo_s:g} ms: the queue of {self._model_id} is too long, and a batch takes about "
                f"{1000 * expected_s:.1f} ms. A faster model, more replicas or a longer SLO would help.",
            )

    def give_up_all(self) -> int:
        """Give up everything, because the version is gone; return how many of them the model had failed on."""
        isolated = self.isolation.clear()
        for computation in (*self.queue.drain(), *self.suspects.clear(), *isolated):
            self._give_up_removed(computation)
        return len(isolated)

    def _accuse(self, computations: list[Computation]) -> None:
        accused = [computation for computation in computations if not computation.is_obsolete]
        if self.suspects.accuse(accused, now_s=self._clock()):
            logger.warning("an input ends replicas of %s: it gets an error from now on", self._model_id)
        self.put(self.queue.drain())

    def _give_up_removed(self, computation: Computation) -> None:
        computation.give_up(
            NO_READY_REPLICA,
            f"No connected models found for query: version '{self._model_id.version}' of model "
            f"'{self._model_id.name}' was removed while the query waited.",
        )
