"""A build context depends on content alone: the same input is the same bytes, whenever and wherever it is packed."""

from __future__ import annotations

import io
import os
import tarfile
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clipper_nb.errors import ImageBuildError
from clipper_nb.images import context
from clipper_nb.images.context import digest_context, folder_files, move_folder, pack_context
from tests.support.examples import examples


def _pack(folder: Path) -> bytes:
    with pack_context("FROM scratch\n", folder_files(folder, prefix="bundle")) as packed:
        return packed.read()


def _unpack(packed: bytes) -> dict[str, tarfile.TarInfo]:
    with tarfile.open(fileobj=io.BytesIO(packed)) as tar:
        return {member.name: member for member in tar.getmembers()}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "model"
    (made / "weights").mkdir(parents=True)
    (made / "metadata.json").write_text("{}")
    (made / "weights" / "layer-0").write_bytes(b"\0" * 100)
    (made / "run.sh").write_text("#!/bin/sh\n")
    (made / "run.sh").chmod(0o755)
    return made


def test_files_and_their_content_arrive(folder):
    with tarfile.open(fileobj=io.BytesIO(_pack(folder))) as tar:
        content = {member.name: tar.extractfile(member).read() for member in tar.getmembers()}
    assert content == {
        "Dockerfile": b"FROM scratch\n",
        "bundle/metadata.json": b"{}",
        "bundle/run.sh": b"#!/bin/sh\n",
        "bundle/weights/layer-0": b"\0" * 100,
    }


def test_moved_folder_has_its_files_and_all_folders_above_them(folder):
    (folder / ("long" * 30)).write_text("a name that is in a header of its own")
    moved = io.BytesIO()
    move_folder(io.BytesIO(_pack(folder)), moved, "bundle", "model")
    members = _unpack(moved.getvalue())
    files = {f"model/{'long' * 30}", "model/metadata.json", "model/run.sh", "model/weights/layer-0"}
    assert members.keys() == {"model", "model/weights", *files}
    assert next(iter(members)) == "model"
    assert {name: members[name].mode for name in ("model", "model/weights", "model/run.sh", "model/metadata.json")} == {
        "model": 0o755, "model/weights": 0o755, "model/run.sh": 0o755, "model/metadata.json": 0o644,
    }  # fmt: skip


def test_context_ignores_times_places_and_permissions(folder, tmp_path):
    before = _pack(folder)
    os.utime(folder / "metadata.json", (1, 1))
    (folder / "metadata.json").chmod(0o600)
    (folder / "weights").chmod(0o700)
    moved = folder.rename(tmp_path / "elsewhere")
    assert _pack(moved) == before


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_context_ignores_owners(folder):
    before = _pack(folder)
    os.chown(folder / "metadata.json", 12345, 12345)
    assert _pack(folder) == before


def test_context_ignores_the_umask(tmp_path):
    packed = set()
    for number, umask in enumerate((0o000, 0o022, 0o077)):
        previous = os.umask(umask)
        try:
            made = tmp_path / str(number)
            made.mkdir()
            (made / "file").write_text("content")
        finally:
            os.umask(previous)
        packed.add(_pack(made))
    assert len(packed) == 1


def test_no_owner_no_time_and_readable_by_all(folder):
    for member in _unpack(_pack(folder)).values():
        assert (member.uid, member.gid, member.uname, member.gname, member.mtime) == (0, 0, "", "", 0)
        assert member.mode == (0o755 if member.name == "bundle/run.sh" else 0o644)


_NAMES = st.text(st.characters(codec="utf-8", exclude_characters="/\0"), min_size=1, max_size=40).filter(
    lambda name: name not in (".", "..", "Dockerfile")
)


@examples(100)
@given(st.dictionaries(_NAMES, st.binary(max_size=600), max_size=6), st.randoms())
def test_context_ignores_order_and_keeps_every_file(files, random):
    shuffled = list(files.items())
    random.shuffle(shuffled)
    with pack_context("FROM a", files) as one, pack_context("FROM a", dict(shuffled)) as other:
        packed = one.read()
        assert other.read() == packed
    with tarfile.open(fileobj=io.BytesIO(packed)) as tar:
        found = {member.name: tar.extractfile(member).read() for member in tar.getmembers()}
    assert found == {**files, "Dockerfile": b"FROM a"}


