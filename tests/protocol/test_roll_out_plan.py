"""What a roll-out may be asked for."""

from __future__ import annotations

import numpy as np
import pytest

from clipper_nb.errors import InvalidRequestError
from clipper_nb.protocol.roll_out import RollOut, RollOutPlan
from clipper_nb.protocol.roll_out_plan import StartRollOut, check_plan, request_of
from clipper_nb.protocol.route import make_route


def test_defaults_make_a_plan_that_survives_its_request():
    plan = check_plan(StartRollOut("app", "m:2"))
    assert plan == RollOutPlan("app", "m", "2")
    assert check_plan(request_of(plan, None)) == plan
    assert plan.at_least_s == 180.0


def test_whole_numbers_of_numpy_can_be_sent():
    plan = check_plan(StartRollOut("app", "m:2", min_queries=np.int64(5), max_latency_micros=np.int32(10)))
    request = request_of(plan, np.int32(10))
    assert (type(request.min_queries), type(request.max_latency_micros)) == (int, int)


def test_numbers_of_numpy_are_numbers():
    plan = check_plan(StartRollOut("app", "m:2", np.array([1, 10, 100]).tolist(), np.float64(0.5), ["score"]))
    assert (plan.steps, plan.step_s, plan.watch) == ((1.0, 10.0, 100.0), 0.5, ("score",))


@pytest.mark.parametrize(
    ("argument", "value", "message"),
    [
        ("model", "m", 'needs a version, as text like "digits-net:2"'), ("model", 3, "needs a version"),
        ("steps", (), "rise to 100"), ("steps", (50,), "rise to 100"), ("steps", (50, 10, 100), "rise to 100"),
        ("steps", (0, 100), "each above 0"), ("steps", (50, 200), "each above 0"), ("steps", "100", "rise to 100"),
        ("steps", (True, 100), "each above 0"), ("steps", (float("nan"), 100), "each above 0"),
        ("steps", 100, "rise to 100"), ("steps", (10, 10, 100), "rise to 100"), ("steps", ("10", 100), "each above 0"),
        ("step_s", 0, "step_s must be a number of seconds above 0"), ("step_s", "60", "step_s"),
        ("step_s", float("inf"), "30 days"), ("step_s", True, "step_s"), ("patience_s", -1, "patience_s"),
        ("watch", (), "watch must be a list of some of 'defaults', 'latency', 'score'"), ("watch", "latency", "watch"),
        ("watch", ("errors",), "watch"), ("watch", ("score", "score"), "each once"), ("watch", 7, "watch"),
        ("watch", ([],), "watch"),
        ("max_latency_micros", 0, "max_latency_micros must be a whole number"), ("max_latency_micros", 1.5, "None for"),
        ("min_queries", 0, "min_queries must be a whole number from 1"), ("min_queries", True, "min_queries"),
    ],
)  # fmt: skip
def test_other_arguments_are_refused_by_name(argument, value, message):
    with pytest.raises(InvalidRequestError, match=message):
        check_plan(StartRollOut(**{"app_name": "app", "model": "m:2", argument: value}))


def test_route_keeps_the_weights_of_the_others():
    plan = RollOutPlan("app", "m", "2", (10.0, 100.0))
    roll_out = RollOut("id", plan, make_route({"m:1": 3, "other": 1}), started_at=0.0)
    route = roll_out.route()
    assert {str(target): round(route.share_of(target), 9) for target in route.targets} == {
        "m:1": 0.675, "other": 0.225, "m:2": 0.1
    }  # fmt: skip
