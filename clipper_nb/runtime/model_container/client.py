"""Connects a model to the query frontend: one DEALER socket, one thread that predicts, one that sends heartbeats.

The predicting thread owns the socket and holds its lock, except while the model computes. Then, and only then, the
heartbeat thread may use it. So a prediction pays for no hand-over between threads, and however long it takes it never
looks like a death.
"""

from __future__ import annotations

import contextlib
import logging
import signal
import socket
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any, Protocol

import zmq
from zmq.utils.monitor import recv_monitor_message

from clipper_nb.errors import PredictionError, ProtocolError
from clipper_nb.protocol import rpc
from clipper_nb.protocol.input_types import InputType
from clipper_nb.protocol.inputs import decode_input
from clipper_nb.protocol.names import ModelId
from clipper_nb.protocol.outputs import encode_outputs
from clipper_nb.runtime.model_container.session import ContainerSession
from clipper_nb.runtime.model_container.settings import ModelContainerSettings

logger = logging.getLogger(__name__)

_HEARTBEAT_CHECK_INTERVAL_S = 1.0
_RECONNECT_INTERVAL_MS = 50
_MAX_RECONNECT_INTERVAL_MS = 1000
_GOODBYE_TIMEOUT_S = 8.0


class Model(Protocol):
    """What can be served."""

    def predict(self, inputs: list[Any]) -> Any:
        """Return one output per input, in order.

        Inputs are read-only 1-D arrays, or text, by the input type; an exception is an error answer for the batch.
        """


def serve(model: Model, settings: ModelContainerSettings) -> None:
    """Serve *model* until SIGTERM; call it from the main thread."""
    decode_input(settings.input_type, b"")  # the first batch must not wait for an import of NumPy
    client = ModelContainerClient(
        model, settings.model_id, settings.input_type, settings.frontend_address, ready_file=settings.ready_file
    )
    with _wake_on_sigterm(client.stop) as wake_fd:
        client.run(wake_fd)


