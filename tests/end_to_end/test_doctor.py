"""``conn.doctor()``: what it says of a machine and a cluster that are well, and of those that are not."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import pytest

from clipper_nb import ClipperConnection, DockerContainerManager, LocalContainerManager, __version__
from clipper_nb.deployers.python import create_endpoint, deploy_python_closure
from clipper_nb.display.diagnosis import Diagnosis, Finding
from tests.support.clusters import connection_beside, eventually, freeze, kill, new_manager, running_cluster

pytestmark = pytest.mark.cluster

MACHINE = {
    "local": ["Notebook", "redis-server", "Disk"],
    "docker": ["Notebook", "Docker Engine", "Clock", "Disk", "User ids", "Base images"],
    "kubernetes": ["Notebook", "Kubernetes", "Nodes", "Network policies"],
}
ALWAYS = {"kubernetes": ["Network policies"]}
"""Warnings of what cannot be seen."""


def _told(diagnosis: Diagnosis) -> dict[str, Finding]:
    return {finding.subject: finding for finding in diagnosis.findings}


def test_without_a_cluster_the_machine_is_checked(kind: str) -> None:
    diagnosis = ClipperConnection(new_manager(kind)).doctor()
    told = _told(diagnosis)
    assert list(told) == [*MACHINE[kind], *([] if kind == "kubernetes" else ["Ports"]), "Cluster"]
    assert diagnosis.is_well
    assert [finding.subject for finding in diagnosis.warnings] == [*ALWAYS.get(kind, []), "Cluster"]
    assert "start_clipper()" in told["Cluster"].advice
    assert __version__ in told["Notebook"].found


def test_healthy_cluster_has_no_problems(shared: ClipperConnection, kind: str) -> None:
    create_endpoint(shared, "well", "doubles", lambda inputs: [1.0 for _ in inputs])
    diagnosis = shared.doctor()
    told = _told(diagnosis)
    supervisor = ["Supervisor"] if kind == "local" else []
    frontends = ["Management frontend", "Query frontend", "Redis", "Replicas", "Applications"]
    assert [each for each in told if each != "Configuration"] == [*MACHINE[kind], *supervisor, *frontends]
    assert ([each.subject for each in diagnosis.warnings], diagnosis.problems) == (ALWAYS.get(kind, []), [])
    assert shared.get_query_addr() in told["Query frontend"].found
    assert told["Replicas"].found == "1 replica of 1 model ready."
    assert repr(diagnosis).endswith("1 warning." if kind in ALWAYS else "All is well.")
    assert json.loads(json.dumps(diagnosis.to_dict()))["is_well"]
    assert diagnosis._repr_html_().count("<tr>") == len(told) + 1


@pytest.mark.same_on_docker
def test_applications_without_a_model_that_is_ready_are_named(shared: ClipperConnection) -> None:
    shared.register_application("alone", "doubles", "0", 100_000)
    deploy_python_closure(shared, "asleep", 1, "doubles", lambda inputs: [1.0 for _ in inputs])
    shared.register_application("waiting", "doubles", "0", 100_000)
    shared.link_model_to_app("waiting", "asleep")
    shared.set_num_replicas("asleep", 0)
    found = eventually_found(shared, "Applications", "'waiting'")
    assert found.state == "warning"
    assert "'alone' is not linked" in found.found
    assert "link_model_to_app('alone', …)" in found.advice
    assert "set_num_replicas('asleep', 1)" in found.advice
    for name in ("alone", "waiting"):
        shared.unregister_application(name)
    shared.stop_models(["asleep"])


def test_a_replica_that_was_killed_is_named(shared: ClipperConnection, kind: str) -> None:
    deploy_python_closure(shared, "mortal", 1, "doubles", lambda inputs: [os.kill(os.getpid(), signal.SIGKILL)])
    shared.register_application("mortals", "doubles", "0", 1_000_000)
    shared.link_model_to_app("mortals", "mortal")
    shared.predict("mortals", [1.0])
    name = "mortal-1" if kind == "kubernetes" else "mortal_1"
    found = eventually_found(shared, "Replicas", name)
    assert found.state == "warning"
    assert "ended" in found.found
    assert "-9" in found.found
    shared.unregister_application("mortals")
    shared.stop_models(["mortal"])


@pytest.mark.same_on_docker
@pytest.mark.not_on_kubernetes("its processes are those of nodes")
def test_without_redis_other_findings_are_reported(conn: ClipperConnection) -> None:
    freeze(conn, "redis")
    diagnosis = conn.doctor()
    told = _told(diagnosis)
    assert [finding.subject for finding in diagnosis.problems] == ["Redis"]
    assert "nothing can be changed" in told["Redis"].advice
    assert told["Query frontend"].state == "ok"
    kill(conn, "redis")  # it is started again, and the cluster can be stopped


@pytest.mark.same_on_docker
def test_a_cluster_that_is_gone(kind: str) -> None:
    with running_cluster(kind) as conn:
        other = connection_beside(conn)
        other.connect()
        conn.stop_all()
        problems = [finding.subject for finding in other.doctor().problems]
        assert problems == [*(["Supervisor"] if kind == "local" else []), "Management frontend", "Query frontend"]
        other.stop_all()


def test_an_engine_that_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", "tcp://127.0.0.1:9")
    told = _told(ClipperConnection(DockerContainerManager("nowhere")).doctor())
    assert told["Docker Engine"].state == "problem"
    assert "LocalContainerManager()" in told["Docker Engine"].found
    assert "Disk" not in told


def test_a_machine_without_redis_server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    program = tmp_path / "redis-server"
    program.write_text("#!/bin/sh\nexit 1\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    told = _told(ClipperConnection(LocalContainerManager("nowhere")).doctor())
    assert told["redis-server"].state == "problem"
    assert str(program) in told["redis-server"].found


def eventually_found(conn: ClipperConnection, subject: str, words: str) -> Finding:
    """Wait until a subject's finding has the words, and return it."""
    eventually(lambda: words in _told(conn.doctor())[subject].found, within_s=20, what=f"{words} in {subject}")
    return _told(conn.doctor())[subject]
