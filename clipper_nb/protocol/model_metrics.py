"""Metrics of a model's own: their definitions and rules, and what a replica reports of them. (pure)

A report has what was added to counters and histograms since the last one, and the value of each gauge that changed: so
a query frontend adds up what replicas report, and a replica that starts again begins at 0.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Literal

import msgspec

from clipper_nb.errors import InvalidNameError, InvalidRequestError, ProtocolError
from clipper_nb.protocol.metric_names import LABEL_APP, LABEL_MODEL, LABEL_REPLICA, LABEL_VERSION, OWN_PREFIX
from clipper_nb.protocol.names import is_unicode
from clipper_nb.protocol.rpc_fields import Frame

MetricType = Literal["counter", "gauge", "histogram"]

MAX_METRICS = 50
"""How many metrics one model version may have."""
MAX_SERIES = 100
"""How many combinations of label values one metric has in one replica; later ones are counted as ``OTHER``."""
MAX_BUCKETS = 30
MAX_NAME_LENGTH = 100
MAX_LABELS = 5
MAX_LABEL_VALUE_LENGTH = 128
MAX_REPORT_SIZE_BYTES = 1 << 22
OTHER = "other"
"""The value of every label of the series that counts what is beyond ``MAX_SERIES``."""

_NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*\Z")
_LABEL = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*\Z")
_OUR_LABELS = frozenset(
    {LABEL_APP, LABEL_MODEL, LABEL_VERSION, LABEL_REPLICA, "cluster", "metric", "le", "quantile", "job", "instance"}
)
_SUFFIXES = ("_total", "_bucket", "_count", "_sum", "_created", "_info")
_TOTAL = "_total"


class MetricDefinition(msgspec.Struct, frozen=True, array_like=True):
    """What a metric is.

    Attributes
    ----------
    name : str
        As the model's author wrote it; the ending ``_total`` of a counter is left out.
    labels : tuple of str
        The names of its labels, besides those of the model, its version and the replica.
    bounds : tuple of float
        The upper bounds of a histogram's buckets, in growing order; one without has only a sum and a count.
    """

    name: str
    type: MetricType
    description: str = ""
    labels: tuple[str, ...] = ()
    bounds: tuple[float, ...] = ()

    @property
    def shown_name(self) -> str:
        """The name in Prometheus text."""
        return f"{OWN_PREFIX}{self.name}{_TOTAL if self.type == 'counter' else ''}"

    @property
    def num_values(self) -> int:
        """How many numbers a series has: a histogram's are the counts of its buckets and the sum."""
        return len(self.bounds) + 2 if self.type == "histogram" else 1

    def is_same(self, other: MetricDefinition) -> bool:
        """Return whether both can be counted together; descriptions may differ."""
        return (self.type, self.labels, self.bounds) == (other.type, other.labels, other.bounds)


Series = tuple[tuple[str, ...], list[float]]
"""The values of the labels, and the numbers."""


class MetricReport(msgspec.Struct, frozen=True, array_like=True):
    """What a replica reports of one metric."""

    definition: MetricDefinition
    series: list[Series]


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(list[MetricReport]).decode


def define_metric(
    name: str,
    metric_type: MetricType,
    description: str = "",
    labels: Sequence[str] = (),
    bounds: Sequence[float] = (),
) -> MetricDefinition:
    """Return the checked definition of a metric.

    Raises
    ------
    InvalidNameError
        The name of the metric or of a label is not one that Prometheus accepts, or is taken.
    InvalidRequestError
        The description, the labels or the bounds cannot be used.
    """
    checked = _check_name(name, metric_type)
    if not isinstance(description, str) or not is_unicode(description):
        raise InvalidRequestError(f"The description of metric {name!r} must be text; got {description!r}.")
    if isinstance(labels, str):
        raise InvalidRequestError(f'The labels of metric {name!r} must be a list, such as ["{labels}"]; got a text.')
    if not isinstance(labels, Iterable):
        raise InvalidRequestError(
            f'The labels of metric {name!r} must be a list, such as ["language"]; got {labels!r:.99}.'
        )
    names = tuple(_check_label(label) for label in labels)
    if len(set(names)) < len(names) or len(names) > MAX_LABELS:
        raise InvalidRequestError(
            f"Metric {name!r} has the labels {list(names)}; expected at most {MAX_LABELS}, each once."
        )
    return MetricDefinition(checked, metric_type, description, names, _check_bounds(name, bounds))


