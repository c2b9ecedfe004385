"""One scripted session on a fresh cluster of each kind: every REST reply is the same, to the letter."""

from __future__ import annotations

import base64
import json
import re
import tempfile
import time
from collections.abc import Callable
from typing import Any

import pytest

from clipper_nb import ClipperConnection
from clipper_nb.deployers.python import create_endpoint, deploy_python_closure
from clipper_nb.runtime.management_frontend.handlers import _CHANGES, _READS
from tests.support.clusters import http_request, running_cluster

pytestmark = [pytest.mark.cluster, pytest.mark.docker]

_CALLS = {**_CHANGES, **_READS}

Entry = tuple[str, str, int, Any]
"""Method and path, with the request's body; status; the reply's body."""

# What may differ between two runs of one session on one cluster too.
VARYING = [
    (r'"query_id": \d+', '"query_id": "QUERY"'),
    (r'"((registered_|created_|received_)?at)": [\d.e]+', r'"\1": "TIME"'),
    (r'"(sent|answered)_after_s": [\d.e-]+', r'"\1_after_s": "TIME"'),
    (r'"address": "http://[^/"]+/', '"address": "http://HOST/'),
    (r"\d+(\.\d+)? ms", "N ms"),
    (r'"revision": \d+', '"revision": "N"'),
    (r'"images": \{[^}]*\}', '"images": {}'),
    (r'("CLUSTER-[^":]+:[^"]+)-[0-9a-f]{12}"', r'\1-DIGEST"'),  # a container has another base than a process
    (r'"query(_frontend-0|-frontend-at-CLUSTER-[0-9a-z-]+)"', '"FRONTEND"'),  # each pod has a name of its own
]


class Transcript:
    """Asks a cluster and keeps what it answers."""

    def __init__(self, conn: ClipperConnection) -> None:
        self.entries: list[Entry] = []
        self._conn = conn

    def predict(self, application: str, body: Any) -> None:
        """Send a predict request: text as it is, everything else as JSON."""
        self.query("POST", f"/{application}/predict", body)

    def query(self, method: str, path: str, body: Any = None) -> None:
        """Ask the query frontend."""
        self._ask(self._conn.get_query_addr(), method, path, body, {})

    def admin(self, call: str, body: Any = None, *, method: str = "POST", token: str | None = None) -> None:
        """Ask the management frontend, with the right token unless another is given."""
        token = self._conn.cm.get_admin_token() if token is None else token
        self.management(method, f"/admin/{call}", body, {"Authorization": f"Bearer {token}"})

    def management(self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None) -> None:
        """Ask the management frontend for any path."""
        self._ask(self._conn.get_admin_addr(), method, path, body, headers or {})

    def state(self) -> None:
        """Ask for everything that the cluster has."""
        for listing in ("get_all_applications", "get_all_models", "get_all_containers"):
            self.admin(listing, {"verbose": False})
            self.admin(listing, {"verbose": True})
        self.query("GET", "/readyz")
        self.management("GET", "/readyz")

    def metrics(self) -> None:
        """Ask both frontends for their metrics and keep what they are called, with their labels."""
        for address in (self._conn.get_query_addr(), self._conn.get_admin_addr()):
            status, text = http_request(address, "GET", "/metrics")
            series = {line.rpartition(" ")[0] for line in text.splitlines() if line.startswith("clipper_")}
            self.entries.append(("GET", "/metrics", status, sorted(series)))

    def _ask(self, address: str, method: str, path: str, body: Any, headers: dict[str, str]) -> None:
        sent = body if body is None or isinstance(body, str) else json.dumps(body)
        status, reply = http_request(address, method, path, sent, headers)
        said = json.loads(self._normalised(json.dumps(reply)))
        self.entries.append((method, self._normalised(f"{path} {sent}"[:200]), status, said))

    def _normalised(self, text: str) -> str:
        text = text.replace(self._conn.cm.cluster_name, "CLUSTER")
        for pattern, replacement in VARYING:
            text = re.sub(pattern, replacement, text)
        return text


