"""A real Prometheus watches a cluster: it reaches every listener, and each expression has an answer under load."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import stat
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from clipper_nb import ClipperConnection, DockerContainerManager
from clipper_nb.container_managers.monitoring import files
from clipper_nb.deployers.python import create_endpoint, deploy_python_closure
from clipper_nb.errors import ClusterStartError, ImageNotFoundError, InvalidRequestError
from clipper_nb.images.templates import monitoring_file
from clipper_nb.metrics import counter, gauge, histogram
from clipper_nb.protocol.handed_sockets import listen_at
from tests.support.clusters import eventually, http_request, new_local_manager, observe, running_cluster
from tests.support.ports import quiet_port
from tests.support.prometheus import PrometheusApi, program, prometheus_image, run_promtool

pytestmark = pytest.mark.cluster

SCRAPED = {"clipper_query_frontend": "up", "clipper_management_frontend": "up"}
INTERVAL = "15s"
RULES = [rule for group in yaml.safe_load(monitoring_file("rules/clipper.yml"))["groups"] for rule in group["rules"]]


def own(texts: list) -> list:
    counter("test_seen", "Texts").inc(len(texts))
    gauge("test_last_batch", "Texts").set(len(texts))
    histogram("test_length_characters", "Of a text", buckets=[1, 10]).observe(len(texts[0]))
    return texts


def failing(texts: list) -> list:
    return [text if int(text) % 2 else 1 // 0 for text in texts]


def _divide(conn: ClipperConnection) -> None:
    """Divide the queries of the application between two versions, and ask a third one besides, which fails at times."""
    deploy_python_closure(conn, "texts", 2, "strings", own)
    deploy_python_closure(conn, "texts", 3, "strings", failing)
    conn.set_traffic("texts", {"texts:1": 1, "texts:2": 1}, policy="weights")
    conn.feedback("texts", conn.predict("texts", "one"), score=1)
    conn.shadow("texts", "texts:3")


def expressions() -> list[str]:
    """Return what the dashboard asks, with its variables as at the start."""
    panels = json.loads(files.dashboard())["panels"]
    asked = [target["expr"] for panel in panels for target in panel.get("targets", ())]
    return [re.sub(r"\$(cluster|app|model)", ".*", each.replace("$__rate_interval", INTERVAL)) for each in asked]


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let Prometheus ask and compute every two seconds, for tests that wait for several rounds of both.

    In the other tests the file is as it is shipped.
    """
    render = files.render_monitoring

    def render_hasty(name: str, **facts: Any) -> str:
        text = render(name, **facts)
        if name != files.PROMETHEUS_CONFIG:
            return text
        hastier, num_changed = re.subn(r"(?m)^(  (?:scrape|evaluation)_(?:interval|timeout)): \d+s$", r"\1: 2s", text)
        assert num_changed == 3
        return hastier

    monkeypatch.setattr(files, "render_monitoring", render_hasty)


@contextlib.contextmanager
def image(conn: ClipperConnection) -> Iterator[dict[str, str]]:
    """Give the argument that names the image of Prometheus; processes need none."""
    if isinstance(conn.cm, DockerContainerManager):
        with prometheus_image(conn.cm.docker_client) as tag:
            yield {"prometheus_image": tag}
    else:
        yield {}


@pytest.mark.also_on_docker
@pytest.mark.not_on_kubernetes("who runs it has a Prometheus there")
@pytest.mark.usefixtures("hasty")
def test_prometheus_sees_everything_under_load(kind: str) -> None:
    """With a token and TLS, which are harder to reach; what the frontends count there is the same on Docker."""
    with running_cluster(kind, query_token=True, tls=True) as conn, image(conn) as arguments:
        create_endpoint(conn, "texts", "strings", own, slo_micros=20_000_000)
        assert conn.get_metric_addr() == conn.get_query_addr()
        started = conn.start_monitoring(prometheus_port=quiet_port(), **arguments)
        try:
            assert conn.get_metric_addr() == started.prometheus_addr
            assert conn.start_monitoring(prometheus_port=0, **arguments) == started  # it runs already
            assert PrometheusApi(started.prometheus_addr).get("targets") == 401
            prometheus = PrometheusApi(started.prometheus_addr, conn.query_token)
            eventually(lambda: prometheus.health() == SCRAPED, within_s=30, what="both targets are up")
            assert len(_rules(prometheus)) == len(RULES)
            if kind == "local":
                _look_at_all(conn, prometheus)
            again = ClipperConnection(conn.cm)
            again.connect()
            assert again.get_metric_addr() == started.prometheus_addr
        finally:
            conn.stop_all()  # before its image is removed
        with pytest.raises(ConnectionRefusedError):
            prometheus.get("targets")


