"""Copies of logs are readable by their user alone, whatever the umask and the folder."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from clipper_nb.container_managers.log_copies import copy_logs, create_copy
from clipper_nb.errors import InvalidRequestError


@pytest.fixture(autouse=True)
def open_to_all() -> Iterator[None]:
    """A umask that takes nothing away."""
    before = os.umask(0)
    yield
    os.umask(before)


def _mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def _write(folder: Path) -> list[str]:
    with create_copy(folder / "m.log") as copy:
        copy.write(b"seen\n")
    return [str(folder / "m.log")]


def test_new_folder_and_copies_are_for_their_user_alone(tmp_path: Path) -> None:
    [path] = copy_logs(str(tmp_path / "above" / "logs"), _write)
    assert Path(path).read_text() == "seen\n"
    assert (_mode(Path(path)), _mode(Path(path).parent)) == (0o600, 0o700)


def test_older_copy_that_others_can_read_is_replaced(tmp_path: Path) -> None:
    """A reader of the older copy does not see the new one; the folder's mode is its owner's choice."""
    tmp_path.chmod(0o755)
    (tmp_path / "m.log").write_text("before\n")
    with (tmp_path / "m.log").open() as reader:
        copy_logs(str(tmp_path), _write)
        assert reader.read() == "before\n"
    assert (_mode(tmp_path / "m.log"), _mode(tmp_path)) == (0o600, 0o755)


def test_copy_is_not_written_through_a_link(tmp_path: Path) -> None:
    (tmp_path / "target").write_text("theirs\n")
    (tmp_path / "m.log").symlink_to(tmp_path / "target")
    copy_logs(str(tmp_path), _write)
    assert (tmp_path / "target").read_text() == "theirs\n"
    assert (tmp_path / "m.log").read_text() == "seen\n"


def test_copy_in_the_place_of_a_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "m.log").mkdir()
    with pytest.raises(InvalidRequestError, match="logs cannot be written"):
        copy_logs(str(tmp_path), _write)
