"""Images go with the versions that a deploy built them for, and stay as long as another version needs them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from clipper_nb import ClipperConnection, ExistsError, ImageNotFoundError, InvalidRequestError
from clipper_nb.closures.function_pickle import pickle_function
from clipper_nb.deployers.python import deploy_python_closure

pytestmark = pytest.mark.cluster


def _constant(value: int) -> Callable[[list[Any]], list[int]]:
    return lambda inputs: [value for _ in inputs]


def _image_of(conn: ClipperConnection, name: str, version: int) -> str:
    record = conn.get_model_info(name, version)
    assert record is not None
    return str(record["container_name"])


def _exists(conn: ClipperConnection, image: str) -> bool:
    try:
        conn._builder().read_model_files(image, [])
    except ImageNotFoundError:
        return False
    return True


def test_image_goes_with_its_version_and_the_current_one_stays(shared: ClipperConnection) -> None:
    for version in (1, 2):
        deploy_python_closure(shared, "m", version, "doubles", _constant(version))
    first, second = _image_of(shared, "m", 1), _image_of(shared, "m", 2)
    shared.set_model_version("m", 1)
    assert (_exists(shared, first), _exists(shared, second)) == (True, True)
    shared.set_model_version("m", 2)
    shared.stop_inactive_model_versions(["m"])
    assert (_exists(shared, first), _exists(shared, second)) == (False, True)
    assert shared.fetch_model("m")([0.0]) == [2]
    shared.stop_versioned_models({"m": [2]})
    assert not _exists(shared, second)


def test_image_that_another_version_uses_goes_with_the_last(shared: ClipperConnection) -> None:
    deploy_python_closure(shared, "again", 1, "doubles", _constant(1))
    image = _image_of(shared, "again", 1)
    shared.deploy_model("again", 2, "doubles", image)
    shared.stop_versioned_models({"again": [1]})
    assert shared.fetch_model("again", 2)([0.0]) == [1]
    shared.stop_models(["again"])
    assert not _exists(shared, image)


def test_image_that_the_user_built_stays(shared: ClipperConnection, tmp_path: Path) -> None:
    (tmp_path / "func.pkl").write_bytes(pickle_function(_constant(1))[0])
    image = shared.build_model("mine", 1, str(tmp_path))
    shared.deploy_model("mine", 1, "doubles", image)
    shared.stop_models(["mine"])
    shared.deploy_model("mine", 1, "doubles", image)
    shared.stop_models(["mine"])
    assert _exists(shared, image)


@pytest.mark.also_on_docker
def test_files_travel_with_a_folder_of_the_users(
    shared: ClipperConnection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Built and deployed at once, and one after the other: other files are another image."""
    here, folder = tmp_path / "here", tmp_path / "model"
    for path in (here / "data", folder):
        path.mkdir(parents=True)
    (here / "data" / "words.txt").write_text("a b")
    monkeypatch.chdir(here)
    read = pickle_function(lambda inputs: [Path("data/words.txt").read_text() for _ in inputs])[0]
    (folder / "func.pkl").write_bytes(read)

    image = shared.build_model("reader", 1, str(folder), files=["data/"])
    (here / "data" / "words.txt").write_text("c d")
    shared.build_and_deploy_model("reader", 2, "doubles", str(folder), files=["data"])
    shared.register_application("reader", "doubles", "none", 10_000_000)
    shared.link_model_to_app("reader", "reader")
    assert shared.predict("reader", [0.0]).output == "c d"
    assert image.partition(":")[0] == _image_of(shared, "reader", 2).partition(":")[0]
    shared.deploy_model("reader", 1, "doubles", image)
    assert shared.predict("reader", [0.0]).output == "a b"
    assert sorted(path.name for path in folder.iterdir()) == ["func.pkl"]

    (folder / "files").mkdir()
    for build in (
        lambda: shared.build_model("reader", 3, str(folder), files=["data"]),
        lambda: shared.build_and_deploy_model("reader", 3, "doubles", str(folder), files=["data"]),
    ):
        with pytest.raises(InvalidRequestError, match="has files/ already"):
            build()
    with pytest.raises(InvalidRequestError, match=r"no 'missing\.txt' in the working directory"):
        shared.build_model("reader", 3, str(folder), files=["missing.txt"])


def test_other_content_for_a_built_version_is_another_image(shared: ClipperConnection, tmp_path: Path) -> None:
    """As when two notebooks have the same name and version in mind."""
    images = []
    for value in (1, 2):
        (tmp_path / "func.pkl").write_bytes(pickle_function(_constant(value))[0])
        images.append(shared.build_model("twice", 1, str(tmp_path)))
    shared.deploy_model("twice", 1, "doubles", images[0])
    shared.register_application("twice", "doubles", "none", 5_000_000)
    shared.link_model_to_app("twice", "twice")
    assert shared.predict("twice", [0.0]).output == 1
    with pytest.raises(ExistsError):
        shared.deploy_model("twice", 1, "doubles", images[1])
    shared.set_num_replicas("twice", 2)
    assert {shared.predict("twice", [float(n)]).output for n in range(20)} == {1}
