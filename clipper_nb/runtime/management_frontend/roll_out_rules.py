"""The rules of roll-outs: how one begins, moves on and ends, as changes of the configuration. (pure)"""

from __future__ import annotations

from dataclasses import replace

from clipper_nb.errors import ExistsError, InvalidRequestError, NotFoundError
from clipper_nb.protocol.records import Configuration
from clipper_nb.protocol.roll_out import MAX_EVENTS, RollOut, RollOutEvent, RollOutPlan, Status
from clipper_nb.protocol.route import Route, RouteTarget, format_share
from clipper_nb.runtime.management_frontend.rules import find_application
from clipper_nb.runtime.management_frontend.traffic_rules import check_target, with_route


def start_roll_out(
    configuration: Configuration, plan: RollOutPlan, *, roll_out_id: str, num_replicas: int, at: float
) -> Configuration:
    """Give a version the share of the first step.

    Raises
    ------
    ApplicationNotFoundError, ModelNotFoundError
    ExistsError
        The application has a roll-out under way.
    InvalidRequestError
        Nothing but the version answers the application's queries, it has no replica, or its input type differs.
    """
    application = find_application(configuration, plan.app_name)
    known = configuration.roll_outs.get(plan.app_name)
    if known is not None and known.is_under_way:
        raise ExistsError(
            f"Application '{plan.app_name}' has a roll-out under way: {known.plan.model_id} at "
            f"{format_share(known.share)}. Wait for its end, or end it: "
            f"conn.roll_outs[{plan.app_name!r}].abort() or .promote()."
        )
    target = RouteTarget(plan.model_name, 1.0, plan.version)
    model_id = check_target(configuration, application, target)
    before = _others(configuration, plan)
    if num_replicas == 0:
        raise InvalidRequestError(
            f"{model_id} has no connected replica, so it would get no queries. Call "
            f"set_num_replicas({model_id.name!r}, 1, {model_id.version!r}) first."
        )
    slo_s = application.slo_micros / 1e6
    checked = replace(plan, max_latency_s=min(plan.max_latency_s or slo_s, slo_s))
    begun = RollOut(roll_out_id, checked, before, started_at=at, step_started_at=at)
    return _moved(configuration, _with_event(begun, at, f"{model_id} gets {format_share(begun.share)}"), begun.route())


def next_step(configuration: Configuration, roll_out: RollOut, *, at: float) -> Configuration:
    """Give the version the share of the next step; at 100 % it is promoted."""
    raised = replace(roll_out, step=roll_out.step + 1, step_started_at=at, status="running", reason="")
    if raised.share >= 1:
        return promote(configuration, roll_out, "it was not worse at any step", at=at)
    text = f"{raised.plan.model_id} gets {format_share(raised.share)}"
    return _moved(configuration, _with_event(raised, at, text), raised.route())


def promote(configuration: Configuration, roll_out: RollOut, reason: str, *, at: float) -> Configuration:
    """Send all queries to the version."""
    model_id = roll_out.plan.model_id
    ended = _ended(roll_out, "promoted", f"{model_id} gets 100 %: {reason}", reason, at)
    return _moved(configuration, ended, Route((RouteTarget(model_id.name, 1.0, model_id.version),)))


def roll_back(
    configuration: Configuration, roll_out: RollOut, status: Status, reason: str, *, at: float
) -> Configuration:
    """Send no more queries to the version: the route is the one before."""
    ended = _ended(roll_out, status, f"{roll_out.plan.model_id} gets 0 %: {reason}", reason, at)
    return _moved(configuration, ended, roll_out.before)


def pause(configuration: Configuration, roll_out: RollOut, reason: str, *, at: float) -> Configuration:
    """Record that the step has too few answers; the share stays, and the version is watched."""
    paused = replace(roll_out, status="paused", reason=reason)
    return _moved(configuration, _with_event(paused, at, f"paused: {reason}"), None)


def end(configuration: Configuration, roll_out: RollOut, reason: str, *, at: float) -> Configuration:
    """Record that something else changed the traffic, which stays as it is."""
    return _moved(configuration, _ended(roll_out, "ended", f"ended: {reason}", reason, at), None)


def find_under_way(configuration: Configuration, application_name: str) -> RollOut:
    """Return the roll-out of an application that is under way, or raise ``NotFoundError``."""
    find_application(configuration, application_name)
    known = configuration.roll_outs.get(application_name)
    if known is None:
        raise NotFoundError(f"Application '{application_name}' has no roll-out.")
    if not known.is_under_way:
        raise NotFoundError(
            f"The roll-out of {known.plan.model_id} for application '{application_name}' has ended: {known.status} "
            f"({known.reason})."
        )
    return known


def why_broken(configuration: Configuration, roll_out: RollOut) -> str | None:
    """Return what has ended a roll-out from outside; ``None`` if all is as it was left."""
    if roll_out.plan.model_id not in configuration.versions:
        return f"{roll_out.plan.model_id} is not registered any more"
    if configuration.routes.get(roll_out.plan.app_name) != roll_out.route():
        return "a version that answered the other queries is gone"
    targets = roll_out.before.targets
    if any(target.resolve(configuration.current_versions) == roll_out.plan.model_id for target in targets):
        return f"{roll_out.plan.model_id} became current, so it answers the other queries too"
    return None


def _others(configuration: Configuration, plan: RollOutPlan) -> Route:
    """Return the route without the version, which the roll-out compares it with."""
    route = configuration.routes.get(plan.app_name)
    if route is None:
        raise InvalidRequestError(
            f"No model is linked to application '{plan.app_name}', so there is nothing to compare {plan.model_id} "
            "with. Call set_traffic() or link_model_to_app() instead."
        )
    policy, current = route.policy, configuration.current_versions
    if policy is not None and (policy.name != "weights" or policy.half_life_s is not None):
        raise InvalidRequestError(
            f"The queries of application '{plan.app_name}' are divided by the policy {policy}, and a roll-out needs "
            f"fixed shares. Set weights first: set_traffic({plan.app_name!r}, {{...}}); or let the policy try the "
            f"version: set_traffic({plan.app_name!r}, [..., '{plan.model_id}'], policy='{policy.name}')."
        )
    before = route.without(lambda target: target.version is not None and target.resolve(current) == plan.model_id)
    if before is None or any(target.resolve(current) == plan.model_id for target in before.targets):
        name = plan.model_name
        raise InvalidRequestError(
            f"{plan.model_id} answers all queries of application '{plan.app_name}' already, or all of model '{name}': "
            f"it is the current version. Pin the one before first, then roll out: set_traffic({plan.app_name!r}, "
            f'{{"{name}:<version before>": 1}}).'
        )
    return before


def _ended(roll_out: RollOut, status: Status, text: str, reason: str, at: float) -> RollOut:
    return _with_event(replace(roll_out, status=status, reason=reason), at, text)


def _with_event(roll_out: RollOut, at: float, text: str) -> RollOut:
    return replace(roll_out, events=(*roll_out.events, RollOutEvent(at, text))[-MAX_EVENTS:])


def _moved(configuration: Configuration, roll_out: RollOut, route: Route | None) -> Configuration:
    """Return the configuration with a roll-out's new state, and its route unless that stays."""
    name = roll_out.plan.app_name
    changed = replace(configuration, roll_outs={**configuration.roll_outs, name: roll_out})
    return changed if route is None else with_route(changed, name, route)
