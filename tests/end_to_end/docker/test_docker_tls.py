"""TLS on Docker: what a stop and a removal by hand keep, what the engine sees, and admin calls through a port."""

from __future__ import annotations

import json
import ssl
import urllib.request

import pytest

from clipper_nb import ClipperConnection
from clipper_nb.container_managers.docker import core
from clipper_nb.container_managers.docker.redis import read_password
from clipper_nb.container_managers.docker.secret_files import read_secrets
from clipper_nb.deployers.python import create_endpoint
from tests.support.clusters import eventually, running_cluster
from tests.support.docker_clusters import container_of, containers_of

pytestmark = pytest.mark.docker

_CORE = ("redis", "management_frontend", "query_frontend")
_HEALTH_CHECK = ["python", "-m", "clipper_nb.runtime.health_check"]


def _check_that_no_secret_is_shown(conn: ClipperConnection) -> None:
    """Neither by an inspection, nor a list of processes, nor a log; the processes have each of them as a file."""
    containers = [each for role in (*_CORE, "replica") for each in containers_of(conn, role)]
    files = [content for each in containers for content in read_secrets(each).values()]
    secrets = {line for content in files for line in content.splitlines() if len(line) > 20}
    secrets |= {conn.cm.get_admin_token(), str(conn.query_token), read_password(read_secrets(containers[0]))}
    assert any("PRIVATE KEY" in secret for secret in secrets)
    shown = [str([each.attrs, each.top(), each.logs().decode()]) for each in containers]
    assert [secret for secret in secrets if any(secret in text for text in shown)] == []


def _is_live(conn: ClipperConnection, authority: str | None) -> bool:
    context = ssl.create_default_context(cadata=authority)
    try:
        with urllib.request.urlopen(f"{conn.get_query_url()}/livez", timeout=5, context=context) as reply:
            return bool(json.loads(reply.read())["live"])
    except OSError:  # also if the frontend has a certificate of another authority
        return False


def test_authority_survives_removals_by_hand_and_a_stop() -> None:
    with running_cluster("docker", tls=True, query_token=True) as conn:
        create_endpoint(conn, "app", "doubles", lambda xs: [x.sum() for x in xs], slo_micros=5_000_000)
        authority = conn.get_tls_authority()
        _check_that_no_secret_is_shown(conn)
        for role in ("query_frontend", "management_frontend"):
            container = container_of(conn, role)
            assert container.exec_run(_HEALTH_CHECK).exit_code == 0
            container.remove(force=True)
            eventually(lambda: _is_live(conn, authority), within_s=60, what=f"the {role} is back")
        eventually(lambda: _get_apps(conn) == ["app"], within_s=60, what="admin calls work again")
        _check_that_no_secret_is_shown(conn)
        conn.stop_all(keep=True)
        conn.start_clipper()
        assert conn.get_tls_authority() == authority
        assert _is_live(conn, authority)
        eventually(lambda: conn.predict("app", [1.0, 2.0]).output == 3.0, within_s=30, what="the replica answers")


def _get_apps(conn: ClipperConnection) -> list[str]:
    try:
        return conn.get_all_apps()
    except Exception:
        return []


def test_admin_calls_through_a_port_are_encrypted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(core, "make_admin_folder", lambda *_arguments: None)
    with running_cluster("docker", tls=True) as conn:
        assert conn.cm.get_admin_endpoint() == f"https://{conn.get_admin_addr()}"
        conn.register_application("app", "doubles", "-", 100_000)
        assert conn.get_all_apps() == ["app"]
