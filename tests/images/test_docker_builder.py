"""Images on a real engine: one name for one content, and each has what its request says."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import pytest
from docker.models.containers import Container

from clipper_nb.errors import InvalidRequestError, RegistryError
from clipper_nb.images import docker_builder, image_files
from clipper_nb.images.docker_builder import DockerBuilder
from clipper_nb.protocol.names import ModelId
from tests.support.docker_images import image_of, run_python
from tests.support.packages import write_wheel

pytestmark = pytest.mark.docker


def test_image_has_the_bundle_and_its_labels(client, builder, model_request):
    request = model_request("trained")
    tag = builder.build(request)
    assert re.fullmatch(rf"{request.cluster_name}-model:1-[0-9a-f]{{12}}", tag)
    assert run_python(client, tag, "print(open('/model/func.pkl').read())") == "trained"
    (found,) = (image for image in builder.images() if image.cluster == request.cluster_name)
    assert (found.tags, found.kind, found.model, found.version) == ((tag,), "model", "model", "1")
    assert found.size_bytes > 1_000_000


def test_model_runs_unprivileged_and_can_import_the_library(client, builder, model_request):
    image = builder.build(model_request())
    program = (
        "import os, getpass, clipper_nb.runtime.model_container as m; print(os.getuid(), getpass.getuser(), m.__file__)"
    )
    uid, user, path = run_python(client, image, program).split()
    assert (uid, user) == ("2013265920", "clipper")
    assert path.startswith("/opt/clipper_nb/library/")


def test_same_input_is_the_same_image(client, builder, model_request):
    request = model_request()
    tag = builder.build(request)
    first = client.images.get(tag).id
    os.utime(Path(request.model_data_path, "func.pkl"), (1, 1))
    assert builder.build(request) == tag
    assert client.images.get(tag).id == first


def test_changed_bundle_reuses_the_layer_of_the_packages(client, builder, model_request, tmp_path):
    wheel = write_wheel(tmp_path, "clipper_nb_test_reused")
    old = client.images.get(builder.build(model_request("old", packages=[str(wheel)])))
    new = client.images.get(builder.build(model_request("new", version="2", packages=[str(wheel)])))
    *below_old, _ = old.attrs["RootFS"]["Layers"]
    *below_new, _ = new.attrs["RootFS"]["Layers"]
    assert below_old == below_new
    assert old.id != new.id


def test_bundle_on_its_packages_equals_the_whole_build(client, builder, make_builder, model_request, tmp_path):
    """The second builder has not seen the packages yet, so it builds; the first puts the bundle on top of them."""
    wheel = write_wheel(tmp_path, "clipper_nb_test_equal")
    builder.build(model_request("before", packages=[str(wheel)]))
    bundle = Path(model_request("equal").model_data_path)
    (bundle / "deep" / "empty").mkdir(parents=True)
    (bundle / "run.sh").write_text("#!/bin/sh")
    (bundle / "run.sh").chmod(0o755)
    (bundle / ("n" * 120)).write_text("a name that needs more of a tar than others")
    request = model_request("equal", packages=[str(wheel)], goes_with_version=True)
    quick = client.images.get(builder.build(request))
    found = _files_of(client, quick.id)
    builder.remove(quick.tags[0])
    whole = client.images.get(make_builder().build(request))
    assert whole.id != quick.id
    assert whole.tags == quick.tags
    assert quick.attrs["Config"] == {**whole.attrs["Config"], "Image": quick.attrs["Config"].get("Image")}
    assert found == _files_of(client, whole.id)
    assert "model/deep/empty" in found


def _files_of(client: Any, image: str) -> str:
    """Return what is in the model's folder of an image; a build gives folders the time at which it ran."""
    program = (
        "import pathlib; stats = [(path, path.stat()) for path in sorted(pathlib.Path('/model').rglob('*'))]; "
        "print([(str(path), stat.st_mode, stat.st_uid, stat.st_gid, "
        "(stat.st_mtime, path.read_bytes()) if path.is_file() else '') for path, stat in stats])"
    )
    return run_python(client, image, program)


def test_edited_function_is_no_build(client, builder, model_request, tmp_path, monkeypatch):
    wheel = write_wheel(tmp_path, "clipper_nb_test_no_build")
    builder.build(model_request("first", packages=[str(wheel)]))
    monkeypatch.setattr(DockerBuilder, "_build", _refuse)
    for packages in ([], [str(wheel)]):
        image = builder.build(model_request("second", packages=packages))
        assert run_python(client, image, "print(open('/model/func.pkl').read())") == "second"


def _refuse(*_args: object, **_kwargs: object) -> None:
    raise AssertionError("this needs no build")


