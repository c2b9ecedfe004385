"""Metrics that a deployed function counts itself, while replicas and frontends come and go."""

from __future__ import annotations

from collections import defaultdict

import pytest
from prometheus_client.parser import text_string_to_metric_families

from clipper_nb import ClipperConnection
from clipper_nb.deployers.python import create_endpoint, deploy_python_closure
from clipper_nb.metrics import counter, gauge, histogram
from tests.support.clusters import eventually, http_request, kill, running_cluster

pytestmark = pytest.mark.cluster

WORDS = counter("test_words", "Words", ["kind"])
LOADED = gauge("test_vocabulary_words", "Words of the vocabulary")
LENGTHS = histogram("test_word_length_characters", "Length of words", buckets=[3, 6])


def count_words(texts: list) -> list:
    from clipper_nb import metrics  # as people wrote for Clipper

    metrics.add_metric("test_batches", "Counter", "Batches")
    metrics.report_metric("test_batches", 1)
    LOADED.set(812)
    for text in texts:
        WORDS.inc(kind="long" if len(text) > 3 else "short")
        LENGTHS.observe(len(text))
    return texts


class Shown:
    """What ``/metrics`` of the whole cluster shows of the models' own metrics."""

    def __init__(self, conn: ClipperConnection) -> None:
        _, text = http_request(conn.get_query_addr(), "GET", "/metrics?of=cluster")
        families = text_string_to_metric_families(text)
        self.samples = [s for family in families for s in family.samples if s.name.startswith("clipper_user_test_")]

    def total(self, name: str, **labels: str) -> float:
        """Return the sum over all replicas and other labels."""
        name = f"clipper_user_test_{name}"
        return sum(s.value for s in self.samples if s.name == name and labels.items() <= s.labels.items())


def ask(conn: ClipperConnection, first: int, number: int) -> None:
    """Ask for texts that no cache knows: half of them are long."""
    texts = [f"{at:04}" if at % 2 else f"{at:03}" for at in range(first, first + number)]
    assert not any(answer.default for answer in conn.predict_batch("words", texts))


def wait_for_total(conn: ClipperConnection, expected: float, within_s: float = 30) -> None:
    eventually(lambda: Shown(conn).total("words_total") == expected, within_s=within_s, what=f"{expected} words")


@pytest.mark.also_on_docker
def test_model_counts_what_its_replicas_see(kind: str) -> None:
    with running_cluster(kind) as conn:
        create_endpoint(conn, "words", "strings", count_words, slo_micros=20_000_000, num_replicas=2)
        assert WORDS.value(kind="long") == 0  # the notebook counts for itself
        ask(conn, 0, 100)
        wait_for_total(conn, 100)
        shown = Shown(conn)
        assert shown.total("words_total", kind="long", model="words", version="1") == 50
        assert shown.total("word_length_characters_bucket", le="3.0") == 50
        assert shown.total("word_length_characters_sum") == 350
        assert shown.total("batches_total") > 0
        assert {s.labels["replica"] for s in shown.samples} <= {"0", "1"}
        assert conn.inspect_instance()["clipper_user_test_vocabulary_words"][0]["value"] == 812

        kill(conn, "replica")
        num_lost = 0 if kind == "kubernetes" else 1  # a deleted pod says goodbye
        eventually(lambda: _num_lost(conn) == num_lost, within_s=20, what="the loss is noticed")
        eventually(lambda: conn.get_num_replicas("words") == 2, within_s=30, what="a new replica")
        assert Shown(conn).total("words_total") == 100
        ask(conn, 100, 50)
        wait_for_total(conn, 150)

        kill(conn, "query_frontend")
        eventually(lambda: _answers(conn), within_s=30, what="the query frontend is back")
        ask(conn, 150, 50)
        eventually(lambda: Shown(conn).total("words_total") == 200, within_s=20, what="all words of both")

        conn.set_num_replicas("words", 0)  # they report before they leave
        assert Shown(conn).total("words_total") == 200
        assert Shown(conn).total("vocabulary_words") == 0
        assert _num_lost(conn) == num_lost, "they said goodbye, and the one that was lost before still counts"
        conn.unregister_application("words")
        conn.stop_models(["words"])
        assert Shown(conn).samples == []


def _num_lost(conn: ClipperConnection) -> float:
    return sum(series["value"] for series in conn.inspect_instance()["clipper_model_lost_replicas_total"])


def _answers(conn: ClipperConnection) -> bool:
    try:
        return http_request(conn.get_query_addr(), "GET", "/readyz?app=words")[0] == 200
    except OSError:
        return False


def test_sum_over_several_frontends_never_falls() -> None:
    with running_cluster(num_frontend_replicas=2) as conn:
        create_endpoint(conn, "words", "strings", count_words, slo_micros=20_000_000, num_replicas=2)
        highest: dict[str, float] = defaultdict(float)
        for step, role in enumerate(("replica", "query_frontend", "replica", None)):
            ask(conn, 100 * step, 100)
            for _ in range(5):
                now = Shown(conn).total("words_total")
                assert now >= highest["words"]
                highest["words"] = now
            if role is not None:
                # What was counted and not reported yet goes with a replica that is killed.
                wait_for_total(conn, 100 * (step + 1))
                kill(conn, role)
                eventually(lambda: _answers(conn), within_s=30, what=f"the {role} is back")
                eventually(lambda: conn.get_num_replicas("words") == 2, within_s=30, what="both replicas")
        wait_for_total(conn, 400)


def test_each_version_counts_for_itself() -> None:
    def second(texts: list) -> list:
        wider = histogram("test_word_length_characters", "Length of words", buckets=[100])
        for text in texts:
            wider.observe(len(text))
        return texts

    with running_cluster() as conn:
        create_endpoint(conn, "words", "strings", count_words, slo_micros=20_000_000)
        ask(conn, 0, 10)
        deploy_python_closure(conn, "words", 2, "strings", second)
        ask(conn, 10, 10)
        name = "word_length_characters_count"
        eventually(lambda: Shown(conn).total(name, version="2") == 10, within_s=30, what="the second version's")
        assert Shown(conn).total(name, version="1") == 10
        assert Shown(conn).total("word_length_characters_bucket", version="2", le="100.0") == 10
        conn.stop_versioned_models({"words": ["1"]})
        assert {s.labels["version"] for s in Shown(conn).samples} == {"2"}
