"""Names and labels that Kubernetes accepts, whatever models and versions are called."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clipper_nb.container_managers.kubernetes import names
from clipper_nb.errors import InvalidNameError, InvalidRequestError
from clipper_nb.protocol.names import ModelId

LABEL_VALUE = re.compile(r"([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?")
OBJECT_NAME = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
CLUSTERS = st.from_regex(r"[a-z0-9]([-a-z0-9]{0,38}[a-z0-9])?", fullmatch=True)
MODELS = st.from_regex(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?", fullmatch=True)
VERSIONS = st.from_regex(re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}", re.ASCII), fullmatch=True)


@given(CLUSTERS, MODELS, VERSIONS)
def test_objects_of_any_version_have_legal_names_and_labels(cluster, model, version):
    model_id = ModelId(model, version)
    name = names.version_name(names.check_kubernetes_cluster_name(cluster), model_id)
    assert OBJECT_NAME.fullmatch(name)
    assert len(name) <= 47  # a pod's name has 17 characters more, and at most 63 + 1
    for value in names.version_labels(cluster, model_id, "replica").values():
        assert LABEL_VALUE.fullmatch(value)
    assert (
        names.selector(cluster, "replica", model_id).items()
        <= names.version_labels(cluster, model_id, "replica").items()
    )


@given(CLUSTERS)
def test_names_of_services_fit_into_a_host_name(cluster):
    for name in (
        names.query_frontend_name(cluster), names.rpc_service_name(cluster), names.management_frontend_name(cluster),
        names.redis_name(cluster), names.own_name(cluster),
    ):  # fmt: skip
        assert len(name) <= 63
        assert OBJECT_NAME.fullmatch(name)


def test_versions_that_look_alike_have_names_of_their_own():
    alike = [ModelId("m", "1.0"), ModelId("m", "1_0"), ModelId("m", "1-0"), ModelId("m", "1.0-rc-a-very-long-one")]
    assert len({names.version_name("c", each) for each in alike}) == 4
    assert len({names.version_id(each) for each in alike}) == 4
    assert names.version_name("c", alike[0]) != names.version_name("d", alike[0])


def test_a_readable_version_is_its_label():
    assert names.label_value("2026-11-22_rc1") == "2026-11-22_rc1"
    assert names.label_value("_hidden.") != "_hidden."
    assert names.label_value("x" * 64) != names.label_value("x" * 65)


@pytest.mark.parametrize("name", ["", "Up", "a_b", "a.b", "-a", "a-", "x" * 41, None, 3])
def test_cluster_names_that_no_object_can_have_are_refused(name):
    with pytest.raises(InvalidNameError, match="lower case letters"):
        names.check_kubernetes_cluster_name(name)


@pytest.mark.parametrize("name", ["", "Team", "a.b", "a_b", "x" * 64, None])
def test_a_namespace_that_cannot_be_is_refused(name):
    with pytest.raises(InvalidRequestError, match="namespace is"):
        names.check_namespace(name)
