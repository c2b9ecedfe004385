"""``conn.apps`` and ``conn.models``: what each handle asks, and what it says when what it names is gone."""

from __future__ import annotations

import pytest

from clipper_nb import ClipperConnection
from clipper_nb.errors import (
    ApplicationNotFoundError,
    ClusterUnreachableError,
    InvalidNameError,
    InvalidRequestError,
    ModelNotFoundError,
)
from clipper_nb.protocol.names import ModelId
from clipper_nb.testing import RecordingContainerManager
from tests.support.management_frontend import (
    ManagementFrontend,
    application,
    connection_to,
    replica,
    replicas_of,
    version,
)


class Bench:
    """A connection to two applications and a model of two versions, of which the second is current."""

    def __init__(self) -> None:
        self.manager = RecordingContainerManager()
        self.frontend = ManagementFrontend(
            applications=[application("words", input_type="strings"), application("digits", "net")],
            versions=[
                version("net", "v1", is_current=False, registered_at=2.0),
                version("net", "a2", registered_at=3.0),
                version("other", "1"),
            ],
            replicas=lambda: [replica("net:a2", 0), replica("net:a2", 1), replica("net:v1", 0)],
        )
        self.conn = connection_to(self.frontend, self.manager)


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_traffic_is_set_and_shown(bench: Bench) -> None:
    targets = [
        {"target": "net:v1", "model": "net:v1", "weight": 90.0, "share": 0.9, "num_replicas": 1},
        {"target": "net", "model": "net:a2", "weight": 10.0, "share": 0.1, "num_replicas": 2},
    ]
    bench.frontend.answers["get_traffic"] = {"app_name": "digits", "targets": targets}
    digits = bench.conn.apps["digits"]
    assert repr(digits.set_traffic({"net:v1": 90, "net": 10})) == (
        "<Traffic of 'digits': net:v1 90 %, net (now net:a2) 10 %>"
    )
    assert bench.frontend.requests("set_traffic") == [{"app_name": "digits", "weights": {"net:v1": 90.0, "net": 10.0}}]
    assert digits.traffic == bench.conn.get_traffic("digits")
    with pytest.raises(InvalidRequestError, match="weight of 'net' must be a positive number"):
        digits.set_traffic({"net": -1})
    assert bench.frontend.changes == ["set_traffic"]


def test_version_with_traffic_is_not_inactive(bench: Bench) -> None:
    target = {"target": "net:v1", "model": "net:v1", "weight": 1.0, "share": 1.0}
    bench.frontend.answers["get_all_applications"] = [application("digits", "net", traffic=[target])]
    bench.conn.stop_inactive_model_versions(["net"])
    assert bench.frontend.requests("delete_versioned_model") == []


def test_names_are_in_order_and_counted(bench: Bench) -> None:
    apps, models = bench.conn.apps, bench.conn.models
    assert (list(apps), list(models), len(apps)) == (["digits", "words"], ["net", "other"], 2)
    assert list(models["net"]) == ["v1", "a2"]  # as they were registered
    assert "digits" in apps
    assert "unknown" not in apps
    assert "Not A Name" not in models
    assert 7 not in models["net"]
    assert models.get("unknown") is None
    assert models.get("unknown", "default") == "default"


def test_unknown_name_is_reported_with_the_known_ones(bench: Bench) -> None:
    with pytest.raises(ApplicationNotFoundError, match="digits, words"):
        bench.conn.apps["unknown"]
    with pytest.raises(ModelNotFoundError, match="net, other"):
        bench.conn.models["unknown"]
    with pytest.raises(ModelNotFoundError, match="v1, a2"):
        bench.conn.models["net"]["9"]
    with pytest.raises(ModelNotFoundError, match=r"No model with name 'Not A Name'.*net, other"):
        bench.conn.models["Not A Name"]
    with pytest.raises(InvalidNameError, match="use text"):
        bench.conn.models[5]


def test_handles_say_what_they_name(bench: Bench) -> None:
    digits, net = bench.conn.apps["digits"], bench.conn.models["net"]
    assert repr(bench.conn.apps) == "<Applications: digits, words>"
    assert repr(bench.conn.models) == "<Models: net, other>"
    assert repr(digits) == "<Application 'digits': doubles, SLO 20 ms, default output '-1', linked to net>"
    assert repr(bench.conn.apps["words"]).endswith("not linked>")
    assert repr(net) == "<Model 'net': doubles, 2 versions, current a2>"
    assert repr(net["a2"]) == "<Version net:a2: doubles, current, 2 replicas>"
    assert repr(net["v1"]) == "<Version net:v1: doubles, not current, 1 replica>"
    for handle in (bench.conn.apps, bench.conn.models, digits, net, net["a2"]):
        assert handle._repr_html_().startswith("<table>")
    assert "v1" not in net["a2"]._repr_html_()


