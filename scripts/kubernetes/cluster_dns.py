"""The DNS of a test cluster, since Debian has no CoreDNS: A and SRV records of services, over UDP and TCP.

``python3 cluster_dns.py KUBECONFIG ADDRESS`` answers at port 53, with nothing but the standard library. It lists and
watches services and endpoints, so that a name has the addresses that are ready now. Names outside of the cluster do not
exist.
The records are those of Kubernetes' specification of DNS-based service discovery, version 1.1.0.
"""

from __future__ import annotations

import socketserver
import struct
import sys
import threading
from typing import NamedTuple

from api_objects import Cluster

DOMAIN = ["svc", "cluster", "local"]
A, SRV, ANY = 1, 33, 255
NO_ERROR, NAME_ERROR, NOT_IMPLEMENTED = 0, 3, 4
AUTHORITATIVE_REPLY = 0x8400
TRUNCATED = 0x0200
MAX_UDP_BYTES = 512
PORT = 53
TTL_S = 1


class Target(NamedTuple):
    """An address behind a service, with its own name below it."""

    host: str
    address: str


def find_ports_and_targets(cluster: Cluster, namespace: str, name: str) -> list[tuple[list[dict], list[Target]]] | None:
    """Return a service's ports, each list with the addresses that have them; None if there is no such service.

    A headless service has the addresses of its ready pods, and every other one its own.
    """
    service = cluster.get("services").get((namespace, name))
    if service is None:
        return None
    address = service["spec"].get("clusterIP")
    if address != "None":
        return [(service["spec"].get("ports") or [], [Target("", address)] if address else [])]
    subsets = cluster.get("endpoints").get((namespace, name), {}).get("subsets") or []
    return [
        (
            subset.get("ports") or [],
            [Target(one.get("hostname") or one["ip"].replace(".", "-"), one["ip"]) for one in subset["addresses"]],
        )
        for subset in subsets
        if subset.get("addresses")
    ]


class Answer(NamedTuple):
    """What a question gets: a status, and records of type and data."""

    status: int
    records: list[tuple[int, bytes]]


def answer(cluster: Cluster, labels: list[str], kind: int) -> Answer:
    """Answer the question for records of *kind* of a name."""
    labels = [label.lower() for label in labels]
    if labels[-3:] != DOMAIN or not 5 <= len(labels) <= 7:
        return Answer(NAME_ERROR, [])
    *before, name, namespace = labels[:-3]
    found = find_ports_and_targets(cluster, namespace, name)
    if found is None:
        return Answer(NAME_ERROR, [])
    if len(before) == 2 and before[0].startswith("_") and before[1].startswith("_"):
        return _answer_for_port(found, before, [name, namespace, *DOMAIN], kind)
    targets = [target for _, targets in found for target in targets if not before or [target.host] == before]
    if before and not targets:
        return Answer(NAME_ERROR, [])
    addresses = list(dict.fromkeys(target.address for target in targets))
    # A name without ready pods exists, and has no address.
    return Answer(NO_ERROR, [(A, _encode_address(one)) for one in addresses] if kind in (A, ANY) else [])


def _answer_for_port(
    found: list[tuple[list[dict], list[Target]]], port: list[str], service: list[str], kind: int
) -> Answer:
    wanted = (port[0][1:], port[1][1:])
    records = [
        (SRV, _encode_srv(one["port"], target, service))
        for ports, targets in found
        for one in ports
        if (one.get("name"), one.get("protocol", "TCP").lower()) == wanted
        for target in targets
    ]
    return Answer(NO_ERROR if records else NAME_ERROR, records if kind in (SRV, ANY) else [])


def _encode_address(address: str) -> bytes:
    return bytes(int(part) for part in address.split("."))


def _encode_srv(port: int, target: Target, service: list[str]) -> bytes:
    return struct.pack("!HHH", 0, 1, port) + _encode_name([target.host, *service] if target.host else service)


def _encode_name(labels: list[str]) -> bytes:
    return b"".join(bytes([len(label)]) + label.encode() for label in labels) + b"\0"


def reply_to(cluster: Cluster, query: bytes, max_bytes: int) -> bytes:
    """Return the reply to a message with one question; ``ValueError`` if it has none.

    A reply that would be longer than *max_bytes* says that it is cut, and the client asks again over TCP.
    """
    identity, flags, num_questions = struct.unpack_from("!HHH", query)
    if flags & 0x8000 or num_questions != 1:
        raise ValueError("not a query with one question")
    labels, end = [], 12
    while length := query[end]:
        labels.append(query[end + 1 : end + 1 + length].decode("ascii"))
        end += 1 + length
    (kind,) = struct.unpack_from("!H", query, end + 1)
    question = query[12 : end + 5]
    status, records = (NOT_IMPLEMENTED, []) if flags & 0x7800 else answer(cluster, labels, kind)
    flags = AUTHORITATIVE_REPLY | flags & 0x0100 | status
    body = b"".join(struct.pack("!HHHIH", 0xC00C, one, 1, TTL_S, len(data)) + data for one, data in records)
    num_records = len(records)
    if 12 + len(question) + len(body) > max_bytes:
        flags, body, num_records = flags | TRUNCATED, b"", 0
    return struct.pack("!HHHHHH", identity, flags, 1, num_records, 0, 0) + question + body


class _OverUdp(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        query, socket = self.request
        socket.sendto(reply_to(self.server.cluster, query, MAX_UDP_BYTES), self.client_address)


class _OverTcp(socketserver.StreamRequestHandler):
    timeout = 10

    def handle(self) -> None:
        while len(size := self.rfile.read(2)) == 2:
            reply = reply_to(self.server.cluster, self.rfile.read(int.from_bytes(size, "big")), 0xFFFF)
            self.wfile.write(len(reply).to_bytes(2, "big") + reply)


class _UdpServer(socketserver.ThreadingUDPServer):
    daemon_threads = True


class _TcpServer(socketserver.ThreadingTCPServer):
    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 128


def main() -> None:
    """Serve until the process is ended."""
    kubeconfig, address = sys.argv[1:]
    cluster = Cluster(kubeconfig, {kind: f"/api/v1/{kind}" for kind in ("services", "endpoints")})
    cluster.follow()
    while not cluster.is_listed():  # until then every name would be one that does not exist
        cluster.changed.wait()
        cluster.changed.clear()
    servers = [_UdpServer((address, PORT), _OverUdp), _TcpServer((address, PORT), _OverTcp)]
    for server in servers:
        server.cluster = cluster
    threads = [threading.Thread(target=server.serve_forever) for server in servers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


if __name__ == "__main__":
    main()
