"""Ways to install packages into an image, each known by its own instruction."""

from __future__ import annotations

import json

import pytest

from clipper_nb.images.install_steps import APT, PIP, InstallStep, R

STEPS = [InstallStep(APT, ["libgomp1"]), InstallStep(R, ["jsonlite"]), InstallStep(PIP, ["scipy"])]


@pytest.mark.parametrize("step", STEPS)
def test_instruction_is_known_as_its_own_step_alone(step):
    instruction = f"RUN {json.dumps(step.command)}"
    assert [other for other in STEPS if other.is_in(instruction)] == [step]


def test_order_of_packages_does_not_matter():
    assert InstallStep(APT, ["b", "a"]).command == InstallStep(APT, ["a", "b"]).command


def test_failure_names_packages_as_the_user_did():
    step = InstallStep(PIP, ["dist/mine.whl", "scipy"], ["/opt/packages/0/mine.whl", "scipy"])
    assert step.command[-2:] == ["/opt/packages/0/mine.whl", "scipy"]
    assert step.explain_failure("c-m:1") == "pip could not install the packages of 'c-m:1': dist/mine.whl, scipy."
