"""What models count themselves, while replicas and frontends come and go."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from clipper_nb.protocol.input_types import InputType
from clipper_nb.protocol.model_metrics import MAX_METRICS, MAX_SERIES, MetricReport, define_metric
from clipper_nb.protocol.names import ModelId
from clipper_nb.protocol.records import Replica
from clipper_nb.runtime.metrics.exposition import Family, format_families
from clipper_nb.runtime.metrics.model_own import ModelOwnMetrics
from tests.support.examples import examples

ONE, TWO = ModelId("net", "1"), ModelId("net", "2")
WORDS = define_metric("words", "counter", "Words", ["kind"])
SIZE = define_metric("size", "gauge")
TIMES = define_metric("times", "histogram", bounds=[1])


def replica(number: int, model_id: ModelId = ONE) -> Replica:
    return Replica(*model_id, number, InputType.STRINGS)


def words(count: float, kind: str = "noun") -> list[MetricReport]:
    return [MetricReport(WORDS, [((kind,), [count])])]


def families(own: ModelOwnMetrics) -> list[Family]:
    found: list[Family] = []
    for _ in own.collect(found):
        pass
    return found


def samples(own: ModelOwnMetrics) -> dict[tuple[str, ...], float]:
    """Return what Prometheus reads, by name and the values of labels."""
    text = format_families(families(own)).decode()
    return {
        (sample.name.removeprefix("clipper_user_"), *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def total(own: ModelOwnMetrics, name: str) -> float:
    return sum(value for key, value in samples(own).items() if key[0] == name)


def test_replicas_have_places_of_their_own():
    own = ModelOwnMetrics()
    own.reported(replica(5), words(3))
    own.reported(replica(7), words(4))
    own.reported(replica(5), words(1))
    assert samples(own) == {("words_total", "net", "1", "0", "noun"): 4, ("words_total", "net", "1", "1", "noun"): 4}


def test_replica_counts_on_in_the_place_of_another():
    own = ModelOwnMetrics()
    own.reported(replica(0), words(3))
    own.reported(replica(1), words(4))
    own.replica_lost(replica(0))
    assert total(own, "words_total") == 7
    own.reported(replica(2), words(1))
    assert samples(own) == {("words_total", "net", "1", "0", "noun"): 4, ("words_total", "net", "1", "1", "noun"): 4}


def test_gauge_goes_with_its_replica():
    own = ModelOwnMetrics()
    own.reported(replica(0), [MetricReport(SIZE, [((), [3.0])])])
    own.reported(replica(0), [MetricReport(SIZE, [((), [2.0])])])
    own.reported(replica(1), [MetricReport(SIZE, [((), [9.0])])])
    assert samples(own) == {("size", "net", "1", "0"): 2, ("size", "net", "1", "1"): 9}
    own.replica_lost(replica(0))
    assert samples(own) == {("size", "net", "1", "1"): 9}


def test_histograms_add_up():
    own = ModelOwnMetrics()
    own.reported(replica(0), [MetricReport(TIMES, [((), [1.0, 0.0, 0.5])])])
    own.reported(replica(0), [MetricReport(TIMES, [((), [1.0, 2.0, 8.5])])])
    found = samples(own)
    assert found["times_bucket", "net", "1", "0", "1.0"] == 2
    assert found["times_bucket", "net", "1", "0", "+Inf"] == 4
    assert (found["times_count", "net", "1", "0"], found["times_sum", "net", "1", "0"]) == (4, 9)


def test_metrics_go_with_their_version():
    own = ModelOwnMetrics()
    own.reported(replica(0), words(3))
    own.reported(replica(0, TWO), words(4))
    own.forget(ONE)
    assert samples(own) == {("words_total", "net", "2", "0", "noun"): 4}
    own.replica_lost(replica(0))  # its connection may end later
    assert samples(own) == {("words_total", "net", "2", "0", "noun"): 4}


def test_versions_may_have_other_buckets():
    own = ModelOwnMetrics()
    own.reported(replica(0), [MetricReport(TIMES, [((), [1.0, 0.0, 0.5])])])
    finer = define_metric("times", "histogram", bounds=[0.5, 1])
    own.reported(replica(0, TWO), [MetricReport(finer, [((), [1.0, 0.0, 0.0, 0.5])])])
    found = samples(own)
    assert found["times_bucket", "net", "1", "0", "1.0"] == 1
    assert found["times_bucket", "net", "2", "0", "0.5"] == 1


def test_clash_of_types_is_refused_and_told_once(caplog):
    own = ModelOwnMetrics()
    own.reported(replica(0), [MetricReport(TIMES, [((), [1.0, 0.0, 0.5])])])
    for _ in range(3):
        own.reported(replica(0, TWO), [MetricReport(define_metric("times", "gauge"), [((), [1.0])])])
    assert {key[0] for key in samples(own)} == {"times_bucket", "times_count", "times_sum"}
    assert [record.message for record in caplog.records] == [
        "does not show the metric times of net:2: another version has it as a histogram; rename one of them"
    ]


def test_counter_and_gauge_of_one_name_have_names_of_their_own():
    own = ModelOwnMetrics()
    own.reported(replica(0), words(3))
    own.reported(replica(0, TWO), [MetricReport(define_metric("words", "gauge"), [((), [1.0])])])
    assert samples(own) == {("words_total", "net", "1", "0", "noun"): 3, ("words", "net", "2", "0"): 1}


def test_frontend_keeps_its_own_limits(caplog):
    own = ModelOwnMetrics()
    for number in range(MAX_METRICS + 5):
        own.reported(replica(0), [MetricReport(define_metric(f"m{number}", "counter"), [((), [1.0])])])
    for number in range(3 * MAX_SERIES):
        own.reported(replica(0, TWO), words(1, str(number)))
    assert len(samples(own)) == MAX_METRICS + MAX_SERIES + 1


@pytest.mark.parametrize("text", ['a "quoted" \\ text\nin two lines', "é"])
def test_any_text_is_escaped(text):
    own = ModelOwnMetrics()
    described = define_metric("words", "counter", text, ["kind"])
    own.reported(replica(0), [MetricReport(described, [((text,), [1.0])])])
    assert samples(own) == {("words_total", "net", "1", "0", text): 1}


def test_type_that_is_shown_of_the_past_is_kept(caplog):
    past = ModelOwnMetrics()
    past.reported(replica(0), [MetricReport(TIMES, [((), [1.0, 0.0, 0.5])])])
    own, shown = ModelOwnMetrics(), families(past)
    own.go_on_from(lambda: shown)
    gauge = [MetricReport(define_metric("times", "gauge"), [((), [1.0])])]
    own.reported(replica(0, TWO), gauge)
    assert samples(own) == {}
    assert "another version has it as a histogram" in caplog.text
    shown.clear()  # with its version
    own.reported(replica(0, TWO), gauge)
    assert samples(own) == {("times", "net", "2", "0"): 1}


EVENTS = st.lists(
    st.one_of(
        st.tuples(st.just("report"), st.integers(0, 3), st.integers(0, 5)),
        st.tuples(st.just("lost"), st.integers(0, 3), st.just(0)),
    ),
    max_size=30,
)


@examples(200)
@given(EVENTS)
def test_no_counter_ever_falls(events: Iterable[tuple[str, int, int]]):
    own, ids, counted = ModelOwnMetrics(), defaultdict(int), 0
    before: dict[tuple[str, ...], float] = {}
    for what, number, count in events:
        if what == "report":
            own.reported(replica(100 * number + ids[number]), words(count))
            counted += count
        else:
            own.replica_lost(replica(100 * number + ids[number]))
            ids[number] += 1
        now = samples(own)
        assert all(now[key] >= value for key, value in before.items())
        assert sum(now.values()) == counted
        before = now
