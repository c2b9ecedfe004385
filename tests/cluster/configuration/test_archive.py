"""The file of an exported configuration is written whole, and read only if nothing in it is wrong."""

from __future__ import annotations

import io
import json
import stat
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from clipper_nb import ConfigurationFileError
from clipper_nb.cluster.configuration.archive import ArchiveWriter, new_archive, open_archive
from clipper_nb.cluster.configuration.manifest import ExportedApplication, ExportedVersion, Manifest
from clipper_nb.images.builder import ImageSource

Members = dict[str, bytes]


@pytest.fixture
def source(tmp_path: Path) -> ImageSource:
    """A bundle with a file of each kind: in memory, on disk, executable, below folders, and an empty folder."""
    folder = tmp_path / "bundle"
    (folder / "files" / "empty").mkdir(parents=True)
    (folder / "files" / "größe.txt").write_text("x" * 1_100_000)
    (folder / "run.sh").write_text("#!/bin/sh\n")
    (folder / "run.sh").chmod(0o700)
    files: dict[str, bytes | Path] = {
        "func.pkl": b"never loaded", "files/größe.txt": folder / "files" / "größe.txt", "run.sh": folder / "run.sh",
        "files/empty": folder / "files" / "empty",
    }  # fmt: skip
    return ImageSource(files, ["numpy==2.0"])


def write(path: Path, source: ImageSource) -> Path:
    with new_archive(path) as archive:
        fill(archive, source)
    return path


def fill(archive: ArchiveWriter, source: ImageSource) -> None:
    bundle = archive.add_bundle("models/m/1", source)
    version = ExportedVersion(
        name="m", version="1", input_type="doubles", is_current=True, num_replicas=2, bundle=bundle
    )
    application = ExportedApplication(
        name="app", input_type="doubles", default_output="-1", slo_micros=100_000, linked_models=("m",)
    )
    archive.add_manifest(Manifest(release="0.2.0", cluster_name="c", applications=(application,), versions=(version,)))


@pytest.fixture
def exported(tmp_path: Path, source: ImageSource) -> Path:
    return write(tmp_path / "exported.tar", source)


def test_bundle_comes_back_as_it_was(exported: Path, tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.mkdir()
    with open_archive(exported) as archive:
        (version,) = archive.manifest.versions
        assert version.bundle is not None
        assert (version.bundle.packages, version.bundle.base_image) == (("numpy==2.0",), "default")
        assert archive.read(version, "func.pkl") == b"never loaded"
        assert archive.read(version, "metadata.json") is None
        archive.extract(version, target)
    assert sorted(path.relative_to(target).as_posix() for path in target.rglob("*")) == [
        "files", "files/empty", "files/größe.txt", "func.pkl", "run.sh"
    ]  # fmt: skip
    assert (target / "files" / "größe.txt").read_text() == "x" * 1_100_000
    assert [(target / name).stat().st_mode & 0o100 for name in ("run.sh", "func.pkl")] == [0o100, 0]


def test_equal_configurations_give_equal_files(exported: Path, tmp_path: Path, source: ImageSource) -> None:
    assert write(tmp_path / "again.tar", source).read_bytes() == exported.read_bytes()


def test_only_this_user_may_read_the_file(exported: Path) -> None:
    assert stat.S_IMODE(exported.stat().st_mode) == 0o600


def test_failed_export_leaves_the_file_that_was_there(exported: Path, tmp_path: Path, source: ImageSource) -> None:
    before, files = exported.read_bytes(), sorted(tmp_path.iterdir())

    def fail() -> None:
        with new_archive(exported) as archive:
            archive.add_bundle("models/m/1", source)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert exported.read_bytes() == before
    assert sorted(tmp_path.iterdir()) == files


def test_file_in_a_missing_folder_is_refused(tmp_path: Path, source: ImageSource) -> None:
    with pytest.raises(ConfigurationFileError, match=r"cannot be written to .*/missing/exported\.tar: No such file"):
        write(tmp_path / "missing" / "exported.tar", source)


def test_name_that_is_no_text_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationFileError, match="not Unicode"):
        write(tmp_path / "exported.tar", ImageSource({"f\udcff": b""}))


# --- bad files


def read_members(path: Path) -> list[tuple[tarfile.TarInfo, bytes]]:
    with tarfile.open(path) as tar:
        return [(member, tar.extractfile(member).read()) for member in tar]  # type: ignore[union-attr]


def write_members(path: Path, members: list[tuple[tarfile.TarInfo, bytes]]) -> None:
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as tar:
        for info, content in members:
            info.size = len(content) if info.isreg() else 0
            tar.addfile(info, io.BytesIO(content))


