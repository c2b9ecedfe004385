"""Connects a model to the query frontends: one thread that predicts, and one that sends heartbeats.

The predicting thread owns the connections and holds their lock, except while the model computes. Then, and only then,
the heartbeat thread may use them. So a prediction needs no hand-over between threads, even a very long one never looks
like a lost replica, and one that never ends can be ended.
"""

from __future__ import annotations

import contextlib
import itertools
import logging
import math
import os
import select
import signal
import socket
import threading
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from types import FrameType
from typing import Any, Protocol

from clipper_nb.errors import PredictionError, ProtocolError
from clipper_nb.protocol import rpc
from clipper_nb.protocol.exception_description import describe_exception
from clipper_nb.protocol.input_types import InputType
from clipper_nb.protocol.inputs import decode_inputs
from clipper_nb.protocol.names import ModelId
from clipper_nb.protocol.outputs import encode_outputs
from clipper_nb.protocol.replica_proof import ReplicaCredentials, prove
from clipper_nb.protocol.request_origin import RequestOrigin, decode_origins
from clipper_nb.protocol.rpc_fields import Frame
from clipper_nb.runtime.model_container.connection import FrontendConnection
from clipper_nb.runtime.model_container.ending import end_hung
from clipper_nb.runtime.model_container.forked_children import independent_children
from clipper_nb.runtime.model_container.frontend_names import FrontendNames
from clipper_nb.runtime.model_container.lock_timer import lock_limit_s, start_lock_timer
from clipper_nb.runtime.model_container.metrics_reporter import MetricsReporter, begin_counting
from clipper_nb.runtime.model_container.request_log import logged_requests
from clipper_nb.runtime.model_container.settings import ModelContainerSettings
from clipper_nb.runtime.short_waits import ShortWaits, give_way, has_spare_core

logger = logging.getLogger(__name__)

_HEARTBEAT_CHECK_INTERVAL_S = 0.5
_GOODBYE_TIMEOUT_S = 8.0
_MAX_BATCHES_IN_FLIGHT = 2
"""Two: a batch may arrive while another is computed."""


class Model(Protocol):
    """The interface of a model that can be served."""

    def predict(self, inputs: list[Any]) -> Any:
        """Return one output per input, in order.

        Inputs are read-only 1-D arrays, or text, depending on the input type; an exception becomes the batch's error.
        """


def serve(model: Model, settings: ModelContainerSettings) -> None:
    """Serve *model* until SIGTERM or SIGINT; call it from the main thread."""
    decode_inputs(settings.input_type, [])  # so that the first batch does not wait for the import of NumPy
    begin_counting()
    client = ModelContainerClient(
        model, settings.model_id, settings.input_type, settings.frontend_addresses, ready_file=settings.ready_file,
        text_outputs=settings.text_outputs, lock_limit_s=lock_limit_s(settings.hang_timeout_s),
        credentials=settings.credentials, find_addresses=_finder(settings),
    )  # fmt: skip
    with _wake_on_signals(client.stop) as wake_fd, independent_children(client.become_child):
        client.run(wake_fd)


def _finder(settings: ModelContainerSettings) -> Callable[[], Sequence[str]] | None:
    if not settings.follows_frontends:
        return None
    host, _, port = settings.frontend_addresses[0].rpartition(":")
    return FrontendNames(host, int(port)).addresses


