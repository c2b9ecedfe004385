"""The connection's client of the query frontend, with a real server."""

from __future__ import annotations

from contextlib import closing
from types import SimpleNamespace
from typing import Any

import pytest

from clipper_nb.clients.query_client import QueryClient
from clipper_nb.errors import ApplicationNotFoundError, ClusterUnreachableError
from clipper_nb.protocol.input_types import InputType
from tests.support.scripted_frontend import BREAK, scripted_frontend


def describe(name: str) -> Any:
    if name != "app":
        raise ApplicationNotFoundError(name, ["app"])
    return SimpleNamespace(input_type=InputType.DOUBLES, slo_micros=100_000)


def test_description_comes_from_elsewhere_batch_goes_as_one() -> None:
    with scripted_frontend() as server, closing(QueryClient.at(server.url, describe)) as client:
        found = client.predict("app", [[1.0]] * 500, is_batch=True, version="2")
        assert [prediction.output for prediction in found] == [[1.0]] * 500
        assert [asked.path for asked in server.asked] == ["/app/predict"]
        assert server.bodies[0]["version"] == "2"
        with pytest.raises(ApplicationNotFoundError, match="Applications: app"):
            client.predict("other", [1.0], is_batch=False, version=None)


def test_what_fails_on_the_way_is_the_error_of_the_call() -> None:
    with (
        scripted_frontend(before=[BREAK, BREAK]) as server,
        closing(QueryClient.at(server.url, describe)) as client,
        pytest.raises(ClusterUnreachableError, match="broke the connection"),
    ):
        client.predict("app", [1.0], is_batch=False, version=None)
