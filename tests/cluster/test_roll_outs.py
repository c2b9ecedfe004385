"""What a notebook has of roll-outs and shadows, with a management frontend that answers as it is told."""

from __future__ import annotations

import asyncio
import math

import pytest
from msgspec import to_builtins

from clipper_nb.cluster.roll_outs import RollOutHandle, RollOuts
from clipper_nb.cluster.shadow_frames import shadow_frame
from clipper_nb.errors import (
    ClusterUnreachableError,
    InvalidRequestError,
    NotFoundError,
    RollOutTimeoutError,
    StateUnavailableError,
    UnconnectedException,
)
from clipper_nb.protocol.roll_out import ArmCounts, RollOutEvent, RollOutInfo
from clipper_nb.protocol.shadow import ShadowReport, ShadowSample
from tests.support.management_frontend import ManagementFrontend, client_of


def info(status="running", **fields):
    known = {
        "roll_out_id": "id", "app_name": "app", "model": "m:2", "status": status, "share": 0.1, "step": 0,
        "steps": [10, 100], "step_s": 60.0, "started_at": 0.0, "step_started_at": 0.0,
        "candidate": ArmCounts(20, 1), "baseline": ArmCounts(200), "events": [RollOutEvent(0.0, "m:2 gets 10 %")],
    }  # fmt: skip
    return to_builtins(RollOutInfo(**{**known, **fields}))


@pytest.fixture
def frontend():
    frontend = ManagementFrontend()
    frontend.answers["get_roll_outs"] = [info()]
    return frontend


@pytest.fixture
def roll_outs(frontend):
    client = client_of(frontend)
    return RollOuts(lambda: client)


def test_roll_outs_are_found_by_application(roll_outs):
    assert list(roll_outs) == ["app"]
    assert repr(roll_outs["app"]) == (
        "<RollOut m:2 for 'app': running at 10 %; 20 answers, 1 default; others 200, 0 default>"
    )
    assert repr(roll_outs) == "<RollOuts: m:2 for 'app': running at 10 %; 20 answers, 1 default; others 200, 0 default>"
    with pytest.raises(NotFoundError, match="Application 'other' has no roll-out"):
        roll_outs["other"]
    assert "other" not in roll_outs
    assert [str(event) for event in roll_outs["app"].events] == ["00:00:00 m:2 gets 10 %"]


def test_reprs_say_what_is_missing_and_do_not_raise(frontend, roll_outs):
    frontend.answers["get_roll_outs"] = []
    assert repr(roll_outs) == "<RollOuts: none>"
    assert repr(RollOutHandle(roll_outs._calls, "app")) == "<RollOut for 'app': not in the cluster>"

    def unconnected():
        raise UnconnectedException("roll_outs")

    assert repr(RollOuts(unconnected)) == "<RollOuts: not connected>"


def test_wait_ends_with_the_roll_out_or_its_own_time(frontend, roll_outs):
    with pytest.raises(RollOutTimeoutError, match=r"After 0\.01 s this roll-out is still under way.*running at 10 %"):
        roll_outs["app"].wait(0.01)
    frontend.answers["get_roll_outs"] = [info("rolled_back", reason="m:2 is worse")]
    assert roll_outs["app"].wait(0.01).reason == "m:2 is worse"
    with pytest.raises(InvalidRequestError, match="timeout_s"):
        roll_outs["app"].wait(0)


@pytest.mark.slow
def test_waits_outlast_a_restart_of_what_answers(frontend, roll_outs):
    answers = iter([StateUnavailableError("away"), ClusterUnreachableError("gone"), [info("promoted")]] * 2)
    frontend.answers["get_roll_outs"] = lambda request: next(answers)
    handle = RollOutHandle(roll_outs._calls, "app")
    assert handle.wait(5).status == "promoted"

    async def main():
        return (await handle).status

    assert asyncio.run(main()) == "promoted"
    frontend.answers["get_roll_outs"] = StateUnavailableError("away")
    with pytest.raises(StateUnavailableError, match="away"):
        handle.wait(0.01)


@pytest.mark.slow
def test_handle_is_awaitable(frontend, roll_outs):
    answers = iter([[info()], [info("paused")], [info("promoted")]])
    frontend.answers["get_roll_outs"] = lambda request: next(answers)
    handle = RollOutHandle(roll_outs._calls, "app")

    async def main():
        return (await handle).status

    assert asyncio.run(main()) == "promoted"


def test_users_end_it(frontend, roll_outs):
    roll_outs["app"].abort()
    roll_outs["app"].promote()
    assert frontend.changes == ["abort_roll_out", "promote_roll_out"]
    assert frontend.requests("abort_roll_out") == [{"app_name": "app"}]


def test_shadow_report_is_a_data_frame():
    sample = ShadowSample(0.0, [1.0], "m:1", "7", "8", False, 0.01, 0.1)
    failed = ShadowSample(1.0, None, "m:1", "7", None, None, 0.01, 2.0, None, "model_error")
    report = ShadowReport(
        app_name="app", model="m:2", share=0.5, num_asked=9, num_dropped=3, num_failed={"model_error": 1},
        num_compared=4, num_agreed=3, sum_latency_s=0.04, sum_shadow_latency_s=0.4, samples=[sample, failed],
    )  # fmt: skip
    frame = shadow_frame(report)
    assert list(frame["input"]) == [[1.0], None]
    assert list(frame["shadow_latency_ms"]) == [100.0, 2000.0]
    assert str(frame["at"].iloc[0]) == "1970-01-01 00:00:00+00:00"
    assert frame.attrs["agreement"] == 0.75
    assert math.isclose(frame.attrs["mean_shadow_latency_ms"], 100.0)
    assert shadow_frame(ShadowReport(app_name="app", model="m:2", share=1.0)).attrs["agreement"] is None
