"""``conn.endpoints``: what each handle asks, and what it says when there is nothing to ask."""

from __future__ import annotations

import pytest

from clipper_nb.cluster.endpoints import EndpointHandle
from clipper_nb.errors import ApplicationNotFoundError, InvalidRequestError, NotFoundError
from clipper_nb.protocol.names import ModelId
from clipper_nb.testing import RecordingContainerManager
from tests.support.management_frontend import (
    ManagementFrontend,
    application,
    connection_to,
    replica,
    version,
)


class Bench:
    """An endpoint whose model has three versions, of which the second is current, and an application without a link."""

    def __init__(self, *, shared: bool = False) -> None:
        self.manager = RecordingContainerManager()
        applications = [application("words", input_type="strings"), application("net", "net")]
        self.frontend = ManagementFrontend(
            applications=[*applications, *([application("other", "net")] if shared else [])],
            versions=[
                version("net", "1", is_current=False, registered_at=2.0),
                version("net", "2", registered_at=3.0),
                version("net", "3", is_current=False, registered_at=4.0),
            ],
            replicas=lambda: [replica("net:2", 0), replica("net:2", 1), replica("net:1", 0)],
        )
        self.conn = connection_to(self.frontend, self.manager)

    @property
    def net(self) -> EndpointHandle:
        return self.conn.endpoints["net"]


def test_endpoint_says_what_answers_and_where() -> None:
    bench = Bench()
    assert repr(bench.conn.endpoints) == "<Endpoints: net, words>"
    assert repr(bench.net) == "<Endpoint 'net': doubles, SLO 20 ms, net:2, http://127.0.0.1:0/net/predict>"
    assert repr(bench.conn.endpoints["words"]).endswith("not linked, http://127.0.0.1:0/words/predict>")
    assert bench.net._repr_html_().startswith("<table>")
    with pytest.raises(ApplicationNotFoundError, match="net, words"):
        bench.conn.endpoints["unknown"]


def test_endpoint_without_a_current_version_says_so() -> None:
    bench = Bench()
    bench.frontend.answers["get_all_models"] = []
    assert "net without a current version" in repr(bench.net)


def test_versions_of_an_endpoint_are_those_of_its_model() -> None:
    bench = Bench()
    assert list(bench.net.versions) == bench.net.versions._ipython_key_completions_() == ["1", "2", "3"]
    assert repr(bench.net.versions) == "<Versions: 1, 2, 3>"
    bench.net.versions[3].make_current()
    assert bench.frontend.requests("set_model_version") == [{"model_name": "net", "model_version": "3"}]
    unlinked = bench.conn.endpoints["words"].versions
    assert list(unlinked) == []
    with pytest.raises(NotFoundError, match="No model is linked"):
        unlinked["1"]


def test_rollback_makes_the_version_before_current() -> None:
    bench = Bench()
    assert bench.net.rollback().version == "1"
    assert bench.frontend.changes == ["set_model_version"]
    assert bench.frontend.requests("set_model_version") == [{"model_name": "net", "model_version": "1"}]


def test_rollback_without_an_earlier_version_says_so() -> None:
    bench = Bench()
    bench.frontend.answers["get_current_model_version"] = "1"
    with pytest.raises(InvalidRequestError, match="Version '1' is the first"):
        bench.net.rollback()
    with pytest.raises(InvalidRequestError, match="No model is linked to application 'words'"):
        bench.conn.endpoints["words"].rollback()
    assert bench.frontend.changes == []


def test_rollback_with_traffic_set_names_the_way() -> None:
    bench = Bench()
    targets = [{"target": "net:1", "weight": 9.0, "share": 0.9}, {"target": "net:2", "weight": 1.0, "share": 0.1}]
    divided = application("net", "net", traffic=targets)
    bench.frontend.answers["get_application"] = lambda request: divided
    with pytest.raises(InvalidRequestError, match=r"net:1 90 %, net:2 10 %.*conn.set_traffic\('net'"):
        bench.net.rollback()
    assert "traffic net:1 90 %, net:2 10 %" in repr(bench.net)
    assert bench.frontend.changes == []


@pytest.mark.parametrize("shared", [False, True])
def test_deleted_endpoint_stops_its_model_unless_it_is_shared(shared: bool) -> None:
    bench = Bench(shared=shared)
    net = bench.net
    net.delete()
    stopped = [request["model_version"] for request in bench.frontend.requests("delete_versioned_model")]
    assert bench.frontend.requests("delete_app") == [{"name": "net"}]
    assert stopped == ([] if shared else ["1", "2", "3"])
    assert bench.frontend.changes[-1] == "delete_app"  # until then the same call can be made again


def test_logs_are_those_of_the_current_versions_replicas() -> None:
    bench = Bench()
    assert repr(bench.net.logs()) == "net:2 has no replicas.\n"
    bench.manager.logs = {"net_2-1": "one\ntwo\nthree\n", "net_2-2": ""}
    model_id = ModelId("net", "2")
    bench.manager.set_num_replicas(model_id, input_type="doubles", image="i", num_replicas=2, load_timeout_s=1.0)
    assert str(bench.net.logs(max_lines=2)) == "net_2-1:\ntwo\nthree\n\nnet_2-2:\n(nothing)\n"
    assert (
        bench.conn.logs("net:2") == bench.conn.logs("net") == bench.conn.models["net"]["2"].logs() == bench.net.logs()
    )


def test_logs_of_an_unknown_version_list_the_known_ones() -> None:
    bench = Bench()
    with pytest.raises(NotFoundError, match="Versions: 1, 2, 3"):
        bench.conn.logs("net:9")
    with pytest.raises(InvalidRequestError, match="max_lines"):
        bench.conn.logs("net:2", max_lines=0)
