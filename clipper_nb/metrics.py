"""Metrics of a model's own: counted in the deployed function, shown on the frontends' ``/metrics``.

Use them in a cell or a module; the function takes them along by name.

>>> from clipper_nb.metrics import counter, gauge, histogram
>>> frauds = counter("frauds_found", "Payments that look like fraud", ["country"])
>>> def predict(payments):
...     for payment in payments:
...         frauds.inc(country=payment["country"])

Prometheus sees ``clipper_user_frauds_found_total{model="...",version="...",replica="0",country="..."}``. In the
notebook the same objects count for themselves, so that the function can be tried: ``frauds.value(country="at")``.
``add_metric`` and ``report_metric`` are Clipper's names for the same.
"""

from __future__ import annotations

import contextlib
import logging
import math
import os
import threading
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from typing import Any, TypeVar

from clipper_nb.errors import ClipperException, InvalidRequestError
from clipper_nb.protocol.environment import MODEL_NAME
from clipper_nb.protocol.model_metrics import (
    MAX_LABEL_VALUE_LENGTH,
    MAX_METRICS,
    MAX_SERIES,
    OTHER,
    MetricDefinition,
    MetricReport,
    define_metric,
)

__all__ = ["DEFAULT_BUCKETS", "Counter", "Gauge", "Histogram", "add_metric", "counter", "gauge", "histogram",
           "report_metric"]  # fmt: skip

logger = logging.getLogger(__name__)

DEFAULT_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""For times in seconds."""
CLIPPERS_BUCKETS = (5, 10, 20, 35, 50, 75, 100, 150, 200, 250, 300, 400, 500)
"""The default of Clipper's ``add_metric``."""

_INFINITY = math.inf
_lock = threading.Lock()
_metrics: dict[str, Metric] = {}


class Metric:
    """What all metrics have in common; made by :func:`counter`, :func:`gauge` and :func:`histogram`."""

    def __init__(self, definition: MetricDefinition) -> None:
        self.definition = definition
        self._values: dict[tuple[str, ...], list[float]] = {}
        self._reported: dict[tuple[str, ...], list[float]] = {}
        self._by_call: dict[tuple[tuple[str, Any], ...], list[float]] = {}
        """The series of labels as calls wrote them, for most calls repeat others."""
        self._only: list[float] | None = None
        """The series of a metric without labels."""
        if not definition.labels:
            self._only = self._values[()] = self._zeros()  # shown before it is counted: a rate needs a first value

    def __repr__(self) -> str:
        return f"<{self.definition.type} {self.definition.name}>"

    def __reduce__(self) -> tuple[Any, ...]:
        return _find_or_define, (*_fields(self.definition),)

    def _zeros(self) -> list[float]:
        return [0.0] * self.definition.num_values

    def _key(self, labels: dict[str, Any]) -> tuple[str, ...]:
        names = self.definition.labels
        if len(labels) != len(names) or not all(name in labels for name in names):
            expected = ", ".join(f'{name}="..."' for name in names) or "no labels"
            raise InvalidRequestError(
                f"The {self.definition.type} {self.definition.name} was given the labels {sorted(labels)}; expected "
                f"{expected}."
            )
        return tuple(_as_value(labels[name]) for name in names)

    def _series(self, labels: dict[str, Any]) -> list[float]:
        """Return the numbers of a series, new ones for the first value; the caller holds the lock."""
        if self._only is not None and not labels:
            return self._only
        call = tuple(labels.items())
        try:
            return self._by_call[call]
        except (KeyError, TypeError):  # new, or a value that has no hash
            key = self._key(labels)
        found = self._values.get(key)
        if found is None:
            if len(self._values) >= MAX_SERIES:
                key = self._overflow(key)
            found = self._values.setdefault(key, self._zeros())
        # Numbers that are equal, such as 1 and True, are different texts.
        if len(self._by_call) < 2 * MAX_SERIES and all(type(value) is str for value in labels.values()):
            self._by_call[call] = found
        return found

    def _overflow(self, key: tuple[str, ...]) -> tuple[str, ...]:
        other = (OTHER,) * len(key)
        if other not in self._values:
            logger.warning(
                "The %s %s has %d combinations of label values, which is the limit: %s and further ones are counted "
                "with every label %r. Use labels with few values.",
                self.definition.type, self.definition.name, MAX_SERIES, key, OTHER,
            )  # fmt: skip
        return other

    def _read(self, labels: dict[str, Any]) -> list[float]:
        with _lock:
            return list(self._values.get(self._key(labels)) or self._zeros())

    def _number(self, value: Any) -> float:
        try:
            number = float(value)
        except (TypeError, ValueError, OverflowError):
            number = math.nan
        if -_INFINITY < number < _INFINITY:
            return number
        known = self.definition
        by_name = known.labels and isinstance(value, str)
        hint = f" Pass the values of labels by name: {known.labels[0]}=..." if by_name else ""
        raise InvalidRequestError(
            f"The {known.type} {known.name} was given {value!r:.200}; expected a finite number.{hint}"
        )

    def _pending(self, *, everything: bool) -> MetricReport | None:
        """Return what is to be reported; the caller holds the lock."""
        is_gauge = self.definition.type == "gauge"
        series = []
        for key, values in self._values.items():
            before = self._reported.get(key)
            if everything or values != before:
                zeros = before or self._zeros()
                series.append((key, list(values) if is_gauge else [v - b for v, b in zip(values, zeros, strict=True)]))
        return MetricReport(self.definition, series) if series else None

    def _confirm(self, report: MetricReport) -> None:
        for key, values in report.series:
            before = self._reported.get(key, self._zeros())
            is_gauge = self.definition.type == "gauge"
            self._reported[key] = values if is_gauge else [b + v for b, v in zip(before, values, strict=True)]

    def _begin_again(self) -> None:
        self._reported.clear()
        if self.definition.type != "gauge":
            for values in self._values.values():
                values[:] = self._zeros()