def _rules(prometheus: PrometheusApi) -> list[dict[str, Any]]:
    return [rule for group in prometheus.get("rules")["groups"] for rule in group["rules"]]


def _look_at_all(conn: ClipperConnection, prometheus: PrometheusApi) -> None:
    _divide(conn)
    asked = iter(range(1_000_000))

    def is_answered(expression: str) -> bool:
        conn.predict("texts", str(next(asked)))
        return bool(prometheus.query(expression))

    for expression in expressions():
        eventually(lambda e=expression: is_answered(e), within_s=40, what=f"data for {expression}")
    eventually(
        lambda: {rule["health"] for rule in _rules(prometheus)} == {"ok"}, within_s=40, what="every rule was evaluated"
    )
    for rule in RULES:
        prometheus.query(rule["expr"])
        # What an alert compares has data, whether or not it fires.
        compared = re.split(r" (?:>|==) ", rule["expr"])[0] if "alert" in rule else rule["expr"]
        eventually(lambda e=compared: is_answered(e), within_s=40, what=f"data for {compared}")


def test_programs_have_no_rights_of_root(tmp_path: Path) -> None:
    with running_cluster() as conn:
        conn.start_monitoring(prometheus_port=quiet_port())
        [observed] = observe(conn, "monitoring")
        process = psutil.Process(observed.pid)
        assert process.uids().effective != 0
        assert {each.laddr.ip for each in process.net_connections() if each.status == "LISTEN"} == {"127.0.0.1"}
        data = conn.cm._folder.path / "monitoring"
        assert stat.S_IMODE(data.stat().st_mode) == 0o700
        assert (data / "run" / "prometheus.yml").stat().st_uid == os.getuid()  # not what it could change
        process.kill()
        eventually(lambda: _answers(conn), within_s=20, what="the supervisor starts it again")


def _answers(conn: ClipperConnection) -> bool:
    with contextlib.suppress(OSError):
        return http_request(conn.get_metric_addr(), "GET", "/-/ready")[0] == 200
    return False


def test_busy_port_is_replaced() -> None:
    with listen_at("127.0.0.1", 0) as busy, running_cluster() as conn:
        port = busy.getsockname()[1]
        started = conn.start_monitoring(prometheus_port=port)
        assert started.prometheus_addr != f"127.0.0.1:{port}"
        assert PrometheusApi(started.prometheus_addr).get("targets") is not None


class _Stranger(BaseHTTPRequestHandler):
    """Answers whatever it is asked, as a Prometheus of somebody else does that it is ready."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        pass


_SLOW_PROMETHEUS = """#!/bin/sh
touch {folder}/chosen
while [ ! -e {folder}/taken ]; do sleep 0.02; done
exec {prometheus} "$@"
"""


def test_port_that_is_taken_before_prometheus_has_it_is_replaced(programs: Path) -> None:
    """Another program answers there meanwhile, and is not taken for the cluster's own."""
    folder = programs.parent
    folder.chmod(0o777)
    install(programs / "prometheus", _SLOW_PROMETHEUS.format(folder=folder, prometheus=program("prometheus")))
    port = quiet_port()
    with running_cluster() as conn, ThreadPoolExecutor(1) as pool:
        starting = pool.submit(conn.start_monitoring, prometheus_port=port)
        eventually((folder / "chosen").exists, within_s=30, what="the port is chosen")
        with ThreadingHTTPServer(("127.0.0.1", port), _Stranger) as stranger:
            threading.Thread(target=stranger.serve_forever, daemon=True).start()
            (folder / "taken").touch()
            started = starting.result(timeout=60)
            stranger.shutdown()
        assert started.prometheus_addr != f"127.0.0.1:{port}"
        assert PrometheusApi(started.prometheus_addr).get("targets") is not None


def test_missing_program_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with running_cluster() as conn:
        monkeypatch.setenv("PATH", str(tmp_path))
        with pytest.raises(InvalidRequestError, match=r"apt-get install prometheus.*export_monitoring"):
            conn.start_monitoring()
        assert observe(conn, "monitoring") == []
        assert conn.get_metric_addr() == conn.get_query_addr()


