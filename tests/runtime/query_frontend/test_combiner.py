"""A model that makes one answer of what several versions answered."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from clipper_nb.protocol.input_types import InputType
from tests.runtime.query_frontend.test_policy_target import BASE, IDS, PolicyBench, confidence
from tests.support.fake_replica import FakeReplica
from tests.support.records import make_version


class CombiningBench(PolicyBench):
    """One whose outputs another model combines."""

    def __init__(self, **options: Any) -> None:
        blend = make_version("blend", "2", input_type=InputType.JSON, batch_size=1)
        super().__init__("ensemble", {"m:1": 2.0, "m:2": 1.0, "m:3": 1.0}, combine="blend:2", **options)
        versions = {**self.predictor.configuration.versions, blend.model_id: blend}
        self.predictor.apply(replace(self.predictor.configuration, revision=2, versions=versions))
        self.blend = FakeReplica(9, blend.model_id, InputType.JSON)
        self.pool.replica_joined(self.blend)
        self.loop.end_turn()

    def answer_with(self, *outputs: str) -> None:
        for model_id, output in zip(IDS, outputs, strict=False):
            self.answer(self.replicas[model_id], output)


def test_model_combines_the_outputs() -> None:
    bench = CombiningBench()
    [query] = bench.ask(b"a")
    bench.answer_with("7", '"cat"', "text")
    assert [json.loads(payload) for payload in bench.blend.batches[0]] == [
        {
            "predictions": {"m:1": 7, "m:2": "cat", "m:3": "text"},
            "weights": {"m:1": 0.5, "m:2": 0.25, "m:3": 0.25},
        }
    ]
    assert not query.is_answered
    bench.answer(bench.blend, "8")
    assert (query.output, query.reason) == ("8", None)
    assert confidence(query) == {"confidence": 1.0, "models_used": ["m:1", "m:2", "m:3"]}
    assert len(bench.book.pending) == 1


def test_model_that_combines_has_a_quarter_of_the_slo() -> None:
    bench = CombiningBench()
    [query] = bench.ask(b"a")
    bench.answer_with("7", "7")
    bench.loop.advance(0.073)
    assert bench.blend.batches == []
    bench.loop.advance(0.003)
    assert json.loads(bench.blend.batches[0][0])["predictions"] == {"m:1": 7, "m:2": 7}
    bench.answer(bench.blend, "8")
    assert (query.output, confidence(query)["confidence"]) == ("8", 0.75)
    bench.answer(bench.replicas[IDS[2]], "late")
    assert len(bench.answers) == 1


def test_model_that_combines_too_slowly_is_the_reason() -> None:
    """Its deadline is kept though queries that came later have theirs already."""
    bench = CombiningBench()
    [query] = bench.ask(b"a")
    bench.loop.advance(0.05)
    bench.ask(b"b")
    bench.answer_with("7", "7", "7")
    bench.loop.advance(0.0495)
    assert query.reason == "model_too_slow"
    assert "a replica of blend:2 has had the query" in query.explanation
    assert bench.answers[0][1] <= 1000.1


def test_what_cannot_be_combined_says_why() -> None:
    bench = CombiningBench(min_confidence=0.6)
    [query] = bench.ask(b"a")
    bench.answer_with("7")
    bench.loop.advance(0.08)
    assert query.explanation == (
        "The models answered with a confidence of 0.5; min_confidence is 0.6; 2 of 3 did not answer."
    )
    bench.pool.replica_lost(bench.blend.replica)
    bench.loop.end_turn()
    assert bench.predictor.unready_reason("digits") == "'blend:2', which combines the outputs, has no connected replica"
    bench.predictor.apply(replace(bench.predictor.configuration, revision=3, versions=BASE.versions))
    for model_id in IDS[1:]:
        bench.answer(bench.replicas[model_id], "late")
    [query] = bench.ask(b"b")
    bench.answer_with("7", "7", "7")
    assert (query.reason, "'blend:2', which combines the outputs, is not deployed" in query.explanation) == (
        "no_ready_replica", True
    )  # fmt: skip
