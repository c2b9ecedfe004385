"""Clusters whose frontends speak HTTPS: who trusts them, what speaks to them, and what a restart keeps."""

from __future__ import annotations

import html
import http.client
import json
import os
import re
import socket
import ssl
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509

from clipper_nb import ClipperConnection, InvalidRequestError, LocalContainerManager, TlsFiles
from clipper_nb.container_managers.local.joining import is_running
from clipper_nb.deployers.python import create_endpoint
from clipper_nb.panels import Frame, TryAQueryPanel
from clipper_nb.panels.poller import poller_of
from tests.support.certificates import NOW, Files, write_files
from tests.support.clusters import (
    connection_beside,
    disconnect,
    eventually,
    http_request,
    kill,
    leftovers,
    new_manager,
    port_of,
    removed_afterwards,
    running_cluster,
    source_of,
)

pytestmark = [pytest.mark.cluster, pytest.mark.also_on_docker]

_TIMEOUT_S = 20.0
_CONNECT = "from clipper_nb import *; conn = ClipperConnection({manager}); conn.connect(); "


@pytest.fixture(scope="module")
def conn(kind: str) -> Iterator[ClipperConnection]:
    with running_cluster(kind, tls=True, num_frontend_replicas=2, query_token=True) as conn:
        create_endpoint(conn, "app", "doubles", lambda xs: [x.sum() for x in xs], slo_micros=5_000_000)
        yield conn


def ask(address: str, context: ssl.SSLContext, path: str = "/livez", body: Any = None, token: str = "") -> Any:
    """Return the parsed answer to one request of a client that is not ours."""
    connection = http.client.HTTPSConnection(address, timeout=_TIMEOUT_S, context=context)
    try:
        text = None if body is None else json.dumps(body)
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        connection.request("GET" if body is None else "POST", path, text, headers)
        reply = connection.getresponse()
        assert reply.status == 200, reply.read()
        return json.loads(reply.read())
    finally:
        connection.close()


def trusting(conn: ClipperConnection) -> ssl.SSLContext:
    return ssl.create_default_context(cadata=conn.get_tls_authority())


def served(conn: ClipperConnection) -> x509.Certificate:
    """Return the certificate that the query frontend shows to everybody."""
    host, port = conn.get_query_addr().split(":")
    return x509.load_pem_x509_certificate(ssl.get_server_certificate((host, int(port))).encode())


def addresses(conn: ClipperConnection) -> list[str]:
    return [conn.get_query_addr(), conn.get_admin_addr()]


def test_client_with_the_authority_is_answered(conn: ClipperConnection) -> None:
    for address in addresses(conn):
        own, _, port = address.rpartition(":")
        for host in {"127.0.0.1": ("localhost", "127.0.0.1"), "localhost": ("localhost", "127.0.0.1")}.get(own, (own,)):
            assert ask(f"{host}:{port}", trusting(conn))["live"]
    token = str(conn.query_token)
    answer = ask(conn.get_query_addr(), trusting(conn), "/app/predict", {"input": [1.0, 2.0]}, token)
    assert (answer["output"], answer["default"]) == (3.0, False)


def test_client_without_the_authority_refuses_the_frontend(conn: ClipperConnection) -> None:
    for address in addresses(conn):
        with pytest.raises(ssl.SSLCertVerificationError, match="unable to get local issuer"):
            ask(address, ssl.create_default_context())


def test_frontend_is_refused_under_a_name_that_is_not_its_own(conn: ClipperConnection) -> None:
    host, port = conn.get_query_addr().split(":")
    context = trusting(conn)
    with pytest.raises(ssl.SSLCertVerificationError, match=r"not valid for 'models\.example\.org'"):
        _shake_hands(host, int(port), context, "models.example.org")


def _shake_hands(host: str, port: int, context: ssl.SSLContext, name: str) -> None:
    with socket.create_connection((host, port), timeout=_TIMEOUT_S) as plain:
        context.wrap_socket(plain, server_hostname=name).close()


def test_plain_http_gets_no_answer(conn: ClipperConnection) -> None:
    for address in addresses(conn):
        with pytest.raises((http.client.RemoteDisconnected, ConnectionResetError)):
            http_request(address, "GET", "/livez")


