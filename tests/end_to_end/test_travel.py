"""What a replica has of the notebook: environment variables, files, ``setup`` and its ``__main__``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from clipper_nb import ClipperConnection, LocalContainerManager
from clipper_nb.deployers.python import deploy_python_closure
from clipper_nb.errors import InvalidRequestError, ModelLoadError
from tests.support.clusters import connection_beside, running_cluster

pytestmark = [pytest.mark.cluster, pytest.mark.slow, pytest.mark.same_on_docker]

SECRET = "a value that nobody may see"
CELL = """
import decimal, os, pickle, time
from concurrent.futures import ProcessPoolExecutor

class Clip:
    def __call__(self, x):
        return min(x, 1.5)

def twice(x):
    return 2 * x

def prepare():
    decimal.getcontext().prec = 5

def helper():
    return os.getenv("T_OF_HELPER", "none")

def serve(xs):
    saved = pickle.dumps(Clip())
    with ProcessPoolExecutor(1) as pool:
        doubled = list(pool.map(twice, [float(x[0]) for x in xs]))
    facts = {
        "T": os.environ["T"], "helper": helper(), "named": os.environ.get("NA" + "MED"), "zone": time.strftime("%Z"),
        "words": open("words.txt").read(), "more": open("data/deep/more.txt").read(),
        "prec": decimal.getcontext().prec, "clip": pickle.loads(saved)(2.0),
    }
    return [{**facts, "twice": each} for each in doubled]

def fails(xs):
    what = int(xs[0][0])
    if what == 0:
        return [os.environ["NOT_" + "THERE"] for x in xs]
    if what == 1:
        return [open("not/there.txt").read() for x in xs]
    if what == 2:
        return [pickle.loads(b"c__main__\\nNotThere\\n.") for x in xs]
    xs[0][0] = 1.0
    return [1.0 for x in xs]
"""


@pytest.fixture
def notebook(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The variables of a notebook whose directory has some files."""
    monkeypatch.chdir(tmp_path)
    Path("data/deep").mkdir(parents=True)
    Path("words.txt").write_text("a b")
    Path("data/deep/more.txt").write_text("c")
    variables: dict[str, Any] = {"__name__": "__main__"}
    exec(CELL, variables)
    return variables


@pytest.mark.timeout(300)
def test_replica_has_what_the_notebook_has(
    kind: str, notebook: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    with running_cluster(kind) as conn:
        # Set after the start, so no process of the cluster has inherited them.
        for name, value in {"T": SECRET, "T_OF_HELPER": "0.5", "TZ": "Asia/Tokyo"}.items():
            monkeypatch.setenv(name, value)
        conn.register_application("app", "doubles", "-1", slo_micros=20_000_000)
        deploy_python_closure(
            conn, "model", 1, "doubles", notebook["serve"], files=["words.txt", "data/"], setup=notebook["prepare"],
            environment_variables={"NAMED": "yes"},
        )  # fmt: skip
        conn.link_model_to_app("app", "model")
        expected = {
            "T": SECRET, "helper": "0.5", "named": "yes", "zone": "JST", "words": "a b", "more": "c", "prec": 5,
            "clip": 1.5, "twice": 4.0,
        }  # fmt: skip
        assert conn.predict("app", [2.0]).output == expected
        assert [each.output["twice"] for each in conn.predict_batch("app", [[1.0], [2.0]])] == [2.0, 4.0]

        _scale_from_another_notebook(conn, monkeypatch)
        assert conn.predict("app", [2.0]).output == expected

        _see_names_without_values(conn)
        _see_hints(conn, notebook)


def _scale_from_another_notebook(conn: ClipperConnection, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("T", "T_OF_HELPER", "TZ"):
        monkeypatch.delenv(name)
    other = connection_beside(conn)
    other.connect()
    other.set_num_replicas("model", 0)
    other.set_num_replicas("model", 1)


def _see_names_without_values(conn: ClipperConnection) -> None:
    info = conn.get_model_info("model", 1)
    source = conn.get_model_source("model", 1)
    logs = "".join(Path(path).read_text(errors="replace") for path in conn.get_clipper_logs("logs"))

    assert info is not None
    assert info["environment_variables"] == ["NAMED", "T", "TZ", "T_OF_HELPER"]
    assert (source.environment_variables, source.files) == (info["environment_variables"], ["words.txt", "data"])
    seen = [info, source, conn.get_all_models(verbose=True), conn.models["model"], conn.cm, logs, conn]
    assert SECRET not in "".join(map(repr, seen)) + logs
    if isinstance(conn.cm, LocalContainerManager):  # docker/test_secrets.py looks into those of Docker
        images = Path(conn.cm._folder.images_path)
        assert all(SECRET.encode() not in path.read_bytes() for path in images.rglob("*") if path.is_file())


def _see_hints(conn: ClipperConnection, notebook: dict[str, Any]) -> None:
    conn.register_application("fails", "doubles", "-1", slo_micros=20_000_000)
    deploy_python_closure(conn, "fails", 1, "doubles", notebook["fails"])
    conn.link_model_to_app("fails", "fails")
    hints = ("environment_variables=['NOT_THERE']", "files=['not/there.txt']", "'NotThere' by its name", "x.copy()")
    for what, hint in enumerate(hints):
        assert hint in str(conn.predict("fails", [float(what)]).explanation)
    with pytest.raises(ModelLoadError, match=r"files=\['no\.txt'\]"):
        deploy_python_closure(conn, "bad", 1, "doubles", notebook["fails"], setup=lambda: Path("no.txt").read_text())
    with pytest.raises(InvalidRequestError, match=r"without '\.\.'"):
        deploy_python_closure(conn, "bad", 1, "doubles", notebook["fails"], files=["../words.txt"])
