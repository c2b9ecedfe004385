"""The pages of the query frontend, as browsers and as other clients get them."""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import http.client
import json
import re
import socket
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from clipper_nb.protocol.input_types import InputType
from clipper_nb.protocol.provenance import Example, Provenance
from clipper_nb.protocol.records import Configuration
from clipper_nb.runtime.http.guard import AccessRules, Guard
from clipper_nb.runtime.http.limits import HttpLimits
from clipper_nb.runtime.http.server import HttpServer
from clipper_nb.runtime.query_frontend import pages
from clipper_nb.runtime.query_frontend.feedback_desk import FeedbackDesk
from clipper_nb.runtime.query_frontend.handlers import make_application as make_tornado_application
from clipper_nb.runtime.query_frontend.learner import Learner
from clipper_nb.runtime.state.memory_store import MemoryStore
from tests.support.predictor_bench import Bench
from tests.support.records import make_application, make_configuration, make_version

HTML = {"Accept": "text/html,*/*"}
TOKEN = "token-of-the-tests"
LIMITS = HttpLimits(max_body_size_bytes=1000, header_timeout_s=10.0, body_timeout_s=10.0)
SAMPLE = Provenance(example=Example("it's <b>", "IT'S <B>"))
CONFIGURATION = make_configuration(
    make_version(provenance=SAMPLE),
    applications=(make_application(), make_application("alone", InputType.DOUBLES, default_output="<script>")),
    links={"digits": "digits-net"},
)


@dataclass(frozen=True)
class Reply:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode()

    @property
    def json(self) -> Any:
        return json.loads(self.body)


def ask(
    *paths: str,
    headers: dict[str, str] | None = None,
    method: str = "GET",
    configuration: Configuration = CONFIGURATION,
    has_replica: bool = True,
    token: str | None = None,
) -> list[Reply]:
    """Return the replies of a frontend with that configuration."""

    async def no_metrics() -> list[bytes]:
        return []

    def send(port: int) -> list[Reply]:
        with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=10)) as connection:
            replies = []
            for path in paths:
                connection.request(method, path, headers=headers or {})
                reply = connection.getresponse()
                replies.append(Reply(reply.status, dict(reply.getheaders()), reply.read()))
            return replies

    async def main() -> list[Reply]:
        bench = Bench(configuration)
        if has_replica:
            bench.join()
        store = MemoryStore()
        desk = FeedbackDesk(bench.predictor, store, Learner(store.feedback, lambda: 0.0))
        application = make_tornado_application(bench.predictor, no_metrics, desk, needs_token=token is not None)
        server = HttpServer(None, application, LIMITS, guard=Guard(AccessRules(query_token=token)))
        listening = socket.create_server(("127.0.0.1", 0))
        await server.start(listening)
        try:
            return await asyncio.to_thread(send, listening.getsockname()[1])
        finally:
            await server.stop(timeout_s=1.0)

    return asyncio.run(main())


def test_root_lists_applications_with_their_addresses() -> None:
    (reply,) = ask("/", headers={"Host": "localhost:1337"})
    alone, digits = reply.json["applications"]
    assert digits == {
        "name": "digits",
        "address": "http://localhost:1337/digits/predict",
        "input_type": "strings",
        "latency_slo_micros": 100_000,
        "linked_model": "digits-net",
        "model": "digits-net:1",
        "ready": True,
        "not_ready": None,
    }
    assert (alone["model"], alone["ready"], alone["not_ready"]) == (None, False, "no model is linked")


def test_browser_gets_a_page_with_links_to_applications() -> None:
    (reply,) = ask("/", headers=HTML)
    assert reply.headers["Content-Type"] == "text/html; charset=utf-8"
    assert '<a href="digits">digits</a>' in reply.text
    assert "no model is linked" in reply.text


def test_page_says_what_to_do_where_no_application_is() -> None:
    (reply,) = ask("/", headers=HTML, configuration=Configuration())
    assert "create_endpoint" in reply.text


