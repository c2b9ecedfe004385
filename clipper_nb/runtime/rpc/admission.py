"""Decides which containers may serve which versions: replicas that prove who they are, and few others. (pure)"""

from __future__ import annotations

from clipper_nb.errors import ProtocolError
from clipper_nb.protocol.clipper_containers import ALL, ClipperContainers
from clipper_nb.protocol.names import ModelId
from clipper_nb.protocol.records import REFUSAL_REASONS, Configuration
from clipper_nb.protocol.replica_proof import is_proven
from clipper_nb.protocol.rpc import NewContainer
from clipper_nb.runtime.rpc.peers import UNIX, ContainerNetwork, Peer

NO_TOKEN, WRONG_PROOF = REFUSAL_REASONS


class NotAdmittedError(ProtocolError):
    """A container may not serve the version that it says it serves.

    Attributes
    ----------
    reason : str
        ``NO_TOKEN`` or ``WRONG_PROOF``.
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason

    @property
    def ends_connection(self) -> bool:
        """False for one without a token, which may be welcome at its next heartbeat."""
        return self.reason == WRONG_PROOF


class Admission:
    """Who may serve.

    Parameters
    ----------
    secret : str, optional
        What the tokens of this cluster's replicas are made from. Without one nobody has to prove anything.
    clipper_containers : ClipperContainers
        The versions that containers without a token may serve.
    network : ContainerNetwork, optional
        Where the cluster itself starts containers without a token; without it they may be anywhere.
    proven_network : ContainerNetwork, optional
        Where each container has a token, so that none is admitted without a proof.
    """

    def __init__(
        self,
        secret: str | None,
        clipper_containers: ClipperContainers,
        network: ContainerNetwork | None = None,
        proven_network: ContainerNetwork | None = None,
    ) -> None:
        self._secret = secret
        self._network = network
        self._proven_network = proven_network
        self._clipper_containers = clipper_containers
        self._configuration = Configuration()

    def apply(self, configuration: Configuration) -> None:
        """Judge by *configuration* from now on."""
        self._configuration = configuration

    def check(self, claim: NewContainer, challenge: bytes, peer: Peer) -> None:
        """Raise :class:`NotAdmittedError` if the sender of *claim*, who was given the challenge, may not serve."""
        model_id = ModelId(claim.model_name, claim.model_version)
        if claim.proof:
            if self._secret is not None and not (challenge and is_proven(self._secret, challenge, claim)):
                raise NotAdmittedError(WRONG_PROOF, f"it says it is a replica of {model_id}, and its proof is wrong")
        elif not self.may_lack_proof(model_id, peer):
            raise NotAdmittedError(
                NO_TOKEN,
                f"it says it serves {model_id}, and has no token; start_clipper(accept_clipper_containers=...) names "
                f"versions whose containers need none; it came from {peer}",
            )

    def may_lack_proof(self, model_id: ModelId, peer: Peer) -> bool:
        """Return whether a container without a token may serve that version from where it is.

        Programs that were written for Clipper know no Unix sockets. Replicas without a network have nothing else, so
        they can serve in the place of no such container.
        """
        if self._secret is None:
            return True
        return (
            peer != UNIX
            and not (self._proven_network is not None and self._proven_network.has(peer))
            and self._clipper_containers.may_serve(model_id, self._configuration)
            and (self._network is None or self._network.has(peer) or not self._is_in_network(model_id))
        )

    def _is_in_network(self, model_id: ModelId) -> bool:
        return self._clipper_containers.are_in_the_network(model_id, self._configuration)

    @property
    def expects_clipper_containers(self) -> bool:
        """True if a container without a token may come."""
        return self._secret is None or self._clipper_containers.are_expected(self._configuration)


OPEN = Admission(None, ClipperContainers(ALL))
"""Admits everybody."""
