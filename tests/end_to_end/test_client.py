"""A program without the notebook asks a cluster: every input type, tokens, TLS, many at once, and a restart."""

from __future__ import annotations

import asyncio
import math
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from clipper_nb import ApplicationNotFoundError, ClipperConnection, ClusterUnreachableError, InvalidInputError
from clipper_nb.client import AsyncClient, Client
from clipper_nb.deployers.python import create_endpoint
from clipper_nb.errors import UnauthorizedError
from tests.support.certificates import write_files
from tests.support.clusters import kill, running_cluster

pytestmark = pytest.mark.cluster

SLO_MICROS = 10_000_000


@pytest.fixture(scope="module")
def conn() -> Iterator[ClipperConnection]:
    """A cluster with a token and TLS; its applications tell what their functions got."""
    with running_cluster("local", query_token=True, tls=True) as conn:
        for input_type in ("ints", "floats", "doubles", "bytes"):
            create_endpoint(conn, input_type, input_type, lambda xs: [[str(x.dtype), *x.tolist()] for x in xs],
                            slo_micros=SLO_MICROS)  # fmt: skip
        create_endpoint(conn, "strings", "strings", lambda xs: [x + "!" for x in xs], slo_micros=SLO_MICROS)
        create_endpoint(conn, "json", "json", lambda xs: list(xs), slo_micros=SLO_MICROS)
        yield conn


@pytest.fixture(scope="module")
def client(conn: ClipperConnection) -> Iterator[Client]:
    with Client(conn.get_query_url(), token=conn.query_token, ca=conn.get_tls_authority()) as client:
        yield client


@pytest.mark.parametrize(
    ("name", "value", "output"),
    [
        ("ints", np.array([1, -2]), ["int32", 1, -2]),
        ("floats", np.array([0.1, np.nan], np.float32), ["float32", float(np.float32(0.1)), math.nan]),
        ("doubles", [0.1, None, math.inf], ["float64", 0.1, math.nan, math.inf]),
        ("doubles", pd.Series([1.5, None]), ["float64", 1.5, math.nan]),
        ("bytes", b"\x00\xff", ["int8", 0, -1]),
        ("bytes", np.array([1, 2], np.uint8), ["int8", 1, 2]),
        ("strings", "naïve", "naïve!"),
        ("json", {"age": np.int64(2**60), "tags": ["a"], "x": math.inf}, {"age": 2**60, "tags": ["a"], "x": math.inf}),
    ],
)
def test_every_type_is_answered_as_by_the_connection(
    conn: ClipperConnection, client: Client, name: str, value: Any, output: Any
) -> None:
    found, expected = client.predict(name, value), conn.predict(name, value)
    assert repr(found.output) == repr(output) == repr(expected.output)  # NaN is not equal to itself
    assert (found.default, found.reason, found.model) == (False, None, f"{name}:1")
    assert found.latency_s > 0


@pytest.mark.parametrize(
    ("name", "batch", "outputs"),
    [
        ("doubles", pd.DataFrame({"a": [1, 2], "b": [0.5, 1.5]}), [["float64", 1.0, 0.5], ["float64", 2.0, 1.5]]),
        ("json", pd.DataFrame({"a": [1, 2], "b": ["x", None]}), [{"a": 1, "b": "x"}, {"a": 2, "b": None}]),
        ("json", [{"a": 1}, [True, None], "x"], [{"a": 1}, [True, None], "x"]),
        ("strings", pd.Series(["a", "b"]), ["a!", "b!"]),
        ("ints", iter([[1], [2]]), [["int32", 1], ["int32", 2]]),
        ("doubles", [], []),
    ],
)
def test_batches_of_libraries_are_rows(client: Client, name: str, batch: Any, outputs: list[Any]) -> None:
    assert [prediction.output for prediction in client.predict_batch(name, batch)] == outputs


def test_columns_go_by_name_as_with_the_connection(conn: ClipperConnection, client: Client) -> None:
    sample = pd.DataFrame({"a": [1.0, 2.0], "b": [10.0, 20.0]})
    create_endpoint(
        conn, "named", "doubles", lambda xs: [x.tolist() for x in xs], sample_inputs=sample, slo_micros=SLO_MICROS
    )
    mixed = sample.assign(c=0.0)[["c", "b", "a"]]
    for asked in (client, conn):
        found = asked.predict_batch("named", mixed)  # type: ignore[attr-defined]
        assert [prediction.output for prediction in found] == [[1.0, 10.0], [2.0, 20.0]]
        assert asked.predict("named", mixed.iloc[1]).output == [2.0, 20.0]  # type: ignore[attr-defined]
        with pytest.raises(InvalidInputError, match="a is missing in c, b"):
            asked.predict_batch("named", mixed[["c", "b"]])  # type: ignore[attr-defined]


def test_large_batch_is_answered_in_order(client: Client) -> None:
    found = client.predict_batch("doubles", np.arange(20_000.0).reshape(-1, 1))
    assert [prediction.output for prediction in found] == [["float64", float(n)] for n in range(20_000)]
    assert len({prediction.latency_s for prediction in found}) > 1  # of several requests


