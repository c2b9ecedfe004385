"""Two clusters side by side, one of which speaks HTTPS: what encryption costs a query, and a new connection.

wrk asks a model that does nothing, on both in turn and in pairs, neither always first; the median of the pairs' ratios
counts. Connections are kept, as those of most clients; then each request has a connection of its own.
"""

from __future__ import annotations

import contextlib
import http.client
import os
import ssl
import statistics
import sys
import time
from collections.abc import Iterator

from load.form import CLIPPER
from load.verdicts import Verdicts, parse_options
from load.wrk import Load, run_wrk

from clipper_nb import ClipperConnection, LocalContainerManager
from clipper_nb.deployers.python import create_endpoint

NUM_DOUBLES = (10, 768)
NUM_CONNECTIONS = (1, 64)


@contextlib.contextmanager
def running(name: str, *, tls: bool) -> Iterator[ClipperConnection]:
    """Give a cluster with a model that does nothing."""
    manager = LocalContainerManager(
        f"tls-{name}-{os.getpid()}", clipper_query_port=0, clipper_management_port=0, clipper_rpc_port=0
    )
    conn = ClipperConnection(manager)
    conn.start_clipper(query_token=False, tls=tls)
    with conn:
        create_endpoint(conn, "app", "doubles", lambda xs: [0.0 for _ in xs], slo_micros=5_000_000)
        yield conn


def load(conn: ClipperConnection, num_connections: int, num_doubles: int, duration_s: int) -> Load:
    """Return what wrk saw."""
    seen = run_wrk(
        conn.get_query_url(), "/app/predict", CLIPPER,
        num_connections=num_connections, num_doubles=num_doubles, duration_s=duration_s,
    )  # fmt: skip
    assert seen.num_errors == 0, seen
    return seen


def compare(
    verdicts: Verdicts, sides: tuple[ClipperConnection, ClipperConnection], num_pairs: int, duration_s: int
) -> None:
    """Measure kept connections."""
    for num_connections in NUM_CONNECTIONS:
        for num_doubles in NUM_DOUBLES:
            seen: tuple[list[Load], list[Load]] = ([], [])
            for pair in range(-1, num_pairs):
                for side in (0, 1) if pair % 2 else (1, 0):
                    measured = load(sides[side], num_connections, num_doubles, duration_s)
                    if pair >= 0:  # the first one warms up
                        seen[side].append(measured)
            rates = [[each.requests_per_s for each in of_side] for of_side in seen]
            ratio = statistics.median(https / plain for plain, https in zip(*rates, strict=True))
            what = f"{num_doubles} doubles, {num_connections} connection{'s' * (num_connections > 1)}"
            p50s_ms = [statistics.median(each.p50_ms for each in of_side) for of_side in seen]
            verdicts.tell(f"{what}: HTTP", f"{statistics.median(rates[0]):,.0f}/s, {p50s_ms[0]:.3f} ms")
            verdicts.tell(f"{what}: HTTPS", f"{statistics.median(rates[1]):,.0f}/s, {p50s_ms[1]:.3f} ms")
            verdicts.tell(f"{what}: HTTPS, of HTTP", f"{ratio:.3f}")


def compare_new_connections(
    verdicts: Verdicts, sides: tuple[ClipperConnection, ClipperConnection], number: int
) -> None:
    """Measure requests that have a connection of their own each."""
    context = ssl.create_default_context(cadata=sides[1].get_tls_authority())
    times_ms: tuple[list[float], list[float]] = ([], [])
    for _ in range(number):
        for side, conn in enumerate(sides):
            address = conn.get_query_addr()
            client = (
                http.client.HTTPSConnection(address, timeout=10, context=context)
                if side
                else http.client.HTTPConnection(address, timeout=10)
            )
            started_s = time.perf_counter()
            client.request("POST", "/app/predict", b'{"input": [1.0]}')
            assert client.getresponse().status == http.client.OK
            times_ms[side].append((time.perf_counter() - started_s) * 1e3)
            client.close()
    for name, of_side in zip(("HTTP", "HTTPS"), times_ms, strict=True):
        verdicts.tell(f"a query on a new connection: {name}", f"{statistics.median(of_side):.2f} ms")


def main() -> int:
    """Measure and print."""
    options = parse_options(__doc__)
    verdicts = Verdicts("tls", options)
    num_pairs, duration_s, number = (3, 2, 200) if options.quick else (9, 4, 1000)
    with running("plain", tls=False) as plain, running("encrypted", tls=True) as encrypted:
        compare(verdicts, (plain, encrypted), num_pairs, duration_s)
        compare_new_connections(verdicts, (plain, encrypted), number)
    verdicts.note("The two clusters and wrk share the machine's cores; wrk encrypts too.")
    return verdicts.finish()


if __name__ == "__main__":
    sys.exit(main())