def _check_name(name: object, metric_type: MetricType) -> str:
    rule = (
        "use letters, digits and '_', not a digit first, at most "
        f"{MAX_NAME_LENGTH} characters, for example 'frauds_found'."
    )
    if not isinstance(name, str) or len(name) > MAX_NAME_LENGTH or not _NAME.match(name):
        raise InvalidNameError("metric name", name, rule)
    if metric_type == "counter" and name.endswith(_TOTAL):
        name = name.removesuffix(_TOTAL)
    if name.endswith(_SUFFIXES) or not name:
        raise InvalidNameError(
            "metric name", name, f"Prometheus gives the endings {', '.join(_SUFFIXES)} a meaning; leave the ending out."
        )
    return name


def _check_label(label: object) -> str:
    if not isinstance(label, str) or not _LABEL.match(label) or label.startswith("__"):
        raise InvalidNameError("label name", label, "use letters, digits and '_', not a digit first, nor '__'.")
    if label in _OUR_LABELS:
        raise InvalidNameError("label name", label, "that label is set by clipper_nb or Prometheus; use another name.")
    return label


def _check_bounds(name: str, bounds: Sequence[float]) -> tuple[float, ...]:
    try:
        numbers = tuple(float(bound) for bound in bounds)
    except (TypeError, ValueError) as exc:
        raise InvalidRequestError(f"The buckets of metric {name!r} must be numbers; got {bounds!r}.") from exc
    if numbers and numbers[-1] == math.inf:
        numbers = numbers[:-1]  # there always is one
    is_growing = all(one < other for one, other in pairwise(numbers))
    if not is_growing or not all(map(math.isfinite, numbers)) or len(numbers) > MAX_BUCKETS:
        raise InvalidRequestError(
            f"The buckets of metric {name!r} are {list(bounds)!r}; expected at most {MAX_BUCKETS} finite upper bounds, "
            "each greater than the one before, such as [0.1, 0.5, 1.0]."
        )
    return numbers


def encode_reports(reports: Sequence[MetricReport]) -> bytes:
    """Return the payload of a replica's report."""
    return _encode(reports)


def decode_reports(payload: Frame) -> list[MetricReport]:
    """Return the reports in the payload of a replica, whose code is the user's: everything is checked again.

    Raises
    ------
    ProtocolError
        It is too large, malformed, or breaks a rule; nothing in it was used.
    """
    if len(payload) > MAX_REPORT_SIZE_BYTES:
        raise ProtocolError(f"a report of metrics has {len(payload)} bytes, at most {MAX_REPORT_SIZE_BYTES} are read")
    try:
        reports = _decode(payload)
        for report in reports:
            _check_report(report)
    except (msgspec.DecodeError, UnicodeError, InvalidRequestError) as exc:
        raise ProtocolError(f"a report of metrics is malformed: {exc}") from exc
    return reports


def _check_report(report: MetricReport) -> None:
    known = report.definition
    define_metric(known.name, known.type, known.description, known.labels, known.bounds)
    if len(report.series) > MAX_SERIES + 1:
        raise ProtocolError(f"metric {known.name} has {len(report.series)} series, at most {MAX_SERIES + 1} are read")
    for values, numbers in report.series:
        is_short = all(len(value) <= MAX_LABEL_VALUE_LENGTH for value in values)
        if len(values) != len(known.labels) or not is_short or len(numbers) != known.num_values:
            raise ProtocolError(f"a series of metric {known.name} does not fit its definition")
        counts = numbers[:-1] if known.type == "histogram" else numbers
        can_fall = known.type == "gauge"
        if not all(map(math.isfinite, numbers)) or not (can_fall or all(number >= 0 for number in counts)):
            raise ProtocolError(f"a series of metric {known.name} has a number that it cannot have")
