"""Two clusters side by side, one of which asks for a token: it must serve at least 97 % of what the other one does.

wrk asks a model that does nothing, on both in turn and in pairs, neither always first; the median of the pairs' ratios
counts. Clients send the cluster's token, and then a token of the application.
"""

from __future__ import annotations

import contextlib
import os
import statistics
import sys
from collections.abc import Iterator

from load.form import CLIPPER
from load.verdicts import Verdicts, parse_options
from load.wrk import run_wrk

from clipper_nb import ClipperConnection, LocalContainerManager
from clipper_nb.deployers.python import create_endpoint

TARGET = 0.97
NUM_CONNECTIONS = 64
NUM_DOUBLES = 10


@contextlib.contextmanager
def running(name: str, *, query_token: bool) -> Iterator[ClipperConnection]:
    """Give a cluster with a model that does nothing."""
    manager = LocalContainerManager(
        f"tokens-{name}-{os.getpid()}", clipper_query_port=0, clipper_management_port=0, clipper_rpc_port=0
    )
    conn = ClipperConnection(manager)
    conn.start_clipper(query_token=query_token)
    with conn:
        create_endpoint(conn, "app", "doubles", lambda xs: [0.0 for _ in xs], slo_micros=5_000_000)
        yield conn


def rate(conn: ClipperConnection, token: str | None, duration_s: int) -> float:
    """Return the requests that were answered per second."""
    seen = run_wrk(
        conn.get_query_addr(), "/app/predict", CLIPPER,
        num_connections=NUM_CONNECTIONS, num_doubles=NUM_DOUBLES, duration_s=duration_s, token=token,
    )  # fmt: skip
    assert seen.num_errors == 0, seen
    return seen.requests_per_s


def main() -> int:
    """Measure and print."""
    options = parse_options(__doc__)
    verdicts = Verdicts("tokens", options)
    num_pairs, duration_s = (6, 2) if options.quick else (15, 4)
    with running("open", query_token=False) as without, running("asking", query_token=True) as asking:
        tokens = {"cluster's": asking.query_token, "application's": asking.create_token("app", name="bench")}
        for whose, token in tokens.items():
            sides = [(without, None), (asking, token)]
            rates: list[list[float]] = [[], []]
            for pair in range(-1, num_pairs):
                for side in (0, 1) if pair % 2 else (1, 0):
                    measured = rate(*sides[side], duration_s)
                    if pair >= 0:  # the first one warms up
                        rates[side].append(measured)
            ratio = statistics.median(ours / theirs for theirs, ours in zip(*rates, strict=True))
            verdicts.tell(f"without a token, beside the {whose}", f"{statistics.median(rates[0]):,.0f} predictions/s")
            verdicts.check(f"with the {whose} token, of that", f">= {TARGET}", f"{ratio:.3f}", ratio >= TARGET)
    return verdicts.finish()


if __name__ == "__main__":
    sys.exit(main())
