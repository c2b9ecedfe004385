"""``cluster.json``, as this release and release 0.1 write it."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import pytest

from clipper_nb.protocol.cluster_record import ClusterRecord, ProcessIdentity, is_old_record, parse_record

FIELDS: dict[str, Any] = {
    "cluster_name": "c", "package_version": "0.1.0", "admin_token": "token", "redis_password": "secret",
    "owner_pid": 123, "owner_start": "boot/15", "query_port": 1337, "management_port": 1338, "rpc_port": 7000,
    "opens_rpc_port": True, "supervisor_pid": 456, "supervisor_start": "boot/16", "guardian_pid": 455,
    "guardian_start": "boot/14", "keeping": "always", "python_version": "3.11", "options": {"cache_size_bytes": 0},
    "tls": {"certificates": "C", "key": "K", "expires_at": "2027-01-01T00:00:00+00:00", "authority": "A",
            "authority_key": "AK"},
}  # fmt: skip
NEW_FIELDS = (
    "owner_start", "opens_rpc_port", "supervisor_start", "guardian_pid", "guardian_start", "keeping", "python_version",
    "options", "tls",
)  # fmt: skip
OLD_FIELDS = {
    **{name: value for name, value in FIELDS.items() if name not in NEW_FIELDS},
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
    known = {name: value for name, value in FIELDS.items() if name not in NEW_FIELDS}
    assert record == ClusterRecord(**known, owner_start=None)
    assert record.keeping == "never"
    assert record.owner is None


@pytest.mark.parametrize("fields", [None, [], {}, 3, {"cluster_name": "c"}])
def test_invalid_record_is_refused(fields: Any) -> None:
    with pytest.raises(TypeError):
        parse_record(fields)


def test_field_of_a_newer_release_is_ignored() -> None:
    """Or its kept cluster would be taken for none, and removed."""
    assert parse_record({**FIELDS, "no_such_field": 1}) == parse_record(FIELDS)
    assert parse_record({**FIELDS, "tls": {**FIELDS["tls"], "no_such_field": 1}}) == parse_record(FIELDS)


def test_record_of_release_0_1_is_known_by_its_fields_and_name() -> None:
    assert is_old_record(OLD_FIELDS, "c")
    assert not is_old_record(OLD_FIELDS, "other")
    assert not is_old_record(FIELDS, "c")
    assert not is_old_record([*OLD_FIELDS], "c")
