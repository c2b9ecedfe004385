"""``conn.apps`` and ``conn.models``: they complete, say what is there now, and act as the connection does."""

from __future__ import annotations

import pytest
from IPython.core.completer import IPCompleter, provisionalcompleter
from jupyter_client.manager import start_new_kernel

from clipper_nb import (
    ApplicationNotFoundError,
    ClipperConnection,
    LocalContainerManager,
    ModelNotFoundError,
    UnconnectedException,
)
from clipper_nb.clients import management_client
from clipper_nb.deployers.python import create_endpoint, deploy_python_closure

pytestmark = pytest.mark.cluster

SLO_MICROS = 10_000_000


@pytest.fixture(scope="module")
def kind() -> str:
    """They do nothing but call the connection, which behaves alike on both container managers."""
    return "local"


def test_handles_show_and_change_what_is_there(conn: ClipperConnection) -> None:
    apps, models = conn.apps, conn.models
    assert (repr(apps), repr(models)) == ("<Applications: none>", "<Models: none>")
    assert (list(apps), len(models)) == ([], 0)

    create_endpoint(
        conn, "sums", "doubles", lambda xs: [x.sum() for x in xs], default_output="-1", slo_micros=SLO_MICROS
    )
    deploy_python_closure(conn, "sums", "v2", "doubles", lambda xs: [2 * x.sum() for x in xs])
    # Taken before the cluster had anything, they show what it has now.
    assert (repr(apps), repr(models)) == ("<Applications: sums>", "<Models: sums>")
    assert (apps._ipython_key_completions_(), models["sums"]._ipython_key_completions_()) == (["sums"], ["1", "v2"])
    assert repr(apps["sums"]) == ("<Application 'sums': doubles, SLO 10000 ms, default output '-1', linked to sums>")
    assert repr(models["sums"]) == "<Model 'sums': doubles, 2 versions, current v2>"
    assert repr(models["sums"][1]) == "<Version sums:1: doubles, not current, 1 replica>"
    assert "v2" in models["sums"]._repr_html_()
    assert "sums" in apps._repr_html_()
    assert "● current" not in models["sums"]["1"]._repr_html_()

    assert apps["sums"].predict([1.0, 2.0]).output == 6.0
    assert (
        repr(apps["sums"].predict([1.0, 2.0])) == "Prediction(output=6.0, default=False, reason=None, explanation=None)"
    )
    assert [found.output for found in apps["sums"].predict_batch([[1.0], [2.0]], version=1)] == [1.0, 2.0]
    models["sums"]["1"].make_current()
    assert models["sums"].current_version.version == "1"
    assert models["sums"]["1"].is_current
    assert apps["sums"].predict([1.0, 2.0]).output == 3.0
    models["sums"].set_version("v2")
    models["sums"].set_num_replicas(2)
    assert (len(models["sums"]["v2"].replicas), len(models["sums"]["1"].replicas)) == (2, 1)
    models["sums"]["1"].set_num_replicas(0)
    assert models["sums"]["1"].replicas == []
    models["sums"].stop_inactive_versions()
    assert list(models["sums"]) == ["v2"]

    application, model, version = apps["sums"], models["sums"], models["sums"]["v2"]
    assert application.linked_model is not None
    assert application.linked_model.name == "sums"
    application.unlink()
    assert application.linked_model is None
    assert application.predict([1.0]).reason == "not_linked"
    application.link("sums")
    assert application.predict([1.0]).output == 2.0
    version.stop()
    assert (repr(version), repr(model)) == (
        "<Version sums:v2: not in the cluster>",
        "<Model 'sums': not in the cluster>",
    )
    assert version._repr_html_() is None
    application.unregister()
    assert repr(application) == "<Application 'sums': not in the cluster>"


def test_unknown_names_are_refused_with_the_known_ones(conn: ClipperConnection) -> None:
    conn.register_application("here", "ints", "0", SLO_MICROS)
    with pytest.raises(ApplicationNotFoundError, match="here"):
        conn.apps["there"]
    with pytest.raises(ApplicationNotFoundError, match=r"'no/name'.*here"):
        conn.apps["no/name"]
    with pytest.raises(ModelNotFoundError):
        conn.models["none"]
    assert "there" not in conn.apps
    assert 3 not in conn.apps
    assert "here" in conn.apps
    assert conn.apps.get("there") is None
    assert conn.apps.get("here") is not None


def test_handles_report_a_missing_cluster() -> None:
    conn = ClipperConnection(LocalContainerManager("never-started"))
    assert (repr(conn.apps), repr(conn.models)) == ("<Applications: not connected>", "<Models: not connected>")
    with pytest.raises(UnconnectedException):
        conn.apps["any"]
    with pytest.raises(UnconnectedException):
        list(conn.models)
    with pytest.raises(UnconnectedException):
        "any" in conn.models  # noqa: B015


@pytest.mark.parametrize("typed", ['conn.apps["', 'conn.apps["su', "conn.apps['", 'conn.models["', 'model["'])
def test_ipython_completes_names(shared: ClipperConnection, typed: str) -> None:
    """IPython evaluates only what cannot have side effects before it completes: attributes, but no properties."""
    if "sums" not in shared.apps:
        create_endpoint(shared, "sums", "doubles", lambda xs: [x.sum() for x in xs], version="sums-1")
    completer = IPCompleter(namespace={"conn": shared, "model": shared.models["sums"]}, use_jedi=False)
    with provisionalcompleter():
        completions = [completion.text.strip("'\"]") for completion in completer.completions(typed, len(typed))]
    assert completions == (["sums-1"] if typed.startswith("model") else ["sums"])


def test_versions_complete_in_a_kernel(shared: ClipperConnection) -> None:
    """A kernel imports what its completer evaluates with after the connection was made."""
    deploy_python_closure(shared, "completed", "v7", "doubles", lambda xs: [x.sum() for x in xs])
    shared.register_application("completed", "doubles")
    shared.link_model_to_app("completed", "completed")
    manager, client = start_new_kernel()
    try:
        code = "from clipper_nb import *; conn = ClipperConnection(LocalContainerManager({!r})); conn.connect()"
        reply = client.execute_interactive(code.format(shared.cm.cluster_name), timeout=60)
        assert reply["content"]["status"] == "ok"
        for typed in ('conn.models["completed"]["', 'conn.endpoints["completed"].versions["'):
            found = client.complete(typed, reply=True, timeout=60)["content"]["matches"]
            assert [match.strip("'\"]") for match in found] == ["v7"]
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)


def test_handles_of_a_cluster_that_is_gone_have_reprs(conn: ClipperConnection, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(management_client, "_READ_SETTLES_WITHIN_S", 0.5)  # nothing restarts here
    conn.register_application("left", "ints", "0", SLO_MICROS)
    other = ClipperConnection(LocalContainerManager(conn.cm.cluster_name))
    other.connect()
    application, others = conn.apps["left"], other.apps["left"]
    conn.stop_all()
    assert (repr(application), repr(conn.models)) == ("<Application 'left': not connected>", "<Models: not connected>")
    assert repr(others) == "<Application 'left': out of reach>"  # after a while; the rest is in tests/cluster
