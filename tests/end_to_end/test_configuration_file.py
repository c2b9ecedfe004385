"""A cluster's configuration goes into a file and into other clusters, which answer as the first one did."""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from clipper_nb import ClipperConnection, ConfigurationFileError, DeploymentError, ExistsError, InvalidRequestError
from clipper_nb.cluster.configuration.archive import new_archive, open_archive
from clipper_nb.cluster.configuration.manifest import ExportedApplication, ExportedVersion, Manifest
from clipper_nb.deployers.python import deploy_python_closure
from clipper_nb.images.builder import ImageSource
from tests.support.clusters import http_request, running_cluster
from tests.support.selection import ON_KUBERNETES

pytestmark = pytest.mark.cluster

SLO_MICROS = 20_000_000


def answer(inputs: list[Any]) -> list[str]:
    greeting = os.environ["GREETING"]
    words = Path("words/of/file.txt").read_text()
    return [f"{greeting} {words} {x.sum():g}" for x in inputs]


def set_up(conn: ClipperConnection) -> None:
    """Give a cluster something of everything."""
    deploy_python_closure(
        conn, "net", "1.0_rc1", "doubles", answer, labels=["first"], batch_size=7, num_replicas=2,
        files=["words"], sample_inputs=[[1.0, 2.0]],
        hang_timeout_s=None, isolate_errors=False, text_outputs="text",
    )  # fmt: skip
    deploy_python_closure(conn, "net", 2, "doubles", lambda inputs: [2.0 for _ in inputs])
    conn.set_model_version("net", "1.0_rc1")
    conn.set_num_replicas("net", 0, 2)
    conn.set_num_replicas("net", min=2, max=3, target=0.5)
    conn.register_model("outside", 1, "ints", labels=["else"])
    conn.register_application("app", "doubles", "-1.0", SLO_MICROS)
    conn.register_application("alone", "strings", "default 🦔", 50_000)
    conn.link_model_to_app("app", "net")


def state_of(conn: ClipperConnection) -> dict[str, Any]:
    """Return what must be the same after an import, and an answer."""
    varying = ("container_name", "registered_at", "autoscaling")
    models = [
        {name: value for name, value in model.items() if name not in varying}
        for model in conn.get_all_models(verbose=True)
    ]
    answered = conn.predict("app", [3.0, 4.0])
    scaled = conn.models["net"]["1.0_rc1"].info["autoscaling"]
    return {
        "applications": conn.get_all_apps(verbose=True), "models": models, "replicas": conn.get_num_replicas("net"),
        "answer": (answered.output, answered.default, answered.model),
        "source": conn.get_model_source("net", "1.0_rc1"),
        "autoscaling": {**scaled, "events": None},
        "tokens": [(token["token_name"], token["expires_at"]) for token in conn.get_tokens("app")],
    }  # fmt: skip


def contents_of(path: Path) -> Any:
    """Return everything in a file except the name of the cluster."""
    with open_archive(path) as archive:
        return msgspec.structs.replace(archive.manifest, cluster_name="")


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """A file of an embedded cluster, and the cluster's state."""
    folder = tmp_path_factory.mktemp("work")
    (folder / "words" / "of").mkdir(parents=True)
    (folder / "words" / "of" / "file.txt").write_text("words")
    with pytest.MonkeyPatch.context() as patched, running_cluster(query_token=True) as conn:
        patched.chdir(folder)
        patched.setenv("GREETING", "hello")  # of this notebook, not of those that import
        set_up(conn)
        (folder / "shop.token").write_text(conn.create_token("app", name="shop"))
        conn.export_configuration(folder / "exported.tar")
        return folder / "exported.tar", state_of(conn)


