"""Images on a real engine: one name for one content, and nothing left of those that fail."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import ssl
import subprocess
import sysconfig
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from docker.models.containers import Container

import clipper_nb
from clipper_nb.errors import (
    BaseImageError,
    DiskFullError,
    InvalidRequestError,
    PackageInstallError,
    RegistryError,
)
from clipper_nb.images import bundle_layer, docker_builder, image_files, library
from clipper_nb.images.build_settings import network_settings
from clipper_nb.images.builder import ImageRequest
from clipper_nb.images.docker_builder import DockerBuilder
from clipper_nb.protocol import rpc
from clipper_nb.protocol.names import ModelId
from tests.support.clusters import eventually
from tests.support.docker_images import build_image, image_of, new_image_name, remove_image, run_python
from tests.support.packages import forward_proxy, package_index, write_project, write_wheel

pytestmark = pytest.mark.docker

PACKAGE = Path(clipper_nb.__file__).parent
IMPORTED_FROM = "import clipper_nb.protocol.rpc as rpc; print(rpc.__file__)"

MakeRequest = Callable[..., ImageRequest]
MakeBuilder = Callable[..., DockerBuilder]


@dataclass(frozen=True)
class OwnBase:
    """A base image that is this file's alone: what was made from it carries its label."""

    image: str
    label: str

    def leftovers(self, client: Any) -> list[str]:
        """Return containers, and images without a name, that builds from it left."""
        wanted = {"label": self.label}
        containers = client.api.containers(all=True, filters=wanted)
        images = client.api.images(filters={**wanted, "dangling": True})
        return [thing["Id"] for thing in [*containers, *images]]


@pytest.fixture(scope="module")
def own_base(client: Any, builder: DockerBuilder, remove_later: list[str]) -> Iterator[OwnBase]:
    """It has the library's requirements already, so building upon it is quick."""
    label = f"clipper_nb.test={new_image_name('label')}"
    with image_of(client, f"FROM {builder.build_base('python_closure')}\nLABEL {label}\n") as image:
        tag = builder.build_base("python_closure", image)
        base = OwnBase(image, label)
        yield base
        remove_image(client, tag)
        assert base.leftovers(client) == []


# --- what is built


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


# --- packages


def test_every_form_of_requirement_installs(client, make_builder, model_request, tmp_path):
    """Name and version, extras, a marker, a wheel, a project's folder; the index is one of this test alone."""
    wheels = [
        write_wheel(tmp_path, "clipper_nb_test_more"),
        write_wheel(tmp_path, "clipper_nb_test_one", requires=["clipper_nb_test_more; extra == 'more'"]),
    ]
    local = write_wheel(tmp_path, "clipper_nb_test_wheel")
    project = write_project(tmp_path / "project", "clipper_nb_test_project")
    (tmp_path / "index").mkdir()
    with package_index(tmp_path / "index", wheels) as index:
        packages = [
            "clipper-nb-test-one[more]==1.0",
            "clipper-nb-test-never; python_version < '3'",
            str(local),
            str(project),
        ]
        image = make_builder({"PIP_INDEX_URL": f"{index.url}/simple/"}).build(model_request(packages=packages))
        assert "/simple/clipper-nb-test-one/" in index.requests
    modules = [f"clipper_nb_test_{name}" for name in ("one", "more", "wheel", "project")]
    program = f"import importlib; print(*(importlib.import_module(name).VALUE for name in {modules}))"
    assert run_python(client, image, program).split() == modules


def test_proxy_reaches_the_build_and_does_not_stay_in_the_image(client, make_builder, model_request, tmp_path):
    wheel = write_wheel(tmp_path, "clipper_nb_test_proxied")
    with package_index(tmp_path, [wheel]) as index, forward_proxy() as proxy:
        address = proxy.url.replace("http://", "http://user:secret@")
        variables = {"PIP_INDEX_URL": f"{index.url}/simple/", "HTTP_PROXY": address}
        image = make_builder(variables).build(model_request(packages=["clipper-nb-test-proxied"]))
    assert f"{index.url}/simple/clipper-nb-test-proxied/" in proxy.requests
    assert run_python(client, image, "import clipper_nb_test_proxied as m; print(m.VALUE)") == wheel.name.split("-")[0]
    found = client.images.get(image)
    assert "secret" not in json.dumps([found.attrs, found.history()])


