"""Metrics of a model's own, as its author uses them in a cell and in a deployed function."""

from __future__ import annotations

import pickle
import threading

import cloudpickle
import pytest

from clipper_nb import metrics
from clipper_nb.errors import ClipperException, InvalidRequestError
from clipper_nb.metrics import add_metric, counter, gauge, histogram, pending_reports, report_metric
from clipper_nb.protocol.environment import MODEL_NAME
from clipper_nb.protocol.model_metrics import MAX_METRICS, MAX_SERIES, MetricReport, decode_reports, encode_reports


@pytest.fixture(autouse=True)
def _no_metrics(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics, "_metrics", {})


def reported(*, everything: bool = False) -> dict[str, dict[tuple[str, ...], list[float]]]:
    """Return what would be reported, by name, and confirm it."""
    found: list[MetricReport] = metrics.pending_reports(everything=everything)
    metrics.confirm_reports(found)
    return {report.definition.name: dict(report.series) for report in found}


def test_values_can_be_read_where_they_are_counted():
    words, size, times = counter("words", "Words"), gauge("size"), histogram("times", buckets=[1, 2])
    words.inc()
    words.inc(2.5)
    size.set(3)
    size.inc()
    size.dec(2)
    for value in (0.5, 1, 1.5, 7):
        times.observe(value)
    assert (words.value(), size.value(), times.count(), times.sum()) == (3.5, 2, 4, 10)


def test_labels_have_series_of_their_own():
    words = counter("words", labels=["kind", "lang"])
    words.inc(kind="noun", lang="de")
    words.inc(lang="de", kind="noun")
    words.inc(kind="verb", lang="de")
    assert words.value(kind="noun", lang="de") == 2
    assert words.value(kind="noun", lang="en") == 0


@pytest.mark.parametrize("labels", [{}, {"kind": "a"}, {"kind": "a", "lang": "b", "x": 1}, {"kind": "a", "x": 1}])
def test_wrong_labels_are_refused(labels):
    with pytest.raises(InvalidRequestError, match=r'expected kind="\.\.\.", lang="\.\.\."'):
        counter("words", labels=["kind", "lang"]).inc(**labels)


def test_half_characters_of_a_label_do_not_stop_the_reports():
    counter("files", labels=["name"]).inc(name="caf\udce9.csv")
    (report,) = decode_reports(encode_reports(pending_reports(everything=True)))
    assert report.series == [(("caf?.csv",), [1.0])]


def test_value_of_a_label_without_its_name_is_explained():
    with pytest.raises(InvalidRequestError, match=r"Pass the values of labels by name: kind=\.\.\."):
        counter("words", labels=["kind"]).inc("noun")


@pytest.mark.parametrize("value", ["3 words", None, float("nan"), float("inf"), [1], 10**400])
def test_only_finite_numbers_are_counted(value):
    for count in (counter("c").inc, gauge("g").set, histogram("h").observe):
        with pytest.raises(InvalidRequestError, match="expected a finite number"):
            count(value)


def test_counter_does_not_fall():
    with pytest.raises(InvalidRequestError, match="counters only grow"):
        counter("words").inc(-1)


def test_numpy_numbers_are_numbers():
    import numpy as np

    counter("words").inc(np.int64(2))
    gauge("size").set(np.float32(0.5))
    assert (counter("words").value(), gauge("size").value()) == (2, 0.5)


def test_same_definition_is_the_same_metric():
    assert counter("words", "One text") is counter("words_total", "Another text")
    assert histogram("t", buckets=[1, float("inf")]) is histogram("t", buckets=[1])


def test_cell_may_define_a_metric_anew():
    histogram("t", buckets=[1]).observe(2)
    again = histogram("t", buckets=[1, 5])
    assert again.count() == 0
    assert histogram("t", buckets=[1, 5]) is again


def test_replica_refuses_two_definitions(monkeypatch):
    monkeypatch.setenv(MODEL_NAME, "m")
    counter("words")
    with pytest.raises(InvalidRequestError, match="defined twice"):
        counter("words", labels=["kind"])


