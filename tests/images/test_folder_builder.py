"""Images of the embedded cluster: one content has one name, whoever builds it, and is never replaced."""

from __future__ import annotations

import os
import shutil
import stat
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from clipper_nb.container_managers.local.cluster_folder import ClusterFolder
from clipper_nb.errors import ImageBuildError, ImageNotFoundError
from clipper_nb.images import folder_builder
from clipper_nb.images.builder import ImageRequest
from clipper_nb.images.folder_builder import FolderBuilder
from clipper_nb.protocol.names import ModelId
from tests.support.packages import write_wheel

ONE = ModelId("m", "1")

Build = Callable[..., str]


@pytest.fixture
def folder(tmp_path: Path) -> ClusterFolder:
    folder = ClusterFolder(tmp_path / "root" / "c")
    folder.create()
    return folder


@pytest.fixture
def builder(folder: ClusterFolder) -> FolderBuilder:
    return FolderBuilder(folder.images_path, folder.image_path)


@pytest.fixture
def build(builder: FolderBuilder, tmp_path: Path) -> Build:
    """Give a function that builds the image of a model whose only file has that content."""

    def build(content: str, model_id: ModelId = ONE, packages: tuple[str, ...] = (), deploys: bool = True) -> str:
        bundle = tmp_path / f"bundle-{content}"
        bundle.mkdir(exist_ok=True)
        (bundle / "func.pkl").write_text(content)
        return builder.build(ImageRequest("c", model_id, str(bundle), packages=packages, goes_with_version=deploys))

    return build


def _read(builder: FolderBuilder, image: str) -> bytes:
    return builder.read_model_files(image, ["func.pkl"])["func.pkl"]


def test_image_can_be_completed(builder, build):
    image = build("first")
    builder.complete(image, {"samples.json": b"old"})
    builder.complete(image, {"samples.json": b"new"})
    assert builder.read_model_files(image, ["samples.json", "func.pkl"]) == {
        "samples.json": b"new",
        "func.pkl": b"first",
    }
    with pytest.raises(ImageBuildError, match="cannot be written"):
        builder.complete("c-m:unknown", {"samples.json": b""})


def test_own_files_of_a_deploy_are_not_copied(builder, tmp_path):
    """Those of a user's folder are, also through a link: the user may write to them."""
    bundle, theirs = tmp_path / "bundle", tmp_path / "theirs.bin"
    (bundle / "modules").mkdir(parents=True)
    theirs.write_text("theirs")
    (bundle / "theirs.bin").symlink_to(theirs)
    for name in ("func.pkl", "modules/mine.py"):
        (bundle / name).write_text(name)
    tags = {}
    for version, owns_files in ("1", True), ("2", False):
        request = ImageRequest("c", ModelId("m", version), str(bundle), owns_files=owns_files)
        tags[owns_files] = builder.build(request)
        for name in ("func.pkl", "modules/mine.py", "theirs.bin"):
            made = builder._image_path(tags[owns_files]) / name
            assert made.read_text() == (bundle / name).read_text()
            assert made.samefile(bundle / name) == (owns_files and name != "theirs.bin")
            assert not made.is_symlink()
    shutil.rmtree(bundle)
    assert _read(builder, tags[True]) == b"func.pkl"


@pytest.mark.slow
def test_source_of_an_image_is_what_it_was_built_from(builder, folder, tmp_path):
    bundle = tmp_path / "bundle"
    (bundle / "modules" / "empty").mkdir(parents=True)
    (bundle / "environment").mkdir()
    for name in ("func.pkl", "modules/mine.py", "environment/user.txt"):
        (bundle / name).write_text(name)
    wheel = str(write_wheel(tmp_path, "brought"))
    for packages, own in ([], {"environment/user.txt"}), ([wheel], set()):
        image = builder.build(ImageRequest("c", ONE, str(bundle), packages=packages))
        builder.complete(image, {"samples.json": b"late"})
        with builder.open_source(image) as source:
            assert source.files.keys() == {"func.pkl", "modules/mine.py", "modules/empty", "samples.json"} | own
            assert (source.files["func.pkl"].read_text(), source.packages) == ("func.pkl", packages)
    with pytest.raises(ImageNotFoundError), builder.open_source("c-m:unknown"):
        pass


