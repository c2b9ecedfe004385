"""Runs wrk and reads what it prints."""

from __future__ import annotations

import math
import re
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from load.form import Form

_SCRIPT = Path(__file__).with_name("distinct.lua")
_BODY_SCRIPT = Path(__file__).with_name("body.lua")
_TIMEOUT_S = 10
_UNITS_MS = {"us": 0.001, "ms": 1.0, "s": 1000.0, "m": 60_000.0}


@dataclass(frozen=True)
class Load:
    """What one run of wrk saw."""

    requests_per_s: float
    p50_ms: float
    p99_ms: float
    num_errors: int
    """Replies with a status of 400 or more, broken connections and time-outs."""


_MIN_LATENCIES = 10
_MAX_DURATION_S = 10


def run_wrk(
    address: str,
    path: str,
    form: Form,
    *,
    num_connections: int,
    num_doubles: int,
    duration_s: int,
    token: str | None = None,
) -> Load:
    """Send distinct inputs from *num_connections* clients, each waiting for its answer; *token* is their bearer token.

    The address is ``host:port`` or a URL; over HTTPS, wrk trusts every server.

    What is under way at the end of a run is not counted. So that this hurts no slow server, a run that was shorter than
    ten times its median latency is repeated with that length.
    """
    load = _run_wrk(address, path, form, num_connections, num_doubles, duration_s, token)
    wanted_s = min(_MAX_DURATION_S, math.ceil(load.p50_ms / 1000 * _MIN_LATENCIES))
    if wanted_s > duration_s:
        load = _run_wrk(address, path, form, num_connections, num_doubles, wanted_s, token)
    return load


def _run_wrk(
    address: str, path: str, form: Form, num_connections: int, num_doubles: int, duration_s: int, token: str | None
) -> Load:
    header = [] if token is None else ["-H", f"Authorization: Bearer {token}"]
    arguments = [str(num_doubles), *form.frame(num_doubles)]
    return _run_script(_SCRIPT, arguments, address, path, num_connections, duration_s, header)


def run_body(
    address: str,
    path: str,
    body: Path,
    *,
    num_connections: int,
    duration_s: int,
    headers: Mapping[str, str] | None = None,
) -> Load:
    """Send the bytes of a file, the same in each request; what is asked must have no cache."""
    pairs = [text for pair in (headers or {}).items() for text in pair]
    return _run_script(_BODY_SCRIPT, [str(body), *pairs], address, path, num_connections, duration_s, [])


def _run_script(
    script: Path,
    arguments: Sequence[str],
    address: str,
    path: str,
    num_connections: int,
    duration_s: int,
    options: Sequence[str],
) -> Load:
    url = address if "://" in address else f"http://{address}"
    command = [
        "wrk", "-t1", f"-c{num_connections}", f"-d{duration_s}s", "--latency", "--timeout", f"{_TIMEOUT_S}s", *options,
        "-s", str(script), f"{url}{path}", "--", *arguments,
    ]  # fmt: skip
    finished = subprocess.run(command, capture_output=True, text=True, timeout=duration_s + 30, check=True)
    text = finished.stdout
    broken = re.search(r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)", text)
    refused = re.search(r"Non-2xx or 3xx responses: (\d+)", text)
    return Load(
        requests_per_s=float(_find(r"Requests/sec:\s+([\d.]+)", text)[1]),
        p50_ms=_milliseconds(_find(r"\n\s+50%\s+([\d.]+)([a-z]+)", text)),
        p99_ms=_milliseconds(_find(r"\n\s+99%\s+([\d.]+)([a-z]+)", text)),
        num_errors=sum(map(int, broken.groups() if broken else ())) + int(refused[1] if refused else 0),
    )


def _find(pattern: str, text: str) -> re.Match[str]:
    match = re.search(pattern, text)
    if match is None:
        raise RuntimeError(f"wrk printed something else than expected:\n{text}")
    return match


def _milliseconds(match: re.Match[str]) -> float:
    return float(match[1]) * _UNITS_MS[match[2]]
