"""``python -m clipper_nb.r_commands``: one connection for one R process, which has the package ``clippernb``.

R writes a request per line, ``{"id": 1, "call": "get_all_apps", "arguments": {…}}``, and reads lines: ``{"log": text}``
while a call is under way, then ``{"id": 1, "result": …}`` or ``{"id": 1, "error": text, "classes": [names…]}``. The
first line has the version of clipper_nb, the path of its Python, and the R code that captures functions. When its input
ends, the process ends, and so does an embedded cluster that it has started.
"""

from __future__ import annotations

import base64
import json
import logging
import math
import os
import signal
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, TextIO

import msgspec

import clipper_nb
from clipper_nb.closures.function_pickle import check_size
from clipper_nb.closures.sample_outputs import make_samples
from clipper_nb.cluster.new_version import NewVersion
from clipper_nb.cluster.ports import Records
from clipper_nb.connection import ClipperConnection
from clipper_nb.container_managers.base import ContainerManager
from clipper_nb.deployers.endpoint import deploy_endpoint
from clipper_nb.deployers.function_capture import captured_from_parts
from clipper_nb.deployers.r import deploy_captured_function
from clipper_nb.deployers.r_session import r_source
from clipper_nb.deployers.sample_columns import columns_from_parts
from clipper_nb.errors import ClipperException, InvalidRequestError
from clipper_nb.model_functions.r_function import outputs_source
from clipper_nb.protocol.input_batches import format_batch
from clipper_nb.protocol.input_types import InputType
from clipper_nb.protocol.resource_limits import ResourceLimits
from clipper_nb.protocol.samples import Samples
from clipper_nb.protocol.traffic import ApplicationTraffic

_SAME_AS_CONNECTION = (
    "get_all_apps", "get_all_models", "get_app_info", "get_clipper_logs", "get_current_model_version",
    "get_linked_models", "get_model_info", "get_num_replicas", "get_query_addr", "get_query_url",
    "get_tls_authority", "link_model_to_app",
    "register_application", "set_model_version", "set_num_replicas", "shadow", "stop_all",
    "stop_inactive_model_versions", "stop_models", "unlink_model_from_app", "unregister_application",
)  # fmt: skip


_SHADOW_SUMS = ("model", "num_asked", "num_dropped", "num_compared", "num_agreed")


class RCommands:
    """The calls of R, by name; arguments and results are JSON values."""

    def __init__(self) -> None:
        self._connection: ClipperConnection | None = None
        self._calls: Mapping[str, Callable[..., Any]] = {
            "start_clipper": self._start_clipper,
            "connect": self._connect,
            "deploy": self._deploy,
            "create_endpoint": self._create_endpoint,
            "predict": self._predict,
            "describe": self._describe,
            "get_query_token": lambda: self._conn.query_token,
            "set_traffic": lambda **arguments: _targets(self._conn.set_traffic(**arguments)),
            "get_traffic": lambda app_name: _targets(self._conn.get_traffic(app_name)),
            "shadow_report": self._shadow_report,
            "roll_out": self._roll_out,
            "roll_outs": lambda: msgspec.to_builtins(self._records.get_roll_outs()),
            "abort_roll_out": lambda app_name: self._records.abort_roll_out(app_name),
            "promote_roll_out": lambda app_name: self._records.promote_roll_out(app_name),
            "feedback": lambda **arguments: asdict(self._conn.feedback(**arguments)),
        }

    def call(self, name: str, arguments: Mapping[str, Any]) -> Any:
        """Return the result; raises what the call raises."""
        if name in _SAME_AS_CONNECTION:
            return getattr(self._conn, name)(**arguments)
        if name not in self._calls:
            raise InvalidRequestError(f"There is no call {name!r}.")
        return self._calls[name](**arguments)

    @property
    def _conn(self) -> ClipperConnection:
        if self._connection is None:
            raise InvalidRequestError("There is no cluster: call start_clipper() or connect() first.")
        return self._connection

    @property
    def _records(self) -> Records:
        return self._conn.records("this call")

    def _shadow_report(self, app_name: str) -> dict[str, Any]:
        """Return the sums; inputs and outputs stay with Python."""
        report = self._records.get_shadow_report(app_name)
        told: dict[str, Any] = {name: getattr(report, name) for name in _SHADOW_SUMS}
        return {**told, "agreement": report.agreement}

    def _roll_out(self, app_name: str, target: str, **plan: Any) -> None:
        self._conn.roll_out(app_name, target, **plan)

    def _start_clipper(
        self, manager: str, cluster_name: str, options: Mapping[str, Any], start: Mapping[str, Any]
    ) -> str:
        conn = ClipperConnection(_container_manager(manager, cluster_name, options))
        conn.start_clipper(**{**start, "tls": _tls(start.get("tls"))})
        self._connection = conn
        return repr(conn)

    def _connect(self, manager: str, cluster_name: str, options: Mapping[str, Any]) -> str:
        conn = ClipperConnection(_container_manager(manager, cluster_name, options))
        conn.connect()
        self._connection = conn
        return repr(conn)

    def _describe(self) -> str:
        return repr(self._conn)

    def _deploy(
        self,
        name: str,
        version: str | None,
        input_type: str,
        captured: Mapping[str, Sequence[Any]],
        captured_path: str,
        columns: Mapping[str, Sequence[Any]] | None,
        limits: Mapping[str, Any] | None,
        sample: Mapping[str, Sequence[Any]] | None = None,
        allow_large: bool = False,
        working_directory: str = ".",
        captured_setup: Mapping[str, Sequence[Any]] | None = None,
        captured_setup_path: str = "",
        **options: Any,
    ) -> str:
        """Return the version."""
        os.chdir(working_directory)  # R's, where files are looked for
        new = self._conn.new_version(
            name, version, input_type, limits=ResourceLimits(**limits) if limits else None, allow_large=allow_large,
            **options,
        )  # fmt: skip
        function = captured_from_parts(captured, Path(captured_path))
        if captured_setup:
            function = function.with_setup(captured_from_parts(captured_setup, Path(captured_setup_path)))
        check_size(function.report(name), allow_large=allow_large)
        samples = _samples(sample, new) if sample else None
        read_columns = columns_from_parts(columns) if columns else ()
        return deploy_captured_function(self._conn, new, function, read_columns, samples).version

    def _create_endpoint(
        self, name: str, version: str | None, input_type: str, default_output: str, slo_micros: int, **deploy: Any
    ) -> str:
        """Return the version."""
        numbers: list[str] = []
        deploy_endpoint(
            self._conn, name, version, input_type,
            lambda number: numbers.append(self._deploy(name, number, input_type, **deploy)),
            default_output=default_output, slo_micros=slo_micros, may_exist=version is None,
        )  # fmt: skip
        return numbers[-1]

    def _predict(self, app_name: str, inputs: Sequence[Any], version: str | None) -> list[dict[str, Any]]:
        """Return the answers to inputs as :func:`_from_r` takes them; NaN goes as ``{"clippernb": "NaN"}``."""
        has_rows = any(isinstance(value, dict) and "row" in value for value in inputs)
        application = self._conn.get_app_info(app_name) if has_rows else None
        input_type = InputType.STRINGS if application is None else InputType(application["input_type"])
        values = [_from_r(value, input_type) for value in inputs]
        predictions = self._conn.predict_batch(app_name, values, version=version)
        return [asdict(replace(prediction, output=_to_r(prediction.output))) for prediction in predictions]


