"""What goes wrong on the way of an awaited request, and what is sent again."""

from __future__ import annotations

import asyncio
import socket
from contextlib import closing
from pathlib import Path

import pytest

from clipper_nb.client.async_http import AsyncHttp
from clipper_nb.clients.query_steps import Reply, Request
from clipper_nb.clients.trust import Trust
from clipper_nb.errors import ClusterUnreachableError
from tests.support.certificates import write_files
from tests.support.scripted_frontend import BREAK, over_tls, scripted_frontend

PREDICT = Request("POST", "/app/predict", 10.0, b'{"input": [1.0]}')


def send(url: str, *requests: Request, token: str | None = None, trust: Trust | None = None) -> list[Reply]:
    async def main() -> list[Reply]:
        http = AsyncHttp(url, token, trust)
        try:
            return [await http.send(request) for request in requests]
        finally:
            await http.close()

    return asyncio.run(main())


def test_connection_is_kept() -> None:
    with scripted_frontend() as server:
        assert [reply.status for reply in send(server.url, *[PREDICT] * 3)] == [200] * 3
        assert len({asked.connection for asked in server.asked}) == 1


def test_connection_that_the_server_closed_is_replaced() -> None:
    with scripted_frontend(closes=True) as server:
        assert [reply.status for reply in send(server.url, *[PREDICT] * 5)] == [200] * 5


def test_request_whose_connection_breaks_is_sent_once_more() -> None:
    with scripted_frontend(before=[BREAK]) as server:
        assert send(server.url, PREDICT)[0].status == 200
    with scripted_frontend(before=[BREAK] * 2) as server, pytest.raises(ClusterUnreachableError) as caught:
        send(server.url, PREDICT)
    assert "broke the connection during POST /app/predict" in str(caught.value)
    assert caught.value.is_passing


def test_frontend_that_is_away_is_tried_again_within_a_second() -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        port = taken.getsockname()[1]

    async def main() -> Reply:
        http = AsyncHttp(f"http://127.0.0.1:{port}", None, None)
        asked = asyncio.ensure_future(http.send(PREDICT))
        await asyncio.sleep(0.15)

        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"}")
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}")
            writer.close()

        async with await asyncio.start_server(answer, "127.0.0.1", port):
            reply = await asked
        await http.close()
        return reply

    assert asyncio.run(main()).body == b"{}"


def test_frontend_that_stays_away_is_named() -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        url = "http://127.0.0.1:{1}".format(*taken.getsockname())
    for timeout_s in (0.05, 10.0):
        with pytest.raises(ClusterUnreachableError, match=f"{url} cannot be reached") as caught:
            send(url, Request("GET", "/app", timeout_s))
        assert caught.value.is_passing


def test_server_that_speaks_no_http_is_an_error_of_ours() -> None:
    async def main() -> None:
        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"}")
            writer.write(b"220 mail.example.org ESMTP\r\n\r\n")
            writer.close()

        async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
            http = AsyncHttp("http://127.0.0.1:{1}".format(*server.sockets[0].getsockname()), None, None)
            try:
                with pytest.raises(ClusterUnreachableError, match="cannot be reached"):
                    await http.send(PREDICT)
            finally:
                await http.close()

    asyncio.run(main())


def test_silent_frontend_is_given_up_at_the_deadline() -> None:
    with (
        closing(socket.create_server(("127.0.0.1", 0))) as silent,
        pytest.raises(ClusterUnreachableError, match=r"has not answered GET /app within 0\.05 s"),
    ):
        send("http://127.0.0.1:{1}".format(*silent.getsockname()), Request("GET", "/app", 0.05))


def test_redirect_is_an_answer_and_is_not_followed() -> None:
    with scripted_frontend() as other, scripted_frontend() as server:
        server.before = [(307, b"", {"Location": f"{other.url}/app/predict"})]
        assert send(server.url, PREDICT, token="secret")[0].status == 307
        assert other.asked == []


def test_frontend_with_the_authority_is_trusted(tmp_path: Path) -> None:
    files = write_files(tmp_path, host="localhost")
    with scripted_frontend(over_tls(files), "https") as server:
        url = server.url.replace("127.0.0.1", "localhost")
        assert send(url, PREDICT, trust=Trust(authority=files.authority.read_text()))[0].status == 200


def test_pinned_certificate_is_trusted_for_any_name(tmp_path: Path) -> None:
    files = write_files(tmp_path)
    with scripted_frontend(over_tls(files), "https") as server:
        trust = Trust.in_certificate(files.certificate.read_text())
        assert send(server.url, PREDICT, trust=trust)[0].status == 200


def test_impostor_gets_no_token(tmp_path: Path) -> None:
    for name in ("own", "other"):
        (tmp_path / name).mkdir()
    own, other = (write_files(tmp_path / name, host="localhost") for name in ("own", "other"))
    with scripted_frontend(over_tls(own), "https") as server:
        url = server.url.replace("127.0.0.1", "localhost")
        pinned = Trust.in_certificate(other.certificate.read_text())
        for trust in (Trust(authority=other.authority.read_text()), pinned, None):
            with pytest.raises(ClusterUnreachableError, match="does not prove itself over TLS"):
                send(url, PREDICT, token="secret", trust=trust)
        assert server.asked == []
