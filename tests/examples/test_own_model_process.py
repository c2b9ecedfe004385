"""The worked examples of ``docs/own-model-container.md`` without Docker: as processes beside an embedded cluster."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator

import pytest

from clipper_nb import ClipperConnection
from tests.support.clusters import eventually, running_cluster
from tests.support.own_model_containers import OWN_MODELS, OwnModel

pytestmark = pytest.mark.cluster


@pytest.fixture(scope="module")
def conn() -> Iterator[ClipperConnection]:
    with running_cluster() as conn:
        yield conn


@contextlib.contextmanager
def _process(conn: ClipperConnection, model: OwnModel) -> Iterator[subprocess.Popen[str]]:
    variables = {
        "CLIPPER_MODEL_NAME": model.name,
        "CLIPPER_MODEL_VERSION": "1",
        "CLIPPER_INPUT_TYPE": model.input_type,
        "CLIPPER_PORT": str(conn.cm.clipper_rpc_port),
        "CLIPPER_MODEL_PATH": str(model.folder),
    }
    with subprocess.Popen(
        [sys.executable, model.folder / "serve.py"], env={**os.environ, **variables}, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            yield process
        finally:
            process.kill()


@pytest.mark.parametrize("model", OWN_MODELS, ids=lambda model: model.name)
def test_a_process_serves_a_containerless_version_until_sigterm(conn: ClipperConnection, model: OwnModel) -> None:
    conn.register_model(model.name, 1, model.input_type)
    conn.register_application(model.name, model.input_type, "late", slo_micros=5_000_000)
    conn.link_model_to_app(model.name, model.name)
    with _process(conn, model) as process:
        replicas = [f"{model.name}:1:0"]
        eventually(
            lambda: [r for r in conn.get_all_model_replicas() if r.startswith(model.name)] == replicas,
            within_s=20, what="registered",
        )  # fmt: skip
        assert conn.predict(model.name, model.make_input(1)).output == model.expected(1)
        failed = conn.predict(model.name, model.bad_input)
        assert failed.explanation is not None
        assert failed.explanation.endswith(model.error)
        process.terminate()
        _, log = process.communicate(timeout=10)
        assert process.returncode == 0, log
    assert conn.predict(model.name, model.make_input(2)).reason == "no_ready_replica"