class Counter(Metric):
    """A number that only grows: how often something happened."""

    def inc(self, amount: float = 1, /, **labels: Any) -> None:
        """Add *amount*, which is not negative, to the series with these labels."""
        number = self._number(amount)
        if number < 0:
            raise InvalidRequestError(
                f"The counter {self.definition.name} was given {amount!r}; counters only grow. Use a gauge."
            )
        with _lock:
            self._series(labels)[0] += number

    def value(self, **labels: Any) -> float:
        """Return what this process has counted."""
        return self._read(labels)[0]


class Gauge(Metric):
    """A number that rises and falls; each replica has its own."""

    def set(self, value: float, /, **labels: Any) -> None:
        """Make *value* that of the series with these labels."""
        number = self._number(value)
        with _lock:
            self._series(labels)[0] = number

    def inc(self, amount: float = 1, /, **labels: Any) -> None:
        """Add *amount*, which may be negative."""
        number = self._number(amount)
        with _lock:
            self._series(labels)[0] += number

    def dec(self, amount: float = 1, /, **labels: Any) -> None:
        """Subtract *amount*."""
        self.inc(-self._number(amount), **labels)

    def value(self, **labels: Any) -> float:
        """Return the value in this process."""
        return self._read(labels)[0]


class Histogram(Metric):
    """How many values fell into each bucket, and their sum."""

    def observe(self, value: float, /, **labels: Any) -> None:
        """Count *value* in the series with these labels."""
        number = self._number(value)
        with _lock:
            series = self._series(labels)
            series[bisect_left(self.definition.bounds, number)] += 1
            series[-1] += number

    def count(self, **labels: Any) -> int:
        """Return how many values this process has counted."""
        return int(sum(self._read(labels)[:-1]))

    def sum(self, **labels: Any) -> float:
        """Return the sum of the values that this process has counted."""
        return self._read(labels)[-1]


_CLASSES: dict[str, type[Metric]] = {"counter": Counter, "gauge": Gauge, "histogram": Histogram}
_MetricT = TypeVar("_MetricT", bound=Metric)


def counter(name: str, description: str = "", labels: Sequence[str] = ()) -> Counter:
    """Return the counter of that name; the first call of a process defines it.

    Parameters
    ----------
    name : str
        Prometheus shows ``clipper_user_<name>_total``.
    description : str
        What it counts, in one line.
    labels : list of str
        Names of at most 5 labels; each call of ``inc`` then has a value for each. Of one hundred combinations of
        values each has a series, further ones are counted with every label ``"other"``.

    Raises
    ------
    InvalidRequestError
        Prometheus does not accept a name, or the metric of that name is another one.

    Examples
    --------
    >>> counter("unknown_words", "Words that the model does not know").inc()
    """
    return _find_or_define_as(Counter, define_metric(name, "counter", description, labels))


def gauge(name: str, description: str = "", labels: Sequence[str] = ()) -> Gauge:
    """Return the gauge of that name, like :func:`counter`; each replica shows its own value.

    Examples
    --------
    >>> gauge("vocabulary_words", "Words that the model knows").set(812)
    """
    return _find_or_define_as(Gauge, define_metric(name, "gauge", description, labels))


