"""What clients of ours demand of a frontend over TLS before they send it anything."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import datetime, timezone

import pytest

from clipper_nb.clients.http_client import HttpClient
from clipper_nb.clients.trust import Trust, frontend_url
from clipper_nb.container_managers.tls.authority import renew_identity
from clipper_nb.errors import ClusterUnreachableError
from clipper_nb.protocol.tls_identity import TlsIdentity
from clipper_nb.runtime.http.tls import make_context

_TIMEOUT_S = 10.0
_REPLY = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def identity(*hosts: str) -> TlsIdentity:
    return renew_identity("c", hosts or ("127.0.0.1",), None, datetime.now(timezone.utc))


class Frontend:
    """Answers every request on connections with TLS, one at a time, and keeps what it was sent."""

    def __init__(self, served: TlsIdentity, *, num_broken: int = 0) -> None:
        self._context = make_context(served.served)
        self._num_broken = num_broken
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._listening.settimeout(_TIMEOUT_S)
        self.address = f"127.0.0.1:{self._listening.getsockname()[1]}"
        self.received: list[bytes] = []
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def close(self) -> None:
        with socket.create_connection(self._listening.getsockname(), timeout=_TIMEOUT_S) as last:
            last.sendall(b"end")
        self._thread.join(_TIMEOUT_S)
        self._listening.close()

    def _serve(self) -> None:
        while True:
            accepted, _ = self._listening.accept()
            with accepted:
                accepted.settimeout(_TIMEOUT_S)
                if self._num_broken:
                    self._num_broken -= 1
                    accepted.recv(1, socket.MSG_PEEK)
                    accepted.recv(10_000)
                    continue
                if accepted.recv(3, socket.MSG_PEEK) == b"end":
                    return
                try:
                    with self._context.wrap_socket(accepted, server_side=True) as connection:
                        self.received.append(connection.recv(10_000))
                        connection.sendall(_REPLY)
                except (ssl.SSLError, OSError):
                    self.received.append(b"")


@contextmanager
def frontend(served: TlsIdentity, **options: int) -> Iterator[Frontend]:
    with closing(Frontend(served, **options)) as found:
        yield found


def ask(address: str, trust: Trust | None, **options: bool) -> tuple[int, bytes]:
    with closing(HttpClient(address, "query frontend", token="secret", trust=trust)) as client:
        return client.request("GET", "/livez", timeout_s=_TIMEOUT_S, **options)


def test_frontend_with_the_trusted_authority_gets_the_request() -> None:
    served = identity()
    with frontend(served) as found:
        assert ask(found.address, Trust(authority=served.authority)) == (200, b"ok")
        assert b"Bearer secret" in found.received[0]


def test_exactly_the_pinned_certificate_is_trusted_for_any_name() -> None:
    served = identity("models.example.org")
    with frontend(served) as found:
        assert ask(found.address, Trust.in_certificate(served.certificates)) == (200, b"ok")


@pytest.mark.parametrize(
    "trust",
    [
        Trust(authority=identity().authority),
        Trust.in_certificate(identity("models.example.org").certificates),
    ],
)
def test_impostor_gets_no_token(trust: Trust) -> None:
    with frontend(identity()) as found, pytest.raises(ClusterUnreachableError) as caught:
        ask(found.address, trust)
    assert f"at https://{found.address} does not prove itself over TLS" in caught.value.msg
    assert not any(b"secret" in received for received in found.received)


def test_certificate_for_another_host_is_refused() -> None:
    served = identity("models.example.org")
    with frontend(served) as found, pytest.raises(ClusterUnreachableError, match="does not prove itself"):
        ask(found.address, Trust(authority=served.authority))
    assert not any(b"secret" in received for received in found.received)


def test_repeatable_request_survives_a_broken_handshake() -> None:
    served = identity()
    trust = Trust(authority=served.authority)
    with frontend(served, num_broken=1) as found:
        assert ask(found.address, trust, is_repeatable=True) == (200, b"ok")
    with frontend(served, num_broken=1) as found, pytest.raises(ClusterUnreachableError) as caught:
        ask(found.address, trust)
    assert caught.value.is_passing


def test_first_of_several_certificates_is_pinned() -> None:
    served = identity()
    assert Trust.in_certificate(served.certificates + served.authority) == Trust.in_certificate(served.certificates)
    assert Trust.in_certificate(served.authority) != Trust.in_certificate(served.certificates)


def test_address_gets_the_scheme_that_the_frontend_speaks() -> None:
    assert frontend_url("a:1", None) == "http://a:1"
    assert frontend_url("a:1", Trust(authority="PEM")) == "https://a:1"
