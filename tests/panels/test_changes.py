"""What is told of two looks at a cluster."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import pytest

from clipper_nb.panels.changes import Event, find_events
from clipper_nb.panels.cluster_state import ClusterState
from clipper_nb.panels.history import Traffic
from clipper_nb.protocol.autoscaling import Autoscaling, ScalingEvent
from clipper_nb.protocol.roll_out import RollOutEvent, RollOutInfo
from tests.panels.states import application, cluster, version

GOOD = Traffic(rate_per_s=10, p50_s=0.001, p99_s=0.01, defaults={})
FAILING = Traffic(rate_per_s=10, p50_s=0.001, p99_s=0.01, defaults={"model_error": 0.6})
LATE = Traffic(rate_per_s=10, p50_s=0.001, p99_s=0.03, defaults={})
BEGUN = Autoscaling(1, 8)
STEPPED = Autoscaling(1, 8, events=(ScalingEvent(7.0, "waiting took 62 % of the SLO for 10 s: 1 -> 2 replicas"),))


def test_first_poll_reports_earlier_deploys() -> None:
    now = cluster(application(), version("2", at=20.0), version("1", at=10.0, is_current=False))
    assert find_events(ClusterState("tests"), now, 100.0) == [
        Event(10.0, "idle", "version net:1 was deployed"),
        Event(20.0, "idle", "version net:2 was deployed"),
    ]


@pytest.mark.parametrize(
    ("before", "now", "expected"),
    [
        (cluster(application()), cluster(application()), []),
        (cluster(), cluster(application()),
         [("idle", "application digits was registered"), ("idle", "application digits was linked to net")]),
        (cluster(application()), cluster(), [("idle", "application digits was unregistered")]),
        (cluster(application()), cluster(application(linked_model=None)),
         [("idle", "application digits was unlinked from net")]),
        (cluster(application()), cluster(application(split="net:1 90 %, net:2 10 %")),
         [("idle", "application digits sends its queries to net:1 90 %, net:2 10 %")]),
        (cluster(application(split="net:1 90 %, net:2 10 %")), cluster(application()),
         [("idle", "application digits was linked to net")]),
        (cluster(application(traffic=GOOD)), cluster(application(traffic=LATE)),
         [("warning", "application digits: p99 over SLO")]),
        (cluster(application(traffic=LATE)), cluster(application(traffic=GOOD)),
         [("ok", "application digits: SLO met again")]),
        (cluster(application(traffic=LATE)), cluster(application(traffic=FAILING)),
         [("problem", "application digits: 60% defaults")]),
        (cluster(application(traffic=FAILING)), cluster(application(last_minute=FAILING)), []),
        (cluster(version("1")), cluster(version("1", is_current=False), version("2", at=2.0)),
         [("idle", "version net:2 was deployed"), ("idle", "model net was switched from version 1 to 2")]),
        (cluster(version("1", is_current=False), version("2", at=2.0)),
         cluster(version("1"), version("2", at=2.0, is_current=False)),
         [("idle", "model net was rolled back from version 2 to 1")]),
        (cluster(version("1")), cluster(), [("idle", "version net:1 was stopped")]),
        (cluster(version(wanted=2)), cluster(version(wanted=2, num_connected=1)),
         [("warning", "net:1 has 1 of 2 replicas ready, had 2")]),
        (cluster(version(wanted=1)), cluster(version(wanted=3)), [("ok", "net:1 has 3 of 3 replicas ready, had 1")]),
        (cluster(version(wanted=3)), cluster(version(wanted=1)), [("ok", "net:1 has 1 of 1 replicas ready, had 3")]),
        (cluster(version(autoscaling=BEGUN)), cluster(version(autoscaling=STEPPED, wanted=2)),
         [("idle", "net:1: waiting took 62 % of the SLO for 10 s: 1 -> 2 replicas"),
          ("ok", "net:1 has 2 of 2 replicas ready, had 1")]),
        (cluster(version(autoscaling=STEPPED)), cluster(version()), [("idle", "net:1: autoscaling has ended")]),
        (cluster(version()), cluster(version(num_exits=1)),
         [("problem", "a replica of net:1 ended and is started again")]),
        (cluster(version()), cluster(version(num_exits=1, exit_status=5)),
         [("problem", "a replica of net:1 was busy with one batch for too long, was ended and is started again")]),
    ],
)  # fmt: skip
def test_every_change_becomes_an_event(
    before: ClusterState, now: ClusterState, expected: list[tuple[str, str]]
) -> None:
    assert find_events(before, now, 7.0) == [Event(7.0, level, text) for level, text in expected]  # type: ignore[arg-type]


def test_unreachable_cluster_is_reported_once_and_so_its_return() -> None:
    well, away = cluster(version()), cluster(version(), problem="it is away")
    assert find_events(well, away, 1.0) == [Event(1.0, "problem", "it is away")]
    assert find_events(away, away, 2.0) == []
    assert find_events(away, well, 3.0) == [Event(3.0, "ok", "the cluster answers again")]


def test_steps_of_a_roll_out_are_events_of_their_own_time() -> None:
    events = [RollOutEvent(5.0, "m:2 gets 10 %"), RollOutEvent(6.0, "m:2 gets 0 %: it is worse")]
    known = RollOutInfo(
        roll_out_id="id", app_name="digits", model="m:2", status="running", share=0.1, step=0, steps=[10, 100],
        step_s=60.0, started_at=5.0, step_started_at=5.0, events=events[:1],
    )  # fmt: skip
    before, now = cluster(application()), cluster(application())
    begun = replace(now, roll_outs=[known])
    ended = replace(now, roll_outs=[msgspec.structs.replace(known, status="rolled_back", events=events)])
    assert find_events(before, begun, 7.0) == [Event(5.0, "idle", "roll-out for digits: m:2 gets 10 %")]
    assert find_events(begun, begun, 7.0) == []
    assert find_events(begun, ended, 8.0) == [Event(6.0, "problem", "roll-out for digits: m:2 gets 0 %: it is worse")]
