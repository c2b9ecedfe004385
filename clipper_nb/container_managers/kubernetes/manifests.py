"""Objects as YAML, for those who keep what runs in a repository. (pure)"""

from __future__ import annotations

from collections.abc import Sequence

from clipper_nb.container_managers.kubernetes.pods import Manifest
from clipper_nb.errors import ClusterError

_OF_THE_SERVER = ("creationTimestamp", "generation", "managedFields", "namespace", "resourceVersion", "selfLink", "uid")
_REVISION = "deployment.kubernetes.io/revision"


def to_yaml(objects: Sequence[Manifest]) -> str:
    """Return the objects as documents of one text."""
    try:
        import yaml
    except ImportError as exc:
        raise ClusterError(
            "Kubernetes needs the package pyyaml: pip install 'clipper-nb[notebook,kubernetes]'."
        ) from exc
    text: str = yaml.safe_dump_all(list(objects), explicit_start=True, sort_keys=False, width=120)
    return text


def without_status(read: Manifest) -> Manifest:
    """Return an object that was read from the server as it would be created again."""
    metadata = {key: value for key, value in read["metadata"].items() if key not in _OF_THE_SERVER}
    annotations = {key: value for key, value in metadata.get("annotations", {}).items() if key != _REVISION}
    kept = {key: value for key, value in read.items() if key not in ("status", "metadata")}
    return {**kept, "metadata": {**metadata, "annotations": annotations}}