def test_password_of_an_index_reaches_pip_and_not_the_image(client, make_builder, model_request, tmp_path):
    wheel = write_wheel(tmp_path, "clipper_nb_test_guarded")
    with package_index(tmp_path, [wheel], credentials="me:pass-word") as index:
        url = index.url.replace("http://", "http://me:pass-word@")
        lines = Lines()
        request = model_request(packages=["clipper-nb-test-guarded"])
        image = make_builder({"PIP_INDEX_URL": f"{url}/simple/"}).build(request, lines)
    assert run_python(client, image, "import clipper_nb_test_guarded as m; print(m.VALUE)") == wheel.name.split("-")[0]
    found = client.images.get(image)
    built_on = [client.images.get(step["Id"]).attrs for step in found.history() if step["Id"] != "<missing>"]
    hidden = network_settings({"PIP_INDEX_URL": f"{url}/simple/"})["buildargs"]["ftp_proxy"]
    for shown in (json.dumps([found.attrs, found.history(), built_on]), "\n".join(lines.seen)):
        assert "pass-word" not in shown
        assert hidden not in shown
    assert "me:****@127.0.0.1" in "\n".join(lines.seen)  # pip's own words
    assert run_python(client, image, _FIND_FILES.format(words=["pass-word", hidden])) == "[]"


_FIND_FILES = """
import os
words = [word.encode() for word in {words!r}]
paths = [os.path.join(folder, name) for top in ("/etc", "/opt", "/tmp", "/usr/local", "/var")
         for folder, _, names in os.walk(top) for name in names]
newest = sorted((path for path in paths if os.path.isfile(path)), key=os.path.getmtime)[-2000:]
print([path for path in newest if any(word in open(path, "rb").read() for word in words)])
"""


class Lines:
    """A progress that keeps what it is told."""

    def __init__(self) -> None:
        self.seen: list[str] = []

    def step(self, name: str) -> None:
        self.seen.append(name)

    def detail(self, text: str) -> None:
        self.seen.append(text)


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """A certificate of 127.0.0.1 that nobody else trusts, with its key in one file."""
    path = tmp_path / "server.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
         "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(path), "-out", str(path)],
        check=True, capture_output=True,
    )  # fmt: skip
    return path


def test_private_certificates_reach_pip_and_stay_in_the_image(
    client, make_builder, model_request, own_base, tmp_path, certificate, remove_later
):
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate)
    bundle = tmp_path / "bundle.crt"
    text = certificate.read_text()
    bundle.write_bytes((library.find_ca_bundle() or b"") + text[text.index("-----BEGIN CERT") :].encode())
    wheel = write_wheel(tmp_path, "clipper_nb_test_certified")
    builder = make_builder({"PIP_CERT": str(bundle)})
    remove_later.append(builder.build_base("python_closure", own_base.image))
    with package_index(tmp_path, [wheel], tls) as index:
        builder = make_builder({"PIP_CERT": str(bundle), "PIP_INDEX_URL": f"{index.url}/simple/"})
        image = builder.build(model_request(packages=["clipper-nb-test-certified"], base_image=own_base.image))
    program = "import os, hashlib; print(hashlib.sha256(open(os.environ['SSL_CERT_FILE'], 'rb').read()).hexdigest())"
    assert run_python(client, image, program) == _sha256(bundle)
    assert run_python(client, image, "import clipper_nb_test_certified as m; print(m.VALUE)")


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


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


def test_no_space_in_the_build_is_its_own_error(client, make_builder, model_request, own_base, tmp_path, remove_later):
    """pip downloads into a temporary folder, here one of 64 MB: the shared memory of a container."""
    with image_of(client, f"FROM {own_base.image}\nENV TMPDIR=/dev/shm\n") as small:
        builder = make_builder()
        base = builder.build_base("python_closure", small)
        try:
            with package_index(tmp_path, [write_wheel(tmp_path, "clipper_nb_test_big", extra_bytes=80 << 20)]) as index:
                builder = make_builder({"PIP_INDEX_URL": f"{index.url}/simple/"})
                with pytest.raises(DiskFullError, match="docker image prune"):
                    builder.build(model_request(packages=["clipper-nb-test-big"], base_image=small))
        finally:
            remove_image(client, base)
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


# --- base images


def test_missing_base_image_shows_the_registrys_words_soon(builder, model_request):
    started_s = time.monotonic()
    with pytest.raises(BaseImageError, match=r"localhost:1/no/such:1'.*cannot be pulled: .*connection refused"):
        builder.build(model_request(base_image="localhost:1/no/such:1"))
    assert time.monotonic() - started_s < 30


@pytest.mark.parametrize("name", ["Not An Image", None, "https://example.com/image"])
def test_name_that_no_image_can_have_is_refused(builder, model_request, name):
    with pytest.raises(InvalidRequestError, match="is not the name of an image"):
        builder.build(model_request(base_image=name))


