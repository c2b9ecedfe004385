"""Which containers are inspected again: those that are new, that changed, or that do not run."""

from __future__ import annotations

from typing import Any

from clipper_nb.container_managers.docker.inspections import Inspections


class Engine:
    """Containers by id; counts how often each was inspected."""

    def __init__(self, *ids: str) -> None:
        self.containers = dict.fromkeys(ids, "a container")
        self.inspected: list[str] = []

    def inspect(self, container_id: str) -> Any:
        self.inspected.append(container_id)
        return self.containers.get(container_id)


def _summary(container_id: str, state: str = "running", status: str = "Up 2 seconds") -> dict[str, str]:
    return {"Id": container_id, "State": state, "Status": status}


def _look(inspections: Inspections, summaries: list[dict[str, str]]) -> list[Any]:
    return inspections.of(summaries, summaries)


def test_container_that_runs_on_is_inspected_once():
    engine = Engine("a", "b")
    inspections = Inspections(engine.inspect)
    for _ in range(3):
        assert _look(inspections, [_summary("a"), _summary("b")]) == ["a container", "a container"]
    assert engine.inspected == ["a", "b"]


def test_new_uptime_is_a_reason_to_inspect_again():
    engine = Engine("a")
    inspections = Inspections(engine.inspect)
    _look(inspections, [_summary("a", status="Up 2 minutes")])
    _look(inspections, [_summary("a", status="Up Less than a second")])
    assert engine.inspected == ["a", "a"]


def test_what_does_not_run_is_inspected_each_time():
    engine = Engine("a")
    inspections = Inspections(engine.inspect)
    for _ in range(2):
        _look(inspections, [_summary("a", "exited", "Exited (1) 3 seconds ago")])
    assert engine.inspected == ["a", "a"]


def test_container_that_was_removed_meanwhile_is_left_out():
    engine = Engine("a")
    inspections = Inspections(engine.inspect)
    assert _look(inspections, [_summary("a"), _summary("gone")]) == ["a container"]
    assert _look(inspections, []) == []
    assert _look(inspections, [_summary("a")]) == ["a container"]
    assert engine.inspected == ["a", "gone", "a"]


def test_unwanted_containers_are_not_inspected_and_not_forgotten():
    engine = Engine("a", "b")
    inspections = Inspections(engine.inspect)
    both = [_summary("a"), _summary("b")]
    for wanted in (both[:1], both[1:], both):
        inspections.of(wanted, both)
    assert engine.inspected == ["a", "b"]
