"""An admin call reaches the management frontend though it ends meanwhile, and a change carries one key."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import pytest

from clipper_nb.clients.management_client import ManagementClient
from clipper_nb.errors import (
    ApplicationNotFoundError,
    ClaimLostError,
    ClipperException,
    ClusterUnreachableError,
    ExistsError,
    InvalidRequestError,
    ManagementError,
    NotFoundError,
    StateUnavailableError,
    VersionClaimedError,
)
from clipper_nb.protocol import rest
from clipper_nb.protocol.input_types import InputType
from clipper_nb.protocol.names import ModelId
from tests.support.fake_clock import FakeClock
from tests.support.management_frontend import ManagementFrontend, application, client_of
from tests.support.records import make_application_info, make_replica_info

BREAK = 0
"""In place of a status: the connection ends without an answer."""
FIELDS: dict[str, Any] = {"input_type": InputType.INTEGERS, "default_output": "-", "slo_micros": 5}
AWAY = rest.format_error("State unavailable", "Redis does not answer.")


class Frontend:
    """Given in place of an HTTP client: answers as told, in order, and keeps the paths and keys of requests."""

    base_url, what = "http://management", "management frontend"

    def __init__(self, answers: Sequence[tuple[int, bytes]]) -> None:
        self.answers = list(answers)
        self.requests: list[tuple[str, str | None]] = []

    def request(
        self,
        method: str,
        path: str,
        *,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        timeout_s: float,
        is_repeatable: bool = False,
    ) -> tuple[int, bytes]:
        assert (method, is_repeatable) == ("POST", False)
        headers = headers or {}
        assert headers["Authorization"] == "Bearer token"
        self.requests.append((path, headers.get("Idempotency-Key")))
        status, answer = self.answers.pop(0)
        if status == BREAK:
            raise ClusterUnreachableError("The management frontend broke the connection.", is_passing=True)
        return status, answer

    def close(self) -> None:
        """Have nothing to close."""


@contextmanager
def frontend(*answers: tuple[int, bytes]) -> Iterator[tuple[Frontend, ManagementClient]]:
    server, clock = Frontend(answers), FakeClock()
    yield server, ManagementClient(server, "token", clock=clock, sleep=clock.advance)


def raising(error: Exception) -> Callable[..., tuple[int, bytes]]:
    def request(*_args: object, **_kwargs: object) -> tuple[int, bytes]:
        raise error

    return request


def test_change_that_was_cut_off_is_sent_again_with_its_key() -> None:
    with frontend((BREAK, b""), (503, AWAY), (200, b'"Success"')) as (server, client):
        client.unregister_application("a")
    [(path, key), *others] = server.requests
    assert path == "/admin/delete_app"
    assert key
    assert others == [(path, key)] * 2


def test_only_changes_have_a_key() -> None:
    with frontend((200, b'"Success"'), (200, b'"Success"'), (200, b"{}")) as (server, client):
        client.unregister_application("a")
        client.unregister_application("a")
        assert client.get_application("a") is None
    keys = [key for _, key in server.requests]
    assert keys[0] != keys[1]
    assert keys[2] is None


def test_read_that_was_cut_off_is_sent_again() -> None:
    with frontend((BREAK, b""), (200, b'["m"]')) as (_, client):
        assert client.get_linked_models("a") == ["m"]


def test_answers_become_records() -> None:
    application = (
        b'{"name":"a","input_type":"integers","default_output":"-","latency_slo_micros":5,"linked_models":["m"]}'
    )
    replica = b'{"model_id":"m:1","model_name":"m","model_version":"1","model_replica_id":0,"input_type":"bytes"}'
    claim = b'{"model_id":"m:1","holder":"process 1 on host a","added_later":null}'
    with frontend((200, b"[" + application + b"]"), (200, application), (200, replica), (200, b"[" + claim + b"]")) as (
        _,
        client,
    ):
        [listed] = client.get_applications()
        assert client.get_application("a") == listed == make_application_info("a", linked_model="m", **FIELDS)
        assert listed.input_type is InputType.INTEGERS
        assert client.get_replica(ModelId("m", "1"), 0) == make_replica_info("m", "1", InputType.BYTES)
        assert [claimed.model_id for claimed in client.get_claims()] == [ModelId("m", "1")]


def test_missing_record_is_none() -> None:
    with frontend(*[(200, b"{}")] * 3) as (_, client):
        model_id = ModelId("m", "1")
        assert client.get_application("a") is client.get_model(model_id) is client.get_replica(model_id, 0) is None


@pytest.mark.parametrize("body", [b'[{"name": "a"}]', b"{}", b"<html>", b"", b"\xff"])
def test_answer_that_cannot_be_read_says_what_came(body: bytes) -> None:
    with frontend((200, body)) as (_, client), pytest.raises(ManagementError, match="answered with status 200") as info:
        client.get_applications()
    assert body.decode("utf-8", "replace") in str(info.value)


def test_change_that_stays_cut_off_is_reported_in_doubt() -> None:
    with (
        frontend(*[(BREAK, b"")] * 20) as (server, client),
        pytest.raises(ClusterUnreachableError, match="Whether the change was made is not known"),
    ):
        client.release_claim(ModelId("m", "1"), "mine")  # it lapses by itself, so it is tried for the shortest time
    assert len({key for _, key in server.requests}) == 1
    assert len(server.requests) > 1


def test_earlier_try_in_doubt_is_still_reported_after_retries() -> None:
    doubt = rest.format_error(rest.CHANGE_IN_DOUBT, "Whether the change was made is not known.")
    for first in ((BREAK, b""), (503, doubt)):
        with (
            frontend(first, *[(503, AWAY)] * 20) as (_, client),
            pytest.raises(StateUnavailableError, match=r"Whether the change was made is not known: look before"),
        ):
            client.release_claim(ModelId("m", "1"), "mine")


def test_error_of_an_unavailable_store_is_quoted() -> None:
    with (
        frontend(*[(503, AWAY)] * 20) as (_, client),
        pytest.raises(StateUnavailableError, match=r"^Redis does not answer\.$"),
    ):
        client.release_claim(ModelId("m", "1"), "mine")


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (400, InvalidRequestError),
        (404, NotFoundError),
        (409, ExistsError),
        (423, VersionClaimedError),
        (504, ClusterUnreachableError),
        (500, ManagementError),
    ],
)
def test_answer_is_final_and_becomes_an_error_of_ours(status: int, error: type[ClipperException]) -> None:
    body = rest.format_error("Failed", "The cause.")
    with frontend((status, body)) as (server, client), pytest.raises(error, match="The cause") as caught:
        client.set_num_replicas(ModelId("m", "1"), 2)
    assert "is not known" not in str(caught.value)
    assert len(server.requests) == 1


def test_answer_that_does_not_come_in_time_is_final() -> None:
    slow = ClusterUnreachableError("The management frontend has not answered within 20 s.")
    with frontend((200, b"")) as (server, client):
        server.request = raising(slow)  # type: ignore[method-assign]
        with pytest.raises(ClusterUnreachableError, match="within 20 s") as caught:
            client.get_applications()
    assert "is not known" not in str(caught.value)


def test_client_tries_for_as_long_as_a_restart_takes() -> None:
    with frontend(*[(BREAK, b"")] * 100) as (server, client), pytest.raises(ClusterUnreachableError):
        client.unregister_application("a")
    assert 60 <= len(server.requests) <= 66  # six seconds, ten times a second and more often at first
    with frontend(*[(BREAK, b"")] * 100) as (server, client), pytest.raises(ClusterUnreachableError):
        client.get_linked_models("a")
    assert 30 <= len(server.requests) <= 36


def test_lost_claim_is_an_error_that_names_the_version() -> None:
    assert "m:1 was stopped by another caller" in str(ClaimLostError("m:1"))


def test_unknown_application_is_reported_with_the_known_ones():
    frontend = ManagementFrontend(applications=[application("digits"), application("words")])
    client = client_of(frontend)
    assert client.find_application("words").name == "words"
    with pytest.raises(ApplicationNotFoundError, match=r"'word' exists\. Applications: digits, words"):
        client.find_application("word")