def test_handles_find_each_other(bench: Bench) -> None:
    net = bench.conn.apps["digits"].linked_model
    assert net is not None
    assert (net.name, net.current_version.version) == ("net", "a2")
    assert bench.conn.apps["words"].linked_model is None
    assert (net["a2"].is_current, net["v1"].is_current) == (True, False)
    assert len(net["a2"].replicas) == 2
    assert bench.conn.apps["digits"].info["latency_slo_micros"] == 20_000
    assert net["v1"].info["model_version"] == "v1"


@pytest.mark.parametrize(
    ("call", "action", "request_"),
    [
        (lambda conn: conn.apps["words"].link("other"), "add_model_links",
         {"app_name": "words", "model_names": ["other"]}),
        (lambda conn: conn.apps["digits"].unlink(), "delete_model_links",
         {"app_name": "digits", "model_names": ["net"]}),
        (lambda conn: conn.apps["digits"].unregister(), "delete_app", {"name": "digits"}),
        (lambda conn: conn.models["net"].set_version("v1"), "set_model_version",
         {"model_name": "net", "model_version": "v1"}),
        (lambda conn: conn.models["net"]["v1"].make_current(), "set_model_version",
         {"model_name": "net", "model_version": "v1"}),
        (lambda conn: conn.models["net"]["v1"].stop(), "delete_versioned_model",
         {"model_name": "net", "model_version": "v1"}),
        (lambda conn: conn.models["net"].stop_inactive_versions(), "delete_versioned_model",
         {"model_name": "net", "model_version": "v1"}),
    ],
)  # fmt: skip
def test_call_of_a_handle_is_the_connections(bench: Bench, call, action, request_) -> None:
    call(bench.conn)
    assert bench.frontend.requests(action) == [request_]
    assert bench.frontend.changes == [action]


def test_application_without_a_link_has_none_to_remove(bench: Bench) -> None:
    bench.conn.apps["words"].unlink()
    assert bench.frontend.changes == []


def test_model_is_stopped_with_all_its_versions(bench: Bench) -> None:
    bench.conn.models["net"].stop()
    stopped = [request["model_version"] for request in bench.frontend.requests("delete_versioned_model")]
    assert stopped == ["v1", "a2"]
    assert bench.manager.calls == [("stop_models", "net:v1", "net:a2")]


def test_model_scales_its_current_version_and_a_version_itself() -> None:
    manager = RecordingContainerManager()
    frontend = ManagementFrontend(
        versions=[version("net", "1", is_current=False), version("net", "2")], replicas=replicas_of(manager)
    )
    net = connection_to(frontend, manager).models["net"]
    net.set_num_replicas(2)
    assert manager.get_num_replicas(ModelId("net", "2")) == 2


@pytest.mark.parametrize(
    ("gone", "says"),
    [
        (lambda bench: bench.frontend.answers.update(get_all_models=[], get_model={}, get_application={}),
         "not in the cluster"),
        (lambda bench: bench.frontend.answers.update(
            dict.fromkeys(("get_all_models", "get_model", "get_application"), ClusterUnreachableError("It is away."))
        ), "out of reach"),
        (lambda bench: setattr(bench.conn, "connected", False), "not connected"),
    ],
    ids=["gone", "away", "unconnected"],
)  # fmt: skip
def test_handle_says_why_there_is_nothing_to_show(bench: Bench, gone, says: str) -> None:
    digits, net = bench.conn.apps["digits"], bench.conn.models["net"]
    models, first = bench.conn.models, net["v1"]
    gone(bench)
    assert repr(digits) == f"<Application 'digits': {says}>"
    assert repr(net) == f"<Model 'net': {says}>"
    assert repr(first) == f"<Version net:v1: {says}>"
    assert digits._repr_html_() is net._repr_html_() is first._repr_html_() is None
    assert repr(models) == f"<Models: {'none' if says == 'not in the cluster' else says}>"
    assert (models._repr_html_() is None) is (says != "not in the cluster")
    assert models._ipython_key_completions_() == []


def test_completion_shows_names_and_no_errors(bench: Bench) -> None:
    assert bench.conn.apps._ipython_key_completions_() == ["digits", "words"]
    assert bench.conn.models["net"]._ipython_key_completions_() == ["v1", "a2"]
    unconnected = ClipperConnection(bench.manager)
    assert unconnected.models._ipython_key_completions_() == []
    assert repr(unconnected.apps) == "<Applications: not connected>"
