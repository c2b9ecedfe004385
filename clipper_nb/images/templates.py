"""Renders Dockerfiles from container templates and facts: the only place that knows their syntax. (pure)"""

from __future__ import annotations

import functools
import importlib.resources
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from clipper_nb.errors import ImageBuildError
from clipper_nb.images.install_steps import PIP, InstallStep
from clipper_nb.images.user_ids import MAPPED, UNUSED
from clipper_nb.protocol import environment as variables

HOME = "/opt/clipper_nb"
"""The folder of the library in an image."""
USER = UNUSED.by_hand
"""User and group of an image; a cluster starts each container with its own (``user_ids.py``)."""
BUILD_ARGUMENTS = ("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "PIP_TRUSTED_HOST", "PIP_DEFAULT_TIMEOUT", "PIP_RETRIES")
"""Settings of pip that reach a build when the notebook has them. The image's history shows them, unlike proxies; those
that have a password are passed as ``build_settings.py`` says."""
MODEL_KIND = "model"
BUNDLE_FOLDER = "bundle"
"""The folder of a model version's build context that becomes ``MODEL_FOLDER`` of its image."""
MODEL_FOLDER = "/model"
BUNDLE_STEP = f"COPY {BUNDLE_FOLDER} {MODEL_FOLDER}"
"""The instruction that does so; what is before it depends on packages alone, and after it are only labels."""
_READY_FILE = "/tmp/clipper_nb_is_ready"
WRONG_PYTHON = "clipper_nb.wrong_python"
"""What a build prints before the version when the base image has another Python than the notebook."""


def templates_folder() -> Path:
    """Return ``container_templates/``: the installed package's, else the checkout's."""
    installed = Path(str(importlib.resources.files("clipper_nb"))) / "container_templates"
    return installed if installed.is_dir() else installed.parents[1] / "container_templates"


def library_images() -> list[str]:
    """Return what ``render_library_image`` can render: all templates but that of a model version."""
    names = (path.name.removesuffix(".Dockerfile.j2") for path in templates_folder().glob("*.Dockerfile.j2"))
    return sorted(name for name in names if name != "model")


def render_library_image(
    template: str,
    *,
    base_image: str,
    python_minor: tuple[int, int],
    requirements: Sequence[str],
    labels: Mapping[str, str],
    has_ca_bundle: bool,
    is_compiled: bool = False,
) -> str:
    """Return the Dockerfile of an image that carries the library: ``"frontend"``, or a kind of model.

    Parameters
    ----------
    template : str
        Name of the template, without its ending.
    base_image : str
    python_minor : tuple of int
        The notebook's; the build rejects a base image with another one.
    requirements : list of str
        What the library needs.
    labels : dict
    has_ca_bundle : bool
        Whether the build context has a ``ca-bundle.crt``.
    is_compiled : bool
        Whether the library in the build context is compiled; where the image cannot load it, its sources are used.
    """
    return _render(
        template,
        base_image=base_image,
        check_python=["python", "-c", _check_python(python_minor)],
        add_user_and_path=["python", "-c", _ADD_USER_AND_PATH],
        compile_python=["python", "-c", _COMPILE_PYTHON],
        pip_install=InstallStep(PIP, requirements).command,
        labels=_format_labels(labels),
        has_ca_bundle=has_ca_bundle,
        keep_what_loads=["python", "-c", _KEEP_WHAT_LOADS] if is_compiled else None,
        ready_variable=variables.READY_FILE,
        ready_file=_READY_FILE,
    )


def render_model_image(
    *, base_image: str, installs: Sequence[InstallStep], labels: Mapping[str, str], has_package_files: bool
) -> str:
    """Return the Dockerfile of one model version.

    Parameters
    ----------
    base_image : str
        The image of its kind.
    installs : list of InstallStep
        In the order in which they are made.
    labels : dict
    has_package_files : bool
        Whether the build context has a folder ``packages``.
    """
    return _render(
        "model",
        base_image=base_image,
        kind_label=_format_labels({variables.LABEL_IMAGE_KIND: MODEL_KIND}),  # first, for what a killed build leaves
        installs=installs,
        bundle_step=BUNDLE_STEP,
        labels=_format_labels(labels),
        has_package_files=has_package_files,
    )


def render_monitoring(name: str, **facts: Any) -> str:
    """Return a file of Prometheus or Grafana, from its template below ``container_templates/monitoring``."""
    return str(_templates(templates_folder()).get_template(f"monitoring/{name}.j2").render(**facts))


def monitoring_file(name: str) -> str:
    """Return a file below ``container_templates/monitoring`` that needs no facts."""
    return (templates_folder() / "monitoring" / name).read_text()


def package_path(name: str) -> str:
    """Return where a file of the build context's folder ``packages`` is while packages are installed."""
    return f"{HOME}/packages/{name}"


def _render(template: str, **facts: Any) -> str:
    try:
        found = _templates(templates_folder()).get_template(f"{template}.Dockerfile.j2")
    except LookupError as exc:
        raise ImageBuildError(f"There is no container template for '{template}' in {templates_folder()}.") from exc
    return str(found.render(home=HOME, user=USER, build_arguments=BUILD_ARGUMENTS, **facts))


@functools.cache
def _templates(folder: Path) -> Any:
    """Return jinja2's environment for the templates of a folder; it parses each of them once."""
    try:
        import jinja2
    except ImportError as exc:
        raise ImageBuildError("Building images needs the package jinja2: pip install 'clipper-nb[notebook]'.") from exc
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(folder),
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
        autoescape=False,
    )
    environment.filters["json"] = json.dumps
    return environment


