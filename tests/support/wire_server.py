"""The frontends' own wire layer in this process: an endpoint that tells what came, and a client that sends bytes."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Awaitable, Callable

import tornado.web

from clipper_nb.protocol.request_origin import RequestOrigin
from clipper_nb.runtime.http.endpoint import Cancel, InferHead, InferReply, Respond
from clipper_nb.runtime.http.errors import JsonHandler, UnknownPathHandler
from clipper_nb.runtime.http.guard import OPEN, Guard
from clipper_nb.runtime.http.limits import HttpLimits
from clipper_nb.runtime.http.server import HttpServer

LIMITS = HttpLimits(max_body_size_bytes=1000, header_timeout_s=10.0, body_timeout_s=10.0)


class Endpoint:
    """Answers with the body's length; the application ``later`` keeps requests until they are released."""

    def __init__(self) -> None:
        self.kept: list[tuple[bytes, Respond]] = []
        self.cancelled = 0
        self.seen: list[str] = []
        self.origins: list[RequestOrigin | None] = []

    def __call__(
        self, name: str, body: bytes, arrived_s: float, respond: Respond, origin: RequestOrigin | None = None
    ) -> Cancel | None:
        self.seen.append(name)
        self.origins.append(origin)
        if name == "large":
            respond(200, b"x" * 2_000_000)
            return None
        if name == "broken":
            raise RuntimeError("a bug")
        if name == "later":
            self.kept.append((body, respond))
            return self._cancel
        respond(200, json.dumps({"app": name, "length": len(body)}).encode())
        return None

    def infer(self, head: InferHead, body: bytes, arrived_s: float, reply: InferReply) -> Cancel | None:
        """Answer with what came, the body as a tensor; the application ``json`` without one."""
        self.seen.append(head.application_name)
        if head.application_name == "broken":
            raise RuntimeError("a bug")
        if head.application_name == "json":
            reply.respond(200, b'{"length":%d}' % len(body))
        else:
            text = json.dumps(head[1:3], default=bytes.decode).encode()
            reply.respond_with_tensors(len(text), text + body)
        return None

    def release(self, index: int) -> None:
        body, respond = self.kept[index]
        respond(200, b'{"body":"%b"}' % body)

    def _cancel(self) -> None:
        self.cancelled += 1


class SlowHandler(JsonHandler):
    async def get(self) -> None:
        await asyncio.sleep(0.02)
        self.finish({"argument": self.get_query_argument("a", "none"), "header": self.request.headers.get("X-Header")})

    async def post(self) -> None:
        self.finish({"length": len(self.request.body), "trailer": self.request.headers.get("X-Trailer")})


def run(
    talk: Callable[[int, Endpoint, HttpServer], Awaitable[None]], limits: HttpLimits = LIMITS, guard: Guard = OPEN
) -> None:
    """Run *talk* against a server on a port of its own."""

    async def main() -> None:
        endpoint = Endpoint()
        application = tornado.web.Application(
            [(r"/slow", SlowHandler)], default_handler_class=UnknownPathHandler, unknown_path="no {path}",
            log_function=lambda handler: None,
        )  # fmt: skip
        server = HttpServer(endpoint, application, limits, guard=guard, infer_endpoint=endpoint.infer)
        listening = socket.create_server(("127.0.0.1", 0))
        await server.start(listening)
        try:
            await asyncio.wait_for(talk(listening.getsockname()[1], endpoint, server), 20)
        finally:
            await server.stop(timeout_s=1.0)

    asyncio.run(main())


async def ask(port: int, request: bytes) -> bytes:
    """Return everything that is sent back until the server closes, which it is asked to do after this request."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request)
    reply = await reader.read()
    writer.close()
    return reply


async def read_reply(reader: asyncio.StreamReader) -> tuple[int, dict[str, str], bytes]:
    head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:] if line)}
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    return int(head[0].split()[1]), headers, body


def post(path: str, body: bytes, *headers: str, version: str = "1.1") -> bytes:
    lines = [f"POST {path} HTTP/{version}", "Host: x", f"Content-Length: {len(body)}", *headers, "", ""]
    return "\r\n".join(lines).encode() + body