def describe(inputs: list) -> list:
    """Return what the function saw of each input."""
    return [x if isinstance(x, str) else {"type": str(x.dtype), "value": x.tolist()} for x in inputs]


def do_as_told(inputs: list) -> Any:
    """Do what the first input says, well or badly."""
    order = inputs[0]
    if order == "raise":
        raise ValueError("no such digit\nsecond line")
    if order == "sleep":
        time.sleep(1.0)
    outputs: dict[str, Any] = {
        "few": [], "many": [1, 2], "one": 7, "text": "7", "object": [object()], "none": [None], "nan": [float("nan")],
        "bytes": [b"bytes"], "json": ['{"a": [1]}'], "nested": [{"a": (1, 2.5, True)}], "naïve": ["naïve 🦔"],
    }  # fmt: skip
    return outputs.get(order, list(inputs))


def applications(conn: ClipperConnection, ask: Transcript) -> None:
    """An application is registered, linked, unlinked, unregistered."""
    ask.state()
    ask.predict("app", {"input": [1]})
    conn.register_application("app", "doubles", "-1.0", 5_000_000)
    ask.predict("app", {"input": [1]})
    deploy_python_closure(conn, "m", 1, "doubles", lambda xs: [f"first {x.sum():g}" for x in xs], labels=["a", "b"])
    ask.predict("app", {"input": [1]})
    conn.link_model_to_app("app", "m")
    ask.predict("app", {"input": [1, 2]})
    ask.state()
    conn.unlink_model_from_app("app", "m")
    ask.predict("app", {"input": [1, 2]})
    ask.query("GET", "/readyz?app=app")
    conn.link_model_to_app("app", "m")


def versions(conn: ClipperConnection, ask: Transcript) -> None:
    """Versions follow each other, are rolled back, are asked for, are scaled and stopped."""
    deploy_python_closure(conn, "m", "2.0_rc1", "doubles", lambda xs: ["second" for _ in xs], batch_size=3)
    ask.predict("app", {"input": [3]})
    ask.predict("app", {"input": [3], "version": 1})
    ask.predict("app", {"input": [3], "version": "2.0_rc1"})
    ask.predict("app", {"input": [3], "version": "9"})
    ask.predict("app", {"input_batch": [[3], [4]], "version": "9"})
    conn.set_model_version("m", 1)
    ask.predict("app", {"input": [4]})
    conn.set_num_replicas("m", 2)
    ask.predict("app", {"input_batch": [[float(i)] for i in range(10)]})
    ask.state()
    conn.set_num_replicas("m", min=1, max=2, stable_s=3600)
    bounds = {"min_replicas": 1, "max_replicas": 2, "target": 0.5, "stable_s": 3600}
    ask.admin("set_autoscaling", {"model_name": "m", "model_version": "1", **bounds})
    ask.state()
    conn.set_num_replicas("m", 0)
    ask.predict("app", {"input": [5]})
    ask.query("GET", "/readyz")
    conn.set_num_replicas("m", 1)
    ask.predict("app", {"input": [5]})
    conn.set_traffic("app", ["m:1", "m:2.0_rc1"], policy="ensemble", min_confidence=0.6)
    conn.set_num_replicas("m", 1, "2.0_rc1")
    ask.predict("app", {"input": [8]})
    conn.set_traffic("app", {"m:1": 9, "m:2.0_rc1": 1}, policy="weights")
    for body in ({"input": [8], "uid": 0, "label": 1.0}, {"query_id": 999, "label": 1}, {"key": "nobody", "score": 1},
                 {"query_id": 999}, {"score": 1}, "{", {"query_id": 999, "score": 2}):  # fmt: skip
        ask.query("POST", "/app/update", body)
    ask.query("POST", "/nobody/update", {"query_id": 999, "score": 1})
    ask.query("GET", "/app/update")
    conn.set_traffic("app", {"m": 1})
    ask.predict("app", {"input": [9]})
    conn.stop_inactive_model_versions(["m"])
    ask.predict("app", {"input": [6], "version": "2.0_rc1"})
    ask.state()
    conn.stop_models(["m"])
    ask.predict("app", {"input": [7]})
    ask.state()
    conn.unregister_application("app")
    ask.predict("app", {"input": [7]})