def _check_python(minor: tuple[int, int]) -> str:
    return f"import sys; v = sys.version_info; v[:2] == {minor} or sys.exit('{WRONG_PYTHON} %d.%d' % v[:2])"


_ACCOUNTS = tuple(range(ids.first, ids.last + 1) for ids in (UNUSED, MAPPED))
"""Programs such as Spark do not start for a user without a name."""
_ADD_USER_AND_PATH = (
    "import os, shutil, sysconfig; users = open('/etc/passwd', 'a+'); users.seek(0); known = users.read(); "
    r"[users.write('clipper:x:%d:%d:clipper:/tmp:/bin/sh\n' % (n, n)) "
    f"for ids in {_ACCOUNTS} for n in ids if ':%d:%d:' % (ids[0], ids[0]) not in known]; "
    f"open(os.path.join(sysconfig.get_path('purelib'), 'clipper_nb.pth'), 'w').write('{HOME}/library\\n'); "
    f"shutil.rmtree('{HOME}/library', ignore_errors=True)"  # of an image that was built from one of ours
)

_COMPILE_PYTHON = (
    "import compileall, re, sysconfig; compileall.compile_dir(sysconfig.get_path('stdlib'), quiet=2, "
    r"rx=re.compile('/(test|tests|idlelib|lib2to3|site-packages|dist-packages)/'))"
)
"""Upstream's images have no bytecode. What pip does not import itself, each replica would compile at each start."""

_KEEP_WHAT_LOADS = f"""\
import glob, importlib, os
folder = "{HOME}/library"
try:
    for path in glob.glob(folder + "/*__mypyc.*.so"):
        importlib.import_module(os.path.basename(path).split(".")[0])
except ImportError as exc:
    print("The image runs the sources, since it cannot load what is compiled:", exc)
    for path in glob.glob(folder + "/**/*.so", recursive=True):
        os.remove(path)
"""
"""A base image may have an older C library than the notebook's machine."""


def _format_labels(labels: Mapping[str, str]) -> str:
    return " ".join(f"{json.dumps(key)}={json.dumps(value)}" for key, value in sorted(labels.items()))
