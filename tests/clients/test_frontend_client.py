"""What a frontend answers about itself, and what becomes of answers that are none."""

from __future__ import annotations

import re
from collections.abc import Mapping

import pytest

from clipper_nb.clients.frontend_client import FrontendClient
from clipper_nb.errors import ClusterUnreachableError


class Http:
    """Answers each path as told, and keeps what was asked."""

    base_url, what = "http://127.0.0.1:1", "query frontend"

    def __init__(self, answers: Mapping[str, tuple[int, bytes]]) -> None:
        self.answers = answers
        self.requests: list[tuple[str, str, bool]] = []
        self.is_closed = False

    def request(self, method, path, *, body=None, headers=None, timeout_s, is_repeatable=False):
        assert (body, headers) == (None, None)
        assert timeout_s > 0
        self.requests.append((method, path, is_repeatable))
        return self.answers[path]

    def close(self) -> None:
        self.is_closed = True


def frontend(path: str, status: int, body: bytes) -> FrontendClient:
    return FrontendClient(Http({path: (status, body)}))


def test_questions_are_reads_that_may_be_sent_again() -> None:
    http = Http({"/livez": (200, b"{}"), "/readyz": (200, b"{}"), "/metrics?of=cluster": (200, b"")})
    client = FrontendClient(http)
    client.live()
    client.ready()
    client.metrics()
    client.close()
    assert http.requests == [("GET", path, True) for path in ("/livez", "/readyz", "/metrics?of=cluster")]
    assert http.is_closed


@pytest.mark.parametrize(
    ("body", "version"),
    [
        (b'{"live": true, "version": "0.1.0"}', "0.1.0"),
        (b'{"live": true}', "before 0.1.0"),
        (b"PONG", "before 0.1.0"),
        (b"[1]", "before 0.1.0"),
    ],
)
def test_live_frontend_reports_its_release(body: bytes, version: str) -> None:
    assert frontend("/livez", 200, body).live() == version


@pytest.mark.parametrize(
    ("status", "body", "cause"),
    [
        (200, b'{"ready": true}', None),
        (503, b'{"error": "State unavailable", "cause": "Redis does not answer."}', "Redis does not answer."),
        (503, b'{"ready": false, "not_ready": {"a": "x"}}', '{"ready": false, "not_ready": {"a": "x"}}'),
        (502, b"<html>\xff" + b"." * 500, "<html>\ufffd" + "." * 193),
        (503, b"", ""),
    ],
)  # fmt: skip
def test_frontend_that_is_not_ready_says_why(status: int, body: bytes, cause: str | None) -> None:
    assert frontend("/readyz", status, body).ready() == cause


def test_metrics_are_text() -> None:
    assert frontend("/metrics?of=cluster", 200, "a 1.0 # é\n".encode()).metrics() == "a 1.0 # é\n"


@pytest.mark.parametrize(
    ("path", "ask"), [("/livez", FrontendClient.live), ("/metrics?of=cluster", FrontendClient.metrics)]
)
def test_another_status_is_an_error_that_names_the_frontend(path, ask) -> None:
    with pytest.raises(ClusterUnreachableError, match=re.escape(f"The query frontend answered {path} with status 500")):
        ask(frontend(path, 500, b'{"version": "0.1.0"}'))