def exported_and_imported(conn: ClipperConnection, ask: Transcript) -> None:
    """An endpoint goes into a file, and comes back from there."""
    create_endpoint(conn, "moving", "doubles", lambda xs: [x.sum() for x in xs], "0", slo_micros=5_000_000)
    ask.predict("moving", {"input": [1, 2]})
    conn.set_traffic("moving", {"moving:1": 100})
    with tempfile.TemporaryDirectory() as folder:
        conn.export_configuration(f"{folder}/exported.tar")
        conn.stop_models(["moving"])
        conn.unregister_application("moving")
        ask.state()
        conn.import_configuration(f"{folder}/exported.tar")
    ask.predict("moving", {"input": [1, 2]})
    ask.state()
    conn.stop_models(["moving"])
    conn.unregister_application("moving")


def inputs_of_each_type(conn: ClipperConnection, ask: Transcript) -> None:
    """Good ones, empty ones, and those that do not fit."""
    good = {
        "ints": [1, -2, 2147483647], "floats": [1, 2.5], "doubles": [1, 1e300], "strings": "naïve 🦔",
        "bytes": base64.b64encode(b"\x00\x7f\xff").decode(),
    }  # fmt: skip
    for input_type, value in good.items():
        create_endpoint(conn, input_type, input_type, describe, "default", slo_micros=5_000_000)
        ask.predict(input_type, {"input": value})
        ask.predict(input_type, {"input_batch": [value] * 3})
        for other in ([], "", "a$k=", [1.5], [2**31], [1, True], ["x"], [None], [[1]], 5, None, {}):
            ask.predict(input_type, {"input": other})
            ask.predict(input_type, {"input_batch": [value, other]})


def bodies(conn: ClipperConnection, ask: Transcript) -> None:
    """Bodies, paths and methods that are wrong, and those that only look so."""
    for body in (
        "", "not json", "[1]", "{}", '{"input": [1]} x', '{"input": [NaN]}', '{"version": "1"}', '{"input_batch": []}',
        '{"input": [1], "input_batch": [[1]]}', '{"input": [1], "uid": 3}', '{"input": [1], "version": [1]}',
        '{"input_batch": [[7]]}', "[" * 50_000,
    ):  # fmt: skip
        ask.predict("doubles", body)
    for method, path in (
        ("POST", "/doubles/predict/"), ("POST", "/doubles/predict?x=1"), ("POST", "/nobody/predict"), ("POST", "/"),
        ("POST", "/doubles/update"), ("GET", "/doubles/predict"), ("PUT", "/doubles/predict"), ("GET", "/doubles"),
        ("GET", "/livez"), ("GET", "/readyz?app=nobody"), ("POST", "/metrics"),
    ):  # fmt: skip
        ask.query(method, path, {"input": [1]} if method == "POST" else None)


def outputs(conn: ClipperConnection, ask: Transcript) -> None:
    """What a model returns or raises, and one that takes too long."""
    create_endpoint(conn, "told", "strings", do_as_told, '{"is": "default"}', slo_micros=5_000_000, batch_size=1)
    for order in (
        "raise", "few", "many", "one", "text", "object", "none", "nan", "bytes", "json", "nested", "naïve", "1.0",
    ):  # fmt: skip
        ask.predict("told", {"input": order})
    ask.predict("told", {"input_batch": ["good", "raise", "better", "few"]})
    conn.register_application("hurried", "strings", "too late", 100_000)
    conn.link_model_to_app("hurried", "told")
    ask.predict("hurried", {"input": "sleep"})
    ask.admin("get_query_history", {"query_id": conn.predict("told", "text").query_id})
    ask.state()


