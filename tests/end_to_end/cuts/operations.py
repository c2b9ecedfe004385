"""The admin calls that are cut: what there is before each, and what it is to lead to."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from clipper_nb import ClipperConnection
from clipper_nb.deployers.python import create_endpoint, deploy_python_closure
from tests.end_to_end.cuts.cluster_state import (
    CONTAINERLESS,
    SLO_MICROS,
    ClusterState,
    answering,
    autoscale,
    ensure,
    telling,
)
from tests.end_to_end.cuts.traffic_state import KEY, STEP_S, STEPS, TrafficState

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
    made_again: Sequence[ClusterState] = ()
    """What it may lead to as well when it is made a second time: each time a deploy takes the next number."""
    prepare: Callable[[ClipperConnection], object] = lambda conn: None
    """Done before each cut."""
    needs: str = ""
    """The program on this machine without which there is no such call; there is none of it on Docker."""


def _operation(
    name: str,
    run: Callable[[ClipperConnection], object],
    *,
    before: ClusterState = _USUAL,
    applications: Mapping[str, str | None] | None = None,
    versions: Mapping[str, int | None] | None = None,
    current: Mapping[str, str] | None = None,
    traffic: TrafficState | None = None,
    autoscaling: Mapping[str, tuple[int, int]] | None = None,
    is_watched: bool = False,
    **options: Any,
) -> Operation:
    after = replace(
        before,
        applications=before.applications if applications is None else applications,
        versions=before.versions if versions is None else versions,
        current=before.current if current is None else current,
        traffic=before.traffic if traffic is None else traffic,
        autoscaling=before.autoscaling if autoscaling is None else autoscaling,
        is_watched=is_watched,
    )
    return Operation(name, before, after, run, **options)


def _without(mapping: Mapping[str, object], *names: str) -> dict:
    return {name: value for name, value in mapping.items() if name not in names}


_WITH_TWO_REPLICAS = replace(_USUAL, versions={**_USUAL.versions, "m:1": 2})
_WITH_ANOTHER_MODEL = replace(
    _USUAL, versions={**_USUAL.versions, "k:1": 1}, current={**_USUAL.current, "k": "1"}
)  # fmt: skip
_TO_OLD = replace(
    _USUAL, applications={**_USUAL.applications, "app": None}, traffic=TrafficState(shares={"app": {"m:0": 1.0}})
)  # fmt: skip
_ROLLING = replace(
    _USUAL,
    applications={**_USUAL.applications, "app": None},
    traffic=TrafficState(shares={"app": {"m": 0.99, "m:0": 0.01}}, roll_outs={"app": "m:0"}),
)
_SHADOWED = replace(_USUAL, traffic=TrafficState(shadows={"app": "m:0"}))
_WITH_TOKEN = replace(_USUAL, traffic=TrafficState(tokens={"app": "phone"}))
_DIVIDED = replace(
    _USUAL,
    applications={**_USUAL.applications, "app": None},
    traffic=TrafficState(shares={"app": {"m:0": 0.5, "m": 0.5}}),
)
_SCORED = replace(_DIVIDED, traffic=replace(_DIVIDED.traffic, policies={"app": "weights"}))
_AUTOSCALED = replace(_USUAL, autoscaling={"m:1": (1, 2)})
_WITH_ENDPOINT = replace(
    _USUAL,
    applications={**_USUAL.applications, "e": "e"},
    versions={**_USUAL.versions, "e:1": 1},
    current={**_USUAL.current, "e": "1"},
)
_IMPORTED = replace(
    _USUAL,
    applications={**_USUAL.applications, "i": "i"},
    versions={**_USUAL.versions, "i:1": 1},
    current={**_USUAL.current, "i": "1"},
    traffic=TrafficState(tokens={"i": "phone"}),
)


def archive_of(conn: ClipperConnection) -> Path:
    """Return the file that a cluster's configuration is exported to."""
    return Path(tempfile.gettempdir()) / f"cuts-{conn.cm.cluster_name}.tar"


def _export(conn: ClipperConnection) -> None:
    if not archive_of(conn).exists():
        ensure(conn, _IMPORTED)
        conn.export_configuration(archive_of(conn))


def _deploy_again(conn: ClipperConnection) -> None:
    """Deploy the image of another version."""
    info = conn.get_model_info("k", 1)
    assert info is not None
    conn.deploy_model("k", 2, "doubles", info["container_name"], timeout_s=_TIMEOUT_S)


