"""Whose the processes are that supervised ones have started."""

from __future__ import annotations

import pytest

from clipper_nb.container_managers.local.process_table import ProcessEntry
from clipper_nb.container_managers.local.supervisor.descendants import UNKNOWN, adopted_zombies, attribute
from clipper_nb.protocol.cluster_record import ProcessIdentity

SUPERVISOR_PID, INIT_PID = 100, 1


def table(*rows):
    """Return processes from rows of id, parent and, if it is its own, session."""
    return {
        pid: ProcessEntry(ProcessIdentity(pid, f"boot/{pid}"), parent, *(session or (pid,)))
        for pid, parent, *session in rows
    }


def owners(entries, mains, *, known=(), marks=(), **options):
    found = attribute(
        entries,
        supervisor_pid=SUPERVISOR_PID,
        mains=mains,
        known=dict(known),
        read_mark=lambda pid: dict(marks).get(pid, UNKNOWN),
        **options,
    )
    return {identity.pid: name for identity, name in found.items()}


def test_descendants_belong_to_their_ancestors_only():
    entries = table((100, 1), (201, 100), (202, 201), (203, 202), (301, 100), (302, 301), (900, 1), (901, 900))
    assert owners(entries, {201: "a", 301: "b"}) == {202: "a", 203: "a", 302: "b"}


def test_orphan_is_known_from_when_its_parent_ran():
    known = attribute(
        table((201, 100), (202, 201)), supervisor_pid=100, mains={201: "a"}, known={}, read_mark=lambda _: UNKNOWN
    )
    assert owners(table((202, 100), (203, 202)), {}, known=known) == {202: "a", 203: "a"}


def test_later_process_with_the_id_of_a_known_orphan_is_not_it():
    known = {ProcessIdentity(202, "boot/earlier"): "a"}
    assert owners(table((202, 100)), {}, known=known) == {202: UNKNOWN}


def test_orphan_belongs_to_the_ended_process_of_its_session():
    assert owners(table((202, 100, 201)), {201: "a"}) == {202: "a"}


def test_orphan_is_identified_by_its_own_mark():
    assert owners(table((202, 100), (203, 202), (204, 100)), {}, marks={202: "a"}) == {
        202: "a", 203: "a", 204: UNKNOWN,
    }  # fmt: skip


def test_mark_of_a_child_does_not_outdo_its_parent():
    """As of a cluster that a model starts."""
    assert owners(table((201, 100), (202, 201)), {201: "a"}, marks={202: "other"}) == {202: "a"}


def test_supervised_processes_are_not_descendants():
    assert owners(table((201, 100), (301, 100)), {201: "a", 301: "b"}, marks={201: "b"}) == {}


def test_process_adopted_by_init_is_found_by_its_mark_alone():
    entries = table((100, INIT_PID), (202, INIT_PID), (203, 202), (900, INIT_PID), (901, 900))
    found = owners(entries, {}, marks={202: "a"}, orphans_are_adopted=False)
    assert found == {202: "a", 203: "a"}
    assert owners(entries, {}, marks={202: "a"}) == {}


@pytest.mark.parametrize(("pid", "is_reaped"), [(201, False), (202, True), (203, False), (204, False)])
def test_only_adopted_children_are_reaped(pid, is_reaped):
    """asyncio takes the statuses of those that it has started."""
    entries = {
        entry_pid: ProcessEntry(ProcessIdentity(entry_pid, "x"), parent, 0, is_zombie)
        for entry_pid, parent, is_zombie in [(201, 100, True), (202, 100, True), (203, 100, False), (204, 203, True)]
    }
    assert (pid in adopted_zombies(entries, supervisor_pid=SUPERVISOR_PID, mains={201: "a"})) is is_reaped


def test_what_a_killed_supervisor_left_is_below_the_guardian():
    """Its processes, which are known by their ids, and orphans; the guardian's other child is the supervisor."""
    entries = table((90, 1), (100, 90), (201, 90), (202, 201), (301, 90), (401, 100), (402, 401), (900, 1))
    found = owners(entries, {201: "a", 401: "b"}, guardian_pid=90, marks={301: "c"})
    assert found == {202: "a", 301: "c", 402: "b"}


def test_adopted_process_has_its_descendants_without_a_guardian():
    assert owners(table((100, 1), (201, 1), (202, 201), (203, 1)), {201: "a"}) == {202: "a"}
