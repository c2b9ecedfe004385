"""A cluster that asks for a token: what strangers get, what everything of ours carries, and what shows it."""

from __future__ import annotations

import http.client
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from clipper_nb import ClipperConnection, ExistsError
from clipper_nb.deployers.python import create_endpoint
from tests.support.clusters import (
    connection_beside,
    disconnect,
    eventually,
    http_request,
    kill,
    new_manager,
    removed_afterwards,
    running_cluster,
)
from tests.support.doors import ask

pytestmark = [pytest.mark.cluster, pytest.mark.also_on_docker]


@pytest.fixture(scope="module")
def conn(kind: str) -> Iterator[ClipperConnection]:
    with running_cluster(kind, query_token=True, num_frontend_replicas=2) as conn:
        create_endpoint(conn, "app", "doubles", lambda xs: [x.sum() for x in xs])
        yield conn


def test_on_a_hub_the_default_is_a_token(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setenv("JUPYTERHUB_USER", "ann")
    with removed_afterwards(new_manager("local")) as conn:
        conn.start_clipper()
        assert http_request(conn.get_query_addr(), "GET", "/metrics")[0] == 401
        assert conn.inspect_instance()
        (line,) = [record.message for record in caplog.records if record.levelname == "WARNING"]
        assert line.endswith("because JupyterHub runs this notebook. start_clipper(query_token=False) turns this off.")
        assert str(conn.query_token) not in line


def bearer(conn: ClipperConnection) -> dict[str, str]:
    return {"Authorization": f"Bearer {conn.query_token}"}


@pytest.mark.also_on_kubernetes
@pytest.mark.parametrize(
    ("method", "path"),
    [("POST", "/app/predict"), ("POST", "/unknown/predict"), ("GET", "/metrics"), ("GET", "/readyz"), ("GET", "/x")],
)
def test_strangers_get_nothing_and_learn_no_name(conn: ClipperConnection, method: str, path: str) -> None:
    for headers in ({}, {"Authorization": f"Bearer {conn.cm.get_admin_token()}"}):
        status, reply = http_request(conn.get_query_addr(), method, path, '{"input": [1.0]}', headers)
        assert (status, reply["error"]) == (401, "Unauthorized")
        assert "'app'" not in reply["cause"]


@pytest.mark.also_on_kubernetes
def test_liveness_is_open_and_metrics_of_both_frontends_are_not(conn: ClipperConnection) -> None:
    for address in (conn.get_query_addr(), conn.get_admin_addr()):
        assert http_request(address, "GET", "/livez")[0] == 200
        assert http_request(address, "GET", "/metrics")[0] == 401
        assert http_request(address, "GET", "/metrics", headers=bearer(conn))[0] == 200


@pytest.mark.also_on_kubernetes
def test_everything_of_a_connection_carries_the_token(conn: ClipperConnection) -> None:
    other = connection_beside(conn)
    other.connect()
    try:
        assert other.query_token == conn.query_token
        assert other.predict("app", [1.0, 2.0]).output == 3.0
        assert [answer.output for answer in other.predict_batch("app", [[1.0], [2.0]])] == [1.0, 2.0]
        assert other.apps["app"].predict([4.0]).output == 4.0
        assert "clipper_app_queries_total" in other.inspect_instance()
        told = {finding.subject: finding.state for finding in other.doctor().findings}
        assert (told["Query frontend"], told["Query token"], told["Applications"]) == ("ok", "ok", "ok")
        told.pop("Network policies", None)  # on Kubernetes nobody can see whether they are enforced
        assert set(told.values()) == {"ok"}  # also what it reads of the metrics
    finally:
        disconnect(other.cm)


def test_any_client_asks_with_the_header_under_any_name(conn: ClipperConnection) -> None:
    for headers in ({}, {"Host": "hub.example"}):  # a proxy passes on the name that the browser asked for
        status, reply = http_request(
            conn.get_query_addr(), "POST", "/app/predict", '{"input": [1.0]}', {**bearer(conn), **headers}
        )
        assert (status, reply["output"]) == (200, 1.0)


def test_browser_gets_a_cookie_that_reads_and_does_not_predict(conn: ClipperConnection) -> None:
    first = ask(conn.get_query_addr(), "GET", f"/metrics?token={conn.query_token}")
    cookie = str(first.getheader("Set-Cookie")).partition(";")[0]
    assert first.status == 200
    assert ask(conn.get_query_addr(), "GET", "/metrics", Cookie=cookie).status == 200
    form = ask(conn.get_query_addr(), "GET", "/metrics", Accept="text/html")
    assert (form.status, form.getheader("Content-Type")) == (401, "text/html; charset=utf-8")
    assert ask(conn.get_query_addr(), "POST", "/app/predict", Cookie=cookie).status == 401


def predict_with(conn: ClipperConnection, token: str | None, application: str = "app") -> int:
    headers = {"Authorization": f"Bearer {token}"}
    return http_request(conn.get_query_addr(), "POST", f"/{application}/predict", '{"input": [1.0]}', headers)[0]


@pytest.mark.also_on_kubernetes
def test_token_of_an_application_is_good_for_that_one_alone(conn: ClipperConnection) -> None:
    conn.register_application("second", "doubles", "-1", 100_000)
    token = conn.create_token("app", name="site")
    assert [predict_with(conn, token) for _ in range(6)] == [200] * 6  # of both query frontends
    assert [predict_with(conn, token, application) for application in ("second", "unknown")] == [401, 401]
    for path in ("/metrics", "/readyz", f"/metrics?token={token}"):
        assert http_request(conn.get_query_addr(), "GET", path, headers={"Authorization": f"Bearer {token}"})[0] == 401
    with pytest.raises(ExistsError, match="site"):
        conn.create_token("app", name="site")
    conn.revoke_token("app", "site")
    assert [predict_with(conn, token) for _ in range(6)] == [401] * 6
    assert predict_with(conn, conn.query_token) == 200


@pytest.mark.also_on_kubernetes
def test_revoked_token_ends_on_a_kept_connection_too(conn: ClipperConnection) -> None:
    """The head was seen before, and is answered without being parsed."""
    token = conn.create_token("app", name="kept")
    host, port = conn.get_query_addr().split(":")
    with closing(http.client.HTTPConnection(host, int(port), timeout=20)) as connection:
        statuses = []
        for is_revoked in (False, False, True, True):
            if is_revoked and len(statuses) == 2:
                conn.revoke_token("app", "kept")
            connection.request("POST", "/app/predict", b'{"input": [1.0]}', {"Authorization": f"Bearer {token}"})
            reply = connection.getresponse()
            reply.read()
            statuses.append(reply.status)
    assert statuses == [200, 200, 401, 401]
    assert reply.getheader("WWW-Authenticate") == 'Bearer realm="clipper_nb"'


def test_tokens_are_listed_with_dates_and_without_themselves(conn: ClipperConnection) -> None:
    token = conn.create_token("app", name="dated", expires_s=3600.0)
    (listed,) = conn.get_tokens("app")
    assert set(listed) == {"token_name", "created_at", "expires_at"}
    assert listed["token_name"] == "dated"
    assert listed["expires_at"] - listed["created_at"] == pytest.approx(3600.0)
    assert token not in repr(listed)
    short = conn.create_token("app", name="short", expires_s=0.2)
    eventually(lambda: predict_with(conn, short) == 401, within_s=10, what="the token has expired")
    for name in ("dated", "short"):
        conn.revoke_token("app", name)
    assert conn.get_tokens("app") == []


def test_token_is_known_after_the_frontend_was_killed(conn: ClipperConnection) -> None:
    token = conn.create_token("app", name="survivor")
    kill(conn, "query_frontend")
    eventually(lambda: _answers(conn, token), within_s=30, what="the frontend is back, with the token")
    conn.revoke_token("app", "survivor")


def _answers(conn: ClipperConnection, token: str) -> bool:
    try:
        return predict_with(conn, token) == 200
    except OSError:
        return False


@pytest.mark.also_on_kubernetes
def test_neither_logs_nor_reprs_show_the_token(conn: ClipperConnection, tmp_path: Path) -> None:
    token = conn.query_token
    assert token is not None
    ask(conn.get_query_addr(), "GET", f"/nowhere?token={token}")
    ask(conn.get_query_addr(), "GET", f"/metrics?token={token}x")
    of_application = conn.create_token("app", name="logged")
    assert predict_with(conn, of_application) == 200
    logs = [Path(path).read_text(errors="replace") for path in conn.get_clipper_logs(str(tmp_path))]
    assert any(logs)
    assert [log for log in logs if token in log or of_application in log] == []
    shown = [conn, conn.cm, conn._queries, conn.doctor(), getattr(conn.cm, "_record", None), conn._repr_html_()]
    assert token not in repr(shown)