def admin_calls(conn: ClipperConnection, ask: Transcript) -> None:
    """Every call of the management frontend: well, badly, and by somebody who may not."""
    application = {"name": "rest", "input_type": "ints", "default_output": "0", "latency_slo_micros": 1000}
    version = {"model_name": "outside", "model_version": "1"}
    links = {"app_name": "rest", "model_names": ["outside"]}
    traffic = {"app_name": "rest", "weights": {"outside:1": 3}}
    claim = {**version, "claim_id": "c"}
    token = {"app_name": "rest", "token_name": "site"}
    digest = {"digest": "0" * 64}
    for call, body in (
        ("add_app", application), ("add_app", application), ("add_app", {**application, "name": "a b"}),
        ("add_app", {**application, "name": "metrics"}), ("add_app", {**application, "input_type": "numbers"}),
        ("add_app", {**application, "latency_slo_micros": 0}), ("add_app", {**application, "default_output": 1}),
        ("add_model", {**version, "input_type": "ints", "labels": ["x"]}), ("add_model", version),
        ("add_model", {**version, "input_type": "ints"}), ("add_model", {**version, "input_type": "x"}),
        ("add_model", {**version, "input_type": "ints", "model_version": "a b"}),
        ("add_model", {"model_name": "x", "model_version": "1", "input_type": "ints", "batch_size": 0}),
        ("add_model_links", {**links, "model_names": []}), ("add_model_links", {**links, "model_names": ["nobody"]}),
        ("add_model_links", {**links, "app_name": "nobody"}), ("add_model_links", {**links, "app_name": "strings"}),
        ("add_model_links", links), ("add_model_links", links),
        ("get_traffic", links), ("get_traffic", {"app_name": "nobody"}), ("set_traffic", traffic),
        ("set_traffic", {**traffic, "weights": {"outside": 1, "outside:1": 1}}), ("set_traffic", {"app_name": "rest"}),
        ("set_traffic", {**traffic, "weights": {"outside:1": True}}),
        ("set_traffic", {**traffic, "app_name": "nobody"}),
        ("set_traffic", {**traffic, "weights": {"outside:9": 1}}), ("set_traffic", {**traffic, "weights": {}}),
        ("set_traffic", {**traffic, "policy": {"name": "ensemble"}}),
        ("set_traffic", {**traffic, "weights": {"outside:1": 1, "outside": 1}, "policy": {"name": "best"}}),
        ("get_traffic", links), ("add_model_links", links), ("set_traffic", {**traffic, "weights": {"outside": 3}}),
        ("set_shadow", {"app_name": "rest", "model": "outside:1"}), ("set_shadow", {"app_name": "rest", "model": None}),
        ("set_shadow", {"app_name": "rest", "model": "doubles:1"}),
        ("set_shadow", {"app_name": "nobody", "model": "a:1"}),
        ("set_shadow", {"app_name": "rest", "model": "outside:1", "share": 2}), ("set_shadow", {"app_name": "rest"}),
        ("get_shadow_report", {"app_name": "rest"}), ("get_shadow_report", {"app_name": "nobody"}),
        ("start_roll_out", {"app_name": "rest", "model": "outside:1"}), ("start_roll_out", {"app_name": "rest"}),
        ("start_roll_out", {"app_name": "rest", "model": "outside:1", "steps": [50, 20]}),
        ("start_roll_out", {"app_name": "rest", "model": "outside:9"}), ("abort_roll_out", {"app_name": "rest"}),
        ("promote_roll_out", {"app_name": "nobody"}), ("get_roll_outs", {}),
        ("create_token", {**token, **digest}), ("create_token", {**token, **digest}),
        ("create_token", {**token, "token_name": "a b", **digest}), ("create_token", {**token, "digest": "secret"}),
        ("create_token", {**token, "app_name": "nobody", **digest}),
        ("create_token", {**token, "expires_s": 0, **digest}),
        ("get_tokens", token), ("get_tokens", {"app_name": "nobody"}), ("get_tokens", {**token, "with_digests": True}),
        ("get_tokens", {**token, "with_digests": "yes"}),
        ("get_query_history", {"query_id": -1}), ("get_query_history", {"query_id": 2**40}), ("get_query_history", {}),
        ("revoke_token", token), ("revoke_token", token), ("get_tokens", token),
        ("get_application", {"name": "rest"}), ("get_application", {"name": "nobody"}),
        ("get_linked_models", {"app_name": "rest"}), ("get_linked_models", {"app_name": "nobody"}),
        ("get_model", version), ("get_model", {**version, "model_version": "9"}),
        ("get_model", {"model_name": "doubles", "model_version": "1"}),
        ("get_environment_variables", version), ("get_environment_variables", {**version, "model_version": "9"}),
        ("get_deploy_state", version), ("get_deploy_state", {**version, "model_version": "9"}),
        ("get_current_model_version", version), ("get_current_model_version", {"model_name": "nobody"}),
        ("set_model_version", version), ("set_model_version", {**version, "model_version": "9"}),
        ("set_model_version", {**version, "model_name": "nobody"}),
        ("get_container", {"model_name": "doubles", "model_version": "1", "replica_id": 0}),
        ("get_container", {"model_name": "doubles", "model_version": "1", "replica_id": 9}),
        ("get_all_applications", {"verbose": 1}), ("get_all_models", {}), ("get_all_containers", ""),
        ("set_autoscaling", {**version, "min_replicas": 1, "max_replicas": 2}),
        ("set_autoscaling", {**version, "min_replicas": 2, "max_replicas": 1}),
        ("set_autoscaling", {**version, "model_version": "9", "min_replicas": 1, "max_replicas": 2}),
        ("set_num_replicas", {**version, "num_replicas": 0}), ("set_num_replicas", {**version, "num_replicas": -1}),
        ("claim_version", {**claim, "holder": "a test", "is_new": False}), ("get_all_claims", {"verbose": True}),
        ("claim_version", {**claim, "claim_id": "other", "holder": "a test", "is_new": False}),
        ("set_num_replicas", {**version, "num_replicas": 1}), ("get_desired_replicas", {}),
        ("hold_claim", {**claim, "claim_id": "other"}), ("release_claim", claim), ("get_all_claims", {}),
        ("delete_model_links", links), ("delete_model_links", links),
        ("delete_versioned_model", version), ("delete_versioned_model", version),
        ("delete_app", {"name": "rest"}), ("delete_app", {"name": "rest"}),
    ):  # fmt: skip
        ask.admin(call, body)
    for call in sorted(_CALLS):
        for body in ("{", "[]", "{}"):
            ask.admin(call, body)
        ask.admin(call, {}, token="wrong")
        ask.admin(call, method="GET")
    ask.admin("no_such_call", {})
    for path in ("/admin/ping", "/livez", "/readyz", "/nothing"):
        ask.management("GET", path)
    ask.state()
    ask.metrics()


