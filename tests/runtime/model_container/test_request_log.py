"""Log lines of a replica name the requests of the batch that is computed."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Iterator
from io import StringIO

import pytest

from clipper_nb.protocol.request_origin import RequestOrigin
from clipper_nb.runtime.model_container.request_log import RequestFormatter, logged_requests

ORIGINS = [RequestOrigin("abc")]


@pytest.fixture
def log() -> Iterator[StringIO]:
    text = StringIO()
    handler = logging.StreamHandler(text)
    handler.setFormatter(RequestFormatter("%(levelname)s %(message)s"))
    logger = logging.getLogger("model of the tests")
    logger.propagate = False
    logger.addHandler(handler)
    yield text
    logger.removeHandler(handler)


def write(message: str, *args: object) -> None:
    logging.getLogger("model of the tests").warning(message, *args)


def test_line_within_a_batch_names_the_request(log: StringIO) -> None:
    write("before")
    with logged_requests(ORIGINS):
        write("within %s", "it")
    write("after")
    assert log.getvalue() == "WARNING before\nWARNING [request abc] within it\nWARNING after\n"


def test_batch_without_origins_changes_no_line(log: StringIO) -> None:
    with logged_requests([]):
        write("within")
    assert log.getvalue() == "WARNING within\n"


def test_line_of_another_thread_names_no_request(log: StringIO) -> None:
    with logged_requests(ORIGINS):
        thread = threading.Thread(target=write, args=("elsewhere",))
        thread.start()
        thread.join()
    assert log.getvalue() == "WARNING elsewhere\n"


def test_line_of_a_coroutine_names_the_request(log: StringIO) -> None:
    async def model() -> None:
        write("within")

    with logged_requests(ORIGINS):
        asyncio.run(model())
    assert log.getvalue() == "WARNING [request abc] within\n"
