"""How applications and versions are said to do."""

from __future__ import annotations

import pytest

from clipper_nb.panels.cluster_state import ApplicationState, TargetState, VersionState, make_cluster_state
from clipper_nb.panels.counts import Counts, Series
from clipper_nb.panels.history import History, Traffic
from clipper_nb.protocol.descriptions import ApplicationInfo, TargetInfo
from clipper_nb.protocol.input_types import InputType
from tests.panels.states import application, cluster, version

GOOD = Traffic(rate_per_s=10, p50_s=0.001, p99_s=0.01, defaults={})
FAILING = Traffic(rate_per_s=10, p50_s=0.001, p99_s=0.01, defaults={"model_error": 1.0})


@pytest.mark.parametrize(
    ("state", "level", "text"),
    [
        (application(linked_model=None, traffic=GOOD), "warning", "not linked"),
        (application(), "idle", "no queries"),
        (application(traffic=GOOD), "ok", "SLO met"),
        (application(traffic=Traffic(10, 0.001, 0.03, {})), "warning", "p99 over SLO"),
        (application(traffic=Traffic(10, 0.001, 0.01, {"model_error": 0.02})), "warning", "2% defaults"),
        (
            application(traffic=Traffic(10, 0.001, 0.01, {"model_error": 0.4, "not_linked": 0.2})),
            "problem",
            "60% defaults",
        ),
        (application(last_minute=FAILING), "warning", "100% defaults in 1 min"),
        (application(traffic=GOOD, last_minute=FAILING), "warning", "100% defaults in 1 min"),
        (application(traffic=FAILING, last_minute=GOOD), "problem", "100% defaults"),
        (application(has_only_defaults=True), "warning", "only defaults so far"),
    ],
)
def test_an_application(state: ApplicationState, level: str, text: str) -> None:
    assert (state.status.level, state.status.text) == (level, text)


@pytest.mark.parametrize(
    ("state", "level", "text"),
    [
        (version(), "ok", "ready"),
        (version(wanted=3, num_connected=2), "warning", "2 of 3 ready"),
        (version(wanted=2, num_connected=1, num_exits=4), "problem", "1 of 2, restarting"),
        (version(num_exits=4), "ok", "ready"),
        (version(wanted=0), "problem", "no replica"),
        (version(wanted=0, is_current=False), "idle", "stopped"),
        (version(wanted=0, num_connected=2, is_containerless=True), "ok", "ready"),
        (version(traffic=Traffic(errors_per_s=1.0)), "warning", "model errors"),
    ],
)
def test_a_version(state: VersionState, level: str, text: str) -> None:
    assert (state.status.level, state.status.text) == (level, text)


def test_a_cluster_finds_what_belongs_together() -> None:
    state = cluster(application(), version("2", at=2.0), version("1", at=1.0, is_current=False, wanted=0))
    assert state.model_names == ["net"]
    assert [found.version for found in state.versions_of("net")] == ["2", "1"]
    current = state.current_version("net")
    assert current is not None
    assert current.model_id == "net:2"
    assert state.current_version("other") is None
    assert state.application("digits") is not None
    assert state.worst == {"idle": 2, "ok": 1}


def test_defaults_of_the_last_minute_are_not_well() -> None:
    def counted(queries: float, defaults: float) -> Counts:
        buckets = {"clipper_app_latency_seconds": [(0.1, queries), (float("inf"), queries)]}
        return Counts({"digits": Series({"clipper_app_queries_total": queries}, {"model_error": defaults}, buckets)})

    def level_at(at_s: float, *counts: float) -> str:
        history.add(at_s, counted(*counts))
        info = ApplicationInfo(
            name="digits", input_type=InputType.DOUBLES, default_output="-1", slo_micros=20_000, linked_models=["net"]
        )
        state = make_cluster_state(
            "tests", "", seen_at=at_s, applications=[info], models=[], connected=[], containers=[], history=history
        )
        return state.applications[0].status.text

    history = History()
    assert level_at(0.0, 500, 0) == "no queries"
    assert level_at(1.0, 550, 50) == "100% defaults"
    assert level_at(30.0, 550, 50) == "100% defaults in 1 min"
    assert level_at(62.0, 550, 50) == "no queries"


def _divided(queries: dict[str, float], failed: float = 0.0) -> Counts:
    series = {
        f"digits {name}": Series({"clipper_target_queries_total": count}, {"model_error": failed})
        for name, count in queries.items()
    }
    whole = Series({"clipper_app_queries_total": sum(queries.values())})
    return Counts(applications={"digits": whole}, targets=series)


def test_targets_have_their_part_of_the_traffic() -> None:
    history = History()
    history.add(0.0, _divided({"net:1": 5, "net:2": 5}))
    history.add(10.0, _divided({"net:1": 85, "net:2": 25}, failed=2))
    targets = [
        TargetInfo(target="net:1", weight=8, share=0.8, model="net:1"),
        TargetInfo(target="net", weight=2, share=0.2, model="net:2"),
        TargetInfo(target="gone", weight=0, share=0.0),
    ]
    infos = [_info("digits", ["net"], targets), _info("linked", ["net"], [], "net:2"), _info("alone", [], [])]
    state = make_cluster_state(
        "tests", "", seen_at=1.0, applications=infos, models=[], connected=[], containers=[], history=history
    )
    first, second, gone = state.application("digits").targets
    assert (first.target, first.model_id, first.share, first.traffic.num_queries) == ("net:1", "net:1", 0.8, 80)
    assert (second.target, second.model_id, second.traffic.num_queries) == ("net", "net:2", 20)
    assert second.traffic.defaults == {"model_error": 0.1}
    assert (gone.model_id, gone.traffic) == (None, Traffic())
    assert state.application("linked").targets == [TargetState("net", "net:2", 1.0)]
    assert state.application("alone").targets == []


def test_one_pinned_target_has_all_that_its_application_has() -> None:
    history = History()
    history.add(0.0, _divided({"net:1": 0}))
    history.add(10.0, _divided({"net:1": 30}))
    pinned = _info("digits", ["net"], [TargetInfo(target="net:1", weight=1, share=1.0, model="net:1")], "net:1")
    state = make_cluster_state(
        "tests", "", seen_at=1.0, applications=[pinned], models=[], connected=[], containers=[], history=history
    )
    [target] = state.application("digits").targets
    assert (target.target, target.share, target.traffic.num_queries) == ("net:1", 1.0, 30)


def _info(name: str, linked: list[str], targets: list[TargetInfo], model: str | None = None) -> ApplicationInfo:
    return ApplicationInfo(
        name=name, input_type=InputType.DOUBLES, default_output="", slo_micros=1000, linked_models=linked,
        traffic=targets, model=model,
    )  # fmt: skip
