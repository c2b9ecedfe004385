"""Latency as an HTTP client sees it that sends one request after the other."""

from __future__ import annotations

import contextlib
import http.client
import json
import statistics
from collections import defaultdict
from collections.abc import Callable

from measuring import Samples, format_ms, timed

NUM_WARM_UPS = 100
NUM_REQUESTS = 500
BATCH_SIZES = (1, 64)


def measure_requests(
    samples: Samples,
    name: str,
    address: str,
    app: str,
    make_input: Callable[[int], object],
    batch_size: int,
    *,
    num_warm_ups: int = NUM_WARM_UPS,
    num_requests: int = NUM_REQUESTS,
) -> None:
    """Send requests over one connection, each with inputs of its own, and add the milliseconds of each."""
    warm_ups: Samples = defaultdict(list)
    with contextlib.closing(http.client.HTTPConnection(address, timeout=30)) as client:
        for number in range(num_warm_ups + num_requests):
            inputs = [make_input(number * batch_size + i) for i in range(batch_size)]
            body = json.dumps({"input_batch": inputs})
            with timed(samples if number >= num_warm_ups else warm_ups, name):
                client.request("POST", f"/{app}/predict", body)
                answers = json.loads(client.getresponse().read())["batch_predictions"]
            if any(answer["default"] for answer in answers):
                raise RuntimeError(f"{name}: {answers}")


def print_latency(samples: Samples, name: str) -> None:
    """Print median and 99th percentile."""
    p99_ms = statistics.quantiles(samples[name], n=100)[98]
    print(
        f"{name:<48}p50 {format_ms(statistics.median(samples[name])):>6} ms   p99 {format_ms(p99_ms):>6} ms", flush=True
    )
