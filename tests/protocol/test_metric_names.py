"""The frontends write the metrics that are named and no others, and the documentation has each."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from clipper_nb.protocol import metric_names
from clipper_nb.protocol.input_types import InputType
from clipper_nb.protocol.model_metrics import MetricReport, define_metric
from clipper_nb.protocol.names import ModelId
from clipper_nb.protocol.records import Replica
from clipper_nb.protocol.score_counts import Counts
from clipper_nb.protocol.shadow import ShadowReport
from clipper_nb.runtime.metrics.admin_calls import AdminCalls
from clipper_nb.runtime.metrics.counters import QueryFrontendMetrics, make_gauges
from clipper_nb.runtime.metrics.exposition import format_families
from clipper_nb.runtime.metrics.shadows import make_shadow_families
from clipper_nb.runtime.metrics.target_scores import make_score_families

CONSTANTS = {name: value for name, value in vars(metric_names).items() if name.isupper()}
LABELS = {value for name, value in CONSTANTS.items() if name.startswith("LABEL_")}
NAMES = set(CONSTANTS.values()) - LABELS - {metric_names.OWN_PREFIX}
OWN = f"{metric_names.OWN_PREFIX}words_total"
DOCUMENTATION = (Path(__file__).parents[2] / "docs" / "protocol.md").read_text()


@pytest.fixture
def text() -> str:
    """What both frontends write, with a series of an application and a version."""
    metrics = QueryFrontendMetrics()
    metrics.application("digits", slo_s=0.02)
    model_id = ModelId("net", "1")
    metrics.model(model_id)
    metrics.show_gauges(lambda: make_gauges([(model_id, 4, 2)], (0, 0, 0), [("digits", 0.02, True)]))
    metrics.show_gauges(lambda: make_shadow_families([ShadowReport(app_name="digits", model="net:2", share=1.0)]))
    metrics.show_gauges(lambda: make_score_families([("digits", model_id, Counts(2.0, 1.0, 1.0))]))
    words = MetricReport(define_metric("words", "counter"), [((), [3.0])])
    metrics.replica_reported(Replica(*model_id, 0, InputType.STRINGS), [words])
    calls = AdminCalls()
    calls.count("get_all_models", 200)
    return format_families([*metrics.families(), *calls.families()]).decode()


def test_frontends_write_the_metrics_that_are_named(text: str) -> None:
    found = set(re.findall(r"^# TYPE (\S+)", text, re.M))
    assert found == NAMES | {OWN}


def test_labels_are_those_that_are_named(text: str) -> None:
    assert set(re.findall(r'[{,](\w+)="', text)) == LABELS | {"le", "path", "status"}


def test_names_of_counters_alone_end_in_total(text: str) -> None:
    types = {name: kind for name, kind in re.findall(r"^# TYPE (\S+) (\S+)", text, re.M) if name in NAMES}
    assert {name for name in types if name.endswith("_total")} == {n for n, kind in types.items() if kind == "counter"}


@pytest.mark.parametrize("name", sorted(NAMES))
def test_each_metric_is_documented(name: str) -> None:
    assert f"| `{name}` |" in DOCUMENTATION
