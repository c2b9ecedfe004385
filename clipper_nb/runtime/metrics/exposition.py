"""Metrics as Prometheus text, in pieces between which queries are answered. (pure)

A query frontend with a thousand applications and five hundred versions has 75,000 samples. A series is therefore its
labels with plain numbers, a histogram too, and becomes lines by one template of its family.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import accumulate
from typing import Literal

import msgspec

_LABELS = "\0"
"""Placeholder for the labels in a template, which cannot occur in labels."""


class Exemplar(msgspec.Struct, frozen=True, array_like=True):
    """One observation in a bucket of a histogram, of which there is a trace.

    Attributes
    ----------
    trace_id : str
    value : float
        What was observed.
    observed_at : float
        Seconds since the epoch.
    """

    trace_id: str
    value: float
    observed_at: float


class Family(msgspec.Struct, array_like=True):
    """One metric.

    Attributes
    ----------
    series : list of (str, list of float)
        Labels as :func:`format_labels` writes them, and the values: one number, or for a histogram the observations
        in each bucket and then their sum.
    bounds : tuple of float
        Upper bounds of a histogram's buckets; there is one more bucket, without a bound.
    exemplars : dict of str to (dict of int to Exemplar)
        By the labels of a series, and the number of a bucket.
    """

    name: str
    documentation: str
    type: Literal["counter", "gauge", "histogram"]
    series: list[tuple[str, list[float]]]
    bounds: tuple[float, ...] = ()
    exemplars: dict[str, dict[int, Exemplar]] = {}


def format_labels(labels: Mapping[str, str]) -> str:
    """Return ``name="value"`` pairs; empty for none."""
    return ",".join(f'{name}="{_escape(value)}"' for name, value in labels.items())


def format_families(families: Iterable[Family]) -> bytes:
    """Return the families in Prometheus' text format, version 0.0.4."""
    text = PrometheusText()
    return "".join(piece for family in families for piece in text.render(family)).encode()


class PrometheusText:
    """Prometheus' text format, version 0.0.4, of families that come one after the other.

    Parts of a family that follow each other have one head.
    """

    end = ""

    def __init__(self) -> None:
        self._name = ""

    def render(self, family: Family) -> Iterator[str]:
        """Yield the text of the next family in pieces, one for each series."""
        if family.name != self._name:
            self._name = family.name
            yield self._head(family)
        yield from self._render_histogram(family) if family.type == "histogram" else _render_values(family)

    def _head(self, family: Family) -> str:
        return f"# HELP {family.name} {family.documentation}\n# TYPE {family.name} {family.type}\n"

    def _has_sum(self, family: Family) -> bool:
        return True

    def _add_exemplars(self, text: str, exemplars: Mapping[int, Exemplar]) -> str:
        return text

    def _render_histogram(self, family: Family) -> Iterator[str]:
        name, has_sum = family.name, self._has_sum(family)
        bounds = [*(repr(float(bound)) for bound in family.bounds), "+Inf"]
        template = "".join(f'{name}_bucket{{{_LABELS},le="{bound}"}} %d.0\n' for bound in bounds)
        if has_sum:
            template += f"{name}_count{{{_LABELS}}} %d.0\n{name}_sum{{{_LABELS}}} %r\n"
        for labels, values in family.series:
            counts = tuple(accumulate(values[:-1]))
            last = (counts[-1], float(values[-1])) if has_sum else ()
            text = (template % (*counts, *last)).replace(_LABELS, labels)
            exemplars = family.exemplars.get(labels)
            yield self._add_exemplars(text, exemplars) if exemplars else text


class OpenMetricsText(PrometheusText):
    """OpenMetrics, version 1.0.0: the same, with exemplars.

    A counter's family has its name without ``_total``. A histogram with a bound below 0 has no sum, which could fall,
    and therefore no count but that of its last bucket.
    """

    end = "# EOF\n"

    def __init__(self) -> None:
        super().__init__()
        self._names: set[str] = set()

    def _head(self, family: Family) -> str:
        name, kind = family.name, str(family.type)
        if kind == "counter":
            name = name.removesuffix("_total")
            if name in self._names:  # of a model that has a gauge or a histogram of that name, too
                name, kind = family.name, "unknown"
        self._names.add(name)
        documentation = family.documentation.replace('"', r"\"")
        return f"# HELP {name} {documentation}\n# TYPE {name} {kind}\n"

    def _has_sum(self, family: Family) -> bool:
        return not family.bounds or family.bounds[0] >= 0

    def _add_exemplars(self, text: str, exemplars: Mapping[int, Exemplar]) -> str:
        lines = text.split("\n")
        for bucket, each in exemplars.items():
            lines[bucket] += f' # {{trace_id="{each.trace_id}"}} {each.value!r} {each.observed_at:.3f}'
        return "\n".join(lines)


def _render_values(family: Family) -> Iterator[str]:
    name = family.name
    for labels, [value] in family.series:
        yield f"{name}{{{labels}}} {float(value)!r}\n" if labels else f"{name} {float(value)!r}\n"


def _escape(text: str) -> str:
    return text.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")