@pytest.fixture
def programs(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder on the PATH, whose programs every user can run."""
    with tempfile.TemporaryDirectory(prefix="clipper_nb-test-") as name:
        folder = Path(name)
        for each in (folder, folder / "bin", folder / "conf"):
            each.mkdir(exist_ok=True)
            each.chmod(0o755)
        monkeypatch.setenv("PATH", f"{folder / 'bin'}:{os.environ['PATH']}")
        yield folder / "bin"


def install(path: Path, script: str) -> None:
    path.write_text(script)
    path.chmod(0o755)


def test_program_that_ends_leaves_nothing(programs: Path) -> None:
    install(programs / "prometheus", "#!/bin/sh\necho it is broken >&2\nexit 7\n")
    with running_cluster() as conn:
        with pytest.raises(ClusterStartError, match="Prometheus ended with status 7"):
            conn.start_monitoring(prometheus_port=quiet_port())
        assert observe(conn, "monitoring") == []
        assert conn.get_metric_addr() == conn.get_query_addr()


def test_monitoring_that_a_killed_notebook_began_is_begun_again() -> None:
    with running_cluster() as conn:
        conn.start_monitoring(prometheus_port=0)
        (conn.cm._folder.path / "monitoring.json").unlink()  # which is written when Prometheus answers
        started = conn.start_monitoring(prometheus_port=0)
        assert PrometheusApi(started.prometheus_addr).get("targets") is not None
        assert len(observe(conn, "monitoring")) == 1


@pytest.mark.usefixtures("hasty")
def test_history_is_kept_with_the_cluster(tmp_path: Path) -> None:
    manager = new_local_manager(root_folder=tmp_path, detach=True)
    with running_cluster(manager=manager) as conn:
        began = PrometheusApi(conn.start_monitoring(prometheus_port=quiet_port()).prometheus_addr)
        eventually(lambda: began.query("up"), within_s=20, what="a first sample")
        seen_at = began.query("up")[0]["value"][0]
        conn.stop_all(keep=True)
        conn.start_clipper()
        assert conn.get_metric_addr() == conn.get_query_addr()
        again = PrometheusApi(conn.start_monitoring(prometheus_port=quiet_port()).prometheus_addr)
        assert again.get(f"query?query=up&time={seen_at}")["result"]


def test_grafana_is_started_where_there_is_one(programs: Path) -> None:
    """There is no Grafana here: a program in its place answers as it does, and shows what it was told."""
    install(programs / "grafana-server", _GRAFANA)
    with running_cluster() as conn:
        started = conn.start_monitoring(prometheus_port=quiet_port(), grafana_port=quiet_port())
        assert started.grafana_addr is not None
        assert started.grafana_password not in repr(started)
        status, told = http_request(started.grafana_addr, "GET", "/api/health")
        assert (status, told["arguments"]) == (200, ["--homepath", str(programs.parent)])
        assert (told["GF_SECURITY_ADMIN_USER"], told["GF_SECURITY_ADMIN_PASSWORD"]) == (
            "clipper",
            started.grafana_password,
        )
        assert sorted(told["files"]) == ["dashboards/clipper.yml", "datasources/clipper.yml"]
        assert conn.start_monitoring() == started


_GRAFANA = """#!/usr/bin/env python3
import json, os, pathlib, sys
from http.server import BaseHTTPRequestHandler, HTTPServer

folder = pathlib.Path(os.environ["GF_PATHS_PROVISIONING"])
files = [str(path.relative_to(folder)) for path in folder.rglob("*.yml")]
told = {"arguments": sys.argv[1:], "files": files, **{n: v for n, v in os.environ.items() if n.startswith("GF_")}}


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps(told).encode())