def test_base_image_with_another_python_is_refused(client, builder, model_request):
    """The image says it has Python 3.9, as far as anything in it can tell."""
    lie = "import sys; sys.version_info = (3, 9, 2, 'final', 0)"
    path = f"/usr/local/lib/python3.{library.python_minor()[1]}/site-packages/version.pth"
    base = f'FROM {library.default_base_image()}\nRUN echo "{lie}" > {path}\n'
    with image_of(client, base) as image:
        with pytest.raises(BaseImageError) as caught:
            builder.build(model_request(base_image=image))
        assert _descendants(client, image) == []
    assert f"'{image}' has Python 3.9 and the notebook 3.{library.python_minor()[1]}" in str(caught.value)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("instruction", "words"),
    [
        ("RUN rm -f /usr/local/bin/python", '"python": executable file not found'),
        ("RUN python -m pip uninstall --yes pip", "No module named pip"),
        ("ONBUILD COPY no-such-file /", "no-such-file"),
    ],
)
def test_unusable_base_image_differs_from_a_package_failure(client, builder, model_request, instruction, words):
    with image_of(client, f"FROM {library.default_base_image()}\n{instruction}\n") as image:
        with pytest.raises(BaseImageError, match=f"The base image '{image}' cannot be built upon") as caught:
            builder.build(model_request(base_image=image))
        assert _descendants(client, image) == []
    assert words in str(caught.value)


def _descendants(client: Any, image: str) -> list[str]:
    """Return the images whose parent is that image."""
    parent = client.images.get(image).id
    candidates = client.api.images(filters={"since": image, "dangling": True})
    return [found["Id"] for found in candidates if found["ParentId"] == parent]


@pytest.mark.slow
def test_base_image_that_changed_under_its_name_is_noticed(client, builder, own_base, remove_later):
    with image_of(client, f"FROM {own_base.image}\nENV EDITION=1\n") as image:
        first = builder.build_base("python_closure", image)
        assert builder.build_base("python_closure", image) == first
        build_image(client, image, f"FROM {own_base.image}\nENV EDITION=2\n")
        second = builder.build_base("python_closure", image)
        assert second != first
        assert run_python(client, second, "import os; print(os.environ['EDITION'])") == "2"
        for tag in (first, second):
            remove_image(client, tag)


def test_image_has_the_bytecode_that_upstream_removes(client, builder, own_base, remove_later):
    """Without it each replica would compile it when it imports it: its file system is read-only."""
    has_bytecode = "import timeit, os; print(os.path.exists(timeit.__cached__))"
    remove = "import timeit, os; os.remove(timeit.__cached__)"
    with image_of(client, f'FROM {own_base.image}\nUSER root\nRUN ["python", "-c", "{remove}"]\n') as image:
        tag = builder.build_base("python_closure", image)
        remove_later.append(tag)
        assert [run_python(client, each, has_bytecode) for each in (image, tag)] == ["False", "True"]
        remove_image(client, tag)


def test_image_is_compiled_as_the_notebook_is(client, builder):
    image = builder.build_base("frontend")
    assert (
        run_python(client, image, IMPORTED_FROM)
        == f"/opt/clipper_nb/library/{Path(rpc.__file__).relative_to(PACKAGE.parent)}"
    )


def test_image_that_cannot_load_compiled_modules_runs_sources(
    client, builder, own_base, monkeypatch, tmp_path, remove_later
):
    """And so does one that is made from an image that could."""
    ending = sysconfig.get_config_var("EXT_SUFFIX")
    shutil.copytree(PACKAGE, tmp_path / "clipper_nb", ignore=shutil.ignore_patterns("__pycache__", "*.so"))
    monkeypatch.setattr(library, "_PACKAGE_FOLDER", tmp_path / "clipper_nb")
    for name in (f"clipper_nb/protocol/rpc{ending}", f"0123456789abcdef__mypyc{ending}"):
        (tmp_path / name).write_bytes(b"\x7fELF of a newer system: 0123456789abcdef__mypyc")
    image = builder.build_base("python_closure", own_base.image)
    remove_later.append(image)
    assert run_python(client, image, IMPORTED_FROM) == "/opt/clipper_nb/library/clipper_nb/protocol/rpc.py"


def test_users_tags_of_bases_follow_the_default_base_image_alone(client, builder, own_base):
    default = builder.build_base("python_closure")
    release = default.rpartition("-")[0]
    builder.build_base("python_closure", own_base.image)
    assert client.images.get(release).id == client.images.get(default).id


# --- tags, metadata, registries


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
