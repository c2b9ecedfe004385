"""Overload, more replicas, faults under load, idleness: seconds of what the benchmarks of that name do for minutes.

Every input is unique and every reply is checked. What depends on the machine's pace is compared within one run, with
limits far from what a good machine shows; that nothing is lost, wrong or unbounded is asked for strictly.
"""

from __future__ import annotations

import os
import signal
import time

import pytest
from load.processes import MANAGEMENT, QUERY, cluster_processes, cpu_s, pss_bytes
from load.server_metrics import read_lateness
from load.traffic import DEFAULT_OUTPUT, Report, Traffic, plus_version

from clipper_nb import ClipperConnection
from clipper_nb.deployers.python import create_endpoint, deploy_python_closure
from tests.support.clusters import eventually, kill, observe, running_cluster

pytestmark = [pytest.mark.cluster, pytest.mark.serial]

MEGABYTE = 1_000_000


def deploy(
    conn: ClipperConnection, *, batch_s: float, batch_size: int, slo_ms: int, num_replicas: int = 1
) -> ClipperConnection:
    """Deploy version 1 of a model that sleeps, behind the application ``app``."""
    create_endpoint(
        conn, "app", "doubles", plus_version(1, batch_s=batch_s), DEFAULT_OUTPUT, slo_micros=1000 * slo_ms,
        num_replicas=num_replicas, batch_size=batch_size,
    )  # fmt: skip
    return conn


def assert_all_answered_right(report: Report) -> None:
    assert report.num_failed == 0, report
    assert report.num_answered == report.num_sent > 0
    assert report.num_predictions + report.num_defaults == report.num_sent


def test_triple_overload_costs_no_time_predictions_or_memory():
    with running_cluster(cache_size=0) as conn:
        # Slow enough that three times its capacity is little work for a machine that others use too.
        deploy(conn, batch_s=0.02, batch_size=16, slo_ms=100)
        address = conn.get_query_addr()
        with Traffic(address, "app") as traffic:
            peak = max(traffic.run_closed(num_clients=n, duration_s=1.5).goodput for n in (32, 48))
            [frontend] = cluster_processes(conn.cm.cluster_name)[QUERY]
            before, size_before_bytes = read_lateness(address, "app"), frontend.memory_info().rss
            report = traffic.run_open(rate=3 * peak, duration_s=4.0)
            late, size_bytes = read_lateness(address, "app") - before, frontend.memory_info().rss
    assert_all_answered_right(report)
    assert report.num_defaults > report.num_predictions  # so it was too much
    assert set(report.defaults) <= {"queued_too_long", "model_too_slow"}
    assert late.num_answers == report.num_sent
    assert late.share_within(0.1) > 0.9
    assert report.goodput > 0.5 * peak
    # Kept queries would be more than 5,000 of about 2 kB.
    assert size_bytes - size_before_bytes < 8 * MEGABYTE


def test_two_replicas_answer_more_than_one():
    with running_cluster() as conn:
        deploy(conn, batch_s=0.03, batch_size=4, slo_ms=5000)  # next to which the frontend has little to do
        with Traffic(conn.get_query_addr(), "app") as traffic:
            one = [traffic.run_closed(num_clients=24, duration_s=0.7) for _ in range(3)]
            conn.set_num_replicas("app", 2)
            two = [traffic.run_closed(num_clients=24, duration_s=0.7) for _ in range(3)]
    for report in (*one, *two):
        assert_all_answered_right(report)
        assert report.num_defaults == 0
    # The best of three each: a stall of the machine spoils two of them at most.
    assert max(report.goodput for report in two) > 1.5 * max(report.goodput for report in one)


