"""Rows with names are sent in the order of the version that answers, also when that changes meanwhile."""

from __future__ import annotations

import json
from contextlib import closing
from typing import Any

import msgspec
import pandas as pd
import pytest

from clipper_nb.clients.http_client import Http
from clipper_nb.clients.query_client import QueryClient
from clipper_nb.errors import ApplicationNotFoundError, ClusterUnreachableError, InvalidInputError
from clipper_nb.protocol.descriptions import ApplicationInfo, TargetInfo, VersionInfo, describe_application
from clipper_nb.protocol.input_types import InputType
from clipper_nb.protocol.names import ModelId
from clipper_nb.protocol.number_columns import columns_schema
from clipper_nb.protocol.provenance import Provenance
from tests.support.records import make_application, make_version, make_version_info
from tests.support.scripted_frontend import BREAK, scripted_frontend

FRAME = pd.DataFrame({"a": [1.0], "b": [2.0]})


class Cluster:
    """An application whose versions take their columns in different orders, each for some questions."""

    def __init__(self, *answering: str, **columns: str) -> None:
        self.answering = list(answering)
        self.columns = columns
        self.sent: list[Any] = []

    def request(self, method: str, path: str, *, body: bytes, **options: Any) -> tuple[int, bytes]:
        asked = json.loads(body)
        self.sent.append(asked["input_batch"] if "input_batch" in asked else asked["input"])
        answer = {"query_id": 1, "output": 0, "default": False, "model": f"m:{self._answering()}"}
        return 200, json.dumps({"batch_predictions": [answer]} if "input_batch" in asked else answer).encode()

    def find_application(self, name: str) -> ApplicationInfo:
        version = self.answering[0][-1]
        application = make_application(name, input_type=InputType.DOUBLES)
        return describe_application(
            application, ["m"], make_version("m", version, InputType.DOUBLES, provenance=self._provenance(version))
        )

    def find_version(self, model_id: ModelId) -> VersionInfo:
        return make_version_info(*model_id, input_schema=self._provenance(model_id.version).input_schema)

    def _answering(self) -> str:
        return (self.answering.pop(0) if len(self.answering) > 1 else self.answering[0])[-1]

    def _provenance(self, version: str) -> Provenance:
        columns = self.columns.get(f"v{version}")
        return Provenance(input_schema=columns_schema(InputType.DOUBLES, list(columns)) if columns else None)


def client_of(cluster: Cluster) -> QueryClient:
    http: Http = cluster  # type: ignore[assignment]
    return QueryClient.informed(http, cluster.find_application, cluster.find_version)


@pytest.mark.parametrize("inputs", [FRAME, [FRAME.iloc[0]], FRAME[["b", "a"]].assign(c=3.0)])
def test_columns_are_sent_in_the_models_order(inputs: Any) -> None:
    cluster = Cluster("1", v1="ba")
    client_of(cluster).predict("app", inputs, is_batch=True, version=None)
    assert cluster.sent == [[[2.0, 1.0]]]


def test_one_row_goes_by_its_names() -> None:
    cluster = Cluster("1", v1="ba")
    client_of(cluster).predict("app", FRAME.iloc[0], is_batch=False, version=None)
    assert cluster.sent == [[2.0, 1.0]]


def test_named_version_has_an_order_of_its_own() -> None:
    cluster = Cluster("1", v1="ab", v2="ba")
    client_of(cluster).predict("app", FRAME, is_batch=True, version="2")
    assert cluster.sent == [[[2.0, 1.0]]]


def test_other_version_that_answered_is_asked_in_its_order() -> None:
    cluster = Cluster("1", v1="ab", v2="ba")
    client = client_of(cluster)
    client.predict("app", FRAME, is_batch=True, version=None)
    cluster.answering = ["2"]
    client.predict("app", FRAME, is_batch=True, version=None)
    assert cluster.sent == [[[1.0, 2.0]], [[1.0, 2.0]], [[2.0, 1.0]]]


