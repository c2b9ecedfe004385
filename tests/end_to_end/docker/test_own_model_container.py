"""The worked examples of ``docs/own-model-container.md`` as images: built, deployed, asked, scaled, killed."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from docker.errors import ImageNotFound
from docker.models.containers import Container

from clipper_nb import ClipperConnection, ReplicaStartError
from clipper_nb.deployers.python import create_endpoint
from clipper_nb.images.library import default_base_image
from clipper_nb.protocol import environment
from tests.end_to_end.test_rpc_conformance import ClipperContainer
from tests.support.any_code import run_code
from tests.support.clusters import eventually, query, running_cluster
from tests.support.docker_clusters import container_of, containers_of
from tests.support.load import Load
from tests.support.own_model_containers import OWN_MODELS, OwnModel

pytestmark = pytest.mark.docker

each_example = pytest.mark.parametrize("model", OWN_MODELS, ids=lambda model: model.name)


@pytest.fixture(scope="module")
def conn() -> Iterator[ClipperConnection]:
    """A cluster with both examples deployed, two replicas each."""
    with running_cluster("docker") as conn:
        images = conn.cm.docker_client.images
        tags = {model.name: f"{model.name}:{conn.cm.cluster_name}" for model in OWN_MODELS}
        try:
            for model in OWN_MODELS:
                base = conn.cm.build_base_image() if model.name == "base-class" else default_base_image()
                tag = tags[model.name]
                images.build(path=str(model.folder), tag=tag, buildargs={"BASE_IMAGE": base}, rm=True, forcerm=True)
                conn.deploy_model(model.name, 1, model.input_type, image=tag, num_replicas=2)
                conn.register_application(model.name, model.input_type, "late", slo_micros=5_000_000)
                conn.link_model_to_app(model.name, model.name)
            yield conn
        finally:
            conn.stop_all()
            for tag in tags.values():
                with contextlib.suppress(ImageNotFound):
                    images.remove(tag)


def _replicas(conn: ClipperConnection, model: OwnModel) -> list[Any]:
    return [
        container
        for container in containers_of(conn, "replica")
        if container.labels[environment.LABEL_MODEL] == model.name
    ]


@each_example
def test_answers_in_order_and_text_becomes_json(conn: ClipperConnection, model: OwnModel) -> None:
    answers = conn.predict_batch(model.name, [model.make_input(value) for value in range(50)])
    assert [answer.output for answer in answers] == [model.expected(value) for value in range(50)]


@each_example
def test_model_error_returns_the_default_and_keeps_the_replica(conn: ClipperConnection, model: OwnModel) -> None:
    for _ in range(4):  # both replicas
        answer = conn.predict(model.name, model.bad_input)
        assert (answer.output, answer.reason) == ("late", "model_error")
        assert answer.explanation is not None
        assert answer.explanation.endswith(model.error)
    assert conn.predict(model.name, model.make_input(1000)).output == model.expected(1000)
    assert all(container.attrs["RestartCount"] == 0 for container in _replicas(conn, model))


def test_a_container_of_another_input_type_is_refused(conn: ClipperConnection) -> None:
    image = conn.get_model_info("wire-only", 1)["container_name"]
    with pytest.raises(ReplicaStartError, match="serves inputs of type doubles, and the version takes strings"):
        conn.deploy_model("other", 1, "strings", image=image)
    assert conn.get_model_info("other", 1) is None
    assert {container.model for container in conn.cm.observe_replicas()} == {f"{model.name}:1" for model in OWN_MODELS}


def test_program_of_the_host_cannot_serve_for_a_container(conn: ClipperConnection) -> None:
    """It comes through the published port; containers of the version come from their network."""
    model = next(model for model in OWN_MODELS if model.name == "wire-only")
    asked: list[bytes] = []

    def answer(inputs: list[bytes]) -> list[bytes]:
        asked.extend(inputs)
        return [b"666" for _ in inputs]

    with ClipperContainer(conn.cm.clipper_rpc_port, model.name, "1", 3, answer) as spy:
        eventually(lambda: spy.asked_for_metadata >= 2, within_s=20, what="it has said what it serves, and again")
        answers = conn.predict_batch(model.name, [model.make_input(value) for value in range(3000, 3100)])
    assert [answer.output for answer in answers] == [model.expected(value) for value in range(3000, 3100)]
    assert asked == []
    assert "and has no token" in container_of(conn, "query_frontend").logs().decode()


_SPY = """
import socket, time
from clipper_nb.protocol import rpc, zmtp
from clipper_nb.protocol.input_types import InputType

