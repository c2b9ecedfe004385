"""A frontend's health is asked in its container; a new query frontend has started when it has its replicas."""

from __future__ import annotations

import http.server
import threading

import pytest

from clipper_nb.runtime import health_check


@pytest.fixture
def frontend(monkeypatch, tmp_path):
    """A frontend that is alive, and not ready; ``asked`` has what it was asked, and with which token."""

    class Handler(http.server.BaseHTTPRequestHandler):
        asked: list[tuple[str, str | None]] = []

        def do_GET(self):
            self.asked.append((self.path, self.headers.get("Authorization")))
            self.send_response(200 if self.path == "/livez" else 503)
            self.end_headers()

        def log_message(self, *_):
            pass

    server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    monkeypatch.setenv("CLIPPER_HTTP_PORT", str(server.server_port))
    token = tmp_path / "token"
    token.write_text("secret\n")
    monkeypatch.setenv("CLIPPER_QUERY_TOKEN_FILE", str(token))
    yield Handler
    server.shutdown()
    thread.join()
    server.server_close()


def status(*arguments):
    with pytest.raises(SystemExit) as caught:
        health_check.main(list(arguments))
    return caught.value.code


def test_a_frontend_that_answers_is_healthy(frontend):
    assert status() == 0
    assert frontend.asked == [("/livez", "Bearer secret")]


def test_a_young_query_frontend_has_started_once_it_is_ready(frontend, monkeypatch):
    monkeypatch.setattr(health_check, "_age_s", lambda: 14.0)
    assert status("started") == 1
    assert frontend.asked == [("/readyz", "Bearer secret")]


def test_an_older_one_has_started_whatever_models_lack(frontend, monkeypatch):
    monkeypatch.setattr(health_check, "_age_s", lambda: 15.0)
    assert status("started") == 0


def test_a_frontend_that_does_not_answer_is_not_healthy(monkeypatch):
    monkeypatch.setenv("CLIPPER_HTTP_PORT", "1")
    assert status() == 1


def test_the_age_of_the_first_process_is_read():
    assert health_check._age_s() > 0
