"""The loop of a notebook as tables: for the terminal, and as Markdown. (pure)"""

from __future__ import annotations

import statistics
from collections.abc import Iterator

from report.layout import align, as_markdown
from report.loop_targets import PEERS, TITLES, judge
from report.pairs import BEFORE, NOW, PairResults, format_spread

_HEADINGS = ("", "before", "now", "now / before", "n")
_PEER_HEADINGS = ("", "ms", "n")


def format_terminal(results: PairResults) -> str:
    """Return all tables and verdicts as plain text."""
    lines: list[str] = []
    for _, title, rows in _tables(results):
        lines += [title, *align(rows), ""]
    lines += [f"not measured: {line}" for line in _failures(results)]
    lines += [
        f"{'met   ' if verdict.is_met else 'MISSED'}  {TITLES[verdict.target.scenario]}: {verdict.target.what}, "
        f"{verdict.target}: {verdict.measured}"
        for verdict in judge(results)
    ]
    return "\n".join(lines)


def format_markdown(results: PairResults) -> str:
    """Return everything as one Markdown page."""
    machine, settings = results.machine, results.settings
    cores = results.others_cores
    lines = [
        "# The loop of a notebook: start, deploy, edit, scale, stop",
        "",
        f"Written by `benchmarks/startup.py --write`, which measures the build of revision {settings['against']} "
        "(before) and",
        "this one (now) in turn; how is in [../README.md](../README.md). All numbers are in",
        "[startup.json](startup.json).",
        "",
        "![Time and memory of both builds](startup.png)",
        "",
        f"{machine['cpu']}, {machine['cores']} cores, "
        f"{machine['memory_gib']} GiB, {machine['system']}, Python {machine['python']}.",
        f"Both builds were {'compiled' if machine['compiled'] else 'interpreted'}.",
        "",
        "Medians (smallest - largest) of n numbers; times in milliseconds, memory (PSS) in MB.",
        "A ratio is the median (smallest - largest) over the pairs of runs.",
        "Before each run, the machine used "
        f"{statistics.median(cores):.2f} cores for something else (largest {max(cores):.2f}).",
        "",
        "## Targets",
        "",
        "| | | target | measured | |",
        "|---|---|---|---:|---|",
        *(
            f"| {TITLES[v.target.scenario]} | {v.target.what} | {v.target} | {v.measured} "
            f"| {'met' if v.is_met else '**missed**'} |"
            for v in judge(results)
        ),
    ]
    for scenario, title, rows in _tables(results):
        lines += ["", f"## {title}", "", f"Measured {results.measured[scenario]}.", "", *as_markdown(rows)]
    if results.failures:
        lines += ["", "## Not measured", "", *(f"- {line}" for line in _failures(results))]
    return "\n".join(lines) + "\n"


def _tables(results: PairResults) -> Iterator[tuple[str, str, list[tuple[str, ...]]]]:
    for scenario, title in TITLES.items():
        if rows := _rows(results, scenario):
            yield scenario, title, [_HEADINGS, *rows]
    if results.get_peers():
        yield PEERS, "Peers, with the same forest", [_PEER_HEADINGS, *_peer_rows(results)]


def _rows(results: PairResults, scenario: str) -> list[tuple[str, ...]]:
    whats = {one.what: one.unit for one in results.samples if one.scenario == scenario and one.who in (BEFORE, NOW)}
    rows = []
    for what, unit in whats.items():
        before, now = (results.get_values(who, scenario, what) for who in (BEFORE, NOW))
        if before and now:
            ratios = results.get_ratios(scenario, what)
            ratio = f"{statistics.median(ratios):.3f} ({min(ratios):.3f} - {max(ratios):.3f})"
            rows.append((f"{what}, {unit}", format_spread(before), format_spread(now), ratio, str(len(now))))
    return rows


def _peer_rows(results: PairResults) -> Iterator[tuple[str, ...]]:
    shown = {(one.who, one.scenario, one.what): None for one in results.samples if one.who in results.get_peers()}
    for who, scenario, what in shown:
        values = results.get_values(who, scenario, what)
        yield f"{who}: {what}", format_spread(values), str(len(values))


def _failures(results: PairResults) -> list[str]:
    return [f"{peer}: {reason}" for peer, reason in results.failures.items()]
