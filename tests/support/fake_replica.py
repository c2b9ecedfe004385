"""Replicas without a wire, an observer that counts, and the dispatcher that has both."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from clipper_nb.protocol.input_types import InputType
from clipper_nb.protocol.names import ModelId
from clipper_nb.protocol.records import Replica
from clipper_nb.protocol.request_origin import Origins
from clipper_nb.runtime.batching.batch_observer import BatchObserver
from clipper_nb.runtime.batching.dispatcher import Dispatcher
from tests.support.fake_clock import FakeLoop

MODEL_ID = ModelId("digits-net", "1")


class FakeReplica:
    """A connected replica that keeps what it is sent; the test plays the model.

    Parameters
    ----------
    replica_id : int
    model_id : ModelId
    input_type : InputType
    """

    def __init__(
        self,
        replica_id: int = 0,
        model_id: ModelId = MODEL_ID,
        input_type: InputType = InputType.STRINGS,
    ) -> None:
        self.replica = Replica(*model_id, replica_id, input_type)
        self.replica_id = replica_id
        self.max_batches_in_flight = 1
        self.is_reachable = True
        self.end_reason: str | None = None
        self.batches: list[list[bytes]] = []
        """Every batch that reached it."""
        self.origins: list[Origins] = []
        """The origins that each batch had."""

    def send_batch(self, payloads: Sequence[bytes], origins: Origins = ()) -> bool:
        """Take a batch, if it can be reached."""
        if self.is_reachable:
            self.origins.append(origins)
            self.batches.append(list(payloads))
        return self.is_reachable

    def end(self, reason: str) -> None:
        """Remember why it must end; the test then reports it as lost."""
        self.end_reason = reason


class RecordingObserver:
    """Counts the inputs of batches by how they ended."""

    def __init__(self) -> None:
        self.answered: list[tuple[int, float]] = []
        self.failed: list[int] = []
        self.isolated: list[int] = []
        self.lost: list[int] = []
        self.num_hung = 0

    def batch_answered(self, size: int, latency_s: float) -> None:
        """A replica answered."""
        self.answered.append((size, latency_s))

    def batch_failed(self, size: int) -> None:
        """A model failed."""
        self.failed.append(size)

    def part_sent(self, size: int) -> None:
        """A part of a batch is computed again."""
        self.isolated.append(size)

    def batch_lost(self, size: int) -> None:
        """A replica was lost."""
        self.lost.append(size)

    def replica_hung(self) -> None:
        """A replica is replaced."""
        self.num_hung += 1


def make_dispatcher(loop: FakeLoop, observer: Callable[[], BatchObserver], *, batch_size: int) -> Dispatcher:
    """Return a dispatcher whose loop the test turns."""
    return Dispatcher(
        MODEL_ID, batch_size=batch_size, observer=observer, clock=loop.time, call_soon=loop.call_soon,
        call_at=loop.call_at,
    )  # fmt: skip