HTTPServer((os.environ["GF_SERVER_HTTP_ADDR"], int(os.environ["GF_SERVER_HTTP_PORT"])), Handler).serve_forever()
"""


@pytest.mark.docker
def test_missing_image_is_named() -> None:
    with running_cluster("docker") as conn:
        with pytest.raises(ImageNotFoundError, match="docker pull nowhere/prometheus:1"):
            conn.start_monitoring(prometheus_image="nowhere/prometheus:1")
        with pytest.raises(ImageNotFoundError, match=r"docker pull prom/prometheus.*export_monitoring"):
            conn.start_monitoring()
        assert conn.get_metric_addr() == conn.get_query_addr()


def test_exported_files_are_for_any_prometheus(tmp_path: Path) -> None:
    with running_cluster(query_token=True) as conn:
        create_endpoint(conn, "texts", "strings", own, slo_micros=20_000_000)
        written = conn.export_monitoring(tmp_path / "monitoring")
        config = tmp_path / "monitoring" / "prometheus.yml"
        assert str(config) in written
        assert "SUCCESS" in run_promtool("check", "config", str(config))
        address = f"127.0.0.1:{quiet_port()}"
        command = [program(), f"--config.file={config}", f"--storage.tsdb.path={tmp_path / 'data'}",
                   f"--web.listen-address={address}", "--log.level=error"]  # fmt: skip
        process = subprocess.Popen(command)
        try:
            prometheus = PrometheusApi(address)
            eventually(lambda: _is_healthy(prometheus), within_s=40, what="both targets are up")
        finally:
            process.terminate()
            process.wait(20)


def _is_healthy(prometheus: PrometheusApi) -> bool:
    with contextlib.suppress(OSError):
        return prometheus.health() == SCRAPED
    return False


@pytest.fixture(scope="module")
def plain() -> Iterator[ClipperConnection]:
    """A cluster without a token, whose model counts."""
    with running_cluster() as conn:
        create_endpoint(conn, "texts", "strings", own, slo_micros=20_000_000)
        yield conn


def test_metrics_are_as_prometheus_wants_them(plain: ClipperConnection) -> None:
    plain.predict("texts", "a")
    address = plain.get_query_addr()
    eventually(lambda: "test_seen" in http_request(address, "GET", "/metrics")[1], within_s=10, what="the model's")
    for address in (plain.get_query_addr(), plain.get_admin_addr()):
        run_promtool("check", "metrics", text=http_request(address, "GET", "/metrics")[1])


@pytest.mark.parametrize(
    ("accept", "is_open"),
    [
        ("application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5,*/*;q=0.1", True),
        ("application/openmetrics-text; version=1.0.0; q=0.5, text/plain;q=0.3", True),
        ("text/plain, application/openmetrics-text;q=0.5", False),
        ("application/openmetrics-text;q=0", False),
        ("application/openmetrics-text;q=nonsense", False),
        ("*/*", False),
    ],
)
def test_client_chooses_the_format(plain: ClipperConnection, accept: str, is_open: bool) -> None:
    status, text = http_request(plain.get_query_addr(), "GET", "/metrics", headers={"Accept": accept})
    assert (status, text.endswith("\n# EOF\n")) == (200, is_open)
    if is_open:
        assert "clipper_app_queries" in {each.name for each in text_string_to_metric_families(text)}


@pytest.mark.usefixtures("hasty")
def test_prometheus_has_the_traces_of_latencies(plain: ClipperConnection) -> None:
    prometheus = PrometheusApi(plain.start_monitoring(prometheus_port=quiet_port()).prometheus_addr)
    trace_id = "4bf92f3577b34da6a3ce929d0e0e4736"
    origin = {"traceparent": f"00-{trace_id}-00f067aa0ba902b7-01"}
    asked = time.time()
    assert http_request(plain.get_query_addr(), "POST", "/texts/predict", '{"input": "b"}', origin)[0] == 200
    path = f"query_exemplars?query=clipper_app_latency_seconds_bucket&start={asked - 5:.0f}&end={asked + 60:.0f}"
    eventually(lambda: _has_answer(prometheus, path), within_s=30, what="an exemplar in Prometheus")
    [found] = prometheus.get(path)
    assert found["seriesLabels"]["app"] == "texts"
    [exemplar] = found["exemplars"]
    assert exemplar["labels"] == {"trace_id": trace_id}
    assert 0 < float(exemplar["value"]) <= float(found["seriesLabels"]["le"])
    assert asked - 1 < exemplar["timestamp"] < asked + 20


def _has_answer(prometheus: PrometheusApi, path: str) -> bool:
    with contextlib.suppress(OSError):
        found = prometheus.get(path)
        return isinstance(found, list) and bool(found)
    return False


def test_alerts_fire_when_they_should(tmp_path: Path) -> None:
    (tmp_path / "clipper.yml").write_text(monitoring_file("rules/clipper.yml"))
    shutil.copy(Path(__file__).with_name("rules_test.yml"), tmp_path)
    run_promtool("check", "rules", "clipper.yml", cwd=tmp_path)
    assert "SUCCESS" in run_promtool("test", "rules", "rules_test.yml", cwd=tmp_path)
