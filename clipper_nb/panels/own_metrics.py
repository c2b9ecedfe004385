"""What models count themselves, as a table below that of their versions. (pure)"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from clipper_nb.display.html import Html
from clipper_nb.display.long_lists import join_some
from clipper_nb.panels.cluster_state import VersionState
from clipper_nb.panels.markup import table

_HEAD = ("Version", "Metric", "Value")
_COUNTER, _COUNT, _SUM = "_total", "_count", "_sum"


def own_metrics_table(versions: Sequence[VersionState]) -> Html:
    """Return the table; empty if no version counts anything."""
    rows = [(version.model_id, name, value) for version in versions for name, value in _values(version.own)]
    return table(_HEAD, rows, caption="What models count themselves", numbers=(2,)) if rows else Html("")


def _values(own: Mapping[str, Sequence[float]]) -> Iterator[tuple[str, str]]:
    """Yield each metric as text: counters are added up, a histogram has its mean, a gauge each replica's value."""
    for name, values in own.items():
        histogram = name.removesuffix(_COUNT)
        if name.endswith(_COUNTER):
            yield name.removesuffix(_COUNTER), f"{sum(values):g}"
        elif name.endswith(_COUNT) and f"{histogram}{_SUM}" in own:
            number = sum(values)
            mean = f", mean {sum(own[f'{histogram}{_SUM}']) / number:.4g}" if number else ""
            yield histogram, f"{number:g}{mean}"
        elif not name.endswith(_SUM):
            yield name, join_some([f"{value:g}" for value in values])