def test_application_without_replica_says_why() -> None:
    root, digits = ask("/", "/digits", has_replica=False)
    why = "version '1' of model 'digits-net' has no connected replica"
    assert (root.json["applications"][1]["not_ready"], digits.json["not_ready"]) == (why, why)


def test_application_tells_how_to_call_it() -> None:
    (reply,) = ask("/digits")
    assert reply.json["input_schema"]["type"] == "string"
    assert reply.json["example"] == {"input": "it's <b>"}
    assert reply.json["default_output"] == "unknown"


def test_another_token_finds_no_application() -> None:
    headers = {"Authorization": "Bearer another-token"}
    for reply in ask("/digits", "/unknown", headers=headers, token=TOKEN):
        assert reply.status == 401
        assert "This token is not good for this path" in reply.json["cause"]
    for reply in ask("/digits", "/metrics", headers={**headers, **HTML}, token=TOKEN):
        assert (reply.status, reply.headers["Content-Type"]) == (401, "text/html; charset=utf-8")


def test_page_of_an_application_has_commands_that_can_be_pasted() -> None:
    (reply,) = ask("/digits", headers={**HTML, "Host": "localhost:1337"})
    text = reply.text.replace("&#x27;", "'").replace("&quot;", '"').replace("&lt;", "<").replace("&gt;", ">")
    quoted = """'{"input": "it'"'"'s <b>"}'"""
    assert f"curl -d {quoted} http://localhost:1337/digits/predict" in text
    assert """json={'input': "it's <b>"},""" in text
    assert '''"output": "IT'S <B>"''' in text


def test_no_value_is_shown_unescaped() -> None:
    digits, alone = ask("/digits", "/alone", headers=HTML)
    assert "<b>" not in digits.text
    assert "&lt;script&gt;" in alone.text
    assert "<script" not in alone.text


def test_address_behind_a_proxy_has_the_prefix() -> None:
    (good,) = ask("/digits", headers={"Host": "localhost:1", "X-Forwarded-Prefix": "/user/ann/proxy/1337/"})
    (bad,) = ask("/digits", headers={"Host": "localhost:1", "X-Forwarded-Prefix": "/<b>"})
    assert good.json["address"] == "http://localhost:1/user/ann/proxy/1337/digits/predict"
    assert bad.json["address"] == "http://localhost:1/digits/predict"


def test_address_behind_a_proxy_with_tls_is_of_https() -> None:
    (good,) = ask("/digits", headers={"Host": "localhost:1", "X-Forwarded-Proto": "https"})
    (bad,) = ask("/digits", headers={"Host": "localhost:1", "X-Forwarded-Proto": "javascript"})
    assert good.json["address"].startswith("https://localhost:1/")
    assert bad.json["address"].startswith("http://localhost:1/")


def test_unknown_name_is_not_found() -> None:
    (reply,) = ask("/unknown")
    assert (reply.status, reply.json["error"]) == (404, "Not found")


@pytest.mark.parametrize("path", ["/", "/digits", "/openapi.json", "/docs", "/docs/docs.js", "/docs/swagger-ui.css"])
def test_head_has_the_headers_of_the_page_alone(path: str) -> None:
    (page,) = ask(path, headers=HTML)
    (head,) = ask(path, headers=HTML, method="HEAD")
    assert (head.status, head.body) == (200, b"")
    assert head.headers["Content-Length"] == page.headers["Content-Length"]


@pytest.mark.parametrize("path", ["/", "/digits", "/openapi.json", "/docs", "/docs/docs.js"])
def test_pages_are_read_only(path: str) -> None:
    (reply,) = ask(path, method="PUT")
    assert (reply.status, reply.headers["Allow"]) == (405, "GET, HEAD, OPTIONS")