peer, result, end_s = zmtp.ZmtpPeer(zmtp.DEALER), {"asked what it serves": 0, "batches": 0}, time.monotonic() + 5
with socket.create_connection(("query_frontend-0", 7000), timeout=2) as connection:
    connection.settimeout(0.1)
    connection.sendall(peer.opening())
    while time.monotonic() < end_s:
        connection.sendall(b"".join(zmtp.encode_pieces(rpc.encode_container_heartbeat(rpc.ContainerHeartbeat()))))
        try:
            messages = peer.receive(connection.recv(65536))
        except TimeoutError:
            continue
        for frames in messages:
            message = rpc.decode_from_frontend(frames)
            if isinstance(message, rpc.FrontendHeartbeat) and message.wants_metadata:
                result["asked what it serves"] += 1
                claim = rpc.NewContainer("outside", "1", InputType.DOUBLES)
                connection.sendall(b"".join(zmtp.encode_pieces(rpc.encode_new_container(claim))))
            result["batches"] += isinstance(message, rpc.PredictRequest)
"""
"""Says for five seconds, without a token, that it serves ``outside:1``; it never answers a query."""


def test_model_with_a_network_gets_no_query_of_another_version(conn: ClipperConnection) -> None:
    """That version is registered without an image, so containers without a token may serve it, from other places."""
    conn.register_model("outside", 1, "doubles")
    conn.register_application("outside", "doubles", "-", slo_micros=5_000_000)
    conn.link_model_to_app("outside", "outside")
    create_endpoint(conn, "spy", "strings", run_code, slo_micros=30_000_000, network_access=True)
    log = container_of(conn, "query_frontend").logs
    with ClipperContainer(conn.cm.clipper_rpc_port, "outside", "1", 3, lambda inputs: [b"7" for _ in inputs]):
        eventually(lambda: "outside:1:0" in conn.get_all_model_replicas(), within_s=20, what="it serves")
        with ThreadPoolExecutor(1) as pool:
            found = pool.submit(conn.predict, "spy", _SPY)
            eventually(lambda: b"it says it serves outside:1, and has no token" in log(), within_s=20, what="a refusal")
            answers = conn.predict_batch("outside", [[float(number)] for number in range(1000)])
    assert {answer.output for answer in answers} == {7}
    assert found.result().output["asked what it serves"] > 1
    assert found.result().output["batches"] == 0
    conn.stop_models(["spy"])


@each_example
def test_scaling_under_load_loses_no_query_and_exits_cleanly(conn: ClipperConnection, model: OwnModel) -> None:
    """A goodbye: what the replica has is answered, nothing new is sent to it, and its exit status is 0."""
    began_s = int(time.time())
    with Load(conn.get_query_addr(), model.name, make_input=model.make_input) as load:
        ids = [container.id for container in _replicas(conn, model)]
        for num_replicas in (1, 2, 1):
            conn.set_num_replicas(model.name, num_replicas)
            ids += [container.id for container in _replicas(conn, model)]
            time.sleep(0.3)  # some load between
    assert len(load.replies) > 50
    for reply in load.replies:
        assert (reply.status, reply.body["default"]) == (200, False), reply
        assert reply.body["output"] == model.expected(reply.value)
    ends = conn.cm.docker_client.api.events(
        since=began_s, until=int(time.time()) + 1, decode=True, filters={"container": sorted(set(ids)), "event": "die"}
    )
    # The engine kills what has not ended after 10 s, which would be 137.
    assert [end["Actor"]["Attributes"]["exitCode"] for end in ends] == ["0", "0"]
    conn.set_num_replicas(model.name, 2)


@each_example
def test_serves_again_after_the_query_frontend_was_killed(conn: ClipperConnection, model: OwnModel) -> None:
    frontend = container_of(conn, "query_frontend")
    frontend.kill()

    def serves_again() -> bool:
        try:
            return query(conn, model.name, {"input": model.make_input(2000)})[1]["default"] is False
        except (OSError, ValueError, TypeError):
            return False

    eventually(serves_again, within_s=20, what="a replica registered again")
    eventually(
        lambda: sum(r.startswith(f"{model.name}:") for r in conn.get_all_model_replicas()) == 2,
        within_s=20, what="both did",
    )  # fmt: skip
    assert all(container.attrs["RestartCount"] == 0 for container in _replicas(conn, model))


@each_example
def test_health_check_passes_while_the_query_frontend_knows_it(conn: ClipperConnection, model: OwnModel) -> None:
    for container in _replicas(conn, model):
        _, *command = container.attrs["Config"]["Healthcheck"]["Test"]

        def passes(container: Container = container, command: list[str] = command) -> bool:
            return bool(container.exec_run(command).exit_code == 0)

        eventually(passes, within_s=5, what="the check, which sees a registration up to a second later")


@pytest.mark.long
@each_example
def test_is_healthy_while_the_query_frontend_knows_it(conn: ClipperConnection, model: OwnModel) -> None:
    """``test_health_check_passes_while_the_query_frontend_knows_it`` stands for it."""

    def states() -> set[str]:
        return {container.attrs["State"]["Health"]["Status"] for container in _replicas(conn, model)}

    eventually(lambda: states() == {"healthy"}, within_s=70, what="healthy at the image's own intervals")
