"""Draws the plot of the results, in an environment of its own: ``python plot.py throughput.json throughput.png``.

One panel per workload and number of connections, one bar per server. Bars are requests per second on a logarithmic
axis, the same in all panels; at their ends is what people read off them anyway: the number, and the latency.
"""

from __future__ import annotations

import json
import statistics
import sys
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt

TITLES = {
    "noop": "no-op on 10 doubles",
    "sum": "sum of 768 doubles",
    "forest": "forest of 100 trees, 784 doubles",
}
COLORS = {"reference": "#b4b7bd", "ours": "#c2410c", "in-process": "#5b8db8", "framework": "#8fb3cf"}
MIN_REQUESTS_PER_S = 10


def draw(results: dict[str, Any], path: str) -> None:
    """Write the plot to *path*."""
    connections = results["settings"]["connections"]
    shown = [name for name in TITLES if name in connections]
    num_columns = max(len(connections[name]) for name in shown)
    figure, grid = plt.subplots(
        len(shown), num_columns, figsize=(4.3 * num_columns, 2.75 * len(shown) + 0.9), sharex=True, squeeze=False
    )
    limit = 40 * max(run["load"]["requests_per_s"] for run in results["runs"])
    for row, name in zip(grid, shown, strict=True):
        for column, axes in enumerate(row):
            if column < len(connections[name]):
                draw_panel(axes, results, name, connections[name][column], is_first=column == 0)
                axes.set_xlim(MIN_REQUESTS_PER_S, limit)
            else:
                axes.set_axis_off()
    for axes in grid[-1]:
        axes.set_xlabel("requests per second, logarithmic", fontsize=9)
    figure.suptitle(
        "Bars: requests per second. Beside each: requests per second, then the latency's p50 | p99\n"
        f"one machine with {results['machine']['cores']} cores, load generator included; "
        f"medians over rounds, {results['settings']['rounds']} of them; {results['machine']['date']}",
        fontsize=12,
    )
    figure.tight_layout(rect=(0, 0, 1, 0.99))
    figure.savefig(path, dpi=110)


def draw_panel(axes: Any, results: dict[str, Any], workload: str, num_connections: int, *, is_first: bool) -> None:
    """Draw one workload at one number of connections."""
    servers = [server for server in results["servers"] if takes_part(results, server["name"], workload)]
    for position, server in enumerate(servers):
        load = median(results, server["name"], workload, num_connections)
        if load is None:
            axes.text(MIN_REQUESTS_PER_S * 1.1, position, "not measured", va="center", fontsize=7.5, color="#777")
            continue
        axes.barh(position, load["requests_per_s"], color=COLORS[server["kind"]], height=0.72)
        errors = f", {load['num_errors']} errors" if load["num_errors"] else ""
        latency = f"{milliseconds(load['p50_ms'])} | {milliseconds(load['p99_ms'])} ms"
        axes.text(
            load["requests_per_s"] * 1.12,
            position,
            f"{load['requests_per_s']:,.0f}/s   {latency}{errors}",
            va="center",
            fontsize=7.5,
            fontweight="bold" if server["kind"] == "ours" else "normal",
        )
    axes.set_xscale("log")
    axes.set_yticks(range(len(servers)), [server["name"] for server in servers] if is_first else [], fontsize=8.5)
    axes.invert_yaxis()
    plural = "" if num_connections == 1 else "s"
    axes.set_title(f"{TITLES[workload]}, {num_connections} connection{plural}", fontsize=9.5, loc="left")
    axes.tick_params(axis="x", labelsize=8)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="x", color="#e5e5e5", linewidth=0.7)
    axes.set_axisbelow(True)


def takes_part(results: dict[str, Any], server: str, workload: str) -> bool:
    """Return whether a server was to be measured with a workload."""
    was_measured = any(run["server"] == server and run["workload"] == workload for run in results["runs"])
    return was_measured or workload in results["failures"].get(server, {})


def median(results: dict[str, Any], server: str, workload: str, num_connections: int) -> dict[str, float] | None:
    """Return the medians over the rounds."""
    key = (server, workload, num_connections)
    loads = [run["load"] for run in results["runs"] if (run["server"], run["workload"], run["num_connections"]) == key]
    if not loads:
        return None
    medians = {name: statistics.median(load[name] for load in loads) for name in ("requests_per_s", "p50_ms", "p99_ms")}
    return {**medians, "num_errors": sum(load["num_errors"] for load in loads)}


def milliseconds(number: float) -> str:
    """Return two or three digits."""
    return f"{number:.2f}" if number < 1 else f"{number:.1f}" if number < 10 else f"{number:,.0f}"


if __name__ == "__main__":
    with open(sys.argv[1]) as file:
        draw(json.load(file), sys.argv[2])
