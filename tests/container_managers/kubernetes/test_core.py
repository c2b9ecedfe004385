"""What the objects of a cluster say of it to whoever connects."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from clipper_nb.container_managers.kubernetes.core import KubernetesCore
from clipper_nb.container_managers.kubernetes.core_manifests import core_manifests
from clipper_nb.errors import ClusterNotFoundError
from clipper_nb.protocol import environment
from tests.container_managers.kubernetes.test_manifests import SETTINGS, STATE


class Objects:
    """An API server that has these objects."""

    address = "https://192.0.2.1"

    def __init__(self, objects: Sequence[Mapping[str, Any]]) -> None:
        self._objects = [_as_server_has_it(each) for each in objects]

    def get(self, kind: str, name: str) -> Mapping[str, Any] | None:
        found = [each for each in self.find(kind, {}) if each["metadata"]["name"] == name]
        return found[0] if found else None

    def find(self, kind: str, labels: Mapping[str, str]) -> list[Mapping[str, Any]]:
        of_kind = [each for each in self._objects if each["kind"] == kind]
        return [each for each in of_kind if labels.items() <= each["metadata"]["labels"].items()]


def _as_server_has_it(each: Mapping[str, Any]) -> Mapping[str, Any]:
    texts = each.get("stringData", {})
    return {**each, "data": {name: base64.b64encode(text.encode()).decode() for name, text in texts.items()}}


CORE = core_manifests(SETTINGS, "c", STATE, has_budgets=True)


def check(objects: Sequence[Mapping[str, Any]]) -> None:
    KubernetesCore(Objects(objects), "c", "team").check_it_goes_on()  # type: ignore[arg-type]


def of_role(each: Mapping[str, Any], role: str) -> bool:
    return each["kind"] in ("Deployment", "StatefulSet") and each["metadata"]["labels"][environment.LABEL_ROLE] == role


def test_cluster_with_all_its_objects_goes_on() -> None:
    check(CORE)


@pytest.mark.parametrize("role", ["query_frontend", "management_frontend"])
def test_cluster_whose_frontend_is_being_removed_is_ending(role: str) -> None:
    removed = {"deletionTimestamp": "2026-11-30T12:00:00Z"}
    without = [each for each in CORE if not of_role(each, role)]
    ending = [{**each, "metadata": {**each["metadata"], **removed}} for each in CORE if of_role(each, role)]
    assert len(ending) == 1
    for objects in (without, [*without, *ending]):
        with pytest.raises(ClusterNotFoundError, match=f"'c' is ending, .* it has no {role} any more"):
            check(objects)


def test_cluster_without_its_secret_is_gone() -> None:
    with pytest.raises(ClusterNotFoundError, match="has no cluster with name 'c'"):
        check([each for each in CORE if each["kind"] != "Secret"])
