"""Live line charts, drawn in the page by uPlot; one widget draws all charts of a panel."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anywidget
import traitlets

_STATIC = Path(__file__).parent / "static"


@dataclass(frozen=True)
class Line:
    """One line of a chart; ``None`` leaves a gap. Lines differ in colour and dashes by their place in the chart."""

    label: str
    values: Sequence[float | None]


@dataclass(frozen=True)
class Chart:
    """Lines that share a unit, over the seconds before now."""

    title: str
    unit: str
    lines: Sequence[Line]


class Charts(anywidget.AnyWidget):
    """Draws charts one beside the other, or below it where there is little room."""

    # uPlot as it is released is a script that defines one name; ours uses it.
    _esm = (_STATIC / "uPlot.iife.min.js").read_text() + (_STATIC / "charts.js").read_text()
    _css = (_STATIC / "uPlot.min.css").read_text()
    drawing = traitlets.Dict().tag(sync=True)

    def draw(self, ages_s: Sequence[float], charts: Sequence[Chart]) -> None:
        """Draw *charts*; *ages_s* are the times of all values, in seconds before now as negative numbers."""
        self.drawing = {
            "x": [round(age_s, 2) for age_s in ages_s],
            "charts": [
                {
                    "title": chart.title,
                    "unit": chart.unit,
                    "lines": [{"label": line.label, "values": _rounded(line.values)} for line in chart.lines],
                }
                for chart in charts
            ],
        }


def _rounded(values: Sequence[float | None]) -> list[Any]:
    """Return values with four digits, which is more than can be seen and half the bytes."""
    return [None if value is None or not math.isfinite(value) else float(f"{value:.4g}") for value in values]
