"""Each way a build fails is an error of its own that says what to do."""

from __future__ import annotations

import json
import re

import pytest

from clipper_nb.errors import BaseImageError, DiskFullError, ImageBuildError, PackageInstallError
from clipper_nb.images.build_failures import FailedBuild, explain_failed_build
from clipper_nb.images.install_steps import APT, PIP, InstallStep, R
from tests.images.sample_builds import SAMPLES, read_sample

EXPECTED = {
    "wrong-python": (BaseImageError, "'my-base:1' has Python 3.9 and the notebook 3.11"),
    "no-python": (
        BaseImageError,
        r"'my-base:1' cannot be built upon: .*\"python\": executable file not found.*: unknown\. ",
    ),
    "no-pip": (BaseImageError, r"'my-base:1' cannot be built upon: .*pip in it(.|\n)*No module named pip$"),
    "onbuild": (BaseImageError, "'my-base:1' cannot be built upon: COPY failed: .*no-such-file"),
    "no-such-package": (
        PackageInstallError,
        r"packages of 'c-m:1': one, two==2\.(.|\n)*No matching distribution found for clipper-nb-no-such-package==0",
    ),
    "no-such-system-package": (
        PackageInstallError,
        r"apt could not .* packages of 'c-m:1': libone\.(.|\n)*Unable to locate package clipper-nb-no-such-package$",
    ),
    "disk-full": (DiskFullError, r"No space is left.*docker image prune(.|\n)*Errno 28"),
}
INSTALLS = [InstallStep(APT, ["libone"]), InstallStep(R, ["randomForest"]), InstallStep(PIP, ["one", "two==2"])]


def _explain(step: str, log: str, error: str) -> ImageBuildError:
    return explain_failed_build(
        FailedBuild(
            image="c-m:1", base_image="my-base:1", python_minor=(3, 11), installs=INSTALLS, step=step, log=log,
            error=error,
        )
    )  # fmt: skip


@pytest.mark.parametrize("name", EXPECTED)
def test_real_failure_becomes_its_own_error(name):
    log, _, error = read_sample(name)
    explained = _explain(log.step, log.of_step, error)
    kind, words = EXPECTED[name]
    assert type(explained) is kind
    assert re.search(words, str(explained))


def test_every_sample_is_explained():
    assert {path.stem for path in SAMPLES.iterdir()} == set(EXPECTED)


def test_engine_without_space_differs_from_pip_without_space():
    """The engine's own words are as good as pip's: a layer that cannot be written fails any step."""
    words = "Error processing tar file(exit status 1): write /model/func.pkl: no space left on device"
    assert type(_explain("COPY bundle /model", "", words)) is DiskFullError


def test_system_python_that_refuses_pip_is_the_base_images_fault():
    log = "error: externally-managed-environment\n\nThis environment is externally managed"
    explained = _explain('RUN ["python", "-m", "pip", "install", "numpy"]', log, "returned a non-zero code: 1")
    assert type(explained) is BaseImageError


def test_any_other_failure_has_the_engines_words():
    explained = _explain("COPY bundle /model", "Step 2/3 : COPY bundle /model", "layer does not exist")
    assert type(explained) is ImageBuildError
    assert str(explained).startswith("The image 'c-m:1' could not be built: layer does not exist.\n")


def test_only_the_end_of_a_long_log_is_shown():
    log = "\n".join(f"line {number}" for number in range(1000))
    explained = _explain('RUN ["python", "-m", "pip", "install", "one"]', log, "code 1")
    assert explained.log_tail.splitlines() == [f"line {number}" for number in range(970, 1000)]


def test_r_packages_are_named_alone():
    step = f"RUN {json.dumps(InstallStep(R, ['randomForest']).command)}"
    explained = _explain(step, "there is no package called 'randomForest'", "returned a non-zero code: 1")
    assert type(explained) is PackageInstallError
    assert str(explained).startswith("The R packages of 'c-m:1' cannot be installed: randomForest.\n")
