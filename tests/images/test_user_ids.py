"""The user ids of containers: a range of their own, shared out among the core and the versions of models."""

from __future__ import annotations

import pytest

from clipper_nb.errors import InvalidRequestError
from clipper_nb.images.user_ids import (
    MAPPED,
    UNUSED,
    UserIds,
    check_mapped,
    check_user_ids,
    decode_user_ids,
    encode_user_ids,
)
from clipper_nb.protocol.names import ModelId

ROLES = ("query_frontend", "management_frontend", "redis")


@pytest.mark.parametrize("ids", [UNUSED, MAPPED, UserIds(1, 16)], ids=str)
def test_core_and_versions_have_different_ids(ids: UserIds) -> None:
    core = {ids.of_core(role) for role in ROLES}
    versions = {ids.of_version("c", ModelId("m", str(number))) for number in range(200)}
    assert len(core) == 3
    assert core.isdisjoint(versions)
    assert ids.by_hand not in core | versions
    for user in core | versions:
        uid, gid = map(int, user.split(":"))
        assert uid == gid
        assert ids.first < uid <= ids.last


def test_version_has_the_same_id_at_each_start() -> None:
    assert UNUSED.of_version("c", ModelId("m", "1")) == UNUSED.of_version("c", ModelId("m", "1"))
    found = {UNUSED.of_version(cluster, ModelId(*model)) for cluster in "cd" for model in ("m1", "m2", "n1")}
    assert len(found) == 6


def test_label_tells_the_range() -> None:
    assert decode_user_ids(encode_user_ids(UserIds(70_000, 32))) == UserIds(70_000, 32)


def test_range_of_the_user_is_taken_as_it_is() -> None:
    assert check_user_ids(range(70_000, 70_032)) == UserIds(70_000, 32)


@pytest.mark.parametrize(
    "asked", [70_000, "70000", (70_000, 70_032), range(70_000, 70_064, 2), range(32), range(5, 20),
              range(2**31 - 20, 2**31), range(0)],
)  # fmt: skip
def test_range_that_containers_cannot_have_is_refused(asked: object) -> None:
    with pytest.raises(InvalidRequestError, match=r"container_user_ids .* such as range\(2013265920, 2013266944\)"):
        check_user_ids(asked)


def test_engine_that_maps_ids_knows_small_ones_only() -> None:
    check_mapped(MAPPED)
    with pytest.raises(InvalidRequestError, match="Leave the argument out"):
        check_mapped(UNUSED)
