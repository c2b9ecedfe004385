"""What the admin API promises, told once more and in other words than the product's rules. (pure)"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any, NamedTuple

from tests.end_to_end.linearizability.history import Call

DONE, EXISTS, NOT_FOUND, INVALID = "done", "exists", "not found", "invalid"


class AdminState(NamedTuple):
    """Everything that the admin API decides; each part is a set of rows."""

    applications: frozenset[tuple[str, str]] = frozenset()
    """name, input type"""
    links: frozenset[tuple[str, str]] = frozenset()
    """application, model"""
    versions: frozenset[tuple[str, str, str]] = frozenset()
    """model, version, input type"""
    current: frozenset[tuple[str, str]] = frozenset()
    """model, version"""


def apply(state: Any, call: Call) -> tuple[Hashable, Hashable]:
    """Return what a call is to be told in a state, and the state after it."""
    result, after = _RULES[call.name](state, *call.arguments)
    return result, after


def _type_of_application(state: AdminState, name: str) -> str | None:
    return next((input_type for one, input_type in state.applications if one == name), None)


def _type_of_version(state: AdminState, model: str, version: str | None) -> str | None:
    return next((kind for name, number, kind in state.versions if (name, number) == (model, version)), None)


def _version_of(state: AdminState, model: str) -> str | None:
    return next((version for name, version in state.current if name == model), None)


def _conflicts(state: AdminState, model: str, input_type: str) -> bool:
    linked = {application for application, name in state.links if name == model}
    return any(name in linked and kind != input_type for name, kind in state.applications)


def _without(rows: frozenset, **columns: str) -> frozenset:
    """Return the rows whose first column, and second where it is given, are others."""
    return frozenset(row for row in rows if row[: len(columns)] != tuple(columns.values()))


def _register_application(state: AdminState, name: str, input_type: str) -> tuple[str, AdminState]:
    if _type_of_application(state, name) is not None:
        return EXISTS, state
    return DONE, state._replace(applications=state.applications | {(name, input_type)})


def _unregister_application(state: AdminState, name: str) -> tuple[str, AdminState]:
    if _type_of_application(state, name) is None:
        return NOT_FOUND, state
    return DONE, state._replace(
        applications=_without(state.applications, name=name), links=_without(state.links, application=name)
    )


def _link(state: AdminState, application: str, model: str) -> tuple[str, AdminState]:
    version = _version_of(state, model)
    if _type_of_application(state, application) is None or version is None:
        return NOT_FOUND, state
    if _type_of_application(state, application) != _type_of_version(state, model, version):
        return INVALID, state
    if any(name == application for name, _ in state.links):
        return EXISTS, state
    return DONE, state._replace(links=state.links | {(application, model)})


def _unlink(state: AdminState, application: str, model: str) -> tuple[str, AdminState]:
    if (application, model) not in state.links:
        return NOT_FOUND, state
    return DONE, state._replace(links=state.links - {(application, model)})


def _register_version(state: AdminState, model: str, version: str, input_type: str) -> tuple[str, AdminState]:
    if _type_of_version(state, model, version) is not None:
        return EXISTS, state
    if _conflicts(state, model, input_type):
        return INVALID, state
    return DONE, state._replace(
        versions=state.versions | {(model, version, input_type)},
        current=_without(state.current, model=model) | {(model, version)},
    )


def _unregister_version(state: AdminState, model: str, version: str) -> tuple[str, AdminState]:
    if _type_of_version(state, model, version) is None:
        return NOT_FOUND, state
    return DONE, state._replace(
        versions=_without(state.versions, model=model, version=version), current=state.current - {(model, version)}
    )


def _set_current(state: AdminState, model: str, version: str) -> tuple[str, AdminState]:
    input_type = _type_of_version(state, model, version)
    if input_type is None:
        return NOT_FOUND, state
    if _conflicts(state, model, input_type):
        return INVALID, state
    return DONE, state._replace(current=_without(state.current, model=model) | {(model, version)})


def _read_applications(state: AdminState) -> tuple[Hashable, AdminState]:
    return (state.applications, state.links), state


def _read_versions(state: AdminState) -> tuple[Hashable, AdminState]:
    return (state.versions, state.current), state


_RULES = {
    "register_application": _register_application,
    "unregister_application": _unregister_application,
    "link": _link,
    "unlink": _unlink,
    "register_version": _register_version,
    "unregister_version": _unregister_version,
    "set_current": _set_current,
    "read_applications": _read_applications,
    "read_versions": _read_versions,
}
