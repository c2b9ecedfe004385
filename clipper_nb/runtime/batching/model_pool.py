"""The dispatchers of all model versions: kept in step with the configuration and the connected replicas."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from typing import Protocol

from clipper_nb.protocol.differences import changed_fields
from clipper_nb.protocol.input_types import InputType
from clipper_nb.protocol.names import ModelId
from clipper_nb.protocol.number_rules import ADAPTIVE_BATCH_SIZE
from clipper_nb.protocol.records import Configuration, ModelVersion, Replica
from clipper_nb.protocol.rpc import ErrorResponse
from clipper_nb.runtime.batching.dispatcher import Dispatcher
from clipper_nb.runtime.batching.worker import ReplicaConnection

logger = logging.getLogger(__name__)

_ERRORS_OF_A_BATCH = ("PredictionError", "ProtocolError")
"""What is reported, without a traceback, if the model raised nothing but did not return one output per input."""


class PoolConnection(ReplicaConnection, Protocol):
    """A connected replica and what it serves."""

    replica: Replica


class ModelPool:
    """Finds the dispatcher of a model version.

    Versions may have replicas before they are registered: a deploy registers last.

    Parameters
    ----------
    make_dispatcher : callable
        Creates the dispatcher of a version with this batch size.
    on_replicas_changed : callable
        Called after a replica came or went.
    on_forgotten : callable
        Called with a version that is no longer registered and has no replicas.
    """

    def __init__(
        self,
        make_dispatcher: Callable[[ModelId, int], Dispatcher],
        *,
        on_replicas_changed: Callable[[], None],
        on_forgotten: Callable[[ModelId], None],
    ) -> None:
        self._make_dispatcher = make_dispatcher
        self._on_replicas_changed = on_replicas_changed
        self._on_forgotten = on_forgotten
        self._dispatchers: dict[ModelId, Dispatcher] = {}
        self._connections: dict[ModelId, dict[int, PoolConnection]] = {}
        self._leaving: set[tuple[ModelId, int]] = set()
        self._versions: Mapping[ModelId, ModelVersion] = {}

    def __iter__(self) -> Iterator[Dispatcher]:
        return iter(self._dispatchers.values())

    def find(self, model_id: ModelId) -> Dispatcher | None:
        """Return the version's dispatcher, if it is registered or has replicas."""
        return self._dispatchers.get(model_id)

    def apply(self, configuration: Configuration) -> None:
        """Serve the versions of *configuration*; unchanged versions are not touched."""
        before, self._versions = self._versions, configuration.versions
        try:
            for model_id, version in changed_fields(before, self._versions).items():
                if version is None:
                    self._forget_if_unused(model_id)
                else:
                    self._serve(model_id, version)
        except BaseException:  # a repeated call starts from the same differences
            self._versions = before
            raise

    def _serve(self, model_id: ModelId, version: ModelVersion) -> None:
        dispatcher = self._dispatcher(model_id)
        # Queued inputs were checked against the input type of a version that is gone.
        dispatcher.close()
        dispatcher.set_batch_size(version.batch_size)
        dispatcher.isolates_errors = version.isolate_errors
        dispatcher.set_hang_timeout(version.hang_timeout_s)
        for connection in self._connections.get(model_id, {}).values():
            self._use(connection)

    def replica_joined(self, connection: PoolConnection) -> None:
        """Use a replica, unless its input type differs from its version's."""
        replica = connection.replica
        self._connections.setdefault(replica.model_id, {})[replica.replica_id] = connection
        self._use(connection)
        self._on_replicas_changed()

    def replica_draining(self, replica: Replica) -> None:
        """Send a replica no new batches."""
        self._leaving.add((replica.model_id, replica.replica_id))
        if dispatcher := self._dispatchers.get(replica.model_id):
            dispatcher.drain_replica(replica.replica_id)
        self._on_replicas_changed()

    def replica_lost(self, replica: Replica) -> None:
        """Forget a replica."""
        self._leaving.discard((replica.model_id, replica.replica_id))
        self._connections.get(replica.model_id, {}).pop(replica.replica_id, None)
        if dispatcher := self._dispatchers.get(replica.model_id):
            dispatcher.remove_replica(replica.replica_id)
        self._forget_if_unused(replica.model_id)
        self._on_replicas_changed()

    def batch_answered(self, replica: Replica, outputs: list[str]) -> None:
        """Pass a replica's outputs to its dispatcher."""
        if dispatcher := self._dispatchers.get(replica.model_id):
            dispatcher.batch_answered(replica.replica_id, outputs)

    def batch_failed(self, replica: Replica, error: ErrorResponse) -> None:
        """Pass a replica's error to its dispatcher, and log its traceback."""
        first_line = (error.message.strip().splitlines() or [""])[0]
        logger.warning(
            "replica %s of %s failed on a batch: %s", replica.replica_id, replica.model_id,
            error.traceback_text or f"{error.exception_type}: {error.message}",
        )  # fmt: skip
        if dispatcher := self._dispatchers.get(replica.model_id):
            dispatcher.batch_failed(
                replica.replica_id,
                f"Model {replica.model_id} raised {error.exception_type}: {first_line}",
                is_of_batch=error.exception_type in _ERRORS_OF_A_BATCH and not error.traceback_text,
            )

    def usable_replicas(self) -> list[Replica]:
        """Return the connected replicas that get batches."""
        return [
            connection.replica
            for model_id, connections in self._connections.items()
            for connection in connections.values()
            if self._dispatchers[model_id].has_replica(connection.replica_id)
        ]

    def _use(self, connection: PoolConnection) -> None:
        """Send a replica batches, if it fits its version and is not draining."""
        replica = connection.replica
        dispatcher = self._dispatcher(replica.model_id)
        version = self._versions.get(replica.model_id)
        if version is not None and not _fits(replica, version.input_type):
            dispatcher.drain_replica(replica.replica_id, may_finish_queue=False)
        elif (replica.model_id, replica.replica_id) not in self._leaving:
            dispatcher.add_replica(connection)

    def _dispatcher(self, model_id: ModelId) -> Dispatcher:
        dispatcher = self._dispatchers.get(model_id)
        if dispatcher is None:
            version = self._versions.get(model_id)
            batch_size = ADAPTIVE_BATCH_SIZE if version is None else version.batch_size
            dispatcher = self._dispatchers[model_id] = self._make_dispatcher(model_id, batch_size)
        return dispatcher

    def _forget_if_unused(self, model_id: ModelId) -> None:
        if model_id not in self._versions and not self._connections.get(model_id):
            self._connections.pop(model_id, None)
            dispatcher = self._dispatchers.pop(model_id, None)
            if dispatcher is not None:
                dispatcher.close()
            self._on_forgotten(model_id)


def _fits(replica: Replica, input_type: InputType) -> bool:
    if replica.input_type == input_type:
        return True
    logger.error(
        "replica %s of %s takes %s, but the version was registered with %s: it gets no queries",
        replica.replica_id, replica.model_id, replica.input_type, input_type,
    )  # fmt: skip
    return False