class ModelContainerClient:
    """Serves one model to one query frontend; a lost session is followed by a new one.

    Parameters
    ----------
    model : Model
    model_id : ModelId
    input_type : InputType
    frontend_address : str
        ``host:port`` of the RPC port.
    ready_file : Path, optional
        Exists while the model is registered with the query frontend.
    """

    def __init__(
        self,
        model: Model,
        model_id: ModelId,
        input_type: InputType,
        frontend_address: str,
        *,
        ready_file: Path | None = None,
    ) -> None:
        self._model = model
        self._ready_file = ready_file
        self._metadata = rpc.encode_new_container(rpc.NewContainer(*model_id, input_type))
        self._input_type = input_type
        self._address = f"tcp://{frontend_address}"
        self._context = zmq.Context()
        self._lock = threading.Lock()
        self._socket: zmq.Socket[bytes]
        self._session = ContainerSession(time.monotonic())
        self._is_stopping = False
        self._said_goodbye_s: float | None = None

    def stop(self) -> None:
        """Say goodbye, finish what is under way and return from ``run``; safe in a signal handler."""
        self._is_stopping = True

    def run(self, wake_fd: int | None = None) -> None:
        """Serve until ``stop``; *wake_fd* becomes readable when somebody called it."""
        has_ended = threading.Event()
        heartbeat = threading.Thread(target=self._keep_beating, args=(has_ended,), name="heartbeat", daemon=True)
        with self._lock:
            heartbeat.start()
            try:
                while not self._is_done():
                    self._run_session(wake_fd)
            finally:
                has_ended.set()
        heartbeat.join()
        self._context.term()

    # --- one session

    def _run_session(self, wake_fd: int | None) -> None:
        """Connect, and serve until the connection is lost or the container may leave."""
        self._socket = self._context.socket(zmq.DEALER)
        self._socket.setsockopt(zmq.LINGER, 0)
        self._socket.setsockopt(zmq.RECONNECT_IVL, _RECONNECT_INTERVAL_MS)
        self._socket.setsockopt(zmq.RECONNECT_IVL_MAX, _MAX_RECONNECT_INTERVAL_MS)
        monitor = self._socket.get_monitor_socket(zmq.EVENT_DISCONNECTED)
        self._session = ContainerSession(time.monotonic())
        try:
            self._socket.connect(self._address)
            self._send(rpc.encode_container_heartbeat())  # waits in the socket until the frontend is there
            poller = zmq.Poller()
            poller.register(self._socket, zmq.POLLIN)
            poller.register(monitor, zmq.POLLIN)
            if wake_fd is not None:
                poller.register(wake_fd, zmq.POLLIN)
            while not self._is_done():
                now_s = time.monotonic()
                if self._session.is_lost(now_s=now_s):
                    logger.warning("the query frontend has been silent for too long; connecting anew")
                    return
                if self._session.heartbeat_is_due(now_s=now_s):
                    self._send(rpc.encode_container_heartbeat())
                self._say_goodbye_when_stopping()
                ready = dict(poller.poll(int(1000 * min(1.0, self._session.seconds_until_heartbeat(now_s=now_s))) + 1))
                if wake_fd is not None and wake_fd in ready:
                    poller.unregister(wake_fd)  # said once is enough
                if self._socket in ready:
                    self._receive_all()
                if monitor in ready:
                    recv_monitor_message(monitor)
                    logger.info("the connection to the query frontend ended; connecting anew")
                    return
        finally:
            self._mark_ready(False)
            self._socket.disable_monitor()
            monitor.close(0)
            self._socket.close(0)

    def _receive_all(self) -> None:
        while True:
            try:
                frames = self._socket.recv_multipart(flags=zmq.DONTWAIT, copy=False)
            except zmq.Again:
                return
            try:
                message = rpc.decode_from_frontend([frame.buffer for frame in frames])
            except ProtocolError as exc:
                logger.warning("dropped a message of the query frontend: %s", exc)
                continue
            batch = self._session.receive(message, now_s=time.monotonic())
            if batch is not None:
                self._send(self._answer(batch))
            elif self._session.wants_metadata(message):
                self._send(self._metadata)
                self._session.is_registered = True
                self._mark_ready(True)

    def _answer(self, batch: rpc.PredictRequest) -> list[rpc.Frame]:
        """Return the frames that answer *batch*, after computing with the lock released."""
        self._lock.release()
        try:
            if batch.input_type is not self._input_type:
                raise ProtocolError(f"The batch is of type {batch.input_type}, the model takes {self._input_type}.")
            inputs = [decode_input(batch.input_type, payload) for payload in batch.payloads]
            outputs = encode_outputs(self._model.predict(inputs), num_inputs=len(inputs))
            return rpc.encode_predict_response(rpc.PredictResponse(batch.message_id, outputs))
        except (Exception, SystemExit) as exc:
            logger.warning("the model failed on a batch of %d", len(batch.payloads), exc_info=True)
            trace = "" if isinstance(exc, PredictionError) else traceback.format_exc()
            error = rpc.ErrorResponse(batch.message_id, type(exc).__name__, str(exc), trace)
            return rpc.encode_error_response(error)
        finally:
            self._lock.acquire()

    def _send(self, frames: list[rpc.Frame]) -> None:
        self._socket.send_multipart(frames)
        self._session.sent(now_s=time.monotonic())

    def _mark_ready(self, is_ready: bool) -> None:
        """Tell a health check; a file that cannot be written is no reason not to serve."""
        if self._ready_file is not None:
            with contextlib.suppress(OSError):
                self._ready_file.touch() if is_ready else self._ready_file.unlink(missing_ok=True)

    # --- beating and leaving

    def _keep_beating(self, has_ended: threading.Event) -> None:
        while not has_ended.wait(_HEARTBEAT_CHECK_INTERVAL_S):
            if self._lock.acquire(blocking=False):
                try:
                    if self._session.heartbeat_is_due(now_s=time.monotonic()) and not has_ended.is_set():
                        self._send(rpc.encode_container_heartbeat())
                finally:
                    self._lock.release()

    def _say_goodbye_when_stopping(self) -> None:
        if self._is_stopping and self._said_goodbye_s is None:
            self._said_goodbye_s = time.monotonic()
            self._send(rpc.encode_container_goodbye())

    def _is_done(self) -> bool:
        if not self._is_stopping:
            return False
        if self._session.may_leave or not self._session.is_registered:
            return True
        return self._said_goodbye_s is not None and time.monotonic() - self._said_goodbye_s > _GOODBYE_TIMEOUT_S


@contextlib.contextmanager
def _wake_on_sigterm(stop: Callable[[], None]) -> Iterator[int]:
    """Call *stop* on SIGTERM, and give a descriptor that a poll can wait for."""

    def on_signal(_number: int, _frame: FrameType | None) -> None:
        stop()

    reader, writer = socket.socketpair()
    writer.setblocking(False)
    old_handler = signal.signal(signal.SIGTERM, on_signal)
    old_fd = signal.set_wakeup_fd(writer.fileno())
    try:
        yield reader.fileno()
    finally:
        signal.set_wakeup_fd(old_fd)
        signal.signal(signal.SIGTERM, old_handler)
        reader.close()
        writer.close()