def test_everything_of_a_connection_speaks_https(conn: ClipperConnection) -> None:
    assert conn.get_query_url() == f"https://{conn.get_query_addr()}"
    assert conn.get_query_url() in repr(conn)
    assert f'<a href="{conn.get_query_url()}/metrics">' in conn._repr_html_()
    assert [answer.output for answer in conn.predict_batch("app", [[1.0], [2.0]])] == [1.0, 2.0]
    assert conn.apps["app"].predict([4.0]).output == 4.0
    assert "clipper_app_latency_seconds" in conn.inspect_instance()
    diagnosis = conn.doctor()
    assert diagnosis.is_well, str(diagnosis)
    assert "good until" in str(diagnosis)


def test_lines_of_the_panel_work_as_they_are(conn: ClipperConnection, tmp_path: Path) -> None:
    poller = poller_of(conn)
    panel = TryAQueryPanel(conn, poller)
    with Frame(poller, [panel]):
        eventually(lambda: panel._application.value, within_s=_TIMEOUT_S, what="an application is offered")
        panel._input.value = "[1, 2]"
        panel._send()
        eventually(lambda: "curl --cacert" in panel.render(), within_s=_TIMEOUT_S, what="the lines are shown")
        curl, _, authority = (
            html.unescape(line) for line in re.findall(r'<pre class="cl-pre"[^>]*>(.*?)</pre>', panel.render())
        )
    run = {"cwd": tmp_path, "capture_output": True, "text": True, "timeout": _TIMEOUT_S, "check": True}
    exec(authority.replace("'authority.pem'", repr(str(tmp_path / "authority.pem"))), {"conn": conn})
    environment = {**os.environ, "CLIPPER_QUERY_TOKEN": str(conn.query_token)}
    answer = subprocess.run(["bash", "-c", curl], env=environment, **run).stdout
    assert json.loads(answer)["output"] == 3.0