def test_kills_and_version_switches_lose_or_mix_no_reply():
    with running_cluster() as conn:
        deploy(conn, batch_s=0.005, batch_size=8, slo_ms=5000, num_replicas=2)
        deploy_python_closure(conn, "app", 2, "doubles", plus_version(2, batch_s=0.005), num_replicas=2, batch_size=8)
        with Traffic(conn.get_query_addr(), "app") as traffic:
            traffic.expect(2)
            traffic.start_open(rate=400, duration_s=7.0)
            current = 2
            for _ in range(4):
                time.sleep(0.5)
                kill(conn, "replica")
                time.sleep(0.5)
                traffic.expect(1, 2)
                current = 3 - current
                conn.set_model_version("app", current)
                traffic.expect(current)  # the call has returned, so every query from now on is of this version
                # What the killed one had is tried again when it is back; the next kill must not hit it a second time.
                eventually(lambda: len(conn.get_all_model_replicas()) == 4, within_s=20, what="the replica is back")
            so_far = traffic.look()
            report = traffic.finish()
    assert so_far.num_sent > 0
    assert_all_answered_right(report)
    assert report.num_defaults == 0
    assert report.num_tried_again == 0  # no query frontend has ended


def test_killed_supervisor_loses_no_query_and_nothing_restarts():
    with running_cluster() as conn:
        deploy(conn, batch_s=0.005, batch_size=8, slo_ms=5000, num_replicas=2)
        before = {container.name: container.pid for container in observe(conn)}
        with Traffic(conn.get_query_addr(), "app") as traffic:
            traffic.start_open(rate=200, duration_s=4.0)
            for number in (1, 2):
                time.sleep(0.5)
                killed = conn.cm._folder.read_record().supervisor_pid
                os.kill(killed, signal.SIGKILL)
                started_s = time.monotonic()
                conn.set_num_replicas("app", 2)  # asks the supervisor what runs; takes a tenth of a second
                assert time.monotonic() - started_s < 5.0
                assert conn.cm._folder.read_record().supervisor_pid != killed
                deploy_python_closure(conn, "other", number, "doubles", lambda inputs: inputs)
            report = traffic.finish()
        after = {container.name: container.pid for container in observe(conn)}
        kill(conn, "replica")
        eventually(lambda: len(conn.get_all_model_replicas()) == 4, within_s=20, what="an adopted replica is back")
        conn.set_num_replicas("app", 1, 1)
        assert len(conn.cm.observe_replicas()) == 3
    assert_all_answered_right(report)
    assert report.num_defaults == report.num_tried_again == 0
    assert {name: after.get(name) for name in before} == before


def test_idle_cluster_uses_little_cpu_and_memory():
    with running_cluster() as conn:
        deploy(conn, batch_s=0.001, batch_size=-1, slo_ms=1000, num_replicas=2)
        with Traffic(conn.get_query_addr(), "app") as traffic:
            assert_all_answered_right(traffic.run_closed(num_clients=8, duration_s=1.0))
        time.sleep(2.0)
        processes = cluster_processes(conn.cm.cluster_name)
        everything = [process for some in processes.values() for process in some]
        used_before_s, began_s = sum(map(cpu_s, everything)), time.monotonic()
        time.sleep(3.0)
        share = (sum(map(cpu_s, everything)) - used_before_s) / (time.monotonic() - began_s)
        frontends = processes[QUERY] + processes[MANAGEMENT]
        assert sum(map(pss_bytes, frontends)) < 120 * MEGABYTE
    assert (
        len(everything) == 9
    )  # supervisor and guardian, Redis, two frontends, two replicas, and their nursery and template
    assert share < 0.05


def test_load_clients_detect_swapped_and_outdated_replies():
    def swap(inputs: list) -> list:
        return [x[0] + 1 for x in reversed(inputs)]

    with running_cluster() as conn:
        create_endpoint(conn, "app", "doubles", swap, DEFAULT_OUTPUT, slo_micros=2_000_000, batch_size=8)
        with Traffic(conn.get_query_addr(), "app") as traffic:
            swapped = traffic.run_closed(num_clients=16, duration_s=0.5)
            conn.deploy_model("app", 2, "doubles", conn.get_model_info("app", 1)["container_name"], batch_size=1)
            right = traffic.run_closed(num_clients=4, duration_s=0.5)
            traffic.expect(2)
            old = traffic.run_closed(num_clients=4, duration_s=0.5)
    assert swapped.num_wrong > 0
    assert_all_answered_right(right)  # one at a time there is nothing to swap
    assert old.num_wrong == old.num_sent > 0