def test_packages_that_the_engine_lost_are_built_again(client, builder, model_request, tmp_path):
    """The last image that had them takes them along when it is removed."""
    wheel = write_wheel(tmp_path, "clipper_nb_test_lost")
    builder.remove(builder.build(model_request("first", packages=[str(wheel)])))
    image = builder.build(model_request("second", packages=[str(wheel)]))
    assert run_python(client, image, "import clipper_nb_test_lost as m; print(m.VALUE)") == "clipper_nb_test_lost"


def test_other_content_never_replaces_an_image(client, builder, model_request):
    first, second = builder.build(model_request("first")), builder.build(model_request("second"))
    assert first != second
    for tag, content in ((first, "first"), (second, "second")):
        assert run_python(client, tag, "print(open('/model/func.pkl').read())") == content


def test_deployed_images_are_distinguished_from_user_images(client, builder, model_request):
    deployed = builder.build(model_request("deployed", goes_with_version=True))
    attempted = builder.build(model_request("attempted", goes_with_version=True))
    mine = builder.build(model_request("mine"))
    cluster = model_request().cluster_name
    assert builder.find_deployed(f"{cluster}-other") == []
    with image_of(client, f"FROM {deployed}\nRUN true\n") as users:
        found = builder.find_deployed(cluster)
        assert {each.model_id for each in found} == {ModelId("model", "1")}
        assert {each.image for each in found} == {deployed, attempted}
        for each in found:
            builder.remove(each.image)
        assert client.images.get(users)
    assert [tag for image in builder.images() if image.cluster == cluster for tag in image.tags] == [mine]


def test_container_for_reading_files_is_not_in_the_cluster(client, builder, make_builder, model_request, monkeypatch):
    """Killed while it reads, a notebook leaves it; neither stop_all() nor a start takes it for the cluster's."""
    tag = builder.build(model_request("read"))

    def die(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr(image_files, "_only_file", die)
    monkeypatch.setattr(Container, "remove", lambda *args, **kwargs: None)
    with pytest.raises(KeyboardInterrupt):
        builder.read_model_files(tag, ["func.pkl"])
    monkeypatch.undo()
    (left,) = client.containers.list(all=True, filters={"ancestor": tag})
    assert left.labels["ai.clipper.container.label"] == ""
    monkeypatch.setattr(docker_builder, "_LONGEST_READ", "-5s")  # the engine counts whole seconds
    make_builder().build(model_request("read"))
    assert client.containers.list(all=True, filters={"ancestor": tag}) == []


def test_image_that_a_container_needs_stays(client, builder, model_request):
    image = builder.build(model_request())
    container = client.containers.create(image)
    try:
        builder.remove(image)
        assert client.images.get(image)
    finally:
        container.remove()
    builder.remove(image)
    builder.remove(image)  # that it is gone already is fine
    assert image not in [tag for found in builder.images() for tag in found.tags]


def test_user_image_based_on_ours_is_not_ours(client, builder, model_request):
    with image_of(client, f"FROM {builder.build_base('python_closure')}\nRUN true\n") as mine:
        assert mine not in [tag for image in builder.images() for tag in image.tags]


def test_names_that_run_together_are_different_images(client, builder, model_request):
    """Cluster ``a-b`` with model ``c`` and cluster ``a`` with model ``b-c`` share a repository."""
    prefix = model_request().cluster_name
    first = builder.build(model_request(cluster_name=f"{prefix}-b", name="c"))
    second = builder.build(model_request(cluster_name=prefix, name="b-c"))
    assert first.partition(":")[0] == second.partition(":")[0]
    assert client.images.get(first).labels["ai.clipper.model.name"] == "c"
    assert client.images.get(second).labels["ai.clipper.model.name"] == "b-c"


def test_missing_model_folder_is_refused(builder, model_request):
    request = model_request()
    os.unlink(Path(request.model_data_path, "func.pkl"))
    os.rmdir(request.model_data_path)
    with pytest.raises(InvalidRequestError, match="is not a folder"):
        builder.build(request)


@pytest.mark.parametrize("metadata", ["{", "[]", "{}", '"text"'])
def test_metadata_without_a_kind_is_refused(builder, model_request, metadata):
    request = model_request()
    Path(request.model_data_path, "metadata.json").write_text(metadata)
    with pytest.raises(InvalidRequestError, match=r"metadata.json in the model's folder has no 'kind'"):
        builder.build(request)


@pytest.mark.parametrize("registry", ["", "http://localhost:5000", "localhost:5000/Team"])
def test_invalid_registry_is_refused_before_the_build(builder, model_request, registry):
    with pytest.raises(InvalidRequestError, match="is not the name of an image"):
        builder.build(model_request(registry=registry))


def test_refused_push_leaves_no_image(builder, model_request):
    request = model_request(registry="localhost:1")
    with pytest.raises(RegistryError, match="connection refused"):
        builder.build(request)
    assert request.cluster_name not in [image.cluster for image in builder.images()]
