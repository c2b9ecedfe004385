"""The number of a version that no caller names, also when other callers take numbers at the same time."""

from __future__ import annotations

from typing import Any

import pytest

from clipper_nb.cluster.claimed_version import claimed_version
from clipper_nb.cluster.new_version import NewVersion, make_new_version
from clipper_nb.errors import ExistsError, VersionClaimedError
from clipper_nb.version import __version__
from tests.support.management_frontend import ManagementFrontend, client_of, refusal


class Numbers:
    """A management frontend in which other callers have claimed, or registered, versions up to some number."""

    def __init__(self, *, up_to: int, status: int = 423) -> None:
        self.frontend = ManagementFrontend()
        self.next = 1
        self._taken = up_to
        self._status = status
        self.frontend.answers["claim_version"] = self._claim
        self.frontend.answers["get_deploy_state"] = lambda request: self._state()

    def _claim(self, request: dict[str, Any]) -> Any:
        self.next = int(request["model_version"]) + 1
        return refusal(self._status, "It is taken.") if int(request["model_version"]) <= self._taken else "Success"

    def _state(self) -> dict[str, Any]:
        return {
            "release": __version__, "query_frontend_releases": [], "is_registered": False, "current_version": None,
            "has_application": False, "linked_input_types": {}, "next_version": str(self.next),
        }  # fmt: skip


def unnamed() -> NewVersion:
    return make_new_version("net", None, "doubles").numbered("1")


@pytest.mark.parametrize("status", [423, 409])
def test_number_that_was_taken_is_followed_by_the_next(status: int) -> None:
    numbers = Numbers(up_to=2, status=status)
    with claimed_version(client_of(numbers.frontend), unnamed()) as (new, claim):
        assert (new.model_id, claim.model_id) == (("net", "3"), ("net", "3"))
    assert [request["model_version"] for request in numbers.frontend.requests("release_claim")] == ["3"]


def test_version_that_the_caller_named_is_not_replaced() -> None:
    numbers = Numbers(up_to=2)
    with pytest.raises(VersionClaimedError), claimed_version(
        client_of(numbers.frontend), make_new_version("net", 1, "doubles")
    ):  # fmt: skip
        pass
    assert len(numbers.frontend.requests("claim_version")) == 1


def test_tries_come_to_an_end() -> None:
    numbers = Numbers(up_to=10**6)
    with pytest.raises(ExistsError, match="It is taken"), claimed_version(client_of(numbers.frontend), unnamed()):
        pass
    assert len(numbers.frontend.requests("claim_version")) == 50
