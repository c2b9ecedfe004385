"""Where a connection to the RPC port comes from. (pure)"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from typing import Any

from clipper_nb.errors import InvalidRequestError


@dataclass(frozen=True)
class Peer:
    """The other end of a connection."""

    address: str | None
    """Its IP address; ``None`` if it came through a Unix socket."""

    def __str__(self) -> str:
        return "a Unix socket" if self.address is None else self.address


UNIX = Peer(None)
UNKNOWN = Peer("0.0.0.0")


def peer_of(peername: Any) -> Peer:
    """Return the peer of what a transport says of its other end."""
    return Peer(str(peername[0])) if isinstance(peername, tuple) else UNIX


class ContainerNetwork:
    """A network of containers: those in it, without the gateway, from which all of their host seems to come.

    Parameters
    ----------
    text : str
        ``network gateway``, such as ``"172.20.0.0/16 172.20.0.1"``.

    Raises
    ------
    InvalidRequestError
        The text is not that.
    """

    def __init__(self, text: str) -> None:
        try:
            network, gateway = text.split()
            self._network = ipaddress.ip_network(network)
            self._gateway = ipaddress.ip_address(gateway)
        except ValueError as exc:
            raise InvalidRequestError(f"{text!r} is no network and its gateway: {exc}.") from exc

    def has(self, peer: Peer) -> bool:
        """Return whether a peer is a container of the network."""
        if peer.address is None:
            return False
        address = ipaddress.ip_address(peer.address)
        return address in self._network and address != self._gateway

    def __str__(self) -> str:
        return str(self._network)
