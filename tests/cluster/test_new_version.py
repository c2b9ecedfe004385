"""A version to be deployed: checked once, then handed on whole."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from clipper_nb.cluster.new_version import NewVersion, make_new_version
from clipper_nb.deployers.python import deploy_python_closure
from clipper_nb.errors import InvalidNameError, InvalidRequestError
from clipper_nb.protocol.input_types import InputType
from clipper_nb.protocol.names import ModelId
from clipper_nb.protocol.resource_limits import NO_LIMITS, ResourceLimits
from clipper_nb.runtime.model_container.settings import model_container_settings


class Door:
    """A connection's ``new_version``, without a cluster."""

    def new_version(self, name, version, input_type, **options):
        return make_new_version(name, version, input_type, **options)


def test_omitted_arguments_have_their_defaults():
    assert make_new_version("net", 1, "doubles") == NewVersion(
        ModelId("net", "1"), InputType.DOUBLES, labels=[], packages=[], system_packages=()
    )


def test_none_means_the_default_of_lists_and_limits():
    given = dict.fromkeys(["labels", "limits", "packages", "system_packages", "registry"])
    assert make_new_version("net", 1, "d", **given) == make_new_version("net", 1, "d")
    assert make_new_version("net", 1, "d", limits=None).limits is NO_LIMITS


def test_new_version_is_immutable():
    with pytest.raises(dataclasses.FrozenInstanceError):
        make_new_version("net", 1, "d").num_replicas = 2


def test_a_list_of_the_caller_is_copied():
    labels = ["a"]
    new = make_new_version("net", 1, "d", labels=labels)
    labels.append("b")
    assert new.labels == ["a"]


BAD = [
    ({"name": "No Name"}, InvalidNameError, "model name"),
    ({"version": 1.5}, InvalidNameError, "version"),
    ({"input_type": "complex"}, InvalidRequestError, "input type"),
    ({"num_replicas": 1.5}, InvalidRequestError, "num_replicas"),
    ({"num_replicas": -1}, InvalidRequestError, "num_replicas"),
    ({"batch_size": 0}, InvalidRequestError, "batch_size"),
    ({"labels": "abc"}, InvalidRequestError, "labels must be a list"),
    ({"timeout_s": 0}, InvalidRequestError, "timeout_s"),
    ({"isolate_errors": "no"}, InvalidRequestError, "isolate_errors must be True or False; it is 'no'"),
    ({"hang_timeout_s": 0}, InvalidRequestError, "hang_timeout_s must be a number of seconds above 0, or None"),
    ({"hang_timeout_s": "never"}, InvalidRequestError, "hang_timeout_s"),
    ({"limits": {"memory": "1g"}}, InvalidRequestError, "ResourceLimits"),
    ({"system_packages": ["a; b"]}, InvalidRequestError, "Debian"),
]


@pytest.mark.parametrize(("bad", "error", "word"), [*BAD, ({"packages": ["-r x"]}, InvalidRequestError, "pip")])
def test_each_argument_is_checked(bad, error, word):
    with pytest.raises(error, match=word):
        make_new_version(**{"name": "net", "version": 1, "input_type": "d", **bad})


@pytest.mark.parametrize(("bad", "error", "word"), [*BAD, ({"pkgs_to_install": ["-r x"]}, InvalidRequestError, "pip")])
def test_bad_arguments_are_refused_before_the_function(bad, error, word):
    """A generator cannot be pickled, and that would be said first."""
    arguments = {"name": "net", "version": 1, "input_type": "d", "func": (each for each in "x"), **bad}
    with pytest.raises(error, match=word):
        deploy_python_closure(Door(), **arguments)


def test_unknown_option_is_named():
    with pytest.raises(TypeError, match="colour"):
        make_new_version("net", 1, "d", colour="red")


def test_image_and_registration_have_all_of_it():
    limits = ResourceLimits(memory="1g")
    new = make_new_version(
        "net", 1, "d", labels=["a"], num_replicas=2, batch_size=5, limits=limits, base_image="base", registry="here",
        packages=["numpy"], image="built", isolate_errors=False, hang_timeout_s=None,
    )  # fmt: skip
    request = new.image_request("cluster", Path("/folder"), goes_with_version=True)
    assert (request.model_id, request.model_data_path, request.base_image) == (new.model_id, "/folder", "base")
    assert (request.packages, request.container_registry, request.goes_with_version) == (["numpy"], "here", True)
    registration = new.registration(claim_id="ours")
    assert (registration.model_name, registration.model_version, registration.input_type) == ("net", "1", "doubles")
    assert (registration.container_name, registration.labels, registration.batch_size) == ("built", ["a"], 5)
    assert (registration.num_replicas, registration.limits, registration.claim_id) == (2, limits, "ours")
    assert (registration.isolate_errors, registration.hang_timeout_s) == (False, None)


@pytest.mark.parametrize(("hang_timeout_s", "told"), [(30.0, {}), (2.5, {"CLIPPER_HANG_TIMEOUT_S": "2.5"}),
                                                      (None, {"CLIPPER_HANG_TIMEOUT_S": "none"})])  # fmt: skip
def test_replicas_are_told_another_hang_timeout(hang_timeout_s, told):
    variables = make_new_version("net", 1, "doubles", hang_timeout_s=hang_timeout_s).environment()
    assert {name: value for name, value in variables.items() if name.startswith("CLIPPER_")} == told
    settings = model_container_settings({"CLIPPER_MODEL_NAME": "net", "CLIPPER_MODEL_VERSION": "1", **variables})
    assert settings.hang_timeout_s == hang_timeout_s