def test_number_of_metrics_is_limited():
    for number in range(MAX_METRICS):
        counter(f"c{number}")
    with pytest.raises(InvalidRequestError, match="Use labels"):
        counter("one_more")


def test_too_many_label_values_are_counted_as_other(caplog):
    words = counter("words", labels=["word"])
    for number in range(MAX_SERIES + 20):
        words.inc(word=number)
    assert words.value(word="other") == 20
    assert sum(values[0] for values in reported()["words"].values()) == MAX_SERIES + 20
    assert len([record for record in caplog.records if "Use labels with few values" in record.message]) == 1


def test_metric_travels_by_name():
    words = counter("words", "Words", ["kind"])
    words.inc(kind="a")
    assert pickle.loads(pickle.dumps(words)) is words
    times = histogram("times", buckets=[3])
    function = cloudpickle.loads(cloudpickle.dumps(lambda: (words, times)))
    assert function() == (words, times)


def test_metric_defines_itself_where_it_arrives(monkeypatch):
    pickled = cloudpickle.dumps([counter("words", "Words", ["kind"]), gauge("g"), histogram("h", buckets=[1])])
    counter("words", labels=["kind"]).inc(kind="a")
    monkeypatch.setattr(metrics, "_metrics", {})
    words, g, h = pickle.loads(pickled)
    assert words.value(kind="a") == 0
    assert [each.definition.type for each in (words, g, h)] == ["counter", "gauge", "histogram"]


def test_threads_lose_no_count():
    words = counter("words")
    threads = [threading.Thread(target=lambda: [words.inc() for _ in range(2000)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert words.value() == 8000


def test_metric_without_labels_is_shown_before_it_is_counted():
    counter("words")
    counter("labelled", labels=["kind"])
    assert reported() == {"words": {(): [0.0]}}


def test_report_has_what_is_new():
    words, size = counter("words"), gauge("size")
    words.inc(3)
    size.set(5)
    assert reported() == {"words": {(): [3.0]}, "size": {(): [5.0]}}
    assert reported() == {}
    words.inc(4)
    assert reported() == {"words": {(): [4.0]}}
    assert reported(everything=True) == {"words": {(): [0.0]}, "size": {(): [5.0]}}


def test_report_that_was_not_sent_is_made_again():
    words = counter("words")
    words.inc(3)
    metrics.pending_reports(everything=False)
    words.inc()
    assert reported() == {"words": {(): [4.0]}}


def test_histogram_reports_what_was_added_to_its_buckets():
    times = histogram("times", buckets=[1, 2])
    times.observe(1)
    reported()
    times.observe(1.5)
    times.observe(9)
    assert reported() == {"times": {(): [0.0, 1.0, 1.0, 10.5]}}


def test_replica_begins_to_count_at_zero():
    words, size, times = counter("words"), gauge("size"), histogram("times")
    words.inc(3)
    size.set(812)
    times.observe(1)
    metrics.begin_counting()
    assert (words.value(), size.value(), times.count()) == (0, 812, 0)


def test_clippers_names_work():
    for kind in ("Counter", "Gauge", "Histogram", "Summary"):
        add_metric(f"m_{kind.lower()}", kind, "Of Clipper")
        add_metric(f"m_{kind.lower()}", kind, "Twice is ignored")
        report_metric(f"m_{kind.lower()}", 7)
    assert reported() == {
        "m_counter": {(): [7.0]},
        "m_gauge": {(): [7.0]},
        "m_histogram": {(): [0.0, 1.0, *[0.0] * 12, 7.0]},
        "m_summary": {(): [1.0, 7.0]},
    }


def test_clippers_errors_are_kept():
    with pytest.raises(ClipperException, match="expected 'Counter', 'Gauge', 'Histogram' or 'Summary'"):
        add_metric("m", "Timer", "")
    with pytest.raises(ClipperException, match="call add_metric"):
        report_metric("m", 1)
