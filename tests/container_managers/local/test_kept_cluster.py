"""The record of a cluster across its stop."""

from __future__ import annotations

from dataclasses import replace

import pytest

from clipper_nb import __version__
from clipper_nb.container_managers.local.cluster_folder import ClusterFolder
from clipper_nb.container_managers.local.kept_cluster import (
    check_can_be_kept,
    check_resumable,
    choose_keeping,
    find_kept,
    new_record,
    resumed_record,
    stopped_record,
    supervisor_finding,
)
from clipper_nb.container_managers.specs import ClusterOptions
from clipper_nb.errors import ClusterStartError, ClusterUnreachableError
from clipper_nb.protocol.cluster_record import ProcessIdentity

OWNER = ProcessIdentity(123, "boot/15")


def record(*, ports=(1337, 1338, 7000), keeping="never", owner=OWNER, **options):
    return new_record("c", ClusterOptions(**options), ports=ports, opens_rpc_port=False, owner=owner, keeping=keeping)


@pytest.mark.parametrize(
    ("detach", "has_own_folder", "keeping"),
    [(False, False, "never"), (False, True, "after_crash"), (True, False, "always"), (True, True, "always")],
)
def test_detached_clusters_and_those_in_own_folders_are_kept(detach, has_own_folder, keeping):
    assert choose_keeping(detach=detach, has_own_folder=has_own_folder) == keeping


@pytest.mark.parametrize(("keeping", "is_found"), [("never", False), ("after_crash", True), ("always", True)])
def test_a_kept_cluster_is_found_by_its_record(tmp_path, keeping, is_found):
    folder = ClusterFolder(tmp_path / "c")
    assert find_kept(folder) is None
    folder.create()
    folder.write_record(record(keeping=keeping))
    assert (find_kept(folder) is not None) == is_found


def test_a_stopped_cluster_has_no_owner_and_is_always_kept():
    stopped = stopped_record(replace(record(), supervisor_pid=456, supervisor_start="boot/16"))
    assert (stopped.owner, stopped.supervisor_pid, stopped.keeping) == (None, 0, "always")


def test_resumed_cluster_has_its_secrets_and_ports_again():
    kept = stopped_record(record(ports=(5001, 5002, 5003), cache_size_bytes=7))
    new = record(keeping="after_crash", cache_size_bytes=8)
    resumed = resumed_record(kept, new)
    assert (resumed.admin_token, resumed.redis_password) == (kept.admin_token, kept.redis_password)
    assert (resumed.query_port, resumed.management_port, resumed.rpc_port) == (5001, 5002, 5003)
    assert (resumed.owner, resumed.options["cache_size_bytes"]) == (OWNER, 8)
    assert resumed.keeping == "always"


def test_a_port_that_was_asked_for_replaces_the_kept_one():
    resumed = resumed_record(record(ports=(5001, 5002, 5003)), record(ports=(6001, 0, 7000)))
    assert (resumed.query_port, resumed.management_port, resumed.rpc_port) == (6001, 5002, 5003)


def test_another_python_or_release_is_refused_by_name():
    kept = stopped_record(record())
    check_resumable(kept)
    with pytest.raises(ClusterStartError, match=r"run by Python 2\.7; this is Python 3\..*fresh=True"):
        check_resumable(replace(kept, python_version="2.7"))
    with pytest.raises(ClusterStartError, match=rf"run by clipper_nb 0\.0\.9; this is clipper_nb {__version__}"):
        check_resumable(replace(kept, package_version="0.0.9"))


def test_a_cluster_of_release_0_1_cannot_be_kept():
    """Its supervisor would remove the folder."""
    check_can_be_kept(record())
    with pytest.raises(ClusterUnreachableError, match="cannot keep it, and still runs"):
        check_can_be_kept(replace(record(), python_version=""))


@pytest.mark.parametrize(("keeping", "advice"), [("never", "stop_all"), ("always", "brings it back")])
def test_doctor_advises_against_removing_a_kept_cluster(tmp_path, keeping, advice):
    folder = ClusterFolder(tmp_path / "c")
    folder.create()
    folder.write_record(record(keeping=keeping))
    assert supervisor_finding(folder, answers=True).state == "ok"
    finding = supervisor_finding(folder, answers=False)
    assert (finding.state, advice in finding.advice) == ("problem", True)
