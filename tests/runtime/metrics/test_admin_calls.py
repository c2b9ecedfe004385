"""The management frontend's metrics have the text that they had with prometheus_client's own writer."""

from __future__ import annotations

import asyncio

from clipper_nb.runtime.metrics.admin_calls import AdminCalls


def test_calls_are_counted_by_path_and_status() -> None:
    clock = iter([1.5e9, 1.6e9])
    calls = AdminCalls(clock=lambda: next(clock))
    for status in (200, 400, 200):
        calls.count("/admin/add_app", status)
    [text] = asyncio.run(calls.exposition())
    assert text.decode() == (
        "# HELP clipper_admin_requests_total Admin calls by path and status\n"
        "# TYPE clipper_admin_requests_total counter\n"
        'clipper_admin_requests_total{path="/admin/add_app",status="200"} 2.0\n'
        'clipper_admin_requests_total{path="/admin/add_app",status="400"} 1.0\n'
        "# HELP clipper_admin_requests_created Admin calls by path and status\n"
        "# TYPE clipper_admin_requests_created gauge\n"
        'clipper_admin_requests_created{path="/admin/add_app",status="200"} 1500000000.0\n'
        'clipper_admin_requests_created{path="/admin/add_app",status="400"} 1600000000.0\n'
    )
