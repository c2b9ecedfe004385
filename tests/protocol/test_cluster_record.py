"""``cluster.json``, as this release and release 0.1 write it."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import pytest

from clipper_nb.protocol.cluster_record import ClusterRecord, ProcessIdentity, is_old_record, parse_record

FIELDS: dict[str, Any] = {
    "cluster_name": "c", "package_version": "0.1.0", "admin_token": "token", "redis_password": "secret",
    "owner_pid": 123, "owner_start": "boot/15", "query_port": 1337, "management_port": 1338, "rpc_port": 7000,
    "supervisor_pid": 456, "supervisor_start": "boot/16",
}  # fmt: skip
OLD_FIELDS = {
    **{name: value for name, value in FIELDS.items() if name not in ("owner_start", "supervisor_start")},
    "owner_started_at": 1.5,
}


def test_record_comes_back_and_names_both_processes() -> None:
    record = parse_record(FIELDS)
    assert asdict(record) == FIELDS
    assert record.owner == ProcessIdentity(123, "boot/15")
    assert record.supervisor == ProcessIdentity(456, "boot/16")


def test_detached_cluster_has_no_owner() -> None:
    assert parse_record({**FIELDS, "owner_pid": None, "owner_start": None}).owner is None


def test_owner_in_a_record_of_release_0_1_cannot_be_identified() -> None:
    record = parse_record(OLD_FIELDS)
    assert record == ClusterRecord(**{**FIELDS, "owner_start": None, "supervisor_start": ""})
    assert record.owner is None


@pytest.mark.parametrize("fields", [None, [], {}, 3, {"cluster_name": "c"}, {**FIELDS, "no_such_field": 1}])
def test_invalid_record_is_refused(fields: Any) -> None:
    with pytest.raises(TypeError):
        parse_record(fields)


def test_record_of_release_0_1_is_known_by_its_fields_and_name() -> None:
    assert is_old_record(OLD_FIELDS, "c")
    assert not is_old_record(OLD_FIELDS, "other")
    assert not is_old_record(FIELDS, "c")
    assert not is_old_record([*OLD_FIELDS], "c")