def _targets(traffic: ApplicationTraffic) -> list[dict[str, Any]]:
    return [asdict(target) for target in traffic.targets]


def _from_r(value: Any, input_type: InputType) -> Any:
    """Return an input: raw vectors are ``{"base64": text}``, lists ``{"json": value}``, rows ``{"row": text}``.

    Rows are objects where inputs are JSON, and else the text itself.
    """
    if not isinstance(value, dict):
        return value
    if "row" in value:
        return json.loads(value["row"]) if input_type is InputType.JSON else value["row"]
    return base64.b64decode(value["base64"]) if "base64" in value else value["json"]


def _to_r(value: Any) -> Any:
    """Return an output as JSON that jsonlite reads: without NaN and infinities."""
    if isinstance(value, float) and not math.isfinite(value):
        return {"clippernb": json.dumps(value)}
    if isinstance(value, list):
        return [_to_r(element) for element in value]
    return {name: _to_r(member) for name, member in value.items()} if isinstance(value, dict) else value


def _samples(sample: Mapping[str, Sequence[Any]], new: NewVersion) -> Samples:
    inputs = format_batch(new.input_type, [_from_r(value, new.input_type) for value in sample["inputs"]])
    answers = iter(sample["answers"])  # in the order in which they are asked for: R cannot be called from here
    return make_samples(new, inputs, lambda _batch: next(answers))


def _tls(given: Any) -> Any:
    """Return the argument of ``start_clipper()``: R's two paths are files, anything else is checked there."""
    return clipper_nb.TlsFiles(*given) if isinstance(given, list) and len(given) == 2 else given


def _container_manager(kind: str, cluster_name: str, options: Mapping[str, Any]) -> ContainerManager:
    if kind == "docker":
        return clipper_nb.DockerContainerManager(cluster_name, **options)
    return clipper_nb.LocalContainerManager(cluster_name, **options)


class _ToR(logging.Handler):
    """Sends R the steps of a long call as they end."""

    def __init__(self, write: Callable[[Mapping[str, Any]], None]) -> None:
        super().__init__(logging.INFO)
        self._write = write

    def emit(self, record: logging.LogRecord) -> None:
        self._write({"log": record.getMessage()})


def serve(requests: TextIO, write: Callable[[Mapping[str, Any]], None]) -> None:
    """Answer each line of *requests*; an interrupt ends only the call that is under way."""
    commands = RCommands()
    write(
        {
            "version": clipper_nb.__version__,
            "python": sys.executable,
            "capture": r_source("capture.R"),
            "columns": r_source("columns.R"),
            "plain": outputs_source(),
        }
    )
    for line in requests:
        request = json.loads(line)
        try:
            signal.signal(signal.SIGINT, signal.default_int_handler)
            try:
                answer = {"result": commands.call(request["call"], request["arguments"])}
            finally:
                signal.signal(signal.SIGINT, signal.SIG_IGN)
        except (Exception, KeyboardInterrupt) as exc:
            if not isinstance(exc, (ClipperException, KeyboardInterrupt)):
                traceback.print_exc()
            classes = [kind.__name__ for kind in type(exc).__mro__ if issubclass(kind, (ClipperException, type(exc)))]
            answer = {"error": str(exc) or type(exc).__name__, "classes": classes}
        write({"id": request["id"], **answer})


def main() -> None:
    """Serve the R process that holds this process's stdin and stdout."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    to_r = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what a library prints must not mix with the answers

    def write(message: Mapping[str, Any]) -> None:
        to_r.write(json.dumps(message) + "\n")
        to_r.flush()

    progress = logging.getLogger("clipper_nb.progress")
    progress.setLevel(logging.INFO)
    progress.addHandler(_ToR(write))
    serve(sys.stdin, write)


if __name__ == "__main__":
    main()
