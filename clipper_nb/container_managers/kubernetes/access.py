"""Finds where this process reaches the frontends: at nodes, a load balancer, the Services themselves, or a tunnel."""

from __future__ import annotations

import contextlib
import os
import socket
import time
from collections.abc import Iterator, Sequence

from clipper_nb.container_managers.kubernetes.api import KubernetesApi
from clipper_nb.container_managers.kubernetes.pods import Manifest
from clipper_nb.container_managers.kubernetes.port_forward import PortForward
from clipper_nb.container_managers.kubernetes.settings import LOAD_BALANCER, NODE_PORT
from clipper_nb.errors import ClusterUnreachableError
from clipper_nb.protocol import environment

_CONNECT_TIMEOUT_S = 2.0
_FOUND_WITHIN_S = 20.0
"""Nodes need a moment until they know a new Service; a load balancer may need much longer to be made."""
_LOAD_BALANCER_TIMEOUT_S = 180.0
_INTERVAL_S = 0.3
_INTERNAL, _EXTERNAL = ("InternalIP",), ("ExternalDNS", "ExternalIP")

Address = tuple[str, int]


class Access:
    """Finds addresses of Services of one cluster.

    Parameters
    ----------
    api : KubernetesApi
    cluster : str
    namespace : str
    uses_internal_ip : bool
        Whether to take the addresses that nodes have among themselves, before those from outside.
    """

    def __init__(self, api: KubernetesApi, cluster: str, namespace: str, *, uses_internal_ip: bool) -> None:
        self._api = api
        self._cluster = cluster
        self._namespace = namespace
        self._uses_internal_ip = uses_internal_ip
        self._tunnels: dict[str, PortForward] = {}

    def find(self, service_name: str) -> Address:
        """Return host and port of a Service, at which something accepts connections from here.

        Where there is none, a tunnel through the API server is opened, and kept open until ``close``.

        Raises
        ------
        ClusterUnreachableError
            There is none, and no tunnel can be opened.
        """
        service = self._service(service_name)
        is_balanced = service["spec"]["type"] == LOAD_BALANCER
        deadline_s = time.monotonic() + (_LOAD_BALANCER_TIMEOUT_S if is_balanced else _FOUND_WITHIN_S)
        while True:
            candidates = list(dict.fromkeys(self._candidates(service)))
            for address in candidates:
                if accepts_connections(address):
                    return address
            is_late = time.monotonic() > deadline_s
            if is_late or (not candidates and not is_balanced):
                return self._tunnel(service, candidates)
            time.sleep(_INTERVAL_S)
            service = self._service(service_name)

    def close(self) -> None:
        """Close all tunnels."""
        tunnels, self._tunnels = self._tunnels, {}
        for tunnel in tunnels.values():
            tunnel.close()

    def node_addresses(self) -> list[str]:
        """Return the addresses of the nodes, in the order in which they are tried."""
        with contextlib.suppress(Exception):
            return list(self._of_nodes())
        return []

    # --- within

    def _service(self, name: str) -> Manifest:
        found = self._api.get("Service", name)
        if found is None:
            raise ClusterUnreachableError(
                f"Cluster '{self._cluster}' has no Service '{name}'; stop_all() removes what is left of it."
            )
        return found

    def _candidates(self, service: Manifest) -> Iterator[Address]:
        spec, port = service["spec"], int(service["spec"]["ports"][0]["port"])
        if os.environ.get("KUBERNETES_SERVICE_HOST"):  # in a pod
            yield str(spec["clusterIP"]), port
        for ingress in service.get("status", {}).get("loadBalancer", {}).get("ingress") or ():
            yield str(ingress.get("hostname") or ingress.get("ip")), port
        if spec["type"] in (NODE_PORT, LOAD_BALANCER) and "nodePort" in spec["ports"][0]:
            node_port = int(spec["ports"][0]["nodePort"])
            for host in self._of_nodes():
                yield host, node_port

    def _of_nodes(self) -> Iterator[str]:
        """Yield addresses of nodes; those of the frontends' own nodes for callers that may not list nodes."""
        wanted = (*_INTERNAL, *_EXTERNAL) if self._uses_internal_ip else (*_EXTERNAL, *_INTERNAL)
        nodes: list[Manifest] = []
        with contextlib.suppress(Exception):  # a right that few have
            nodes = [node for node in self._api.find("Node") if _is_ready_node(node)]
        for kind in wanted:
            for node in nodes:
                for address in node.get("status", {}).get("addresses") or ():
                    if address["type"] == kind:
                        yield str(address["address"])
        if not nodes:
            for pod in self._api.find("Pod", {environment.LABEL_CLUSTER: self._cluster}):
                if host := pod.get("status", {}).get("hostIP"):
                    yield str(host)

    def _tunnel(self, service: Manifest, tried: Sequence[Address]) -> Address:
        name, port = service["metadata"]["name"], int(service["spec"]["ports"][0]["port"])
        if name not in self._tunnels:
            self._tunnels[name] = PortForward(self._api, self._namespace, name, port, tried)
        return self._tunnels[name].address


def _is_ready_node(node: Manifest) -> bool:
    conditions = node.get("status", {}).get("conditions") or ()
    return any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)


def accepts_connections(address: Address) -> bool:
    """Return whether something listens there."""
    try:
        with socket.create_connection(address, timeout=_CONNECT_TIMEOUT_S):
            return True
    except OSError:
        return False