@examples(100)
@given(
    st.dictionaries(_NAMES, st.binary(max_size=20), max_size=4),
    st.dictionaries(_NAMES, st.binary(max_size=20), max_size=4),
)
def test_digest_depends_on_the_contents(one, other):
    assert (digest_context("FROM a", one) == digest_context("FROM a", other)) == (one == other)


def test_digest_depends_on_the_dockerfile():
    assert digest_context("FROM a", {}) != digest_context("FROM b", {})


def test_executable_bit_is_content(folder):
    before = _pack(folder)
    (folder / "metadata.json").chmod(0o755)
    assert _pack(folder) != before


def test_caches_stay_out(folder):
    before = _pack(folder)
    for cache in ("__pycache__", "weights/__pycache__", ".git", ".ipynb_checkpoints", ".venv"):
        (folder / cache).mkdir()
        (folder / cache / "file").write_text("x")
    assert _pack(folder) == before


def test_empty_folder_is_kept(folder):
    (folder / "output").mkdir()
    member = _unpack(_pack(folder))["bundle/output"]
    assert member.isdir()
    assert member.mode == 0o755


@pytest.mark.parametrize("inside", [[], ["__pycache__"]])
def test_folder_without_files_is_in_the_context(tmp_path, inside):
    """A Dockerfile copies it, and COPY fails without an entry."""
    (tmp_path / "model").mkdir()
    for name in inside:
        (tmp_path / "model" / name).mkdir()
    members = _unpack(_pack(tmp_path / "model"))
    assert sorted(members) == ["Dockerfile", "bundle"]
    assert members["bundle"].isdir()


def test_links_are_followed(folder, tmp_path):
    """What they lead to may not exist where the image is built."""
    (tmp_path / "shared").mkdir()
    (tmp_path / "shared" / "vocabulary").write_text("words")
    (folder / "to-folder").symlink_to(tmp_path / "shared")
    (folder / "to-file").symlink_to("metadata.json")
    members = _unpack(_pack(folder))
    assert members["bundle/to-folder/vocabulary"].isreg()
    assert members["bundle/to-file"].isreg()


def test_links_to_nowhere_and_in_circles_are_left_out(folder):
    before = _pack(folder)
    (folder / "nowhere").symlink_to("no-such-file")
    (folder / "itself").symlink_to("itself")
    (folder / "weights" / "above").symlink_to(folder)
    os.mkfifo(folder / "pipe")
    assert _pack(folder) == before


def test_two_links_to_one_folder_are_two_copies(folder):
    (folder / "again").symlink_to("weights")
    assert {"bundle/weights/layer-0", "bundle/again/layer-0"} <= set(_unpack(_pack(folder)))


def test_big_file_is_never_in_memory_at_once(folder, monkeypatch):
    size_bytes = 32 * 1024 * 1024
    with open(folder / "big", "wb") as file:
        file.truncate(size_bytes)
    monkeypatch.setattr(context, "_IN_MEMORY_BYTES", 1024 * 1024)
    tracemalloc.start()
    try:
        digest = digest_context("FROM a", folder_files(folder, prefix="bundle"))
        peak_bytes = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert digest
    assert peak_bytes < size_bytes / 4


def test_file_that_is_gone_is_an_error_of_ours(folder):
    files = folder_files(folder, prefix="bundle")
    (folder / "metadata.json").unlink()
    with pytest.raises(ImageBuildError, match=r"cannot be packed.*metadata\.json"), pack_context("FROM a", files):
        pass


def test_folder_that_is_gone_is_an_error_of_ours(tmp_path):
    with pytest.raises(ImageBuildError, match="no-such-folder' cannot be read"):
        folder_files(tmp_path / "no-such-folder", prefix="bundle")


def test_error_of_the_reader_passes_unchanged(folder):
    with pytest.raises(OSError, match="of the reader"), pack_context("FROM a", {}):
        raise OSError("of the reader")
