"""Nothing is left of a build that fails, is interrupted or was killed."""

from __future__ import annotations

from typing import Any

import pytest

from clipper_nb.errors import DiskFullError, PackageInstallError
from clipper_nb.images import bundle_layer, docker_builder
from clipper_nb.images.docker_builder import DockerBuilder
from tests.support.clusters import eventually
from tests.support.docker_images import OwnBase
from tests.support.packages import package_index, write_project, write_wheel

pytestmark = pytest.mark.docker


@pytest.mark.parametrize("step", ["put_archive", "commit"])
def test_interrupted_bundle_leaves_nothing(client, builder, model_request, own_base, step, monkeypatch):
    """Ctrl-C arrives when the engine has done the step."""
    api, request = type(client.api), model_request("cut", base_image=own_base.image)
    real = getattr(api, step)

    def interrupted(*args: Any, **kwargs: Any) -> None:
        real(*args, **kwargs)
        raise KeyboardInterrupt

    monkeypatch.setattr(api, step, interrupted)
    with pytest.raises(KeyboardInterrupt):
        builder.build(request)
    monkeypatch.undo()
    assert own_base.leftovers(client) == []
    assert request.cluster_name not in [image.cluster for image in builder.images()]


def test_bundle_of_a_killed_notebook_is_removed_by_the_next(client, builder, model_request, own_base, monkeypatch):
    api = type(client.api)
    with monkeypatch.context() as killed:
        killed.setattr(api, "put_archive", _die)
        killed.setattr(api, "remove_container", lambda *args, **kwargs: None)
        with pytest.raises(KeyboardInterrupt):
            builder.build(model_request("killed", base_image=own_base.image))
    assert len(own_base.leftovers(client)) == 1
    builder.build(model_request("next", base_image=own_base.image))
    assert len(own_base.leftovers(client)) == 1  # a notebook that lives may be at it
    monkeypatch.setattr(bundle_layer, "_LONGEST_USE_S", -5)
    builder.build(model_request("last", base_image=own_base.image))
    assert own_base.leftovers(client) == []


def _die(*_args: object, **_kwargs: object) -> None:
    raise KeyboardInterrupt


def test_missing_package_shows_pip_output_and_leaves_nothing(client, make_builder, model_request, own_base, tmp_path):
    with package_index(tmp_path, []) as index:
        builder = make_builder({"PIP_INDEX_URL": f"{index.url}/simple/"})
        request = model_request(packages=["clipper-nb-test-nowhere==1.0"], base_image=own_base.image)
        with pytest.raises(PackageInstallError, match=r"clipper-nb-test-nowhere==1\.0") as caught:
            builder.build(request)
    assert "No matching distribution found for clipper-nb-test-nowhere==1.0" in caught.value.log_tail
    assert "Step 2/" not in caught.value.log_tail  # what worked is of no interest
    assert own_base.leftovers(client) == []
    assert request.cluster_name not in [image.cluster for image in builder.images()]


def test_failed_build_leaves_the_image_that_was_there(client, builder, model_request, own_base):
    tag = builder.build(model_request("good"))
    before = client.images.get(tag).id
    with pytest.raises(PackageInstallError):
        builder.build(model_request("good", packages=["/no/such/folder.whl"], base_image=own_base.image))
    assert client.images.get(tag).id == before
    assert own_base.leftovers(client) == []


def test_no_space_in_the_build_is_its_own_error(client, make_builder, model_request, own_base, tmp_path):
    """pip downloads into a temporary folder, here one of 64 MB."""
    with package_index(tmp_path, [write_wheel(tmp_path, "clipper_nb_test_big", extra_bytes=80 << 20)]) as index:
        builder = make_builder({"PIP_INDEX_URL": f"{index.url}/simple/"})
        with pytest.raises(DiskFullError, match="docker image prune"):
            builder.build(model_request(packages=["clipper-nb-test-big"], base_image=own_base.image))
    assert own_base.leftovers(client) == []


class Interrupting:
    """A user who presses stop as soon as pip works."""

    def step(self, name: str) -> None:
        pass

    def detail(self, text: str) -> None:
        if "Processing" in text:
            raise KeyboardInterrupt


def test_interrupted_build_ends_and_leaves_nothing(client, builder, model_request, own_base, tmp_path):
    project = write_project(tmp_path / "endless", "clipper_nb_test_endless")
    (project / "backend.py").write_text("import time; time.sleep(100)")
    request = model_request(packages=[str(project)], base_image=own_base.image)
    with pytest.raises(KeyboardInterrupt) as caught:
        builder.build(request, Interrupting())
    assert caught.tb is not None  # a notebook keeps the traceback, and what it holds, for long
    eventually(lambda: not own_base.leftovers(client), within_s=10, what="the end of the build")


def test_next_build_removes_leftovers_of_a_killed_notebook(
    client, builder, model_request, own_base, tmp_path, monkeypatch
):
    """The engine ends the build, and keeps the images of the steps that were done."""
    project = write_project(tmp_path / "endless", "clipper_nb_test_endless")
    (project / "backend.py").write_text("import time; time.sleep(100)")
    request = model_request(packages=[str(project)], base_image=own_base.image)
    monkeypatch.setattr(DockerBuilder, "_remove_steps", lambda self, made_images: None)
    with pytest.raises(KeyboardInterrupt):
        builder.build(request, Interrupting())
    eventually(lambda: _no_containers(client, own_base), within_s=10, what="the end of the build")
    assert own_base.leftovers(client)
    builder.remove_leftovers()
    assert own_base.leftovers(client)  # a builder that lives may need them
    monkeypatch.setattr(docker_builder, "_LONGEST_BUILD", "-5s")
    builder.remove_leftovers()
    assert own_base.leftovers(client) == []


def _no_containers(client: Any, base: OwnBase) -> bool:
    return client.api.containers(all=True, filters={"label": base.label}) == []