def _with_version(state: ClusterState, *names: str) -> ClusterState:
    """Return a state with further versions, of which the last is current."""
    model, _, number = names[-1].partition(":")
    return replace(
        state, versions={**state.versions, **dict.fromkeys(names, 1)}, current={**state.current, model: number}
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
        "deploy_python_closure, without a number",
        lambda conn: deploy_python_closure(conn, "m", None, "doubles", telling, timeout_s=_TIMEOUT_S),
        versions={**_USUAL.versions, "m:2": 1},
        current={**_USUAL.current, "m": "2"},
        made_again=[_with_version(_USUAL, "m:2", "m:3"), _with_version(_USUAL, "m:3")],
    ),
    _operation(
        "deploy_model",
        _deploy_again,
        before=_WITH_ANOTHER_MODEL,
        versions={**_WITH_ANOTHER_MODEL.versions, "k:2": 1},
        current={**_WITH_ANOTHER_MODEL.current, "k": "2"},
    ),
    _operation(
        "create_endpoint, of an endpoint that exists",
        lambda conn: create_endpoint(conn, "e", "doubles", telling, "default", None, SLO_MICROS, timeout_s=_TIMEOUT_S),
        before=_WITH_ENDPOINT,
        versions={**_WITH_ENDPOINT.versions, "e:2": 1},
        current={**_WITH_ENDPOINT.current, "e": "2"},
        undoes_itself=True,
        made_again=[_with_version(_WITH_ENDPOINT, "e:2", "e:3"), _with_version(_WITH_ENDPOINT, "e:3")],
    ),
    _operation(
        "endpoint.delete",
        lambda conn: conn.endpoints["e"].delete(),
        before=_WITH_ENDPOINT,
        applications=_USUAL.applications,
        versions=_USUAL.versions,
        current=_USUAL.current,
    ),
    _operation(
        "import_configuration",
        lambda conn: conn.import_configuration(archive_of(conn), existing="skip", timeout_s=_TIMEOUT_S),
        applications=_IMPORTED.applications,
        versions=_IMPORTED.versions,
        current=_IMPORTED.current,
        traffic=_IMPORTED.traffic,
        undoes_itself=True,
        prepare=_export,
    ),
    _operation(
        "set_num_replicas, autoscaled",
        lambda conn: autoscale(conn, "m:1", (2, 3)),
        versions={**_USUAL.versions, "m:1": 2},
        autoscaling={"m:1": (2, 3)},
    ),
    _operation(
        "set_num_replicas, autoscaled no more",
        lambda conn: conn.set_num_replicas("m", 1, timeout_s=_TIMEOUT_S),
        before=_AUTOSCALED,
        autoscaling={},
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
    _operation(
        "stop_all_model_containers",
        lambda conn: conn.stop_all_model_containers(),
        versions={},
        current={},
    ),
    _operation(
        "set_traffic",
        lambda conn: conn.set_traffic("app", {"m:0": 1}),
        applications=_TO_OLD.applications,
        traffic=_TO_OLD.traffic,
    ),
    _operation(
        "set_traffic, back to a link",
        lambda conn: conn.set_traffic("app", {"m": 1}),
        before=_TO_OLD,
        applications=_USUAL.applications,
        traffic=_USUAL.traffic,
    ),
    _operation(
        "set_traffic, divided",
        lambda conn: conn.set_traffic("app", {"m:0": 1, "m": 1}),
        applications=_DIVIDED.applications,
        traffic=_DIVIDED.traffic,
    ),
    _operation(
        "set_traffic, by a policy",
        lambda conn: conn.set_traffic("app", ["m:0", "m"], policy="thompson", half_life_s=60.0),
        before=_DIVIDED,
        traffic=replace(_DIVIDED.traffic, policies={"app": "thompson"}),
    ),
    _operation(
        "feedback",
        lambda conn: conn.feedback("app", key=KEY, score=1.0),
        before=_SCORED,
        traffic=replace(_SCORED.traffic, scores={"app": 1}),
    ),
    _operation("shadow", lambda conn: conn.shadow("app", "m:0"), traffic=_SHADOWED.traffic),
    _operation("shadow, ended", lambda conn: conn.shadow("app", None), before=_SHADOWED, traffic=_USUAL.traffic),
    _operation(
        "roll_out",
        lambda conn: conn.roll_out("app", "m:0", steps=STEPS, step_s=STEP_S),
        applications=_ROLLING.applications,
        traffic=_ROLLING.traffic,
    ),
    _operation(
        "abort",
        lambda conn: conn.roll_outs["app"].abort(),
        before=_ROLLING,
        applications=_USUAL.applications,
        traffic=_USUAL.traffic,
    ),
    _operation(
        "promote",
        lambda conn: conn.roll_outs["app"].promote(),
        before=_ROLLING,
        traffic=_TO_OLD.traffic,
    ),
    _operation("create_token", lambda conn: conn.create_token("app", name="phone"), traffic=_WITH_TOKEN.traffic),
    _operation(
        "revoke_token", lambda conn: conn.revoke_token("app", "phone"), before=_WITH_TOKEN, traffic=_USUAL.traffic
    ),
    _operation(
        "start_monitoring",
        lambda conn: conn.start_monitoring(prometheus_port=0),
        is_watched=True,
        needs="prometheus",
    ),
]

OPERATIONS: dict[str, Operation] = {operation.name: operation for operation in _ALL}


def operations_on(kind: str) -> list[str]:
    """Return the names of those that a kind of cluster has on this machine."""
    return [
        name
        for name, operation in OPERATIONS.items()
        if not operation.needs or (kind == "local" and shutil.which(operation.needs))
    ]
