"""What the load benchmarks count with: a mistake there would pass for a fast engine."""

from __future__ import annotations

import argparse
import math

import pytest
from load import verdicts
from load.processes import MemoryWatch
from load.server_metrics import Lateness
from load.tally import Latencies
from load.verdicts import Verdicts


def test_lateness_of_a_period_is_a_difference_and_periods_add_up():
    first = Lateness({0.0: 10, 0.005: 12, math.inf: 12})
    then = Lateness({0.0: 15, 0.005: 18, math.inf: 20})
    assert (then - first).counts == {0.0: 5, 0.005: 6, math.inf: 8}
    assert (then - first).num_later_than(0.005) == 2
    assert (then - first).share_within(0.005) == 0.75
    assert Lateness({}) + (then - first) + first == then


def test_lateness_after_a_frontend_restart_counts_from_zero():
    assert (Lateness({math.inf: 3}) - Lateness({math.inf: 20})).num_answers == 3


def test_latency_quantiles_are_exact_to_a_tenth_of_a_millisecond():
    latencies = Latencies()
    for milliseconds in range(1, 1001):
        latencies.add(milliseconds / 1000)
    latencies.add(7.0)
    assert latencies.as_dict() == pytest.approx(
        {"p50_ms": 501, "p99_ms": 991, "p999_ms": 1000, "max_ms": 7000}, abs=0.11
    )
    assert latencies.num_above(0.9505) == 51


def test_slope_of_the_memory_leaves_the_warm_up_out():
    watch = MemoryWatch("cluster")
    watch.samples["redis"] = [(0.0, 0), (10.0, 500), (20.0, 520), (30.0, 540)]
    assert watch.growth_bytes_per_s("redis", from_s=10.0) == pytest.approx(2.0)
    assert watch.largest_bytes("redis") == 540


@pytest.mark.parametrize(("is_met", "status", "word"), [(True, 0, "met"), (False, 1, "MISSED")])
def test_a_missed_target_is_the_exit_status_and_in_the_file(is_met, status, word, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(verdicts, "RESULTS", tmp_path / "results")
    table = Verdicts("idle", argparse.Namespace(write=True))
    table.tell("replicas", "2")
    table.check("core used", "< 0.5%", "0.4%", is_met)
    table.note("it was quiet")
    assert table.finish() == status
    text = (tmp_path / "results" / "idle.md").read_text()
    assert f"| core used | < 0.5% | 0.4% | {word} |" in text
    assert "- it was quiet" in text
    assert word in capsys.readouterr().out
