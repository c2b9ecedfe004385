"""What a cluster on Kubernetes was started with: the content of its own Secret, from which all its objects follow."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec

from clipper_nb.container_managers.specs import ClusterOptions, new_run_id
from clipper_nb.errors import ClusterUnreachableError
from clipper_nb.protocol.environment import RUN_ID
from clipper_nb.protocol.tls_identity import TlsIdentity, decode_identity, encode_identity
from clipper_nb.protocol.typed_values import read_json
from clipper_nb.version import __version__

KEY = "cluster.json"
"""Where the cluster's Secret has it, beside the files of the core's pods."""
_NUM_TOKEN_BYTES = 24


@dataclass(frozen=True)
class CoreImage:
    """The image of a role."""

    reference: str
    pull_policy: str


@dataclass(frozen=True)
class ClusterState:
    """What the objects of a cluster's core are made from, besides the container manager's arguments."""

    admin_token: str = field(repr=False)
    redis_password: str = field(repr=False)
    run_id: str
    options: Mapping[str, Any] = field(repr=False)
    images: Mapping[str, CoreImage]
    """By role."""
    identity: str = field(default="", repr=False)
    """Of the frontends, encoded; empty if they speak HTTP."""
    storage_class: str | None = None
    query_service: str = ""
    management_service: str = ""
    package_version: str = __version__

    @classmethod
    def new(cls, options: ClusterOptions, images: Mapping[str, CoreImage], **more: Any) -> ClusterState:
        """Return the state of a new cluster, with new secrets."""
        tls: TlsIdentity | None = more.pop("tls", None)
        return cls(
            admin_token=secrets.token_urlsafe(_NUM_TOKEN_BYTES),
            redis_password=secrets.token_urlsafe(_NUM_TOKEN_BYTES),
            run_id=new_run_id()[RUN_ID],
            options=_stored(options),
            images=images,
            identity=_encoded(tls),
            **more,
        )

    def resumed(
        self, options: ClusterOptions, images: Mapping[str, CoreImage], tls: TlsIdentity | None
    ) -> ClusterState:
        """Return the state of this cluster when it starts again, with the same secrets."""
        return replace(
            self,
            run_id=new_run_id()[RUN_ID],
            options=_stored(options),
            images=images,
            identity=_encoded(tls),
            package_version=__version__,
        )

    @property
    def cluster_options(self) -> ClusterOptions:
        """The arguments of ``start_clipper``."""
        return ClusterOptions().over(self.options)

    @property
    def tls(self) -> TlsIdentity | None:
        """Identity of the frontends; ``None`` if they speak HTTP."""
        return decode_identity(self.identity) if self.identity else None

    @property
    def query_token(self) -> str | None:
        """What clients of applications need; ``None`` for a cluster without."""
        return self.options.get("query_token") or None

    def encode(self) -> str:
        """Return the text in the Secret."""
        return msgspec.json.encode(self, order="sorted").decode()


def _stored(options: ClusterOptions) -> dict[str, Any]:
    found: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(options.stored()))
    return found


def _encoded(tls: TlsIdentity | None) -> str:
    return "" if tls is None else encode_identity(tls)


def decode_state(text: bytes, cluster: str) -> ClusterState:
    """Return the state in a cluster's Secret.

    Raises
    ------
    ClusterUnreachableError
        It is of a release that this one cannot read.
    """
    try:
        return read_json(text, ClusterState)
    except msgspec.DecodeError as exc:
        raise ClusterUnreachableError(
            f"The Secret of cluster '{cluster}' cannot be read by clipper_nb {__version__}. Connect with the release "
            "that started the cluster, or call stop_all(), which removes it."
        ) from exc
