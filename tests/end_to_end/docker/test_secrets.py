"""The value of a captured environment variable is in the replica alone: in no image, log, ``repr`` or record."""

from __future__ import annotations

import io
import json
import os
import tarfile
from pathlib import Path

import pytest

from clipper_nb.closures.report import closure_report
from clipper_nb.deployers.python import create_endpoint
from tests.support.clusters import eventually, running_cluster
from tests.support.docker_clusters import containers_of, docker_client

pytestmark = pytest.mark.docker

_ROLES = ("management_frontend", "query_frontend", "redis", "replica")
SECRET = "a-value-that-nobody-may-see"


def _serve(inputs: list) -> list:
    return [f"{os.environ['API_KEY']} {Path('words.txt').read_text()}" for x in inputs]


@pytest.mark.timeout(300)
def test_value_of_a_variable_is_in_the_replica_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "words.txt").write_text("a b")
    monkeypatch.setenv("API_KEY", SECRET)
    with running_cluster("docker") as conn:
        create_endpoint(conn, "keyed", "doubles", _serve, slo_micros=20_000_000, files=["words.txt"])
        monkeypatch.delenv("API_KEY")
        conn.set_num_replicas("keyed", 0)
        conn.set_num_replicas("keyed", 1)
        assert conn.predict("keyed", [1.0]).output == f"{SECRET} a b"

        info = conn.get_model_info("keyed", 1)
        assert info is not None
        assert info["environment_variables"] == ["API_KEY"]
        image = docker_client(conn).images.get(info["container_name"])
        inspections = [container.attrs for role in _ROLES for container in containers_of(conn, role)]
        logs = [container.logs().decode() for role in _ROLES for container in containers_of(conn, role)]
        source = conn.get_model_source("keyed", 1)
        seen = [
            inspections,
            image.attrs,
            image.history(),
            info,
            source,
            logs,
            conn,
            conn.models["keyed"],
            closure_report(_serve),
        ]
        assert SECRET not in json.dumps(list(map(repr, seen)))
        [removed] = containers_of(conn, "replica")
        removed.remove(force=True)
        eventually(
            lambda: conn.predict("keyed", [2.0]).output == f"{SECRET} a b",
            within_s=60,
            what="the replica that was removed by hand is back",
        )
        assert not any(SECRET.encode() in content for content in _model_files(containers_of(conn, "replica")))


def _model_files(containers: list) -> list[bytes]:
    """Return the contents of the model's folder in the image of a container."""
    stream, _ = containers[0].get_archive("/model")
    with tarfile.open(fileobj=io.BytesIO(b"".join(stream))) as tar:
        files = [tar.extractfile(member) for member in tar.getmembers() if member.isfile()]
        return [file.read() for file in files if file is not None]
