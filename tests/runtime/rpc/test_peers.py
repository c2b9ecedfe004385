"""Where connections come from: a network's containers are told from all that comes through its gateway."""

from __future__ import annotations

import pytest

from clipper_nb.errors import InvalidRequestError
from clipper_nb.runtime.rpc.peers import UNIX, ContainerNetwork, Peer, peer_of

NETWORK = ContainerNetwork("172.20.0.0/16 172.20.0.1")


@pytest.mark.parametrize(
    ("peer", "is_in_it"),
    [(Peer("172.20.0.5"), True), (Peer("172.20.255.254"), True), (Peer("172.20.0.1"), False),
     (Peer("172.21.0.5"), False), (Peer("127.0.0.1"), False), (Peer("::1"), False), (UNIX, False)],
    ids=str,
)  # fmt: skip
def test_network_has_its_containers_and_not_its_host(peer: Peer, is_in_it: bool) -> None:
    assert NETWORK.has(peer) is is_in_it


@pytest.mark.parametrize(
    ("peername", "peer"),
    [(("10.0.0.7", 4711), Peer("10.0.0.7")), (("::1", 4711, 0, 0), Peer("::1")), ("", UNIX), (b"", UNIX), (None, UNIX)],
)
def test_peer_is_what_the_transport_says(peername: object, peer: Peer) -> None:
    assert peer_of(peername) == peer


@pytest.mark.parametrize("text", ["172.20.0.0/16", "172.20.0.0/99 172.20.0.1", "a b", "", "172.20.0.0/16 172.20.0.1 x"])
def test_text_that_is_no_network_is_refused(text: str) -> None:
    with pytest.raises(InvalidRequestError, match="no network and its gateway"):
        ContainerNetwork(text)
