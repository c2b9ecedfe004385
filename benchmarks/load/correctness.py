"""Asks a server for answers that are known, over several connections at once, and compares each with the right one."""

from __future__ import annotations

import http.client
import itertools
import json
import math
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from load.form import Form, NotAPredictionError
from workloads import Predict, Workload, make_inputs

NUM_QUERIES = 64
MAX_THREADS = 16
TIMEOUT_S = 30.0
READY_INTERVAL_S = 0.05

_seeds = itertools.count(int(time.time()) % 1_000_000)


class WrongAnswersError(Exception):
    """A server answers, but not what it should."""


class NotReadyError(Exception):
    """A server gave no right answer in time, or its process ended."""


class Examiner:
    """Knows the right answers of one workload."""

    def __init__(self, workload: Workload, predict: Predict) -> None:
        self._workload = workload
        self._predict = predict

    def check(self, address: str, path: str, form: Form, *, num_connections: int) -> None:
        """Raise WrongAnswersError unless every one of many distinct queries gets its own right answer."""
        inputs = make_inputs(self._workload, NUM_QUERIES, next(_seeds))
        bodies = [form.format_body(numbers) for numbers in inputs]
        answers = [len(body) for body in bodies] if form.answers_length else self._predict(inputs)
        num_threads = min(num_connections, MAX_THREADS)
        shares = [range(first, NUM_QUERIES, num_threads) for first in range(num_threads)]
        with ThreadPoolExecutor(num_threads) as pool:
            asked = [pool.submit(_ask, address, path, form, [bodies[i] for i in share]) for share in shares]
            for share, future in zip(shares, asked, strict=True):
                for i, output in zip(share, future.result(), strict=True):
                    if not math.isclose(output, float(answers[i]), rel_tol=1e-9):
                        raise WrongAnswersError(f"{output:.17g} in place of {answers[i]}")

    def wait_until_ready(
        self, address: str, path: str, form: Form, *, timeout_s: float, runs: Callable[[], bool]
    ) -> None:
        """Return when the server has answered one query; *runs* tells whether its process still lives."""
        body = form.format_body(make_inputs(self._workload, 1, next(_seeds))[0])
        deadline_s = time.monotonic() + timeout_s
        while True:
            try:
                _ask(address, path, form, [body])
                return
            except (OSError, http.client.HTTPException, WrongAnswersError) as exc:
                if not runs():
                    raise NotReadyError("its process ended") from exc
                if time.monotonic() > deadline_s:
                    raise NotReadyError(f"no answer within {timeout_s:.0f} s: {exc}") from exc
                time.sleep(READY_INTERVAL_S)


def _ask(address: str, path: str, form: Form, bodies: list[bytes]) -> list[float]:
    """Return the outputs that one connection gets."""
    client = http.client.HTTPConnection(address, timeout=TIMEOUT_S)
    outputs: list[float] = []
    try:
        for body in bodies:
            client.request("POST", path, body, {"Content-Type": "application/json"})
            reply = client.getresponse()
            text = reply.read()
            if reply.status != http.client.OK:
                raise WrongAnswersError(f"status {reply.status}: {text[:200]!r}")
            try:
                outputs.append(float(form.read_output(json.loads(text))))
            except (NotAPredictionError, LookupError, TypeError, ValueError) as exc:
                raise WrongAnswersError(f"{text[:200]!r} is no prediction: {exc}") from exc
    finally:
        client.close()
    return outputs
