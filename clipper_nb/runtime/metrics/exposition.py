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


class Family(msgspec.Struct, array_like=True):
    """One metric.

    Attributes
    ----------
    series : list of (str, list of float)
        Labels as :func:`format_labels` writes them, and the values: one number, or for a histogram the observations
        in each bucket and then their sum.
    bounds : tuple of float
        Upper bounds of a histogram's buckets; there is one more bucket, without a bound.
    """

    name: str
    documentation: str
    type: Literal["counter", "gauge", "histogram"]
    series: list[tuple[str, list[float]]]
    bounds: tuple[float, ...] = ()


def format_labels(labels: Mapping[str, str]) -> str:
    """Return ``name="value"`` pairs; empty for none."""
    return ",".join(f'{name}="{_escape(value)}"' for name, value in labels.items())


def format_families(families: Iterable[Family]) -> bytes:
    """Return the families in Prometheus' text format, version 0.0.4."""
    return "".join(render_families(families)).encode()


def render_families(families: Iterable[Family], *, after: str = "") -> Iterator[str]:
    """Yield the same text in pieces, one for each series.

    Parts of a family that follow each other have one head; *after* is the name of the family before the first.
    """
    name = after
    for family in families:
        if family.name != name:
            name = family.name
            yield f"# HELP {name} {family.documentation}\n# TYPE {name} {family.type}\n"
        yield from _render_histogram(family) if family.type == "histogram" else _render_values(family)


def _render_values(family: Family) -> Iterator[str]:
    name = family.name
    for labels, [value] in family.series:
        yield f"{name}{{{labels}}} {float(value)!r}\n" if labels else f"{name} {float(value)!r}\n"


def _render_histogram(family: Family) -> Iterator[str]:
    name = family.name
    bounds = [*(repr(float(bound)) for bound in family.bounds), "+Inf"]
    template = "".join(f'{name}_bucket{{{_LABELS},le="{bound}"}} %d.0\n' for bound in bounds)
    template += f"{name}_count{{{_LABELS}}} %d.0\n{name}_sum{{{_LABELS}}} %r\n"
    for labels, values in family.series:
        counts = tuple(accumulate(values[:-1]))
        yield (template % (*counts, counts[-1], float(values[-1]))).replace(_LABELS, labels)


def _escape(text: str) -> str:
    return text.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")