def test_other_content_never_replaces_an_image(builder, build):
    first, second = build("first"), build("second")
    assert first != second
    assert (_read(builder, first), _read(builder, second)) == (b"first", b"second")


def test_same_content_is_the_same_image_and_stays_as_it_is(folder, build, tmp_path):
    image = build("same")
    inode = folder.image_path(image).stat().st_ino
    (tmp_path / "bundle-same" / "__pycache__").mkdir()
    os.utime(tmp_path / "bundle-same" / "func.pkl", (1, 1))
    assert build("same") == image
    assert folder.image_path(image).stat().st_ino == inode


def test_name_depends_on_version_packages_and_purpose(build, tmp_path, monkeypatch):
    monkeypatch.setattr(folder_builder, "_make_environment", lambda path, request: path.mkdir())
    (tmp_path / "other").mkdir()
    folders = (tmp_path, tmp_path / "other")
    wheels = [str(write_wheel(folder, "clipper_nb_test_one", extra_bytes=n)) for n, folder in enumerate(folders)]
    images = [
        build("m"), build("m", ModelId("m", "2")), build("m", ModelId("n", "1")), build("m", deploys=False),
        build("m", packages=("numpy",)), *(build("m", packages=(wheel,)) for wheel in wheels),
    ]  # fmt: skip
    assert len(set(images)) == len(images)
    assert build("m", packages=("numpy",)) in images


def test_concurrent_builders_each_get_their_own_content(builder, tmp_path):
    contents = ["a", "b", "a", "b", "a", "b"]
    for content in set(contents):
        (tmp_path / content).mkdir()
        (tmp_path / content / "func.pkl").write_text(content)
    requests = [ImageRequest("c", ONE, str(tmp_path / content)) for content in contents]
    images: dict[int, str] = {}
    threads = [
        threading.Thread(target=lambda n=n, request=request: images.update({n: builder.build(request)}))
        for n, request in enumerate(requests)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=30)
    assert [_read(builder, images[n]).decode() for n in range(len(contents))] == contents


@pytest.mark.slow
def test_failed_build_leaves_the_images_that_were_there(folder, builder, build):
    image = build("good")
    with pytest.raises(ImageBuildError):
        build("good", packages=("/no/such/folder.whl",))
    assert _read(builder, image) == b"good"
    assert [path.name for path in folder.images_path.iterdir()] == ["c-m"]
    assert len(list((folder.images_path / "c-m").iterdir())) == 1


def test_build_in_a_stopped_cluster_fails_and_creates_nothing(folder, build):
    shutil.rmtree(folder.path)
    with pytest.raises(ImageBuildError):
        build("late")
    assert not folder.path.exists()


def test_image_folder_is_private(folder, build):
    path = folder.image_path(build("private"))
    assert stat.S_IMODE(path.stat().st_mode) == stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_removed_image_is_gone_with_its_models_folder(folder, builder, build):
    image, other = build("one"), build("other")
    builder.remove(image)
    builder.remove(image)  # that it is gone already is fine
    with pytest.raises(ImageNotFoundError):
        builder.read_model_files(image, ["func.pkl"])
    assert _read(builder, other) == b"other"
    builder.remove(other)
    assert list(folder.images_path.iterdir()) == []


def test_deployed_images_are_distinguished_from_user_images(folder, builder, build):
    deployed, second, mine = build("1"), build("2", ModelId("m", "2")), build("mine", deploys=False)
    (folder.images_path / ".building-x" / "image").mkdir(parents=True)
    found = {each.image: each.model_id for each in builder.find_deployed("c")}
    assert found == {deployed: ONE, second: ModelId("m", "2")}
    assert _read(builder, mine) == b"mine"


@pytest.mark.slow
def test_images_are_listed_while_others_are_removed(folder, builder, build):
    """As when two callers stop one version: a folder may go between being listed and being looked into."""
    kept = build("kept")
    ended = threading.Event()
    passing = folder.images_path / "c-passing" / "1-0123456789ab"

    def come_and_go() -> None:
        while not ended.is_set():
            passing.mkdir(parents=True)
            shutil.rmtree(passing.parent)

    thread = threading.Thread(target=come_and_go)
    thread.start()
    try:
        found = [builder.find_deployed("c") for _ in range(3000)]
    finally:
        ended.set()
        thread.join()
    assert all([each.image for each in listed] == [kept] for listed in found)
