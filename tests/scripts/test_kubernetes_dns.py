"""The DNS of the test cluster answers as Kubernetes' specification says."""

from __future__ import annotations

import socket
import struct

import cluster_dns as dns
import pytest

AAAA = 28


class KnownCluster:
    """A service with an address, and a headless one with two ready pods, of which one has a name."""

    objects = {
        "services": {
            ("shop", "web"): {"spec": {"clusterIP": "10.96.0.7", "ports": [{"name": "http", "port": 80}]}},
            ("shop", "redis"): {"spec": {"clusterIP": "None"}},
            ("shop", "empty"): {"spec": {"clusterIP": "None"}},
        },
        "endpoints": {
            ("shop", "redis"): {
                "subsets": [
                    {
                        "addresses": [{"ip": "10.244.1.2"}, {"ip": "10.244.2.2", "hostname": "redis-0"}],
                        "notReadyAddresses": [{"ip": "10.244.3.2"}],
                        "ports": [{"name": "redis", "port": 6379, "protocol": "TCP"}],
                    }
                ]
            },
            ("shop", "empty"): {"subsets": [{"notReadyAddresses": [{"ip": "10.244.3.3"}]}]},
        },
    }

    def get(self, kind: str) -> dict:
        return self.objects[kind]


def ask(name: str, kind: int) -> tuple[int, list[bytes]]:
    """Return the status and the data of the records that a message with the question gets."""
    encoded = b"".join(bytes([len(label)]) + label.encode() for label in name.split(".")) + b"\0"
    question = encoded + struct.pack("!HH", kind, 1)
    reply = dns.reply_to(KnownCluster(), struct.pack("!HHHHHH", 7, 0x0100, 1, 0, 0, 0) + question, 512)
    identity, flags, num_questions, num_records, _, _ = struct.unpack_from("!HHHHHH", reply)
    assert (identity, flags & 0x8400, num_questions) == (7, 0x8400, 1)
    assert reply[12 : 12 + len(question)] == question
    records, at = [], 12 + len(question)
    for _ in range(num_records):
        pointer, found, _, _, size = struct.unpack_from("!HHHIH", reply, at)
        assert (pointer, found) == (0xC00C, kind)
        records.append(reply[at + 12 : at + 12 + size])
        at += 12 + size
    assert at == len(reply)
    return flags & 0xF, records


@pytest.mark.parametrize(
    ("name", "addresses"),
    [
        ("web.shop.svc.cluster.local", ["10.96.0.7"]),
        ("WEB.Shop.svc.cluster.local", ["10.96.0.7"]),
        ("redis.shop.svc.cluster.local", ["10.244.1.2", "10.244.2.2"]),
        ("redis-0.redis.shop.svc.cluster.local", ["10.244.2.2"]),
        ("10-244-1-2.redis.shop.svc.cluster.local", ["10.244.1.2"]),
        ("empty.shop.svc.cluster.local", []),
    ],
)
def test_a_name_has_the_addresses_that_are_ready(name: str, addresses: list[str]) -> None:
    status, records = ask(name, dns.A)
    assert status == dns.NO_ERROR
    assert [socket.inet_ntoa(record) for record in records] == addresses


@pytest.mark.parametrize(
    "name",
    ["nope.shop.svc.cluster.local", "web.svc.cluster.local", "redis-9.redis.shop.svc.cluster.local", "a.example"],
)
def test_what_is_no_service_does_not_exist(name: str) -> None:
    assert ask(name, dns.A) == (dns.NAME_ERROR, [])


def test_a_name_without_ipv6_exists_all_the_same() -> None:
    assert ask("web.shop.svc.cluster.local", AAAA) == (dns.NO_ERROR, [])


def test_a_named_port_has_its_number_and_its_hosts() -> None:
    _, records = ask("_redis._tcp.redis.shop.svc.cluster.local", dns.SRV)
    assert [struct.unpack_from("!HHH", record)[2] for record in records] == [6379, 6379]
    assert [record[6:] for record in records] == [
        b"\x0a10-244-1-2\x05redis\x04shop\x03svc\x07cluster\x05local\0",
        b"\x07redis-0\x05redis\x04shop\x03svc\x07cluster\x05local\0",
    ]
    status, records = ask("_http._tcp.web.shop.svc.cluster.local", dns.SRV)
    assert (status, [record[4:6] for record in records]) == (dns.NO_ERROR, [struct.pack("!H", 80)])
    assert ask("_http._udp.web.shop.svc.cluster.local", dns.SRV) == (dns.NAME_ERROR, [])


def test_a_reply_that_is_too_long_says_that_it_is_cut() -> None:
    question = b"\x05redis\x04shop\x03svc\x07cluster\x05local\0" + struct.pack("!HH", dns.A, 1)
    reply = dns.reply_to(KnownCluster(), struct.pack("!HHHHHH", 7, 0, 1, 0, 0, 0) + question, 12 + len(question) + 20)
    flags, _, num_records = struct.unpack_from("!HHH", reply, 2)
    assert flags & dns.TRUNCATED
    assert num_records == 0
