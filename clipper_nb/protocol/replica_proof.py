"""How a replica proves which version it serves: a token of its own, and an answer to a challenge. (pure)

The cluster's secret never leaves what starts replicas and what they connect to. A replica's token is made from it for
one replica of one version; the token itself is never sent, only a proof that is good for one challenge.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from dataclasses import dataclass, field, replace

from clipper_nb.errors import InvalidRequestError
from clipper_nb.protocol.names import ModelId
from clipper_nb.protocol.rpc import NewContainer

_OF = "/"
"""Between the name that several replicas share, with its token, and that of one of them."""


@dataclass(frozen=True)
class ReplicaCredentials:
    """What a replica proves itself with."""

    replica_name: str
    token: bytes = field(repr=False)


def replica_secret(admin_token: str) -> str:
    """Return the secret that a cluster's replica tokens are made from; it does not give the admin token away."""
    return _mac(admin_token.encode(), "replicas").hex()


def make_credentials(secret: str, model_id: ModelId, replica_name: str) -> ReplicaCredentials:
    """Return the credentials of one replica."""
    return ReplicaCredentials(replica_name, _make_token(secret, *model_id, replica_name))


def member_of(credentials: ReplicaCredentials, name: str) -> ReplicaCredentials:
    """Return the credentials of one of several replicas that share a token: it is good for ``shared/name`` too."""
    return replace(credentials, replica_name=f"{credentials.replica_name}{_OF}{name}")


def prove(token: bytes, challenge: bytes, claim: NewContainer) -> bytes:
    """Return the proof of *claim* for one challenge; the claim's own proof is left out of it."""
    return _mac(
        token,
        "claim", challenge.hex(), claim.model_name, claim.model_version, str(claim.input_type.code),
        str(claim.max_batches_in_flight), claim.replica_name,
    )  # fmt: skip


def is_proven(secret: str, challenge: bytes, claim: NewContainer) -> bool:
    """Return whether the sender of *claim* has the token of the replica that it says it is."""
    token = _make_token(secret, claim.model_name, claim.model_version, claim.replica_name)
    return hmac.compare_digest(claim.proof, prove(token, challenge, claim))


def encode_credentials(credentials: ReplicaCredentials) -> str:
    """Return the content of the file that a replica gets."""
    return json.dumps({"replica": credentials.replica_name, "token": credentials.token.hex()})


def decode_credentials(content: str) -> ReplicaCredentials:
    """Return the credentials in a file; raises :class:`InvalidRequestError` for anything else, and never shows it."""
    try:
        fields = json.loads(content)
        return ReplicaCredentials(str(fields["replica"]), bytes.fromhex(fields["token"]))
    except (ValueError, TypeError, LookupError):
        raise InvalidRequestError("The file with the replica's credentials cannot be understood.") from None


def _make_token(secret: str, model_name: str, model_version: str, replica_name: str) -> bytes:
    shared_name = replica_name.partition(_OF)[0]
    return _mac(secret.encode(), "token", model_name, model_version, shared_name)


def _mac(key: bytes, *parts: str) -> bytes:
    """Return the HMAC-SHA256 of texts, each with its length, so that no other texts look the same."""
    encoded = [part.encode() for part in parts]
    message = b"".join(len(part).to_bytes(4, "little") + part for part in encoded)
    return hmac.new(key, message, hashlib.sha256).digest()
