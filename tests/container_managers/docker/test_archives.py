"""Files and folders that are put into a container belong to its user alone, if the user's numbers are known."""

from __future__ import annotations

import io
import tarfile

import pytest

from clipper_nb.container_managers.docker.archives import owner_of, pack_files, pack_folder


def _members(packed: bytes) -> list[tuple[str, int, int, int]]:
    with tarfile.open(fileobj=io.BytesIO(packed)) as tar:
        return [(member.name, member.uid, member.gid, member.mode) for member in tar.getmembers()]


@pytest.mark.parametrize(
    ("user", "owner"),
    [("7:8", (7, 8)), ("7", None), ("redis", None), ("redis:8", None), ("", None), (None, None), ("0:0", (0, 0))],
)
def test_owner_is_known_by_numbers_alone(user: str | None, owner: tuple[int, int] | None) -> None:
    assert owner_of(user) == owner


def test_files_and_folders_belong_to_their_owner_alone() -> None:
    assert _members(pack_files({"A": "1", "B": "2"}, (7, 8))) == [("A", 7, 8, 0o400), ("B", 7, 8, 0o400)]
    assert _members(pack_folder("data", (7, 8))) == [("data", 7, 8, 0o700)]


def test_unknown_user_of_an_image_can_use_them() -> None:
    assert _members(pack_files({"A": "1"}, None)) == [("A", 0, 0, 0o444)]
    assert _members(pack_folder("data", None)) == [("data", 0, 0, 0o777)]
