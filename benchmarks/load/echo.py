"""The reference: the smallest HTTP/1.1 server on httptools and uvloop, which answers every request with its length.

It parses no JSON, batches nothing and asks nobody, so no server in Python can be faster. With ``--json`` it parses, as
whoever predicts must, and still answers with the length.

    python echo.py PORT [--json]
"""

from __future__ import annotations

import asyncio
import sys

import httptools
import msgspec
import uvloop


class Input(msgspec.Struct):
    """The body of a request."""

    input: list[float]


class Echo(asyncio.Protocol):
    """One connection."""

    def connection_made(self, transport: asyncio.Transport) -> None:
        self.transport = transport
        self.parser = httptools.HttpRequestParser(self)
        self.length = 0

    def data_received(self, data: bytes) -> None:
        self.parser.feed_data(data)

    def on_body(self, body: bytes) -> None:
        self.length += len(body)

    def on_message_complete(self) -> None:
        body = b'{"length": %d}' % self.length
        self.length = 0
        self.transport.write(
            b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)
        )


class ParsingEcho(Echo):
    """One connection whose bodies are parsed, and come in one piece or in several."""

    parse = msgspec.json.Decoder(Input).decode

    def connection_made(self, transport: asyncio.Transport) -> None:
        super().connection_made(transport)
        self.pieces: list[bytes] = []

    def on_body(self, body: bytes) -> None:
        super().on_body(body)
        self.pieces.append(body)

    def on_message_complete(self) -> None:
        self.parse(self.pieces[0] if len(self.pieces) == 1 else b"".join(self.pieces))
        self.pieces.clear()
        super().on_message_complete()


async def serve(port: int, connection: type[Echo]) -> None:
    """Serve on loopback until the process is killed."""
    server = await asyncio.get_running_loop().create_server(connection, "127.0.0.1", port)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1]), ParsingEcho if "--json" in sys.argv[2:] else Echo))