def histogram(
    name: str, description: str = "", labels: Sequence[str] = (), *, buckets: Sequence[float] = DEFAULT_BUCKETS
) -> Histogram:
    """Return the histogram of that name, like :func:`counter`.

    Parameters
    ----------
    buckets : list of float
        Their upper bounds, at most 30; by default for times in seconds.

    Examples
    --------
    >>> histogram("answer_probability", "Of the class", buckets=[0.5, 0.9, 0.99]).observe(0.97)
    """
    return _find_or_define_as(Histogram, define_metric(name, "histogram", description, labels, buckets))


def add_metric(name: str, metric_type: str, description: str, buckets: Sequence[float] = CLIPPERS_BUCKETS) -> None:
    """Define a metric, as Clipper's ``add_metric`` does; a name that was added is ignored.

    *metric_type* is ``"Counter"``, ``"Gauge"``, ``"Histogram"`` or ``"Summary"``, which is a histogram without buckets.
    """
    if metric_type not in ("Counter", "Gauge", "Histogram", "Summary"):
        raise ClipperException(
            f"The metric {name!r} is of type {metric_type!r}; expected 'Counter', 'Gauge', 'Histogram' or 'Summary'."
        )
    if _clippers_name(name) in _metrics:
        return
    if metric_type == "Counter":
        counter(name, description)
    elif metric_type == "Gauge":
        gauge(name, description)
    else:
        histogram(name, description, buckets=() if metric_type == "Summary" else buckets)


def report_metric(name: str, val: float) -> None:
    """Count *val*, as Clipper's ``report_metric`` does: a counter grows by it, a gauge becomes it."""
    found = _metrics.get(_clippers_name(name))
    if found is None:
        raise ClipperException(f"There is no metric {name!r} here: call add_metric({name!r}, ...) first.")
    if isinstance(found, Counter):
        found.inc(val)
    elif isinstance(found, Gauge):
        found.set(val)
    elif isinstance(found, Histogram):
        found.observe(val)


def _clippers_name(name: object) -> str:
    return str(name).removesuffix("_total")


def _fields(known: MetricDefinition) -> tuple[Any, ...]:
    return known.name, known.type, known.description, known.labels, known.bounds


def _find_or_define(*definition: Any) -> Metric:
    """Return the metric of a definition that travelled in a pickle."""
    return _find_or_define_as(Metric, MetricDefinition(*definition))


def _find_or_define_as(kind: type[_MetricT], definition: MetricDefinition) -> _MetricT:
    with _lock:
        found = _metrics.get(definition.name)
        if found is None or not found.definition.is_same(definition):
            if found is not None and MODEL_NAME in os.environ:
                raise InvalidRequestError(
                    f"The metric {definition.name} is defined twice: as {_describe(found.definition)}, and as "
                    f"{_describe(definition)}. Give them different names."
                )
            # In a notebook the cell was changed and run again.
            if found is None and len(_metrics) >= MAX_METRICS:
                raise InvalidRequestError(
                    f"A model may have {MAX_METRICS} metrics, and {definition.name} would be one more. Use labels."
                )
            found = _metrics[definition.name] = _CLASSES[definition.type](definition)
    assert isinstance(found, kind)
    return found


def _as_value(value: Any) -> str:
    """Return a label's value as text that can be sent: half characters, as in some names of files, become ``?``."""
    return str(value)[:MAX_LABEL_VALUE_LENGTH].encode(errors="replace").decode()


def _describe(known: MetricDefinition) -> str:
    buckets = f" and buckets {list(known.bounds)}" if known.bounds else ""
    return f"a {known.type} with labels {list(known.labels)}{buckets}"


# ------------------------------------------------------------------------------------- what a replica does with them


def pending_reports(*, everything: bool) -> list[MetricReport]:
    """Return what was counted since the last confirmed report; *everything* has unchanged series too."""
    with _lock:
        found = [metric._pending(everything=everything) for metric in _metrics.values()]
    return [report for report in found if report is not None]


def confirm_reports(reports: Iterable[MetricReport]) -> None:
    """Record that these reports were sent."""
    with _lock:
        for report in reports:
            metric = _metrics.get(report.definition.name)
            if metric is not None:
                metric._confirm(report)


def begin_counting() -> None:
    """Forget what was counted before the first query: while the model was loaded and asked its samples.

    So each replica begins at 0, whether it loaded the model itself or was forked. Gauges stay.
    """
    with _lock:
        for metric in _metrics.values():
            metric._begin_again()


def _renew_lock() -> None:
    global _lock
    _lock = threading.Lock()  # another thread of the parent may have held it


with contextlib.suppress(AttributeError):  # there is no fork on Windows
    os.register_at_fork(after_in_child=_renew_lock)