def test_another_process_trusts_the_same_authority(conn: ClipperConnection) -> None:
    other = connection_beside(conn)
    other.connect()
    try:
        assert other.get_tls_authority() == conn.get_tls_authority()
        assert other.predict("app", [1.0, 2.0]).output == 3.0
        other.set_num_replicas("app", 2)
    finally:
        disconnect(other.cm)
    code = _CONNECT + "print(conn.predict('app', [4.5]).output, conn.get_query_url())"
    process = subprocess.run(
        [sys.executable, "-c", code.format(manager=source_of(conn.cm))],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert process.returncode == 0, process.stderr
    answer, url = process.stdout.split()
    assert (answer, url.partition(":")[0], port_of(url)) == ("4.5", "https", port_of(conn.get_query_url()))


def test_killed_frontends_come_back_with_their_certificate(conn: ClipperConnection) -> None:
    before = served(conn)
    for role in ("query_frontend", "management_frontend"):
        kill(conn, role)
    eventually(lambda: _answers(conn), within_s=30, what="the query frontend is back")
    eventually(lambda: conn.get_all_apps() == ["app"], within_s=30, what="the management frontend is back")
    assert served(conn) == before


def _answers(conn: ClipperConnection) -> bool:
    try:
        return conn.predict("app", [1.0]).output == 1.0
    except Exception:
        return False


def test_no_key_is_in_logs_or_reprs(conn: ClipperConnection, tmp_path: Path) -> None:
    identity = conn.cm.get_tls_identity()
    assert identity is not None
    keys = [identity.key.splitlines()[1], identity.authority_key.splitlines()[1]]
    texts = [Path(path).read_text(errors="replace") for path in conn.get_clipper_logs(str(tmp_path))]
    texts += [repr(conn), repr(conn.cm), repr(vars(conn.cm)), repr(identity), str(conn.doctor())]
    assert [text for text in texts if "PRIVATE KEY" in text or any(key in text for key in keys)] == []
    assert "PRIVATE KEY" not in str(conn.get_tls_authority())


# --- across a stop, on the embedded cluster


@pytest.fixture
def mine(tmp_path: Path) -> Iterator[ClipperConnection]:
    with removed_afterwards(new_manager("local", root_folder=tmp_path)) as conn:
        yield conn


def test_resumed_cluster_renews_its_certificate_alone(mine: ClipperConnection) -> None:
    mine.start_clipper(tls=True, query_token=False)
    authority, certificate = mine.get_tls_authority(), served(mine)
    mine.register_application("app", "doubles", "-1.0", 100_000)
    assert isinstance(mine.cm, LocalContainerManager)
    mine.stop_all(keep=True)
    record = mine.cm._folder.record_path
    assert "PRIVATE KEY" in record.read_text()
    assert record.stat().st_mode & 0o077 == 0
    mine.start_clipper(allowed_hosts=["models.example.org"])
    assert mine.get_tls_authority() == authority
    names = served(mine).extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert "models.example.org" in names.get_values_for_type(x509.DNSName)
    assert served(mine) != certificate
    context = ssl.create_default_context(cadata=authority)
    assert ask(mine.get_query_addr(), context)["live"]
    assert mine.get_all_apps() == ["app"]


def test_resumed_cluster_can_be_told_to_speak_http_or_https(mine: ClipperConnection) -> None:
    mine.start_clipper(tls=True, query_token=False)
    mine.stop_all(keep=True)
    mine.start_clipper(tls=False)
    assert mine.get_tls_authority() is None
    assert mine.get_query_url() == f"http://{mine.get_query_addr()}"
    assert http_request(mine.get_query_addr(), "GET", "/livez")[0] == 200
    mine.stop_all(keep=True)
    mine.start_clipper()
    assert mine.get_query_url().startswith("http://")
    mine.stop_all(keep=True)
    mine.start_clipper(tls=True)
    assert ask(mine.get_query_addr(), trusting(mine))["live"]


def test_files_of_the_user_are_served_and_read_again_at_a_start(mine: ClipperConnection, tmp_path: Path) -> None:
    files = write_files(tmp_path)
    mine.start_clipper(tls=_tls(files), allowed_hosts=["models.example.org"], query_token=False)
    host, port = mine.get_query_addr().split(":")
    _shake_hands(host, int(port), ssl.create_default_context(cafile=files.authority), "models.example.org")
    assert mine.get_tls_authority() is None
    assert mine.get_all_apps() == []
    assert mine.inspect_instance()
    assert "good until" in str(mine.doctor())
    first = served(mine)
    mine.stop_all(keep=True)
    write_files(tmp_path, end=NOW + timedelta(days=20))
    mine.start_clipper()
    assert served(mine) != first
    (finding,) = [each for each in mine.doctor().findings if each.subject == "TLS"]
    assert finding.state == "warning"
    assert "Renew the files" in finding.advice


def _tls(files: Files) -> TlsFiles:
    return TlsFiles(files.certificate, files.key)


def test_expired_file_starts_nothing_and_harms_no_kept_cluster(mine: ClipperConnection, tmp_path: Path) -> None:
    files = write_files(tmp_path, begin=NOW - timedelta(days=9), end=NOW - timedelta(days=1))
    with pytest.raises(InvalidRequestError, match="expired on"):
        mine.start_clipper(tls=_tls(files))
    assert leftovers(mine.cm) == []
    good = write_files(tmp_path)
    mine.start_clipper(tls=_tls(good), query_token=False)
    mine.register_application("app", "doubles", "-1.0", 100_000)
    mine.stop_all(keep=True)
    good.key.unlink()
    for options in ({}, {"fresh": True, "tls": _tls(good)}):
        with pytest.raises(InvalidRequestError, match="cannot be read from"):
            mine.start_clipper(**options)
    mine.start_clipper(tls=True)
    assert mine.get_all_apps() == ["app"]


def test_cluster_that_lost_its_supervisor_still_speaks_https(mine: ClipperConnection) -> None:
    mine.start_clipper(tls=True, query_token=False)
    before = served(mine)
    assert isinstance(mine.cm, LocalContainerManager)
    record = mine.cm._folder.read_record()
    assert record is not None
    os.kill(record.supervisor_pid, 9)
    eventually(lambda: is_running(mine.cm._supervisor), within_s=20, what="another supervisor runs")
    kill(mine, "query_frontend")
    eventually(lambda: served_or_none(mine) == before, within_s=20, what="the query frontend is back")


def served_or_none(conn: ClipperConnection) -> x509.Certificate | None:
    try:
        return served(conn)
    except OSError:
        return None
