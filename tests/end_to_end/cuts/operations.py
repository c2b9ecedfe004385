"""The admin calls that are cut: what there is before each, and what it is to lead to."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from clipper_nb import ClipperConnection
from clipper_nb.deployers.python import create_endpoint, deploy_python_closure
from tests.end_to_end.cuts.cluster_state import CONTAINERLESS, SLO_MICROS, ClusterState, answering

_TIMEOUT_S = 10.0

_USUAL = ClusterState(
    applications={"app": "m", "spare": None, "wired": "n"},
    versions={"m:0": 1, "m:1": 1, "n:1": CONTAINERLESS},
    current={"m": "1", "n": "1"},
)


@dataclass(frozen=True)
class Operation:
    """An admin call from one state of the cluster to another."""

    name: str
    before: ClusterState
    after: ClusterState
    run: Callable[[ClipperConnection], object]
    undoes_itself: bool = False
    """Whether it is several changes, of which none stays when it raises. A notebook that was killed undoes nothing;
    made again, the call then says which change is made already."""


def _operation(
    name: str,
    run: Callable[[ClipperConnection], object],
    *,
    before: ClusterState = _USUAL,
    applications: Mapping[str, str | None] | None = None,
    versions: Mapping[str, int | None] | None = None,
    current: Mapping[str, str] | None = None,
    undoes_itself: bool = False,
) -> Operation:
    after = replace(
        before,
        applications=before.applications if applications is None else applications,
        versions=before.versions if versions is None else versions,
        current=before.current if current is None else current,
    )
    return Operation(name, before, after, run, undoes_itself)


def _without(mapping: Mapping[str, object], *names: str) -> dict:
    return {name: value for name, value in mapping.items() if name not in names}


_WITH_TWO_REPLICAS = replace(_USUAL, versions={**_USUAL.versions, "m:1": 2})
_WITH_ANOTHER_MODEL = replace(
    _USUAL, versions={**_USUAL.versions, "k:1": 1}, current={**_USUAL.current, "k": "1"}
)  # fmt: skip

_ALL = [
    _operation(
        "register_application",
        lambda conn: conn.register_application("fresh", "doubles", "default", SLO_MICROS),
        applications={**_USUAL.applications, "fresh": None},
    ),
    _operation(
        "unregister_application",
        lambda conn: conn.unregister_application("spare"),
        applications=_without(_USUAL.applications, "spare"),
    ),
    _operation(
        "link_model_to_app",
        lambda conn: conn.link_model_to_app("spare", "m"),
        applications={**_USUAL.applications, "spare": "m"},
    ),
    _operation(
        "unlink_model_from_app",
        lambda conn: conn.unlink_model_from_app("wired", "n"),
        applications={**_USUAL.applications, "wired": None},
    ),
    _operation(
        "register_model",
        lambda conn: conn.register_model("n", 2, "doubles"),
        versions={**_USUAL.versions, "n:2": CONTAINERLESS},
        current={**_USUAL.current, "n": "2"},
    ),
    _operation(
        "set_model_version",
        lambda conn: conn.set_model_version("m", 0),
        current={**_USUAL.current, "m": "0"},
    ),
    _operation(
        "set_model_version, with replicas",
        lambda conn: conn.set_model_version("m", 0, num_replicas=2),
        versions={**_USUAL.versions, "m:0": 2},
        current={**_USUAL.current, "m": "0"},
    ),
    _operation(
        "set_num_replicas, up",
        lambda conn: conn.set_num_replicas("m", 2, timeout_s=_TIMEOUT_S),
        versions={**_USUAL.versions, "m:1": 2},
    ),
    _operation(
        "set_num_replicas, down",
        lambda conn: conn.set_num_replicas("m", 1, timeout_s=_TIMEOUT_S),
        before=_WITH_TWO_REPLICAS,
        versions=_USUAL.versions,
    ),
    _operation(
        "deploy_python_closure",
        lambda conn: deploy_python_closure(conn, "m", 2, "doubles", answering("m:2"), timeout_s=_TIMEOUT_S),
        versions={**_USUAL.versions, "m:2": 1},
        current={**_USUAL.current, "m": "2"},
    ),
    _operation(
        "create_endpoint",
        lambda conn: create_endpoint(
            conn, "e", "doubles", answering("e:1"), "default", 1, SLO_MICROS, timeout_s=_TIMEOUT_S
        ),
        applications={**_USUAL.applications, "e": "e"},
        versions={**_USUAL.versions, "e:1": 1},
        current={**_USUAL.current, "e": "1"},
        undoes_itself=True,
    ),
    _operation(
        "stop_versioned_models",
        lambda conn: conn.stop_versioned_models({"m": [0]}),
        versions=_without(_USUAL.versions, "m:0"),
    ),
    _operation(
        "stop_versioned_models, containerless",
        lambda conn: conn.stop_versioned_models({"n": [1]}),
        versions=_without(_USUAL.versions, "n:1"),
        current=_without(_USUAL.current, "n"),
    ),
    _operation(
        "stop_inactive_model_versions",
        lambda conn: conn.stop_inactive_model_versions(["m"]),
        versions=_without(_USUAL.versions, "m:0"),
    ),
    _operation(
        "stop_models",
        lambda conn: conn.stop_models(["k"]),
        before=_WITH_ANOTHER_MODEL,
        versions=_USUAL.versions,
        current=_USUAL.current,
    ),
]

OPERATIONS: dict[str, Operation] = {operation.name: operation for operation in _ALL}
