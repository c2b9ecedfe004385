"""The rules of a model's own metrics, and reports of them."""

from __future__ import annotations

import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clipper_nb.errors import InvalidNameError, InvalidRequestError, ProtocolError
from clipper_nb.protocol.model_metrics import (
    MAX_REPORT_SIZE_BYTES,
    MAX_SERIES,
    MetricDefinition,
    MetricReport,
    decode_reports,
    define_metric,
    encode_reports,
)

WORDS = define_metric("words", "counter", "Words", ["kind"])
TIMES = define_metric("times", "histogram", bounds=[1, 2])


@pytest.mark.parametrize("name", ["", "1st", "a-b", "é", "a b", "a" * 101, 7, None, "a\n"])
def test_name_that_prometheus_refuses_is_refused(name):
    with pytest.raises(InvalidNameError, match="letters, digits"):
        define_metric(name, "gauge")


@pytest.mark.parametrize("name", ["x_total", "x_bucket", "x_count", "x_sum", "x_created", "x_info"])
def test_ending_with_a_meaning_is_refused(name):
    with pytest.raises(InvalidNameError, match="leave the ending out"):
        define_metric(name, "gauge")


@pytest.mark.parametrize("name", ["_total", "x_sum_total"])
def test_counter_needs_a_name_beside_total(name):
    with pytest.raises(InvalidNameError):
        define_metric(name, "counter")


def test_counter_has_one_total():
    assert define_metric("x_total", "counter").shown_name == define_metric("x", "counter").shown_name
    assert define_metric("x", "counter").shown_name == "clipper_user_x_total"
    assert define_metric("x", "gauge").shown_name == "clipper_user_x"


@pytest.mark.parametrize("label", ["model", "version", "replica", "le", "job", "cluster", "metric", "__x", "a-b", 3])
def test_label_that_is_taken_or_wrong_is_refused(label):
    with pytest.raises(InvalidNameError, match="label name"):
        define_metric("x", "gauge", labels=[label])


def test_description_can_be_sent():
    with pytest.raises(InvalidRequestError, match="description of metric 'x' must be text"):
        define_metric("x", "gauge", "half a character: \ud83d")


def test_labels_are_a_list_of_different_names():
    with pytest.raises(InvalidRequestError, match=r'such as \["kind"\]'):
        define_metric("x", "gauge", labels="kind")
    for labels in (None, 5):
        with pytest.raises(InvalidRequestError, match="must be a list, such as"):
            define_metric("x", "gauge", labels=labels)
    with pytest.raises(InvalidRequestError, match="each once"):
        define_metric("x", "gauge", labels=["a", "a"])
    with pytest.raises(InvalidRequestError, match="at most 5"):
        define_metric("x", "gauge", labels=list("abcdef"))


@pytest.mark.parametrize("bounds", [[2, 1], [1, 1], [math.nan], [math.inf, 1], list(range(31)), ["a"], 3])
def test_buckets_grow_and_are_few(bounds):
    with pytest.raises(InvalidRequestError, match="buckets"):
        define_metric("x", "histogram", bounds=bounds)


def test_description_is_text():
    with pytest.raises(InvalidRequestError, match="description"):
        define_metric("x", "gauge", 7)


@given(st.text(max_size=12))
def test_accepted_names_are_names_of_prometheus(name):
    try:
        shown = define_metric(name, "gauge").shown_name
    except InvalidNameError:
        return
    assert re.fullmatch(r"[a-zA-Z_:][a-zA-Z0-9_:]*", shown)


def test_report_is_read_as_it_was_written():
    reports = [MetricReport(WORDS, [(("noun",), [3.0])]), MetricReport(TIMES, [((), [1.0, 0.0, 2.0, 7.5])])]
    assert decode_reports(encode_reports(reports)) == reports


@pytest.mark.parametrize(
    "report",
    [
        MetricReport(WORDS, [((), [3.0])]),
        MetricReport(WORDS, [(("a",), [3.0, 1.0])]),
        MetricReport(WORDS, [(("a",), [-3.0])]),
        MetricReport(WORDS, [(("a",), [math.nan])]),
        MetricReport(WORDS, [(("a" * 129,), [1.0])]),
        MetricReport(WORDS, [((str(number),), [1.0]) for number in range(MAX_SERIES + 2)]),
        MetricReport(TIMES, [((), [1.0, -1.0, 2.0, 7.5])]),
        MetricReport(MetricDefinition("a-b", "counter"), []),
        MetricReport(MetricDefinition("x", "gauge", "", ("model",)), []),
    ],
)
def test_report_that_breaks_a_rule_is_refused(report):
    with pytest.raises(ProtocolError):
        decode_reports(encode_reports([report]))


def test_sums_and_gauges_may_be_negative():
    reports = [
        MetricReport(TIMES, [((), [1.0, 0.0, 0.0, -7.5])]),
        MetricReport(define_metric("g", "gauge"), [((), [-1.0])]),
    ]
    assert decode_reports(encode_reports(reports)) == reports


def test_report_that_is_too_large_is_not_read():
    with pytest.raises(ProtocolError, match="at most"):
        decode_reports(bytes(MAX_REPORT_SIZE_BYTES + 1))


@given(st.binary(max_size=200))
def test_any_bytes_are_a_report_or_refused(payload):
    try:
        reports = decode_reports(payload)
    except ProtocolError:
        return
    assert all(isinstance(report, MetricReport) for report in reports)
