"""Draws the plot of the loop, in an environment of its own: ``python loop_plot.py startup.json startup.png``.

One row of panels per scenario: what one waits for on the left, on a logarithmic axis that is the same in all rows, and
memory on the right. Two bars for each measure, before and now; the median and the ratio of the pairs are beside them.
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
    "embedded": "embedded cluster",
    "embedded, plain": "embedded cluster, function without libraries",
    "embedded, forest": "embedded cluster, scikit-learn forest of 100 trees",
    "embedded, array": "embedded cluster, NumPy array of 200 MB",
    "docker, plain": "Docker, function without libraries",
}
PEERS_SCENARIO, PEERS_ROW = "peers, forest", "embedded, forest"
BEFORE, NOW = "before", "now"
COLORS = {BEFORE: "#b4b7bd", NOW: "#c2410c", "peer": "#8fb3cf"}
BAR = 0.38
LEFT_OUT = "whole cluster, replicas"

Row = tuple[str, str, tuple[str, ...]]
"""Scenario, what was measured, and who: a bar for each."""


def draw(results: dict[str, Any], path: str) -> None:
    """Write the plot to *path*."""
    shown = [name for name in TITLES if any(one["scenario"] == name for one in results["samples"])]
    columns = [(times_of(results, name), rows_of(results, name, "MB")) for name in shown]
    heights = [max(len(times), len(memory)) + 0.8 for times, memory in columns]
    figure, grid = plt.subplots(
        len(shown), 2, figsize=(15, 0.42 * sum(heights) + 1.6), squeeze=False, sharex="col",
        gridspec_kw={"height_ratios": heights, "width_ratios": [1.5, 1]},
    )  # fmt: skip
    for (times_axes, memory_axes), name, (times, memory) in zip(grid, shown, columns, strict=True):
        draw_panel(times_axes, results, times, "ms")
        times_axes.set_title(TITLES[name], fontsize=10, loc="left")
        if memory:
            draw_panel(memory_axes, results, memory, "MB")
            memory_axes.set_title("memory (PSS)", fontsize=10, loc="left")
        else:
            memory_axes.set_axis_off()
    for axes, label in zip(grid[-1], ("milliseconds, logarithmic", "MB"), strict=True):
        axes.set_xlabel(label, fontsize=9)
    limits(grid, results)
    machine, settings = results["machine"], results["settings"]
    figure.suptitle(
        "What one waits for, and the memory of replicas: before (grey) and now. Beside each bar the median, and now / "
        f"before\none machine with {machine['cores']} cores; medians over {settings['rounds']} runs of each build, in "
        f"turn; {machine['date']}",
        fontsize=12,
    )
    figure.tight_layout(rect=(0, 0, 1, 0.985))
    figure.savefig(path, dpi=110)


def limits(grid: Any, results: dict[str, Any]) -> None:
    """Leave room for the texts at the ends of the bars."""
    times_ms, sizes_mb = ([one["value"] for one in results["samples"] if one["unit"] == unit] for unit in ("ms", "MB"))
    for times_axes, memory_axes in grid:
        times_axes.set_xscale("log")
        times_axes.set_xlim(max(1.0, 0.7 * min(times_ms)), 12 * max(times_ms))
        memory_axes.set_xlim(0.0, 1.4 * max(sizes_mb, default=1.0))


def times_of(results: dict[str, Any], scenario: str) -> list[Row]:
    """Return what is shown on the left; the peers are below the scenario that they are compared with."""
    peers = rows_of(results, PEERS_SCENARIO, "ms") if scenario == PEERS_ROW else []
    return rows_of(results, scenario, "ms") + peers


def rows_of(results: dict[str, Any], scenario: str, unit: str) -> list[Row]:
    """Return the rows of a scenario in the order in which they were measured; a peer has rows of its own."""
    rows: dict[Row, None] = {}
    for one in results["samples"]:
        if (one["scenario"], one["unit"]) == (scenario, unit) and not one["what"].startswith(LEFT_OUT):
            whos = (BEFORE, NOW) if one["who"] in (BEFORE, NOW) else (one["who"],)
            rows[scenario, one["what"], whos] = None
    return list(rows)


def draw_panel(axes: Any, results: dict[str, Any], rows: list[Row], unit: str) -> None:
    """Draw the bars of one scenario."""
    labels = []
    for position, (scenario, what, whos) in enumerate(rows):
        labels.append(what if NOW in whos else f"{whos[0]}: {what}")
        for i, who in enumerate(whos):
            place = position + (i - (len(whos) - 1) / 2) * BAR
            draw_bar(axes, results, scenario, what, who, place, unit)
    axes.set_yticks(range(len(rows)), labels, fontsize=8.5)
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.tick_params(axis="x", labelsize=8)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="x", color="#e5e5e5", linewidth=0.7)
    axes.set_axisbelow(True)


def draw_bar(axes: Any, results: dict[str, Any], scenario: str, what: str, who: str, place: float, unit: str) -> None:
    """Draw the median of who was measured, with its number, if there is one."""
    values = [
        one["value"] for one in results["samples"]
        if (one["scenario"], one["what"], one["who"]) == (scenario, what, who)
    ]  # fmt: skip
    if not values:
        return
    value = statistics.median(values)
    ratio = ratio_of(results, scenario, what) if who == NOW else ""
    axes.barh(place, value, height=BAR, color=COLORS.get(who, COLORS["peer"]))
    axes.annotate(
        f"{number(value)} {unit}{ratio}", (max(value, 0.0), place), xytext=(4, 0), textcoords="offset points",
        va="center", fontsize=7.5, fontweight="bold" if who == NOW else "normal",
    )  # fmt: skip


def ratio_of(results: dict[str, Any], scenario: str, what: str) -> str:
    """Return the median of now / before over the rounds, as text."""
    rounds: dict[int, dict[str, list[float]]] = {}
    for one in results["samples"]:
        if (one["scenario"], one["what"]) == (scenario, what):
            rounds.setdefault(one["round"], {}).setdefault(one["who"], []).append(one["value"])
    pairs = [seen for seen in rounds.values() if BEFORE in seen and NOW in seen]
    ratios = [statistics.median(pair[NOW]) / statistics.median(pair[BEFORE]) for pair in pairs]
    return f"   x {statistics.median(ratios):.2g}" if ratios else ""


def number(value: float) -> str:
    """Return two or three digits."""
    return f"{value:.1f}" if value < 10 else f"{value:,.0f}"


if __name__ == "__main__":
    with open(sys.argv[1]) as file:
        draw(json.load(file), sys.argv[2])
