"""What changed between two polls of a cluster. (pure)"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from clipper_nb.display.html import Severity
from clipper_nb.panels.cluster_state import ApplicationState, ClusterState, VersionState
from clipper_nb.protocol.environment import HUNG_EXIT_STATUS
from clipper_nb.protocol.roll_out import RollOutEvent, RollOutInfo, Status


@dataclass(frozen=True)
class Event:
    """One change.

    Attributes
    ----------
    at : float
        When it happened, if that is known, else when it was seen; seconds since the epoch.
    level : Severity
        ``"idle"`` for what a user did, whatever it was; else how bad it is, and ``"ok"`` when it is over.
    """

    at: float
    level: Severity
    text: str


def find_events(before: ClusterState, now: ClusterState, at: float) -> list[Event]:
    """Return what changed until a poll at *at*, seconds since the epoch; the first poll reports earlier deploys."""
    if now.problem:
        return [] if before.problem else [Event(at, "problem", now.problem)]
    if not before.seen_at:
        deploys = [
            Event(found.registered_at, "idle", f"version {found.model_id} was deployed") for found in now.versions
        ]
        return sorted(deploys, key=lambda event: event.at)
    back: list[_Change] = [("ok", "the cluster answers again")] if before.problem else []
    rolled = [
        Event(event.at, _level_of(event, found), f"roll-out for {found.app_name}: {event.text}")
        for found, event in _roll_out_events(before, now)
    ]
    changes = [*back, *_application_events(before, now), *_version_events(before, now), *_current_events(before, now)]
    return [*rolled, *_scaling_events(before, now, at), *(Event(at, level, text) for level, text in changes)]


_Change = tuple[Severity, str]
_BADNESS: dict[Severity, int] = {"idle": 0, "ok": 0, "warning": 1, "problem": 2}


def _roll_out_events(before: ClusterState, now: ClusterState) -> Iterator[tuple[RollOutInfo, RollOutEvent]]:
    known = {found.roll_out_id: found.events for found in before.roll_outs}
    for found in now.roll_outs:
        for event in found.events:
            if event not in known.get(found.roll_out_id, ()):
                yield found, event


def _level_of(event: RollOutEvent, roll_out: RollOutInfo) -> Severity:
    """Return how bad an event is: the last of a roll-out that was rolled back is a problem, a pause a warning."""
    if event != roll_out.events[-1]:
        return "idle"
    levels: dict[Status, Severity] = {"rolled_back": "problem", "paused": "warning", "promoted": "ok"}
    return levels.get(roll_out.status, "idle")


def _scaling_events(before: ClusterState, now: ClusterState, at: float) -> Iterator[Event]:
    """Yield the steps of autoscaled versions, with their reasons."""
    known = {found.model_id: found.autoscaling for found in before.versions}
    for found in now.versions:
        old = known.get(found.model_id)
        for event in () if found.autoscaling is None else found.autoscaling.events:
            if old is None or event not in old.events:
                yield Event(event.at, "idle", f"{found.model_id}: {event.text}")
        if old is not None and found.autoscaling is None:
            yield Event(at, "idle", f"{found.model_id}: autoscaling has ended")


def _application_events(before: ClusterState, now: ClusterState) -> Iterator[_Change]:
    old = {found.name: found for found in before.applications}
    new = {found.name: found for found in now.applications}
    for name in _gone(old, new):
        yield "idle", f"application {name} was unregistered"
    for name, found in new.items():
        if name not in old:
            yield "idle", f"application {name} was registered"
        yield from _link_events(old.get(name), found)
        before_link = (old[name].linked_model, old[name].split) if name in old else None
        if before_link == (found.linked_model, found.split):
            yield from _status_events(old[name], found)


def _status_events(before: ApplicationState, now: ApplicationState) -> Iterator[_Change]:
    old, new = before.status, now.status
    if _BADNESS[new.level] > _BADNESS[old.level]:
        yield new.level, f"application {now.name}: {new.text}"
    elif _BADNESS[old.level] and new.level == "ok":
        yield "ok", f"application {now.name}: {new.text} again"


def _link_events(before: ApplicationState | None, now: ApplicationState) -> Iterator[_Change]:
    linked_before = before.linked_model if before else None
    split_before = before.split if before else ""
    if now.split and now.split != split_before:
        yield "idle", f"application {now.name} sends its queries to {now.split}"
        return
    if now.linked_model == linked_before and now.split == split_before:
        return
    if now.linked_model is None:
        yield "idle", f"application {now.name} was unlinked from {linked_before}"
    else:
        yield "idle", f"application {now.name} was linked to {now.linked_model}"


def _version_events(before: ClusterState, now: ClusterState) -> Iterator[_Change]:
    old = {found.model_id: found for found in before.versions}
    new = {found.model_id: found for found in now.versions}
    for model_id in _gone(old, new):
        yield "idle", f"version {model_id} was stopped"
    for model_id, found in new.items():
        if model_id not in old:
            yield "idle", f"version {model_id} was deployed"
        else:
            yield from _replica_events(old[model_id], found)


def _replica_events(before: VersionState, now: VersionState) -> Iterator[_Change]:
    exits = sum(container.num_exits for container in now.containers)
    if exits > sum(container.num_exits for container in before.containers):
        yield "problem", f"a replica of {now.model_id} {_how_it_ended(before, now)} and is started again"
    if now.num_connected != before.num_connected:
        fell = now.num_connected < min(before.num_connected, now.num_wanted)
        yield (
            "warning" if fell else "ok",
            f"{now.model_id} has {now.num_connected} of {now.num_wanted} replicas ready, had {before.num_connected}",
        )


def _how_it_ended(before: VersionState, now: VersionState) -> str:
    known_exits = {container.name: container.num_exits for container in before.containers}
    ended = [container for container in now.containers if container.num_exits > known_exits.get(container.name, 0)]
    if any(container.exit_status == HUNG_EXIT_STATUS for container in ended):
        return "was busy with one batch for too long, was ended"
    return "ended"


def _current_events(before: ClusterState, now: ClusterState) -> Iterator[_Change]:
    for name in now.model_names:
        old, new = before.current_version(name), now.current_version(name)
        if old is not None and new is not None and old.version != new.version:
            is_back = new.registered_at < old.registered_at
            how = "was rolled back" if is_back else "was switched"
            yield "idle", f"model {name} {how} from version {old.version} to {new.version}"


def _gone(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    return [name for name in old if name not in new]