def test_another_cluster_has_and_answers_the_same(exported: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    path, before = exported
    with running_cluster(query_token=True) as conn:
        imported = conn.import_configuration(path)
        assert state_of(conn) == before
        token = {"Authorization": f"Bearer {path.with_name('shop.token').read_text()}"}
        body = '{"input": [3.0, 4.0]}'
        assert http_request(conn.get_query_addr(), "POST", "/app/predict", body, token)[1]["output"] == "hello words 7"
        assert http_request(conn.get_query_addr(), "POST", "/alone/predict", '{"input": "x"}', token)[0] == 401
        assert before["answer"] == ("hello words 7", False, "net:1.0_rc1")
        assert imported.applications == ("alone", "app")
        assert imported.models == ("net:1.0_rc1", "net:2", "outside:1")
        conn.export_configuration(tmp_path / "again.tar")
        assert contents_of(tmp_path / "again.tar") == contents_of(path)
        # What exists is refused before anything changes, or kept.
        with pytest.raises(ExistsError, match=r"application 'app', version net:1\.0_rc1, .* already"):
            conn.import_configuration(path)
        conn.stop_versioned_models({"net": ["1.0_rc1"]})
        conn.set_model_version("net", 2)
        assert conn.import_configuration(path, existing="skip").models == ("net:1.0_rc1",)
        assert conn.get_current_model_version("net") == "2"  # the cluster's own
        assert conn.predict("app", [3.0, 4.0], version="1.0_rc1").output == "hello words 7"


@pytest.mark.also_on_kubernetes
@pytest.mark.parametrize(
    "kind", [pytest.param("docker", marks=pytest.mark.docker), ON_KUBERNETES], indirect=True, scope="module"
)
def test_others_import_from_processes_and_export_the_same(
    kind: str, exported: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    path, before = exported
    with running_cluster(kind) as conn:
        conn.import_configuration(path, timeout_s=120)
        assert state_of(conn) == before
        conn.export_configuration(tmp_path / "back.tar")
        assert contents_of(tmp_path / "back.tar") == contents_of(path)


@pytest.mark.same_on_docker
def test_values_of_variables_stay_out_if_asked(conn: ClipperConnection, tmp_path: Path, monkeypatch: Any) -> None:
    path = tmp_path / "exported.tar"
    function: Callable[[list[Any]], list[str]] = lambda inputs: [os.environ["TOKEN"] for _ in inputs]  # noqa: E731
    deploy_python_closure(conn, "net", 1, "doubles", function, environment_variables={"TOKEN": "s3cret"})
    conn.export_configuration(path, include_environment=False)
    assert b"s3cret" not in path.read_bytes()
    conn.stop_models(["net"])
    with pytest.raises(InvalidRequestError, match=r"net:1 needs the environment variables TOKEN"):
        conn.import_configuration(path)
    assert conn.get_all_models() == []
    monkeypatch.setenv("TOKEN", "the notebook's")
    conn.import_configuration(path)
    conn.register_application("app", "doubles", "-1.0", SLO_MICROS)
    conn.link_model_to_app("app", "net")
    assert conn.predict("app", [1.0]).output == "the notebook's"


class Spy:
    """Its pickle notes the process that loads it, and raises."""

    def __init__(self, note: Path) -> None:
        self.note = note

    def __reduce__(self) -> Any:
        return eval, (f"open({str(self.note)!r}, 'a').write(str(__import__('os').getpid()) + ' ') / 0",)


@pytest.fixture
def local() -> Iterator[ClipperConnection]:
    """A cluster whose replicas see this machine's files."""
    with running_cluster() as conn:
        yield conn


def test_failed_import_leaves_nothing_and_loads_nothing_here(local: ClipperConnection, tmp_path: Path) -> None:
    note, path = tmp_path / "note", tmp_path / "exported.tar"
    with new_archive(path) as archive:
        bundle = archive.add_bundle("models/spy/1", ImageSource({"func.pkl": pickle.dumps(Spy(note))}))
        spy = ExportedVersion(
            name="spy", version="1", input_type="doubles", is_current=True, num_replicas=1, bundle=bundle
        )
        outside = ExportedVersion(
            name="outside", version="1", input_type="ints", is_current=True, num_replicas=0, image="NO_CONTAINER"
        )
        app = ExportedApplication(name="app", input_type="ints", default_output="", slo_micros=1)
        archive.add_manifest(Manifest(release="0.1", cluster_name="c", applications=(app,), versions=(outside, spy)))
    with pytest.raises(DeploymentError):
        local.import_configuration(path)
    loaded_by = note.read_text().split()
    assert loaded_by
    assert str(os.getpid()) not in loaded_by
    assert (local.get_all_models(), local.get_all_apps()) == ([], [])
    path.write_text("no tar")
    with pytest.raises(ConfigurationFileError, match="cannot be imported"):
        local.import_configuration(path)
