"""``Client`` with a real server."""

from __future__ import annotations

import itertools
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from clipper_nb.client import Client
from clipper_nb.errors import ClusterUnreachableError, InvalidInputError, InvalidRequestError
from tests.support.certificates import write_files
from tests.support.scripted_frontend import BREAK, Script, over_tls, scripted_frontend


@pytest.fixture
def server() -> Iterator[Script]:
    with scripted_frontend() as script:
        yield script


def test_one_connection_answers_many_calls(server: Script) -> None:
    with Client(server.url, token="secret-of-the-test") as client:
        assert [client.predict("app", np.array([float(n)])).output for n in range(5)] == [[float(n)] for n in range(5)]
    assert [asked.path for asked in server.asked] == ["/app"] + ["/app/predict"] * 5
    assert len({asked.connection for asked in server.asked}) == 1
    assert {asked.headers["Authorization"] for asked in server.asked} == {"Bearer secret-of-the-test"}


def test_connection_that_the_server_closed_is_replaced() -> None:
    with scripted_frontend(closes=True) as server, Client(server.url) as client:
        assert [client.predict("app", [float(n)]).output for n in range(5)] == [[float(n)] for n in range(5)]
        assert len({asked.connection for asked in server.asked}) == 6


def test_request_whose_connection_breaks_is_sent_once_more() -> None:
    with scripted_frontend(before=[BREAK]) as server, Client(server.url) as client:
        assert client.predict("app", [1.0]).output == [1.0]
        assert server.bodies == [{"input": [1.0]}] * 2
        server.before = [BREAK, BREAK]
        with pytest.raises(ClusterUnreachableError, match="broke the connection during POST /app/predict") as caught:
            client.predict("app", [1.0])
        assert caught.value.is_passing


def test_threads_share_a_client(server: Script) -> None:
    answers: dict[int, Any] = {}
    with Client(server.url) as client:
        threads = [
            threading.Thread(target=lambda n=n: answers.update({n: client.predict("app", [float(n)]).output}))
            for n in range(20)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert answers == {n: [float(n)] for n in range(20)}


def test_batch_is_split_and_joined_in_order(server: Script) -> None:
    with Client(server.url, part_inputs=100) as client:
        found = client.predict_batch("app", np.arange(1050.0).reshape(-1, 1))
    assert [prediction.output for prediction in found] == [[float(n)] for n in range(1050)]
    assert [len(body["input_batch"]) for body in server.bodies] == [100] * 10 + [50]


def test_iterator_is_read_to_its_end(server: Script) -> None:
    with Client(server.url, part_inputs=16_384) as client:
        assert len(client.predict_batch("app", iter([[1.0]] * 16_400))) == 16_400
    with pytest.raises(InvalidInputError, match="inputs must be a list"):
        Client(server.url).predict_batch("app", "text")


def test_wrong_input_sends_nothing(server: Script) -> None:
    with Client(server.url) as client, pytest.raises(InvalidInputError, match="must be a 1-D array or list"):
        client.predict("app", "text")
    assert server.bodies == []


def test_late_answer_is_given_up_at_the_timeout() -> None:
    with scripted_frontend(before=[8.0]) as server, Client(server.url) as client:
        started_s = time.monotonic()
        with pytest.raises(ClusterUnreachableError, match=r"has not answered POST /app/predict within (1|0\.\d+) s"):
            client.predict("app", [1.0], timeout_s=1.0)
        assert time.monotonic() - started_s < 6.0


def test_token_is_not_sent_to_the_target_of_a_redirect() -> None:
    with scripted_frontend() as other, scripted_frontend() as server, Client(server.url, token="secret") as client:
        server.before = [(307, b"", {"Location": f"{other.url}/app/predict"})]
        with pytest.raises(ClusterUnreachableError, match=r"redirect \(status 307\)"):
            client.predict("app", [1.0])
        assert other.asked == []


def test_frontend_that_is_not_there_is_named() -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        url = "http://127.0.0.1:{1}".format(*taken.getsockname())
    with Client(url) as client, pytest.raises(ClusterUnreachableError, match=f"{url} cannot be reached"):
        client.predict("app", [1.0])


def test_authority_as_file_and_as_text_is_trusted(tmp_path: Path) -> None:
    files = write_files(tmp_path, host="localhost")
    with scripted_frontend(over_tls(files), "https") as server:
        url = server.url.replace("127.0.0.1", "localhost")
        for ca in (files.authority, files.authority.read_text()):
            with Client(url, ca=ca) as client:
                assert client.predict("app", [1.0]).output == [1.0]


def test_impostor_gets_no_token(tmp_path: Path) -> None:
    for name in ("own", "other"):
        (tmp_path / name).mkdir()
    own, other = (write_files(tmp_path / name, host="localhost") for name in ("own", "other"))
    with scripted_frontend(over_tls(own), "https") as server:
        url = server.url.replace("127.0.0.1", "localhost")
        for ca in (other.authority, None):
            with Client(url, token="secret", ca=ca) as client, pytest.raises(ClusterUnreachableError, match="over TLS"):
                client.predict("app", [1.0])
        assert server.asked == []


def test_text_of_a_client_has_no_secret() -> None:
    assert repr(Client("http://h:1/app/predict", token="secret")) == "Client('http://h:1')"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"url": "ftp://h"}, "url must be"),
        ({"token": "a b"}, "token must be"),
        ({"ca": "/no/such.pem"}, "ca cannot be read"),
        ({"part_inputs": 0}, "part_inputs"),
    ],
)
def test_wrong_argument_is_named_at_once(options: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidRequestError, match=words):
        Client(**{"url": "http://h:1", **options})


def test_client_that_was_closed_opens_again(server: Script) -> None:
    client = Client(server.url)
    for _ in itertools.repeat(None, 2):
        assert client.predict("app", [1.0]).output == [1.0]
        client.close()
