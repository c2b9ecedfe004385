"""Results as tables: for the terminal, and as Markdown with all that one must know to judge them. (pure)"""

from __future__ import annotations

from collections.abc import Iterator

from peers.servers import ECHO_NAME, FRAMEWORK, IN_PROCESS
from report.layout import align, as_markdown
from report.results import Results
from report.targets import judge
from workloads import WORKLOADS

_HEADINGS = ("", "req/s", "p50 ms", "p99 ms", "errors", "of echo", "of best peer")


def format_terminal(results: Results) -> str:
    """Return all tables and verdicts as plain text."""
    lines: list[str] = []
    for title, rows in _tables(results):
        lines += [title, *align([_HEADINGS, *rows]), ""]
    lines += ["failures:", *(f"  {line}" for line in _failures(results)), ""] if results.failures else []
    lines += [
        f"{'met   ' if verdict.is_met else 'MISSED'}  {verdict.target}: {verdict.measured}"
        for verdict in judge(results)
    ]
    return "\n".join(lines)


def format_markdown(results: Results) -> str:
    """Return everything as one Markdown page."""
    machine, settings = results.machine, results.settings
    lines = [
        "# Throughput and latency beside other servers",
        "",
        "Written by `make bench`; how it is measured is in [../README.md](../README.md). All numbers are in",
        "[throughput.json](throughput.json).",
        "",
        "![Requests per second of each server](throughput.png)",
        "",
        f"{machine['date']}, revision {machine['revision']}. {machine['cpu']}, {machine['cores']} cores, "
        f"{machine['memory_gib']} GiB, {machine['system']}, Python {machine['python']}, {machine['wrk']}.",
        f"clipper_nb was {'compiled' if machine['compiled'] else 'interpreted'}.",
        f"Medians over rounds, {settings['rounds']} of them, each of {settings['duration_s']} s or longer.",
        "Ratios are of requests per second.",
        "",
        "## Targets",
        "",
        "| target | measured | |",
        "|---|---|---|",
        *(f"| {v.target} | {v.measured} | {'met' if v.is_met else '**missed**'} |" for v in judge(results)),
    ]
    for title, rows in _tables(results):
        lines += ["", f"## {title[0].upper()}{title[1:]}", "", *as_markdown([_HEADINGS, *rows])]
    if results.failures:
        lines += ["", "## Failures", "", *(f"- {line}" for line in _failures(results))]
    lines += ["", "## Servers", "", "| server | configuration | version |", "|---|---|---|"]
    lines += [f"| {server['name']} | {server['configuration']} | {server['version']} |" for server in results.servers]
    return "\n".join(lines) + "\n"


def _tables(results: Results) -> Iterator[tuple[str, list[tuple[str, ...]]]]:
    for workload in WORKLOADS:
        for num_connections in results.settings["connections"].get(workload.name, ()):
            plural = "" if num_connections == 1 else "s"
            yield (
                f"{workload.title}, {num_connections} connection{plural}",
                _rows(results, workload.name, num_connections),
            )


def _rows(results: Results, workload: str, num_connections: int) -> list[tuple[str, ...]]:
    echo = results.get_median(ECHO_NAME, workload, num_connections)
    best = results.get_best({IN_PROCESS, FRAMEWORK}, workload, num_connections)
    rows = []
    for server in results.servers:
        name = server["name"]
        load = results.get_median(name, workload, num_connections)
        if load is None:
            if workload in results.failures.get(name, {}):
                rows.append((name, "failed", "", "", "", "", ""))
            continue
        rows.append(
            (
                name,
                f"{load.requests_per_s:,.0f}",
                f"{load.p50_ms:.2f}",
                f"{load.p99_ms:.2f}",
                str(load.num_errors),
                _ratio(load.requests_per_s, echo.requests_per_s if echo else None),
                _ratio(load.requests_per_s, best[1].requests_per_s if best else None),
            )
        )
    return rows


def _ratio(one: float, other: float | None) -> str:
    return f"{one / other:.3f}" if other else ""


def _failures(results: Results) -> list[str]:
    return [
        f"{server}, {workload}: {reason}"
        for server, reasons in results.failures.items()
        for workload, reason in reasons.items()
    ]