def test_query_sent_to_the_page_is_told_where_to_go() -> None:
    (reply,) = ask("/digits", method="POST")
    cause = "/digits takes GET or HEAD, not POST. Queries are sent to /<application>/predict."
    assert (reply.status, reply.json["cause"]) == (405, cause)


def test_openapi_has_the_configuration_of_the_moment() -> None:
    (now,) = ask("/openapi.json")
    (empty,) = ask("/openapi.json", configuration=Configuration())
    assert sorted(now.json["paths"]) == ["/alone/predict", "/alone/update", "/digits/predict", "/digits/update"]
    assert empty.json["paths"] == {}


@pytest.mark.parametrize("path", ["/", "/digits", "/docs"])
def test_page_loads_nothing_from_elsewhere(path: str) -> None:
    (reply,) = ask(path, headers=HTML)
    policy = reply.headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'")
    assert "unsafe" not in policy
    assert "http" not in policy
    loaded = re.findall(r'(?:src|href)="([^"]*)"', reply.text)
    assert [url for url in loaded if "//" in url or url.startswith("/")] == []  # relative: a proxy may be in between


def test_all_files_of_the_pages_are_served() -> None:
    (page,) = ask("/docs", headers=HTML)
    files = re.findall(r'(?:src|href)="(docs/[^"]*)"', page.text)
    replies = ask(*(f"/{name}" for name in files))
    assert len(files) == 5
    assert {reply.status for reply in replies} == {200}
    assert {reply.headers["Content-Type"].split(";")[0] for reply in replies} == {"text/css", "text/javascript"}


def test_unknown_file_is_not_found() -> None:
    for reply in ask("/docs/other.js", "/docs/..%2fpages.py", "/docs/swagger-ui.LICENSE"):
        assert (reply.status, reply.json["error"]) == (404, "Not found")


def test_script_is_sent_compressed_to_those_that_accept_it() -> None:
    (plain,) = ask("/docs/swagger-ui-bundle.js")
    (compressed,) = ask("/docs/swagger-ui-bundle.js", headers={"Accept-Encoding": "gzip, br"})
    assert compressed.headers["Content-Encoding"] == "gzip"
    assert gzip.decompress(compressed.body) == plain.body
    assert compressed.headers["Etag"] != plain.headers["Etag"]


def test_known_file_is_not_sent_again() -> None:
    (first,) = ask("/docs/docs.js")
    (again,) = ask("/docs/docs.js", headers={"If-None-Match": first.headers["Etag"]})
    assert (again.status, again.body) == (304, b"")


def test_swagger_ui_is_the_released_one_with_its_licence() -> None:
    folder = Path(pages.__file__).with_name("web")
    released = {
        "swagger-ui-bundle.js.gz": "e6a898692f2d768e807c3ba4626068a69a2c5dd960dd6c76f3e4d3a3de180af2",
        "swagger-ui.css.gz": "5ed08757e53da3e026d6cbecc61fe5d43585c9560b302d534ad56692519a273d",
    }
    found = {name: hashlib.sha256(gzip.decompress((folder / name).read_bytes())).hexdigest() for name in released}
    assert found == released
    assert "Apache License" in (folder / "swagger-ui.LICENSE").read_text()
    assert "MIT License" in (folder / "swagger-ui-bundle.js.LICENSE").read_text()


@pytest.mark.parametrize("path", ["/", "/digits", "/unknown", "/openapi.json", "/docs", "/docs/docs.js"])
def test_nothing_is_shown_without_the_token(path: str) -> None:
    for headers in ({}, HTML):
        (reply,) = ask(path, headers=headers, token=TOKEN)
        assert reply.status == 401
        assert b"digits" not in reply.body


def test_commands_name_the_token_where_one_is_needed() -> None:
    (reply,) = ask("/digits", headers={**HTML, "Authorization": f"Bearer {TOKEN}"}, token=TOKEN)
    assert reply.text.count("Authorization") == 2
    assert TOKEN not in reply.text