class ModelContainerClient:
    """Serves one model to every query frontend of a cluster.

    Parameters
    ----------
    model : Model
    model_id : ModelId
    input_type : InputType
    frontend_addresses : sequence of str
        ``host:port`` of the RPC port of one or several query frontends, or the absolute paths of their Unix sockets;
        they report the others beside them.
    ready_file : Path, optional
        Exists while the model is registered with all query frontends.
    text_outputs : str
        ``"text"``: text that the model returns becomes a JSON string, even if it is JSON.
    lock_limit_s : float, optional
        How long the model may compute without giving the interpreter's lock back; then this process ends.
    credentials : ReplicaCredentials, optional
        What this replica proves itself with; a container that a cluster did not start has none.
    find_addresses : callable, optional
        Returns the addresses of the query frontends as they are now, in place of *frontend_addresses*.
    """

    def __init__(
        self,
        model: Model,
        model_id: ModelId,
        input_type: InputType,
        frontend_addresses: Sequence[str],
        *,
        ready_file: Path | None = None,
        text_outputs: str = "json",
        lock_limit_s: float | None = None,
        credentials: ReplicaCredentials | None = None,
        find_addresses: Callable[[], Sequence[str]] | None = None,
    ) -> None:
        self._model = model
        self._input_type = input_type
        self._ready_file = ready_file
        self._is_ready = False
        self._text_outputs = text_outputs
        name = "" if credentials is None else credentials.replica_name
        self._claim = rpc.NewContainer(*model_id, input_type, _MAX_BATCHES_IN_FLIGHT, name, accepts_origins=True)
        self._credentials = credentials
        self._metrics = MetricsReporter()
        self._find_addresses = find_addresses
        self._given_addresses = () if find_addresses else tuple(frontend_addresses)
        self._by_address = {address: self._make_connection(address) for address in self._given_addresses}
        self._lock = threading.Lock()
        self._short_waits = ShortWaits(is_allowed=has_spare_core())
        self._was_lone = False  # the last query: with others, the time until the next one costs no client anything
        self._stopping_since_s: float | None = None
        self._is_stopping = False
        self._is_child = False
        self._lock_limit_s = lock_limit_s
        self._restart_lock_timer = start_lock_timer(None)
        self._asking: FrontendConnection | None = None
        """The connection whose batch is computed, or was last."""

    def stop(self) -> None:
        """Send a goodbye, finish batches in progress and return from ``run``; safe in a signal handler."""
        self._is_stopping = True

    def become_child(self) -> None:
        """Close this process's copies of the connections: it is a child that the model forked."""
        self._is_child = True
        for connection in self._connections:
            connection.close()

    def run(self, wake_fd: int | None = None) -> None:
        """Serve until ``stop``; *wake_fd* becomes readable after ``stop`` was called."""
        has_ended = threading.Event()
        self._restart_lock_timer = start_lock_timer(self._lock_limit_s)
        heartbeat = threading.Thread(target=self._keep_beating, args=(has_ended,), name="heartbeat", daemon=True)
        with self._lock:
            heartbeat.start()
            try:
                while not self._is_done():
                    self._serve(self._keep_up(), wake_fd)
            finally:
                has_ended.set()
                self._mark_ready(False)
                for connection in self._connections:
                    connection.close()
        heartbeat.join()

    def _keep_up(self) -> float:
        """Do what is due besides predicting; return when something is due next."""
        now_s = time.monotonic()
        self._restart_lock_timer()
        self._follow_frontends()
        wait_s = min([1.0, *(connection.keep_up(now_s=now_s) for connection in self._connections)])
        self._report_metrics(now_s)
        if self._is_stopping:
            for connection in self._connections:
                connection.say_goodbye()
        self._end_if_told()
        is_ready = [connection.session.is_registered for connection in self._connections]
        self._mark_ready(bool(is_ready) and all(is_ready))
        return now_s + wait_s

    def _report_metrics(self, now_s: float) -> None:
        """Report what the model counts, if that is due: to the first frontend, or before the end to any."""
        found = list(self._connections)
        if self._is_stopping:
            found = [connection for connection in found if connection.accepts_metrics] or found
        if found:
            self._metrics.report(found[0], now_s=now_s, at_once=self._is_stopping)

    def _follow_frontends(self) -> None:
        """Connect to all query frontends that were reported, and disconnect from those that no longer are."""
        if self._find_addresses is not None:
            self._follow_name(self._find_addresses())
            return
        told = [self._by_address[address].advertised_addresses for address in self._given_addresses]
        wanted = dict.fromkeys([*self._given_addresses, *itertools.chain(*told)])
        for address in wanted.keys() - self._by_address.keys():
            self._by_address[address] = self._make_connection(address)
        for address in self._by_address.keys() - wanted.keys():
            self._by_address.pop(address).close()

    def _follow_name(self, wanted: Sequence[str]) -> None:
        """Connect to what the name stands for now; a frontend that it stands for no more may still have queries."""
        for address in wanted:
            if address not in self._by_address:
                self._by_address[address] = self._make_connection(address)
        for address in [each for each in self._by_address if each not in wanted]:
            if self._by_address[address].fileno is None and not self._by_address[address].is_connecting:
                self._by_address.pop(address).close()

    def _make_connection(self, address: str) -> FrontendConnection:
        return FrontendConnection(
            address, self._introduce, can_prove=self._credentials is not None, is_far=self._find_addresses is not None
        )

    def _introduce(self, challenge: bytes) -> rpc.NewContainer:
        """Return what this container serves, with a proof if the frontend has asked for one."""
        if self._credentials is None or not challenge:
            return self._claim
        return replace(self._claim, proof=prove(self._credentials.token, challenge, self._claim))

    @property
    def _connections(self) -> Collection[FrontendConnection]:
        return self._by_address.values()

    def _serve(self, until_s: float, wake_fd: int | None) -> None:
        """Answer batches until *until_s*, or until another kind of message arrives."""
        by_fd = {connection.fileno: connection for connection in self._connections}
        poller = select.poll()
        for fd in (*by_fd, None if self._is_stopping else wake_fd):  # once is enough
            if fd is not None:
                poller.register(fd, select.POLLIN)
        while (wait_s := until_s - time.monotonic()) > 0:
            for fd, _ in self._wait(poller, wait_s):
                connection = by_fd.get(fd)
                if connection is None or not connection.receive():
                    return
                self._asking = connection
                while connection.batches:
                    batch = connection.batches.popleft()
                    self._was_lone = len(batch.payloads) == 1
                    if len(batch.origins):
                        with logged_requests(_origins_of(batch)):
                            reply = self._answer(batch)
                    else:
                        reply = self._answer(batch)
                    if self._is_stopping:  # a frontend that has the last reply reads no more
                        self._report_metrics(time.monotonic())
                    connection.send(reply)

    def _wait(self, poller: select.poll, wait_s: float) -> list[tuple[int, int]]:
        """Wait for messages, at first awake if lone queries usually come at once."""
        waits = self._short_waits
        began_s = now_s = time.monotonic()
        until_s = began_s + (waits.poll_for_s(now_s=began_s) if self._was_lone else 0.0)
        ready: list[tuple[int, int]] = []
        while now_s < until_s and not ready:
            ready = poller.poll(0)
            give_way()
            now_s = time.monotonic()
            if not waits.looked(now_s=now_s):
                break
        if not ready:
            ready = poller.poll(1000 * wait_s + 1)
            now_s = time.monotonic()
        waits.waited(now_s - began_s if self._was_lone else math.inf)
        return ready

    def _answer(self, batch: rpc.PredictRequest) -> list[Frame]:
        """Compute *batch* with the lock released, and return the frames of the answer."""
        self._lock.release()
        try:
            if batch.input_type is not self._input_type:
                raise ProtocolError(f"The batch is of type {batch.input_type}, the model takes {self._input_type}.")
            inputs = decode_inputs(batch.input_type, batch.payloads)
            outputs = encode_outputs(
                self._model.predict(inputs), num_inputs=len(inputs), text_outputs=self._text_outputs
            )
            return rpc.encode_predict_response(rpc.PredictResponse(batch.message_id, outputs))
        except BaseException as exc:  # whatever its class: SIGTERM and SIGINT raise nothing here
            told = describe_exception(exc)
            logger.warning("the model failed on a batch of %d\n%s", len(batch.payloads), told.traceback_text)
            trace = "" if issubclass(type(exc), PredictionError) else told.traceback_text
            return rpc.encode_error_response(rpc.ErrorResponse(batch.message_id, told.type_name, told.message, trace))
        finally:
            if self._is_child:  # the model forked and let the child return
                os._exit(0)
            self._lock.acquire()

    def _mark_ready(self, is_ready: bool) -> None:
        """Update the file for the health check; failing to write it does not stop the service."""
        if is_ready is not self._is_ready and self._ready_file is not None:
            with contextlib.suppress(OSError):
                self._ready_file.touch(mode=0o600) if is_ready else self._ready_file.unlink(missing_ok=True)
        self._is_ready = is_ready

    def _keep_beating(self, has_ended: threading.Event) -> None:
        while not has_ended.wait(_HEARTBEAT_CHECK_INTERVAL_S):
            self._restart_lock_timer()
            if self._lock.acquire(blocking=False):
                try:
                    for connection in self._connections:
                        connection.beat(now_s=time.monotonic())
                    self._report_metrics(time.monotonic())
                    if self._asking is not None:
                        self._asking.receive()
                    self._end_if_told()
                finally:
                    self._lock.release()

    def _end_if_told(self) -> None:
        """End this process if a query frontend has found that it hangs; whatever started it starts it again."""
        for connection in self._connections:
            reason = connection.session.end_reason
            if reason is not None:
                end_hung(reason)

    def _is_done(self) -> bool:
        if not self._is_stopping:
            return False
        now_s = time.monotonic()
        if self._stopping_since_s is None:
            self._stopping_since_s = now_s
        if now_s - self._stopping_since_s > _GOODBYE_TIMEOUT_S:
            return True
        return all(connection.may_leave for connection in self._connections)


def _origins_of(batch: rpc.PredictRequest) -> list[RequestOrigin]:
    try:
        return decode_origins(batch.origins)
    except ProtocolError as exc:
        logger.warning("%s", exc)
        return []


@contextlib.contextmanager
def _wake_on_signals(stop: Callable[[], None]) -> Iterator[int]:
    """Call *stop* on SIGTERM and SIGINT, and yield a descriptor that a poll can wait for.

    Python would raise KeyboardInterrupt on SIGINT, which would look like one that the model raises.
    """

    def on_signal(_number: int, _frame: FrameType | None) -> None:
        stop()

    reader, writer = socket.socketpair()
    writer.setblocking(False)
    old_handlers = [(number, signal.signal(number, on_signal)) for number in (signal.SIGTERM, signal.SIGINT)]
    old_fd = signal.set_wakeup_fd(writer.fileno())
    try:
        yield reader.fileno()
    finally:
        signal.set_wakeup_fd(old_fd)
        for number, handler in old_handlers:
            signal.signal(number, handler)
        reader.close()
        writer.close()
