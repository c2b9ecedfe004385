"""Golden Dockerfiles: what the templates give, byte for byte.

After a wanted change: ``REGENERATE_GOLDEN=1 pytest tests/images/test_templates.py``, and read the diff.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from clipper_nb.errors import ImageBuildError
from clipper_nb.images import templates
from clipper_nb.images.install_steps import APT, PIP, InstallStep, R

GOLDEN = Path(__file__).with_name("golden")

_library = partial(
    templates.render_library_image,
    base_image="python:3.11-slim-bookworm",
    python_minor=(3, 11),
    requirements=["tornado==6.4", "numpy==1.26.4"],
    labels={"ai.clipper.image.kind": "a kind", "org.opencontainers.image.version": "0.1.0"},
    has_ca_bundle=False,
)
_model = partial(
    templates.render_model_image,
    base_image="clipper_nb-python_closure:0.1.0-py3.11-0123456789ab",
    installs=[],
    labels={"ai.clipper.model.version": "1", "ai.clipper.model.name": "digits"},
    has_package_files=False,
)
RENDERED: dict[str, Callable[[], str]] = {
    "frontend": partial(_library, "frontend"),
    "frontend-ca-bundle": partial(_library, "frontend", has_ca_bundle=True),
    "frontend-compiled": partial(_library, "frontend", is_compiled=True),
    "python_closure": partial(_library, "python_closure"),
    "python_closure-ca-bundle": partial(_library, "python_closure", has_ca_bundle=True),
    "pyspark": partial(_library, "pyspark", requirements=["numpy==1.26.4", "pyspark==4.0.5"]),
    "r": partial(_library, "r", requirements=["numpy==1.26.4", "rpy2-rinterface==3.6.4"]),
    "model": _model,
    "model-r-packages": partial(_model, installs=[InstallStep(R, ["randomForest", "jsonlite"])]),
    "model-system-packages": partial(
        _model, installs=[InstallStep(APT, ["libgomp1", "curl"]), InstallStep(PIP, ["lightgbm==4.6.0"])]
    ),
    "model-packages": partial(
        _model, installs=[InstallStep(PIP, ["scipy>=1.10; python_version<'4'", "pandas[excel]==2.2"])]
    ),
    "model-package-files": partial(
        _model,
        installs=[
            InstallStep(PIP, ["mine-1.0-py3-none-any.whl"], [templates.package_path("0/mine-1.0-py3-none-any.whl")])
        ],
        has_package_files=True,
    ),
}


@pytest.mark.parametrize("name", RENDERED)
def test_dockerfile_is_the_golden_one(name):
    golden, rendered = GOLDEN / f"{name}.Dockerfile", RENDERED[name]().encode()
    if os.environ.get("REGENERATE_GOLDEN"):
        golden.write_bytes(rendered)
    assert rendered == golden.read_bytes()


def test_every_golden_dockerfile_is_compared():
    assert {path.stem for path in GOLDEN.iterdir()} == set(RENDERED)


def test_every_template_has_a_golden_dockerfile():
    """A part that others include shows in theirs."""
    kinds = {path.name.removesuffix(".Dockerfile.j2") for path in templates.templates_folder().glob("*.Dockerfile.j2")}
    assert kinds <= set(RENDERED)


def test_order_of_unordered_parts_does_not_matter():
    assert _library("frontend", requirements=["numpy==1.26.4", "tornado==6.4"]) == _library("frontend")
    labels = dict(reversed([("ai.clipper.model.version", "1"), ("ai.clipper.model.name", "digits")]))
    assert _model(labels=labels) == _model()
    assert _model(installs=[InstallStep(PIP, ["b", "a"])]) == _model(installs=[InstallStep(PIP, ["a", "b"])])


def test_changing_parts_stand_below_constant_ones():
    """An edited bundle reuses the layer of the packages, and edited code that of the library's requirements."""
    model = RENDERED["model-packages"]()
    assert model.index('"pip", "install"') < model.index("COPY bundle") < model.index('LABEL "ai.clipper.model.')
    frontend = RENDERED["frontend"]()
    assert frontend.index('"pip", "install"') < frontend.index("COPY library")


@pytest.mark.parametrize("awkward", ["it's", 'say "hi"', "$HOME", "a\nRUN evil", "back\\slash", "é"])
def test_requirement_stays_one_word_of_the_command(awkward):
    commands = [line for line in _model(installs=[InstallStep(PIP, [awkward])]).splitlines() if line.startswith("RUN ")]
    assert len(commands) == 1
    assert json.loads(commands[0].removeprefix("RUN "))[-2:] == ["--", awkward]


@pytest.mark.parametrize(("actual", "is_right"), [("3.11", True), ("3.9", False), ("4.11", False)])
def test_check_of_the_python_version(actual, is_right):
    """The check runs in a Python that says it is another, and must be understood by old ones too."""
    check = templates._check_python((3, 11))
    major, minor = actual.split(".")
    lie = f"import sys; sys.version_info = ({major}, {minor}, 2); "
    finished = subprocess.run([sys.executable, "-c", lie + check], capture_output=True, text=True, check=False)
    assert (finished.returncode == 0) is is_right
    assert finished.stderr == ("" if is_right else f"{templates.WRONG_PYTHON} {actual}\n")


def test_unknown_kind_is_refused():
    with pytest.raises(ImageBuildError, match="no container template for 'cobol'"):
        _library("cobol")
