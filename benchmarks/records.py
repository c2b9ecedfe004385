"""Records of ten fields as inputs of type ``json``, beside the same records as texts (``strings``), in one cluster.

wrk asks models that return one constant each, in turn and in pairs, neither always first; the median of the pairs'
ratios counts. With a type, each record is checked against its schema in the query frontend, and converted in the
replica.
"""

from __future__ import annotations

import json
import os
import statistics
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from load.form import Form, read_prediction
from load.verdicts import Verdicts, parse_options
from load.wrk import run_wrk

from clipper_nb import ClipperConnection, LocalContainerManager
from clipper_nb.deployers.python import create_endpoint

TARGET = 0.5
NUM_CONNECTIONS = 64
NUM_DOUBLES = 4
RECORD = {
    "name": "Mr. Owen Harris Braund", "sex": "male", "age": 22.0, "pclass": 3, "sibsp": 1, "parch": 0, "fare": 7.25,
    "ticket": "A/5 21171", "cabin": None, "position": [],
}  # fmt: skip


@dataclass
class Passenger:
    """A record of ten fields."""

    name: str
    sex: str
    age: float | None
    pclass: int
    sibsp: int
    parch: int
    fare: float
    ticket: str
    cabin: str | None
    position: list[float]


def of_texts(inputs: list[str]) -> list[float]:
    """Return one number for each text."""
    return [0.0 for _ in inputs]


def of_parsed_texts(inputs: list[str]) -> list[float]:
    """Parse each text, as functions of records did before there was a type for them."""
    return [len(json.loads(text)) * 0.0 for text in inputs]


def of_values(inputs: list[Any]) -> list[float]:
    """Return one number for each value."""
    return [0.0 for _ in inputs]


def of_records(inputs: list[Passenger]) -> list[float]:
    """Return one number for each record."""
    return [0.0 for _ in inputs]


def _form(input_text: str) -> Form:
    """Return a form whose numbers go into the list of the record."""
    before, after = f'{{"input": {input_text}}}'.split("[]")
    return Form(f"{before}[", f"]{after}", read_prediction)


TEXT = _form(json.dumps(json.dumps(RECORD)))
OBJECT = _form(json.dumps(RECORD))
SIDES: dict[str, tuple[str, Callable[[list[Any]], list[float]], Form]] = {
    "texts": ("strings", of_texts, TEXT),
    "parsed-texts": ("strings", of_parsed_texts, TEXT),
    "values": ("json", of_values, OBJECT),
    "records": ("json", of_records, OBJECT),
}


def rate(conn: ClipperConnection, side: str, duration_s: int) -> float:
    """Return the requests that were answered per second."""
    seen = run_wrk(
        conn.get_query_addr(), f"/{side}/predict", SIDES[side][2],
        num_connections=NUM_CONNECTIONS, num_doubles=NUM_DOUBLES, duration_s=duration_s, token=conn.query_token,
    )  # fmt: skip
    assert seen.num_errors == 0, seen
    return seen.requests_per_s


def main() -> int:
    """Measure and print."""
    options = parse_options(__doc__)
    verdicts = Verdicts("records", options)
    num_pairs, duration_s = (4, 2) if options.quick else (10, 4)
    ports = {"clipper_query_port": 0, "clipper_management_port": 0, "clipper_rpc_port": 0}
    conn = ClipperConnection(LocalContainerManager(f"records-{os.getpid()}", **ports))
    conn.start_clipper()
    with conn:
        for side, (input_type, func, _) in SIDES.items():
            create_endpoint(conn, side, input_type, func, slo_micros=5_000_000)
        rates: dict[str, list[float]] = {side: [] for side in SIDES}
        for pair in range(-1, num_pairs):
            for side in SIDES if pair % 2 else reversed(SIDES):
                measured = rate(conn, side, duration_s)
                if pair >= 0:  # the first one warms up
                    rates[side].append(measured)
        verdicts.tell("the text of a record", f"{statistics.median(rates['texts']):,.0f} predictions/s")
        for side in ("parsed-texts", "values", "records"):
            ratio = statistics.median(ours / text for ours, text in zip(rates[side], rates["texts"], strict=True))
            verdicts.check(f"{side}, of that", f">= {TARGET}", f"{ratio:.3f}", ratio >= TARGET)
    return verdicts.finish()


if __name__ == "__main__":
    sys.exit(main())
