"""Base images of the user's: which can be built upon, and what of them is noticed."""

from __future__ import annotations

import shutil
import sysconfig
import time
from pathlib import Path
from typing import Any

import pytest

import clipper_nb
from clipper_nb.errors import BaseImageError, InvalidRequestError
from clipper_nb.images import library
from clipper_nb.protocol import rpc
from tests.support.docker_images import build_image, image_of, remove_image, run_python

pytestmark = pytest.mark.docker

PACKAGE = Path(clipper_nb.__file__).parent
IMPORTED_FROM = "import clipper_nb.protocol.rpc as rpc; print(rpc.__file__)"


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


@pytest.fixture(scope="module")
def without_bytecode(client, builder, own_base):
    """An image from which the bytecode of a module was removed, and what was built upon it."""
    remove = "import timeit, os; os.remove(timeit.__cached__)"
    with image_of(client, f'FROM {own_base.image}\nUSER root\nRUN ["python", "-c", "{remove}"]\n') as image:
        tag = builder.build_base("python_closure", image)
        yield image, tag
        remove_image(client, tag)


def test_image_has_the_bytecode_that_upstream_removes(client, without_bytecode):
    """Without it each replica would compile it when it imports it: its file system is read-only."""
    has_bytecode = "import timeit, os; print(os.path.exists(timeit.__cached__))"
    assert [run_python(client, each, has_bytecode) for each in without_bytecode] == ["False", "True"]


@pytest.mark.slow
def test_base_image_that_changed_under_its_name_is_noticed(client, builder, own_base, without_bytecode):
    image, first = without_bytecode
    assert builder.build_base("python_closure", image) == first
    build_image(client, image, f"FROM {own_base.image}\nENV EDITION=2\n")
    second = builder.build_base("python_closure", image)
    assert second != first
    assert run_python(client, second, "import os; print(os.environ['EDITION'])") == "2"
    remove_image(client, second)


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
    monkeypatch.setattr(library, "library_of_this_process", library.Library.read)  # another process's
    image = builder.build_base("python_closure", own_base.image)
    remove_later.append(image)
    assert run_python(client, image, IMPORTED_FROM) == "/opt/clipper_nb/library/clipper_nb/protocol/rpc.py"


def test_users_tags_of_bases_follow_the_default_base_image_alone(client, builder, own_base):
    default = builder.build_base("python_closure")
    release = default.rpartition("-")[0]
    builder.build_base("python_closure", own_base.image)
    assert client.images.get(release).id == client.images.get(default).id