SESSION: list[Callable[[ClipperConnection, Transcript], None]] = [
    applications, versions, exported_and_imported, inputs_of_each_type, bodies, outputs, admin_calls,
]  # fmt: skip


@pytest.fixture(scope="module")
def transcripts() -> dict[str, dict[str, list[Entry]]]:
    """Each part of the session as each kind of cluster answered it."""
    found: dict[str, dict[str, list[Entry]]] = {}
    for kind in ("local", "docker"):
        with running_cluster(kind) as conn:
            for part in SESSION:
                transcript = Transcript(conn)
                part(conn, transcript)
                found.setdefault(part.__name__, {})[kind] = transcript.entries
    return found


@pytest.mark.parametrize("part", [part.__name__ for part in SESSION])
def test_both_kinds_of_cluster_answer_alike(transcripts: dict[str, dict[str, list[Entry]]], part: str) -> None:
    assert transcripts[part]["docker"] == transcripts[part]["local"]


def test_session_covers_every_call_status_and_reason(transcripts: dict[str, dict[str, list[Entry]]]) -> None:
    entries = [entry for kinds in transcripts.values() for entry in kinds["local"]]
    for call in _CALLS:
        statuses = {status for _, path, status, _ in entries if path.startswith(f"/admin/{call} ")}
        assert 200 in statuses, call
        assert {400, 401, 405} <= statuses, call
    assert {status for _, _, status, _ in entries} == {200, 400, 401, 404, 405, 409, 423, 503}
    reasons = set(re.findall(r'"default_reason": "(\w+)"', json.dumps([reply for *_, reply in entries])))
    assert reasons == {"not_linked", "no_ready_replica", "model_too_slow", "model_error", "not_confident"}