def test_default_output_has_its_reason(conn: ClipperConnection, client: Client) -> None:
    conn.register_application("alone", "doubles", "-1", 100_000)
    found = client.predict("alone", [1.0])
    assert (found.output, found.default, found.reason, found.model) == (-1, True, "not_linked", None)
    assert str(found.explanation).startswith("No connected models found for query")


@pytest.mark.parametrize(
    ("name", "value", "is_batch"),
    [
        ("doubles", "text", False),
        ("doubles", [True], False),
        ("ints", [1.5], False),
        ("bytes", np.array([1.0]), False),
        ("json", float("nan"), False),
        ("strings", [1.0], False),
        ("doubles", [[1.0], ["x"]], True),
        ("nope", [1.0], False),
    ],
)
def test_wrong_input_is_refused_in_the_connections_words(
    conn: ClipperConnection, client: Client, name: str, value: Any, is_batch: bool
) -> None:
    told = []
    for asked in (client, conn):
        with pytest.raises((InvalidInputError, ApplicationNotFoundError)) as caught:
            (asked.predict_batch if is_batch else asked.predict)(name, value)  # type: ignore[attr-defined]
        told.append((type(caught.value), str(caught.value)))
    assert told[0] == told[1]


def test_unknown_version_is_refused(client: Client) -> None:
    with pytest.raises(InvalidInputError, match="Requested version: 7 does not exist for model: doubles"):
        client.predict("doubles", [1.0], version=7)
    assert client.predict("doubles", [1.0], version=1).model == "doubles:1"


def test_token_of_an_application_is_good_for_that_one(conn: ClipperConnection) -> None:
    token = conn.create_token("strings", name="program")
    with Client(conn.get_query_url(), token=token, ca=conn.get_tls_authority()) as client:
        assert client.predict("strings", "a").output == "a!"
        for name in ("doubles", "nope"):
            with pytest.raises(UnauthorizedError, match="not good for this path"):
                client.predict(name, [1.0])
        conn.revoke_token("strings", "program")
        with pytest.raises(UnauthorizedError):
            client.predict("strings", "a")
    with (
        Client(conn.get_query_url(), ca=conn.get_tls_authority()) as client,
        pytest.raises(UnauthorizedError, match=r"asks for a token.* as token="),
    ):
        client.predict("strings", "a")


def test_frontend_of_another_authority_is_refused(conn: ClipperConnection, tmp_path: Path) -> None:
    other = write_files(tmp_path).authority
    with (
        Client(conn.get_query_url(), token=conn.query_token, ca=other) as client,
        pytest.raises(ClusterUnreachableError, match="does not prove itself over TLS"),
    ):
        client.predict("strings", "a")


def test_connection_makes_a_client(conn: ClipperConnection) -> None:
    with conn.get_client() as client:
        assert client.predict("strings", "a").output == "a!"


def test_two_hundred_calls_are_awaited_at_once(conn: ClipperConnection) -> None:
    async def main() -> list[Any]:
        url = conn.endpoints["doubles"].url
        async with AsyncClient(url, token=conn.query_token, ca=conn.get_tls_authority()) as client:
            answers = await asyncio.gather(*(client.predict("doubles", [float(n)]) for n in range(200)))
            with pytest.raises(ApplicationNotFoundError, match="doubles"):
                await client.predict("nope", [1.0])
            return [answer.output for answer in answers]

    assert asyncio.run(main()) == [["float64", float(n)] for n in range(200)]


def test_application_that_was_registered_again_is_answered(conn: ClipperConnection, client: Client) -> None:
    conn.register_application("again", "doubles", "-1", 100_000)
    assert client.predict("again", [1.0]).output == -1
    conn.unregister_application("again")
    conn.register_application("again", "strings", "other", 100_000)
    assert client.predict("again", "text").output == "other"
    conn.unregister_application("again")
    with pytest.raises(ApplicationNotFoundError):
        client.predict("again", "text")


_PROGRAM = """
import sys
from clipper_nb.client import Client
with Client(sys.argv[1], token=sys.argv[2], ca=sys.argv[3]) as client:
    print(client.predict("doubles", [1, 2.5]).output, sorted({"numpy", "pandas", "tornado"} & {*sys.modules}))
"""


def test_program_predicts_without_heavy_libraries(conn: ClipperConnection, tmp_path: Path) -> None:
    authority = tmp_path / "authority.pem"
    authority.write_text(str(conn.get_tls_authority()))
    arguments = [conn.get_query_url(), str(conn.query_token), str(authority)]
    done = subprocess.run(
        [sys.executable, "-c", _PROGRAM, *arguments], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.strip() == "['float64', 1.0, 2.5] []"


def test_frontend_that_restarted_is_asked_again(conn: ClipperConnection, client: Client) -> None:
    """The last test: the replicas connect again only after it."""
    conn.register_application("before", "doubles", "-1", 100_000)
    assert client.predict("before", [1.0]).output == -1
    kill(conn, "query_frontend")
    assert client.predict("before", [1.0], timeout_s=20.0).output == -1

    async def main() -> Any:
        async with AsyncClient(conn.get_query_url(), token=conn.query_token, ca=conn.get_tls_authority()) as other:
            before = (await other.predict("before", [1.0])).output
            await asyncio.to_thread(kill, conn, "query_frontend")
            return before, (await other.predict("before", [1.0], timeout_s=20.0)).output

    assert asyncio.run(main()) == (-1, -1)
