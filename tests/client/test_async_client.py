"""``AsyncClient`` with a real server."""

from __future__ import annotations

import asyncio
import inspect
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from clipper_nb.client import AsyncClient, Client
from clipper_nb.errors import ClipperException, ClusterUnreachableError, InvalidInputError, InvalidRequestError
from tests.support.scripted_frontend import Script, scripted_frontend


@pytest.fixture
def server() -> Iterator[Script]:
    with scripted_frontend() as script:
        yield script


def test_calls_are_awaited_together(server: Script) -> None:
    async def main() -> list[Any]:
        async with AsyncClient(server.url, token="secret-of-the-test") as client:
            await client.predict("app", [1.0])
            answers = await asyncio.gather(*(client.predict("app", [float(n)]) for n in range(50)))
            return [answer.output for answer in answers]

    assert asyncio.run(main()) == [[float(n)] for n in range(50)]
    assert {asked.headers["Authorization"] for asked in server.asked} == {"Bearer secret-of-the-test"}
    assert [asked.path for asked in server.asked].count("/app") == 1


def test_batch_is_split_and_joined_in_order(server: Script) -> None:
    async def main() -> list[Any]:
        async with AsyncClient(server.url, part_inputs=100) as client:
            return await client.predict_batch("app", np.arange(250.0).reshape(-1, 1))

    assert [answer.output for answer in asyncio.run(main())] == [[float(n)] for n in range(250)]
    assert [len(body["input_batch"]) for body in server.bodies] == [100, 100, 50]


def test_wrong_input_sends_nothing(server: Script) -> None:
    async def main() -> None:
        async with AsyncClient(server.url) as client:
            with pytest.raises(InvalidInputError, match="must be a 1-D array or list"):
                await client.predict("app", "text")
            with pytest.raises(InvalidInputError, match="inputs must be a list"):
                await client.predict_batch("app", 5)

    asyncio.run(main())
    assert server.bodies == []


def test_client_is_for_one_loop_until_it_is_closed(server: Script) -> None:
    client = AsyncClient(server.url)

    async def use(*, and_close: bool) -> None:
        await client.predict("app", [1.0])
        if and_close:
            await client.close()

    asyncio.run(use(and_close=True))
    loop = asyncio.new_event_loop()
    try:
        loop.run_until_complete(use(and_close=False))
        with pytest.raises(InvalidRequestError, match="another event loop"):
            asyncio.run(use(and_close=False))
    finally:
        loop.run_until_complete(client.close())
        loop.close()


def test_cancelled_call_stops_and_others_go_on() -> None:
    async def main() -> None:
        async with AsyncClient(server.url) as client:
            late = asyncio.ensure_future(client.predict("app", [1.0]))
            await asyncio.sleep(0.1)
            late.cancel()
            with pytest.raises(asyncio.CancelledError):
                await late
            assert (await client.predict("app", [2.0])).output == [2.0]

    with scripted_frontend(before=[0.5]) as server:
        asyncio.run(main())


def test_missing_library_is_named_with_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "clipper_nb.client.async_http", raising=False)
    monkeypatch.setitem(sys.modules, "aiohttp", None)
    with pytest.raises(ClipperException, match=r"pip install 'clipper-nb\[async\]'"):
        AsyncClient("http://h:1")


def test_both_clients_take_the_same_arguments() -> None:
    for name in ("__init__", "predict", "predict_batch"):
        of_both = [str(inspect.signature(getattr(kind, name))) for kind in (Client, AsyncClient)]
        assert of_both[0] == of_both[1]


def test_text_of_a_client_has_no_secret() -> None:
    async def main() -> str:
        return repr(AsyncClient("http://h:1/app/predict", token="secret"))

    assert asyncio.run(main()) == "AsyncClient('http://h:1')"


def test_slow_answer_is_the_error_of_the_other_client() -> None:
    async def main() -> None:
        async with AsyncClient(server.url) as client:
            with pytest.raises(ClusterUnreachableError, match=r"has not answered POST /app/predict within 0\.1"):
                await client.predict("app", [1.0], timeout_s=0.15)

    with scripted_frontend(before=[0.5]) as server:
        asyncio.run(main())
