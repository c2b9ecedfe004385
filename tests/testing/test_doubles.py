"""The doubles that users have in their tests: they record what they are asked, and run nothing."""

from __future__ import annotations

import doctest
from dataclasses import replace
from pathlib import Path

import pytest

from clipper_nb.container_managers.specs import ClusterOptions
from clipper_nb.errors import ClusterNotFoundError, ExistsError, ImageBuildError, ImageNotFoundError
from clipper_nb.images.builder import DeployedImage, ImageRequest
from clipper_nb.protocol.names import ModelId
from clipper_nb.testing import RecordingContainerManager, RecordingImageBuilder, doubles

ONE, TWO = ModelId("m", "1"), ModelId("m", "2")


def scale(
    manager: RecordingContainerManager, model_id: ModelId, num_replicas: int, image: str = "m:image"
) -> list[str]:
    manager.set_num_replicas(model_id, input_type="doubles", image=image, num_replicas=num_replicas, load_timeout_s=1.0)
    return [replica.name for replica in manager.observe_replicas(model_id)]


def test_examples_in_the_documentation_are_true() -> None:
    assert doctest.testmod(doubles).failed == 0


def test_replicas_become_as_many_as_asked() -> None:
    manager = RecordingContainerManager()
    first, second = scale(manager, ONE, 2)
    assert scale(manager, ONE, 1) == [first]
    [third] = scale(manager, TWO, 1)
    assert len({first, second, third}) == 3
    assert manager.get_num_replicas(ONE) == 1
    assert scale(manager, ONE, 0) == []
    assert [name for name, *_ in manager.calls] == ["set_num_replicas"] * 4


def test_replica_of_another_image_is_replaced() -> None:
    manager = RecordingContainerManager()
    assert scale(manager, ONE, 1) != scale(manager, ONE, 1, image="m:other")


def test_replica_that_keeps_ending_is_stopped_first() -> None:
    manager = RecordingContainerManager()
    _, second = scale(manager, ONE, 2)
    manager.replicas[0] = replace(manager.replicas[0], num_exits=1)
    assert scale(manager, ONE, 1) == [second]


def test_versions_are_stopped_by_name() -> None:
    manager = RecordingContainerManager()
    scale(manager, ONE, 2)
    [other] = scale(manager, TWO, 1)
    manager.stop_models({"m": ["1"], "unknown": ["7"]})
    assert [replica.name for replica in manager.replicas] == [other]
    assert manager.calls[-1] == ("stop_models", "m:1", "unknown:7")


def test_cluster_is_found_while_it_is_started() -> None:
    manager = RecordingContainerManager("mine")
    with pytest.raises(ClusterNotFoundError):
        manager.connect()
    manager.start_clipper(ClusterOptions())
    manager.connect()
    with pytest.raises(ExistsError):
        manager.start_clipper(ClusterOptions())
    scale(manager, ONE, 1)
    manager.stop_all()
    assert (manager.is_started, manager.replicas) == (False, [])


def test_method_raises_its_configured_error_and_changes_nothing() -> None:
    manager = RecordingContainerManager()
    manager.errors["set_num_replicas"] = ImageNotFoundError("m:1", "It is gone.")
    with pytest.raises(ImageNotFoundError):
        scale(manager, ONE, 1)
    assert manager.replicas == []
    assert manager.calls == [("set_num_replicas", "m:1", 1)]


def test_logs_are_what_a_test_wrote(tmp_path: Path) -> None:
    manager = RecordingContainerManager()
    manager.logs["m_1-1"] = "one\ntwo\nthree"
    assert manager.get_log_tail("m_1-1", max_lines=2) == "two\nthree"
    assert manager.get_log_tail("unknown") == ""
    [path] = manager.get_logs(str(tmp_path / "logs"))
    assert Path(path).read_text() == "one\ntwo\nthree"


def test_built_image_keeps_the_files_of_its_folder(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "weights.bin").write_bytes(b"1")
    (tmp_path / "metadata.json").write_bytes(b"{}")
    builder = RecordingImageBuilder()
    image = builder.build(ImageRequest("c", ONE, str(tmp_path)))
    (tmp_path / "metadata.json").unlink()
    assert builder.read_model_files(image, ["metadata.json", "other"]) == {"metadata.json": b"{}"}
    assert set(builder.files[image]) == {"deep/weights.bin", "metadata.json"}
    with pytest.raises(ImageNotFoundError):
        builder.read_model_files("unknown", [])


def test_images_of_versions_are_found_until_removed(tmp_path: Path) -> None:
    builder = RecordingImageBuilder()
    builder.build(ImageRequest("c", ONE, str(tmp_path)))
    image = builder.build(ImageRequest("c", TWO, str(tmp_path), goes_with_version=True))
    assert builder.find_deployed("c") == [DeployedImage(image, TWO)]
    assert builder.find_deployed("other") == []
    builder.remove(image)
    builder.remove("unknown")
    assert builder.find_deployed("c") == []
    assert builder.removed == [image, "unknown"]


def test_builder_raises_its_configured_error(tmp_path: Path) -> None:
    builder = RecordingImageBuilder()
    builder.error = ImageBuildError("There is no room.")
    with pytest.raises(ImageBuildError):
        builder.build(ImageRequest("c", ONE, str(tmp_path)))
    assert [request.model_id for request in builder.requests] == [ONE]