def rewrite(path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Change the manifest in a file."""
    members = read_members(path)
    manifest = json.loads(members[-1][1])
    change(manifest)
    write_members(path, [*members[:-1], (members[-1][0], json.dumps(manifest).encode())])


def refusal_of(path: Path) -> str:
    """Return why a file is refused."""
    with pytest.raises(ConfigurationFileError) as info, open_archive(path):
        pass
    assert str(path) in info.value.msg
    return info.value.msg.removeprefix(f"{path} cannot be imported. ")


def test_what_is_no_tar_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "some.tar"
    assert refusal_of(path) == "There is no such file."
    assert refusal_of(tmp_path) == "There is no such file."
    for content in (b"", b"text\n" * 1000, b"\x1f\x8b" + bytes(5000)):
        path.write_bytes(content)
        assert "is no file of export_configuration()" in refusal_of(path) or "no manifest.json" in refusal_of(path)


def test_a_file_cut_off_anywhere_is_refused(exported: Path) -> None:
    """Behind the manifest there is only padding, without which nothing is lost."""
    whole = exported.read_bytes()
    end = whole.rindex(b"}") - 1
    for length in [*range(512, end, end // 12), end]:
        exported.write_bytes(whole[:length])
        assert "no file of export_configuration()" in refusal_of(exported) or "truncated" in refusal_of(exported)


def test_a_changed_byte_of_a_file_is_noticed(exported: Path) -> None:
    content = exported.read_bytes()
    exported.write_bytes(content.replace(b"never loaded", b"never Loaded"))
    assert refusal_of(exported) == "'models/m/1/func.pkl' is not what was exported: it was damaged or changed."


@pytest.mark.parametrize("name", ["../evil", "/etc/evil", "models/m/1/../../evil", "models/m/2/more", "evil"])
def test_members_that_the_manifest_does_not_name_are_refused(exported: Path, name: str) -> None:
    write_members(exported, [(tarfile.TarInfo(name), b"evil"), *read_members(exported)])
    assert refusal_of(exported) == f"{name!r} is not in the manifest."


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE])
def test_members_that_are_no_files_are_refused(exported: Path, kind: bytes) -> None:
    info = tarfile.TarInfo("models/m/1/link")
    info.type, info.linkname = kind, "/etc/passwd"
    write_members(exported, [(info, b""), *read_members(exported)])
    assert "'models/m/1/link' is a link, a folder or there twice" in refusal_of(exported)


def test_a_member_that_is_there_twice_is_refused(exported: Path) -> None:
    members = read_members(exported)
    write_members(exported, [members[0], *members])
    assert "there twice" in refusal_of(exported)


def test_a_missing_member_is_refused(exported: Path) -> None:
    members = read_members(exported)
    write_members(exported, members[1:])
    assert refusal_of(exported) == f"{members[0][0].name!r} is missing."


def test_another_format_is_refused_with_its_release(exported: Path) -> None:
    rewrite(exported, lambda manifest: manifest.update(format=2, release="0.9.0", versions="else"))
    assert "is of format 2, and this release of clipper_nb reads format 1" in refusal_of(exported)
    assert "0.9.0" in refusal_of(exported)


def test_unknown_fields_of_a_manifest_are_ignored(exported: Path) -> None:
    rewrite(exported, lambda manifest: (manifest.update(more=1), manifest["versions"][0].update(more=1)))
    with open_archive(exported) as archive:
        assert archive.manifest.versions[0].num_replicas == 2


def set_path(manifest: dict[str, Any], path: str) -> None:
    manifest["versions"][0]["bundle"]["files"][0]["path"] = path


@pytest.mark.parametrize("path", ["../evil", "/evil", "a/../../evil", "", ".", "a//b", "a/", "nul\0"])
def test_paths_of_a_manifest_stay_in_their_folder(exported: Path, path: str) -> None:
    rewrite(exported, lambda manifest: set_path(manifest, path))
    assert refusal_of(exported) == f"The path {path!r} of a file leaves its folder."


def bundle_of(manifest: dict[str, Any]) -> Any:
    return manifest["versions"][0]["bundle"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda m: m.pop("versions"), "versions"),
        (lambda m: m["versions"][0].update(num_replicas="2"), "num_replicas"),
        (lambda m: m["versions"][0].update(name="../m"), "not a valid model name"),
        (lambda m: m["versions"][0].update(version=".."), "not a valid version"),
        (lambda m: m["applications"][0].update(name="admin"), "not a valid application name"),
        (lambda m: m["versions"].append(m["versions"][0]), "two entries for version 'm:1'"),
        (lambda m: m["applications"].append(m["applications"][0]), "two entries for application 'app'"),
        (lambda m: m["applications"][0].update(linked_models=["n"]), "Application 'app' is linked to n"),
        (
            lambda m: m["applications"][0].update(linked_models=[], traffic={"n": 1}),
            "Application 'app' has traffic to n;",
        ),
        (lambda m: m["applications"][0].update(linked_models=[], traffic={"m:2": 1}), "has traffic to m:2;"),
        (
            lambda m: m["applications"][0].update(
                linked_models=[], traffic={"m": 1, "m:1": 1}, policy={"name": "ensemble", "combine": "blend"}
            ),
            "has traffic to m, m:1, blend;",
        ),
        (
            lambda m: m["applications"][0].update(linked_models=[], traffic={"m:1": 0}),
            "traffic of application 'app' is not",
        ),
        (lambda m: m["applications"][0].update(traffic={"m:1": 1}), "in place of a link"),
        (
            lambda m: m["applications"][0].update(linked_models=[], traffic={"m:1": 1}, policy={"name": "ucb"}),
            "traffic of application 'app' is not valid: Policy 'ucb' chooses among at least two targets",
        ),
        (lambda m: m["versions"][0].update(bundle=None), "m:1 has neither a bundle nor an image"),
        (lambda m: bundle_of(m)["empty_folders"].append("func.pkl"), "two entries for path 'func.pkl'"),
        (lambda m: bundle_of(m)["empty_folders"].append("func.pkl/x"), "'func.pkl' is one of a file, and of a folder"),
    ],
)
def test_a_wrong_manifest_says_what_is_wrong(exported: Path, change: Callable[[Any], object], words: str) -> None:
    rewrite(exported, change)
    assert words in refusal_of(exported)


@pytest.mark.parametrize("content", [b"", b"[]", b"5", b"null", b"{", b"[" * 100_000, b"\xff\xfe"])
def test_a_manifest_that_is_no_object_is_refused(exported: Path, content: bytes) -> None:
    members = read_members(exported)
    write_members(exported, [*members[:-1], (members[-1][0], content)])
    assert "manifest" in refusal_of(exported)
