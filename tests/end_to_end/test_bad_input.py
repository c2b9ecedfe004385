# ruff: noqa: E501  (a table: one call a line)
"""Careless calls from the notebook: each a clear error of ours, and nothing is changed by it."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from clipper_nb import (
    ClipperConnection,
    ClipperException,
    ExistsError,
    InvalidInputError,
    InvalidNameError,
    InvalidRequestError,
    NotFoundError,
    SerializationError,
    TlsFiles,
    UnconnectedException,
)
from clipper_nb.cluster.new_version import NewVersion
from clipper_nb.deployers.python import create_endpoint, deploy_python_closure
from clipper_nb.protocol.input_types import InputType
from clipper_nb.protocol.names import ModelId
from tests.support.clusters import leftovers, new_manager

pytestmark = pytest.mark.cluster


def echo(inputs: list) -> list:
    return [str(x) for x in inputs]


@pytest.fixture(scope="module")
def conn(shared: ClipperConnection) -> ClipperConnection:
    create_endpoint(shared, "app", "doubles", echo, slo_micros=5_000_000)
    shared.register_application("free", "strings", "none", 5_000_000)
    shared.register_model("outside", 1, "doubles")
    return shared


Call = Callable[[ClipperConnection], Any]

BAD_CALLS: list[tuple[str, Call, type[ClipperException], str]] = [
    # names and versions
    ("model name upper case", lambda c: deploy_python_closure(c, "Model", 1, "doubles", echo), InvalidNameError, "model name"),
    ("model name underscore", lambda c: c.register_model("a_b", 1, "doubles"), InvalidNameError, "model name"),
    ("model name empty", lambda c: c.register_model("", 1, "doubles"), InvalidNameError, "model name"),
    ("model name too long", lambda c: c.register_model("a" * 64, 1, "doubles"), InvalidNameError, "63"),
    ("model name not text", lambda c: c.register_model(5, 1, "doubles"), InvalidNameError, "model name"),
    ("version float", lambda c: c.register_model("m", 1.1, "doubles"), InvalidNameError, "1.10 from 1.1"),
    ("version bool", lambda c: c.register_model("m", True, "doubles"), InvalidNameError, "version"),
    ("version None", lambda c: c.register_model("m", None, "doubles"), InvalidNameError, "version"),
    ("version None of an image", lambda c: c.build_model("m", None, "."), InvalidNameError, "version"),
    ("version with colon", lambda c: c.register_model("m", "a:b", "doubles"), InvalidNameError, "version"),
    ("version with blank", lambda c: c.register_model("m", "a b", "doubles"), InvalidNameError, "version"),
    ("image's model name", lambda c: c.build_model("a_b", 1, "."), InvalidNameError, "model name"),
    ("version in predict", lambda c: c.predict("app", [1], version=1.5), InvalidNameError, "version"),
    ("application with slash", lambda c: c.register_application("a/b", "ints", "", 1), InvalidNameError, "application name"),
    ("application reserved", lambda c: c.register_application("metrics", "ints", "", 1), InvalidNameError, "frontends use this path"),
    ("application not text", lambda c: c.register_application(None, "ints", "", 1), InvalidNameError, "application name"),
    # types and numbers
    ("input type", lambda c: c.register_application("x", "floats64", "", 1), InvalidRequestError, "not an input type"),
    ("input type None", lambda c: c.register_application("x", None, "", 1), InvalidRequestError, "not an input type"),
    ("model input type", lambda c: deploy_python_closure(c, "m", 1, "numbers", echo), InvalidRequestError, "not an input type"),
    ("default not text", lambda c: c.register_application("x", "ints", -1, 1), InvalidRequestError, "default_output must be text"),
    ("slo zero", lambda c: c.register_application("x", "ints", "", 0), InvalidRequestError, "slo_micros"),
    ("slo negative", lambda c: c.register_application("x", "ints", "", -5), InvalidRequestError, "slo_micros"),
    ("slo float", lambda c: c.register_application("x", "ints", "", 1e5), InvalidRequestError, "slo_micros"),
    ("slo bool", lambda c: c.register_application("x", "ints", "", True), InvalidRequestError, "slo_micros"),
    ("slo too long", lambda c: c.register_application("x", "ints", "", 2**31), InvalidRequestError, "slo_micros"),
    ("batch size 0", lambda c: deploy_python_closure(c, "m", 1, "ints", echo, batch_size=0), InvalidRequestError, "batch_size"),
    ("batch size -2", lambda c: c.register_model("m", 1, "ints", batch_size=-2), InvalidRequestError, "batch_size"),
    ("batch size float", lambda c: c.register_model("m", 1, "ints", batch_size=1.0), InvalidRequestError, "batch_size"),
    ("replicas negative", lambda c: c.set_num_replicas("app", -1), InvalidRequestError, "num_replicas"),
    ("no number of replicas", lambda c: c.set_num_replicas("app"), InvalidRequestError, "needs num_replicas, or min and max .* got none"),
    ("min without max", lambda c: c.set_num_replicas("app", min=1), InvalidRequestError, "got min=1. Pass"),
    ("number and bounds", lambda c: c.set_num_replicas("app", 3, min=1, max=8), InvalidRequestError, "and min=1, max=8. Pass num_replicas alone"),
    ("min above max", lambda c: c.set_num_replicas("app", min=3, max=2), InvalidRequestError, "min=3 and max=2. Swap them"),
    ("min zero", lambda c: c.set_num_replicas("app", min=0, max=2), InvalidRequestError, "min must be .* from 1 .* set_num_replicas.name, 0."),
    ("max float", lambda c: c.set_num_replicas("app", min=1, max=2.5), InvalidRequestError, "max must be a whole number"),
    ("target nan", lambda c: c.set_num_replicas("app", min=1, max=2, target=float("nan")), InvalidRequestError, "target must be .* it is nan"),
    ("target in per cent", lambda c: c.set_num_replicas("app", min=1, max=2, target=25), InvalidRequestError, "up to 1; it is 25. A quarter"),
    ("period zero", lambda c: c.set_num_replicas("app", min=1, max=2, period_s=0), InvalidRequestError, "period_s must be"),
    ("replicas float", lambda c: deploy_python_closure(c, "m", 1, "ints", echo, num_replicas=1.5), InvalidRequestError, "num_replicas"),
    ("timeout zero", lambda c: deploy_python_closure(c, "m", 1, "ints", echo, timeout_s=0), InvalidRequestError, "timeout_s"),
    ("timeout nan", lambda c: c.set_num_replicas("app", 1, timeout_s=float("nan")), InvalidRequestError, "timeout_s"),
    ("labels text", lambda c: c.register_model("m", 1, "ints", labels="abc"), InvalidRequestError, "labels"),
    ("labels numbers", lambda c: c.register_model("m", 1, "ints", labels=[1]), InvalidRequestError, "Labels"),
    ("packages text", lambda c: deploy_python_closure(c, "m", 1, "ints", echo, pkgs_to_install="numpy"), InvalidRequestError, "pkgs_to_install"),
    ("system packages text", lambda c: deploy_python_closure(c, "m", 1, "ints", echo, system_packages="libgomp1"), InvalidRequestError, "system_packages"),
    ("system packages option", lambda c: deploy_python_closure(c, "m", 1, "ints", echo, system_packages=["-y"]), InvalidRequestError, "names of Debian"),
    ("system packages command", lambda c: deploy_python_closure(c, "m", 1, "ints", echo, system_packages=["a; b"]), InvalidRequestError, "names of Debian"),
    ("packages option", lambda c: deploy_python_closure(c, "m", 1, "ints", echo, pkgs_to_install=["--pre"]), InvalidRequestError, "pkgs_to_install"),
    ("estimator's method", lambda c: deploy_python_closure(c, "m", 1, "ints", echo, method="predict"), InvalidRequestError, "it has none"),
    ("func not callable", lambda c: deploy_python_closure(c, "m", 1, "ints", [1, 2]), InvalidRequestError, "must be a function"),
    ("model data path", lambda c: c.build_model("m", 1, "/no/such/folder"), InvalidRequestError, "not a folder"),
    ("no model data path", lambda c: c.build_model("m", 1, None), InvalidRequestError, "model_data_path must be the path"),
    ("cannot pickle", lambda c: deploy_python_closure(c, "m", 1, "ints", (x for x in [echo]).send), SerializationError, "cannot be pickled"),
    ("names as text", lambda c: c.stop_models("app"), InvalidRequestError, "must be a list"),
    ("versions as text", lambda c: c.stop_versioned_models({"app": "1"}), InvalidRequestError, "must be a list"),
    # unknown things
    ("unknown application", lambda c: c.unregister_application("nobody"), NotFoundError, "No application with name 'nobody'"),
    ("unknown application's links", lambda c: c.get_linked_models("nobody"), NotFoundError, "No application"),
    ("link unknown application", lambda c: c.link_model_to_app("nobody", "app"), NotFoundError, "No application"),
    ("link unknown model", lambda c: c.link_model_to_app("free", "nobody"), NotFoundError, "No model with name 'nobody'"),
    ("link impossible model", lambda c: c.link_model_to_app("free", "test_model"), NotFoundError, "No model with name 'test_model' exists"),
    ("link impossible application", lambda c: c.link_model_to_app("a/b", "app"), NotFoundError, "No application with name 'a/b'"),
    ("link model not text", lambda c: c.link_model_to_app("free", 5), InvalidNameError, "5 is not a valid model name: use text"),
    ("unlink impossible model", lambda c: c.unlink_model_from_app("free", "test_model"), NotFoundError, "'test_model' is not linked"),
    ("unlink impossible application", lambda c: c.unlink_model_from_app("a/b", "app"), NotFoundError, "No application with name 'a/b'"),
    ("unregister impossible", lambda c: c.unregister_application("metrics"), NotFoundError, "No application with name 'metrics'"),
    ("predict impossible", lambda c: c.predict("a/b", [1]), NotFoundError, "No application with name 'a/b'"),
    ("predict impossible version", lambda c: c.predict("app", [1], version="a b"), InvalidInputError, "does not exist for model"),
    ("version of impossible model", lambda c: c.get_current_model_version("a_b"), NotFoundError, "No model with name 'a_b'"),
    ("set impossible version", lambda c: c.set_model_version("app", "a b"), NotFoundError, "version 'a b'.*Versions: 1"),
    ("set version of impossible model", lambda c: c.set_model_version("a_b", 1), NotFoundError, "No model with name 'a_b'"),
    ("scale impossible model", lambda c: c.set_num_replicas("a_b", 1), NotFoundError, "No model with name 'a_b'"),
    ("scale impossible version", lambda c: c.set_num_replicas("app", 1, "a b"), NotFoundError, "version 'a b'"),
    ("stop impossible version", lambda c: c.stop_versioned_models({"a_b": ["a b"]}), NotFoundError, "No model with name 'a_b'"),
    ("fetch impossible model", lambda c: c.fetch_model("a_b"), NotFoundError, "No model with name 'a_b'"),
    ("unlink what is not linked", lambda c: c.unlink_model_from_app("free", "app"), NotFoundError, "not linked"),
    ("unknown model", lambda c: c.set_model_version("nobody", 1), NotFoundError, "No model with name 'nobody'"),
    ("unknown version", lambda c: c.set_model_version("app", 9), NotFoundError, "version '9'.*Versions: 1"),
    ("unknown model's version", lambda c: c.get_current_model_version("nobody"), NotFoundError, "No model"),
    ("scale unknown", lambda c: c.set_num_replicas("nobody", 1), NotFoundError, "No model"),
    ("scale unknown version", lambda c: c.set_num_replicas("app", 1, 9), NotFoundError, "version '9'"),
    ("stop unknown version", lambda c: c.stop_versioned_models({"app": ["9"]}), NotFoundError, "version '9'"),
    ("predict unknown", lambda c: c.predict("nobody", [1]), NotFoundError, "No application with name 'nobody'.*app, free"),
    ("logs of unknown", lambda c: c.logs("nobody:1"), NotFoundError, "No model with name 'nobody'"),
    ("logs of unknown version", lambda c: c.logs("app:9"), NotFoundError, "version '9'.*Versions: 1"),
    ("roll back from the first", lambda c: c.endpoints["app"].rollback(), InvalidRequestError, "is the first of model"),
    ("unknown endpoint", lambda c: c.endpoints["nobody"], NotFoundError, "No application with name 'nobody'.*app, free"),
    ("predict unknown version", lambda c: c.predict("app", [1], version="9"), InvalidInputError, "does not exist for model"),
    ("traffic of unknown application", lambda c: c.set_traffic("nobody", {"app": 1}), NotFoundError, "No application with name 'nobody'"),
    ("traffic to unknown model", lambda c: c.set_traffic("app", {"app": 1, "nobody": 1}), NotFoundError, "No model with name 'nobody'"),
    ("traffic to unknown version", lambda c: c.set_traffic("app", {"app:9": 1}), NotFoundError, "version '9'.*Versions: 1"),
    ("traffic to other type", lambda c: c.set_traffic("free", {"app:1": 1}), InvalidRequestError, "input types must be the same"),
    ("traffic twice to one version", lambda c: c.set_traffic("app", {"app": 1, "app:1": 1}), InvalidRequestError, "'app' and 'app:1' are the same version"),
    ("traffic to nothing", lambda c: c.set_traffic("app", {}), InvalidRequestError, "1 to 100 targets; it has 0"),
    ("traffic as text", lambda c: c.set_traffic("app", "app"), InvalidRequestError, "weights must be a mapping, not str"),
    ("traffic as a list", lambda c: c.set_traffic("app", [("app", 1)]), InvalidRequestError, "weights must be a mapping, not list"),
    ("traffic by number", lambda c: c.set_traffic("app", {1: 1}), InvalidRequestError, "A target must be text"),
    ("weight 0", lambda c: c.set_traffic("app", {"app:1": 0}), InvalidRequestError, "positive number.*it is 0. .*leave it out"),
    ("weight negative", lambda c: c.set_traffic("app", {"app:1": -1}), InvalidRequestError, "positive number"),
    ("weight nan", lambda c: c.set_traffic("app", {"app:1": float("nan")}), InvalidRequestError, "positive number"),
    ("weight infinite", lambda c: c.set_traffic("app", {"app:1": float("inf")}), InvalidRequestError, "positive number"),
    ("weight bool", lambda c: c.set_traffic("app", {"app:1": True}), InvalidRequestError, "positive number"),
    ("weight text", lambda c: c.set_traffic("app", {"app:1": "90 %"}), InvalidRequestError, "positive number"),
    ("policy unknown", lambda c: c.set_traffic("app", ["app:1", "app"], policy="best"), InvalidRequestError, "policy must be one of 'weights', 'thompson'.*it is 'best'"),
    ("policy of one", lambda c: c.set_traffic("app", ["app:1"], policy="ensemble"), InvalidRequestError, "at least two targets; there is 1"),
    ("policy to unknown version", lambda c: c.set_traffic("app", ["app:1", "app:9"], policy="ucb"), NotFoundError, "version '9'.*Versions: 1"),
    ("half-life 0", lambda c: c.set_traffic("app", ["app:1", "app:2"], policy="ucb", half_life_s=0), InvalidRequestError, "half_life_s must be a number of seconds above 0"),
    ("half-life nan", lambda c: c.set_traffic("app", ["app:1", "app:2"], policy="ucb", half_life_s=float("nan")), InvalidRequestError, "half_life_s must be"),
    ("half-life without policy", lambda c: c.set_traffic("app", {"app:1": 1}, half_life_s=5), InvalidRequestError, "half_life_s needs a policy"),
    ("confidence above 1", lambda c: c.set_traffic("app", ["app:1", "app:2"], policy="ensemble", min_confidence=60), InvalidRequestError, "a share from 0 to 1; it is 60"),
    ("feedback for nothing", lambda c: c.feedback("app", label=1), InvalidRequestError, "Pass the prediction, or its query_id"),
    ("feedback of nothing", lambda c: c.feedback("app", 1), InvalidRequestError, "Pass label="),
    ("feedback never asked", lambda c: c.feedback("app", 10**15, score=1), NotFoundError, "has not answered query 1000000000000000"),
    ("feedback of unknown", lambda c: c.feedback("nobody", 1, score=1), NotFoundError, "No application with name 'nobody'"),
    ("score 2", lambda c: c.feedback("app", 1, score=2), InvalidRequestError, "score must be a number from 0"),
    ("shadow of itself", lambda c: c.shadow("app", "app:1"), InvalidRequestError, "the shadow of itself"),
    ("shadow of unknown application", lambda c: c.shadow("nobody", "app:1"), NotFoundError, "No application with name 'nobody'"),
    ("shadow of unknown version", lambda c: c.shadow("app", "app:9"), NotFoundError, "version '9'.*Versions: 1"),
    ("shadow without a version", lambda c: c.shadow("app", "app"), InvalidRequestError, "needs a version"),
    ("shadow by number", lambda c: c.shadow("app", 1), InvalidRequestError, "needs a version"),
    ("share of 0", lambda c: c.shadow("app", "app:1", share=0), InvalidRequestError, "above 0.*it is 0"),
    ("share of nan", lambda c: c.shadow("app", "app:1", share=float("nan")), InvalidRequestError, "above 0.*it is nan"),
    ("share above 1", lambda c: c.shadow("app", "app:1", share=10), InvalidRequestError, "up to 1"),
    ("end of no shadow", lambda c: c.shadow("app", None), NotFoundError, "has no shadow"),
    ("report of no shadow", lambda c: c.shadow_report("app"), NotFoundError, "has no shadow"),
    ("report of unknown", lambda c: c.shadow_report("nobody"), NotFoundError, "No application with name 'nobody'"),
    ("roll-out of what has all", lambda c: c.roll_out("app", "app:1"), InvalidRequestError, "answers all queries"),
    ("roll-out for unknown", lambda c: c.roll_out("nobody", "app:1"), NotFoundError, "No application with name 'nobody'"),
    ("roll-out of unknown version", lambda c: c.roll_out("app", "app:9"), NotFoundError, "version '9'.*Versions: 1"),
    ("steps that fall", lambda c: c.roll_out("app", "app:1", steps=(50, 10, 100)), InvalidRequestError, "rise to 100"),
    ("step of no time", lambda c: c.roll_out("app", "app:1", step_s=0), InvalidRequestError, "step_s must be"),
    ("unknown measure", lambda c: c.roll_out("app", "app:1", watch=["errors"]), InvalidRequestError, "watch must be"),
    ("roll-out that is not", lambda c: c.roll_outs["app"], NotFoundError, "has no roll-out"),
    ("traffic of unknown", lambda c: c.get_traffic("nobody"), NotFoundError, "No application with name 'nobody'"),
    ("key a float", lambda c: c.predict("app", [1], key=1.5), InvalidRequestError, "key must be text or a whole number"),
    ("key empty", lambda c: c.predict("app", [1], key=""), InvalidInputError, r"1 to 256 characters .* at `\$\.key`"),
    # conflicts
    ("application twice", lambda c: c.register_application("app", "ints", "", 1), ExistsError, "already exists"),
    ("version twice", lambda c: c.register_model("app", 1, "doubles"), ExistsError, "immutable. Version '2' is free"),
    ("deploy twice", lambda c: deploy_python_closure(c, "app", 1, "doubles", echo), ExistsError, "Version '2' is free"),
    ("endpoint with another SLO", lambda c: create_endpoint(c, "app", "doubles", echo), ExistsError, "slo_micros=5000000, not 3000000"),
    ("endpoint twice", lambda c: create_endpoint(c, "app", "doubles", echo, version=2), ExistsError, "already exists"),
    ("link twice", lambda c: c.link_model_to_app("app", "app"), ExistsError, "already linked"),
    ("link a second model", lambda c: c.link_model_to_app("app", "outside"), ExistsError, "one model"),
    ("link other type", lambda c: c.link_model_to_app("free", "app"), InvalidRequestError, "input types must be the same"),
    ("register other type", lambda c: c.register_model("app", 2, "ints"), InvalidRequestError, "cannot serve it"),
    ("autoscale containerless", lambda c: c.set_num_replicas("outside", min=1, max=2), InvalidRequestError, "containerless model"),
    ("scale containerless", lambda c: c.set_num_replicas("outside", 1), InvalidRequestError, "containerless model"),
    ("token that protects nothing", lambda c: c.create_token("app", name="site"), InvalidRequestError, "query_token=True"),
    ("token name", lambda c: c.create_token("app", name="a b"), InvalidNameError, "not a valid token name"),
    ("query id", lambda c: c.why(-1), InvalidRequestError, r"query_id .* must be a whole number, at least 0; it is -1"),
    ("unknown query", lambda c: c.why(2**40), NotFoundError, "knows what happened to query 1099511627776"),
    ("tokens of nobody", lambda c: c.get_tokens("nobody"), NotFoundError, "No application with name 'nobody'"),
    ("revoke unknown token", lambda c: c.revoke_token("app", "site"), NotFoundError, "no token with name 'site'"),
    ("start twice", lambda c: c.start_clipper(), ExistsError, "already (runs|exists).*connect"),
    # inputs
    ("text for numbers", lambda c: c.predict("app", "1.0"), InvalidInputError, "1-D array or list of numbers, not str"),
    ("element", lambda c: c.predict("app", [1.0, "x"]), InvalidInputError, r"\$\.input\[1\]"),
    ("two dimensions", lambda c: c.predict("app", np.zeros((2, 2))), InvalidInputError, "use predict_batch"),
    ("one for many", lambda c: c.predict_batch("app", 5), InvalidInputError, "sequence of inputs"),
    ("text for many", lambda c: c.predict_batch("free", "text"), InvalidInputError, r"use predict\(\)"),
    ("dict for many", lambda c: c.predict_batch("app", {"a": [1.0]}), InvalidInputError, r"json\.dumps\(row\)"),
    ("number for text", lambda c: c.predict("free", 5), InvalidInputError, "must be str, not int"),
    ("no json", lambda c: c.predict("app", [object()]), InvalidInputError, "cannot be written as JSON"),
    ("monitoring nowhere", lambda c: c.export_monitoring("/dev/null/x"), InvalidRequestError, "cannot be written.*another folder"),
    ("monitoring without folder", lambda c: c.export_monitoring(""), InvalidRequestError, "folder must be the path"),
    ("port of prometheus", lambda c: c.start_monitoring(prometheus_port=-1), InvalidRequestError, "prometheus_port"),
    ("port of grafana", lambda c: c.start_monitoring(grafana_port=70_000), InvalidRequestError, "grafana_port.*65535"),
    ("monitoring of a stranger", lambda c: c.export_monitoring("~no-such-user-here"), InvalidRequestError, "folder is '~no"),
    ("logs into a number", lambda c: c.get_clipper_logs(5), InvalidRequestError, "logging_dir must be the path"),
    ("logs nowhere", lambda c: c.get_clipper_logs("/dev/null/logs"), InvalidRequestError, "logs cannot be written"),
]  # fmt: skip


@pytest.mark.same_on_docker
@pytest.mark.parametrize(
    ("call", "error", "words"),
    [pytest.param(*case, id=name) for name, *case in BAD_CALLS],
)
def test_a_careless_call_gets_a_clear_error_and_changes_nothing(
    conn: ClipperConnection, call: Call, error: type[ClipperException], words: str
) -> None:
    before = (conn.get_all_apps(verbose=True), conn.get_all_models(verbose=True), conn.get_all_model_replicas())
    with pytest.raises(error, match=f"(?s){words}"):
        call(conn)
    assert (conn.get_all_apps(verbose=True), conn.get_all_models(verbose=True), conn.get_all_model_replicas()) == before


ARGUMENTS = {
    "name": "m", "version": 1, "input_type": "doubles", "default_output": "", "slo_micros": 1, "app_name": "a",
    "model_name": "m", "model_data_path": ".", "image": "i", "num_replicas": 1, "replica_id": 0, "model_names": ["m"],
    "model_versions_dict": {"m": ["1"]}, "input": [1.0], "inputs": [[1.0]], "df": None, "input_col": "x",
    "output_col": "y", "method": "apps", "new": NewVersion(ModelId("m", "1"), InputType.DOUBLES),
    "path": "exported.tar", "model": "m:1", "query_id": 0, "weights": {"m": 1},
    "target": "m:1", "folder": "monitoring",
}  # fmt: skip
NEED_NO_CLUSTER = {"start_clipper", "connect", "stop_all", "test_predict_function", "doctor"}
METHODS = [
    name
    for name, method in inspect.getmembers(ClipperConnection, inspect.isfunction)
    if not name.startswith("_") and name not in NEED_NO_CLUSTER
]


@pytest.mark.parametrize("name", METHODS)
def test_every_method_before_connect_says_what_to_do(kind: str, name: str) -> None:
    conn = ClipperConnection(new_manager(kind))
    parameters = list(inspect.signature(getattr(conn, name)).parameters.values())
    required = [ARGUMENTS[p.name] for p in parameters if p.default is p.empty and p.kind is not p.VAR_KEYWORD]
    with pytest.raises(UnconnectedException, match=r"call start_clipper\(\) or connect\(\) first"):
        getattr(conn, name)(*required)
    assert repr(conn).endswith("not connected>")


@pytest.mark.parametrize("deploy", [deploy_python_closure, create_endpoint])
def test_every_deployer_before_connect_says_what_to_do(kind: str, deploy: Callable[..., None]) -> None:
    conn = ClipperConnection(new_manager(kind))
    arguments = {"name": "m", "version": 1, "input_type": "doubles", "func": echo}
    with pytest.raises(UnconnectedException):
        deploy(conn, **arguments)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"cache_size": -1}, "cache_size"),
        ({"num_frontend_replicas": 65}, "num_frontend_replicas.*from 1 to 64"),
        ({"num_frontend_replicas": 0}, "num_frontend_replicas"),
        ({"qf_http_timeout_request": 0}, "qf_http_timeout_request"),
        ({"max_body_size_bytes": 1.5}, "max_body_size_bytes"),
        ({"max_waiting_size_bytes": 0}, "max_waiting_size_bytes"),
        ({"allowed_hosts": "models.example.org"}, "allowed_hosts must be a list"),
        ({"allowed_hosts": ["http://models.example.org"]}, "without scheme and port"),
        ({"query_token": "short"}, "16 to 256 characters"),
        ({"tls": "yes"}, "tls must be True, False, None or TlsFiles"),
        ({"tls": TlsFiles("", "k.pem")}, "The certificate of TlsFiles must be the path of a file"),
        ({"tls": TlsFiles("/no/c.pem", "/no/k.pem")}, "cannot be read from /no/c.pem: No such file"),
        ({"allow_origins": ["app.example.org"]}, "as browsers send them"),
        ({"allow_origins": ["https://app.example.org/"]}, "without a path"),
    ],
)
def test_bad_start_options_are_refused_and_start_nothing(kind: str, options: dict, words: str) -> None:
    manager = new_manager(kind)
    with pytest.raises(InvalidRequestError, match=words):
        ClipperConnection(manager).start_clipper(**options)
    assert leftovers(manager) == []


@pytest.mark.parametrize("name", ["", "a/b", "..", "a b", None, 5])
def test_bad_cluster_names_are_refused(kind: str, name: Any) -> None:
    with pytest.raises(InvalidNameError, match="cluster name"):
        type(new_manager(kind))(name)


def test_a_function_can_be_tried_before_it_is_deployed(kind: str) -> None:
    conn = ClipperConnection(new_manager(kind))
    assert conn.test_predict_function({"input": [1.0, 2.0]}, lambda xs: [x.sum() for x in xs], "doubles") == [3.0]
    assert conn.test_predict_function({"input_batch": ["a", "b"]}, lambda xs: [x.upper() for x in xs], "strings") == [
        "A",
        "B",
    ]
    with pytest.raises(InvalidInputError, match=r"\$\.input\[0\]"):
        conn.test_predict_function({"input": ["x"]}, echo, "doubles")
    with pytest.raises(ClipperException, match="for 1 inputs"):
        conn.test_predict_function({"input": [1.0]}, lambda xs: [], "doubles")