def test_rows_without_names_are_sent_once_as_they_are() -> None:
    cluster = Cluster("1", v1="ab", v2="ba")
    client = client_of(cluster)
    client.predict("app", [[1.0, 2.0]], is_batch=True, version=None)
    cluster.answering = ["2"]
    client.predict("app", [[1.0, 2.0]], is_batch=True, version=None)
    assert cluster.sent == [[[1.0, 2.0]], [[1.0, 2.0]]]


def test_version_that_changes_with_each_question_is_an_error() -> None:
    cluster = Cluster(*"12121212", v1="ab", v2="ba")
    described = cluster.find_application("app")
    client = QueryClient.informed(cluster, lambda name: described, cluster.find_version)  # type: ignore[arg-type]
    cluster.answering = ["2"]
    with pytest.raises(ClusterUnreachableError, match="changed 3 times"):
        client.predict("app", FRAME, is_batch=True, version=None)


def test_missing_column_is_refused_before_anything_is_sent() -> None:
    cluster = Cluster("1", v1="abc")
    with pytest.raises(InvalidInputError, match="c is missing in a, b"):
        client_of(cluster).predict("app", FRAME, is_batch=True, version=None)
    assert cluster.sent == []


def describe(name: str) -> Any:
    if name != "app":
        raise ApplicationNotFoundError(name, ["app"])
    return describe_application(make_application(name, input_type=InputType.DOUBLES), [])


def test_description_comes_from_elsewhere_batch_goes_as_one() -> None:
    with scripted_frontend() as server, closing(QueryClient.at(server.url, describe, lambda model_id: None)) as client:
        found = client.predict("app", [[1.0]] * 500, is_batch=True, version="2")
        assert [prediction.output for prediction in found] == [[1.0]] * 500
        assert [asked.path for asked in server.asked] == ["/app/predict"]
        assert server.bodies[0]["version"] == "2"
        with pytest.raises(ApplicationNotFoundError, match="Applications: app"):
            client.predict("other", [1.0], is_batch=False, version=None)


def test_what_fails_on_the_way_is_the_error_of_the_call() -> None:
    with (
        scripted_frontend(before=[BREAK, BREAK]) as server,
        closing(QueryClient.at(server.url, describe, lambda model_id: None)) as client,
        pytest.raises(ClusterUnreachableError, match="broke the connection"),
    ):
        client.predict("app", [1.0], is_batch=False, version=None)


def divided(cluster: Cluster, *versions: str) -> QueryClient:
    """Return a client that knows that the queries are divided among versions."""

    def find(name: str) -> ApplicationInfo:
        targets = [
            TargetInfo(target=f"m:{version}", model=f"m:{version}", weight=1, share=1 / len(versions),
                       input_schema=cluster.find_version(ModelId("m", version)).input_schema)
            for version in versions
        ]  # fmt: skip
        return msgspec.structs.replace(Cluster(versions[0], **cluster.columns).find_application(name), traffic=targets)

    http: Http = cluster  # type: ignore[assignment]
    return QueryClient.informed(http, find, cluster.find_version)


def test_each_version_with_a_share_may_answer() -> None:
    cluster = Cluster(*"1212", v1="ba", v2="ba")
    client = divided(cluster, "1", "2")
    for _ in range(4):
        client.predict("app", FRAME, is_batch=True, version=None)
    assert cluster.sent == [[[2.0, 1.0]]] * 4


def test_versions_with_shares_must_take_columns_in_one_order() -> None:
    cluster = Cluster("1", v1="ab", v2="ba")
    client = divided(cluster, "1", "2")
    with pytest.raises(InvalidInputError, match=r"different orders: m:1 \(a, b\), m:2 \(b, a\). Name a version"):
        client.predict("app", FRAME, is_batch=True, version=None)
    client.predict("app", [[1.0, 2.0]], is_batch=True, version=None)
    client.predict("app", FRAME, is_batch=True, version="m:2")
    assert cluster.sent == [[[1.0, 2.0]], [[2.0, 1.0]]]
