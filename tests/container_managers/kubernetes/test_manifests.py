"""The objects of a cluster, byte for byte, and that the newest Kubernetes knows each of their fields."""

from __future__ import annotations

import dataclasses
import json
import os
from pathlib import Path

import pytest

from clipper_nb.container_managers.kubernetes.core_manifests import core_manifests, core_specs
from clipper_nb.container_managers.kubernetes.images import IF_NOT_PRESENT, PodImage
from clipper_nb.container_managers.kubernetes.manifests import to_yaml, without_status
from clipper_nb.container_managers.kubernetes.model_objects import VersionPods, version_objects
from clipper_nb.container_managers.kubernetes.pods import literal
from clipper_nb.container_managers.kubernetes.settings import KubernetesSettings
from clipper_nb.container_managers.kubernetes.state import ClusterState, CoreImage, decode_state
from clipper_nb.container_managers.specs import ClusterOptions, replica_spec
from clipper_nb.errors import ClusterUnreachableError
from clipper_nb.protocol.input_types import InputType
from clipper_nb.protocol.names import ModelId
from clipper_nb.protocol.replica_proof import make_credentials
from clipper_nb.protocol.resource_limits import ResourceLimits
from clipper_nb.runtime.model_container.settings import model_container_settings
from clipper_nb.runtime.settings import management_frontend_settings, query_frontend_settings

GOLDEN = Path(__file__).parent / "golden"
FRONTEND = CoreImage("registry.example.com/clipper_nb-frontend@sha256:0a", IF_NOT_PRESENT)
STATE = ClusterState(
    admin_token="admin-token",
    redis_password="redis-password",
    run_id="0123456789ab",
    options=json.loads(json.dumps(ClusterOptions(num_frontend_replicas=2, query_token="query-token").stored())),
    images={
        "query_frontend": FRONTEND,
        "management_frontend": FRONTEND,
        "redis": CoreImage("redis:7", IF_NOT_PRESENT),
    },
    storage_class="fast",
    query_service="LoadBalancer",
    management_service="ClusterIP",
    package_version="0",
)
SETTINGS = KubernetesSettings(
    namespace="team",
    image_pull_secrets=("registry-key",),
    node_selector={"kubernetes.io/arch": "amd64"},
    tolerations=({"key": "gpu", "operator": "Exists"},),
    resources=ResourceLimits(memory="1g", cpus=1),
    requests=ResourceLimits(memory="256m", cpus=0.1),
)
MODEL = ModelId("digits-net", "1.0_rc1")


@pytest.fixture(autouse=True)
def one_release(monkeypatch):
    monkeypatch.setattr("clipper_nb.container_managers.kubernetes.names.__version__", "0.0.0")


def core(settings=SETTINGS, state=STATE, **options):
    return core_manifests(settings, "lab", state, **{"has_budgets": True, **options})


def version(**changes):
    credentials = make_credentials("secret", MODEL, "digits-net_1.0_rc1")
    spec = replica_spec(
        MODEL, name="digits-net_1.0_rc1", command=(), image="lab-digits-net:1.0_rc1-0a", input_type=InputType.DOUBLES,
        rpc_host="query-frontend-rpc-at-lab", rpc_port=7000, load_timeout_s=60, credentials=credentials,
    )  # fmt: skip
    image = PodImage("registry.example.com/lab-digits-net@sha256:0b", IF_NOT_PRESENT, runs_our_program=True)
    pods = VersionPods(
        MODEL, "lab-digits-net:1.0_rc1-0a", image, spec, {"PASSWORD": "$(HOME)"}, limits=ResourceLimits(cpus=2)
    )
    return version_objects(SETTINGS, "lab", dataclasses.replace(pods, **changes), 3)


@pytest.mark.parametrize(("name", "objects"), [("core", core), ("version", version)])
def test_objects_are_those_that_were_reviewed(name, objects):
    made, golden = to_yaml(objects()), GOLDEN / f"{name}.yaml"
    if os.environ.get("UPDATE_GOLDEN"):
        golden.write_text(made)
    assert made == golden.read_text()


def test_the_newest_kubernetes_knows_every_field():
    from lightkube.codecs import from_dict

    for manifest in (*core(), *version()):
        assert from_dict(manifest).to_dict() == manifest


def test_only_stable_apis_are_used():
    assert {each["apiVersion"] for each in (*core(), *version())} == {
        "v1",
        "apps/v1",
        "policy/v1",
        "networking.k8s.io/v1",
    }
    assert "policy/v1" not in {each["apiVersion"] for each in core(has_budgets=False)}


def pod_specs():
    return [each["spec"]["template"]["spec"] for each in (*core(), *version()) if "template" in each.get("spec", {})]


def test_every_pod_fulfils_the_restricted_profile():
    assert len(pod_specs()) == 4
    for spec in pod_specs():
        assert spec["securityContext"]["runAsNonRoot"]
        assert spec["securityContext"]["runAsUser"] > 0
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert not spec["automountServiceAccountToken"]
        for container in spec["containers"]:
            context = container["securityContext"]
            assert context == {
                "allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}, "readOnlyRootFilesystem": True,
            }  # fmt: skip


def test_secrets_are_in_secrets_alone():
    objects = [each for each in (*core(), *version()) if each["kind"] != "Secret"]
    text = to_yaml(objects)
    for secret in ("admin-token", "redis-password", "query-token", "$(HOME)"):
        assert secret not in text
        assert secret in to_yaml([*core(), *version()])


def test_no_pod_has_the_secrets_of_another():
    by_role = {}
    for each in core():
        if "template" in each.get("spec", {}):
            items = each["spec"]["template"]["spec"]["volumes"][0]["secret"]["items"]
            by_role[each["metadata"]["labels"]["ai.clipper.role"]] = {item["key"].partition(".")[0] for item in items}
    assert by_role == {role: {role} for role in ("redis", "query_frontend", "management_frontend")}


def test_frontends_understand_what_they_are_told(tmp_path):
    redis, management, query = core_specs(SETTINGS, "lab", STATE)
    assert redis.secret_files
    understood = []
    for spec, read in ((management, management_frontend_settings), (query, query_frontend_settings)):
        for variable, content in spec.secret_files.items():
            (tmp_path / variable).write_text(content)
        files = {variable: str(tmp_path / variable) for variable in spec.secret_files}
        understood.append(read({**spec.environment, **files}))
    assert [each.redis.url for each in understood] == ["redis://:redis-password@redis-at-lab:6379"] * 2
    assert understood[0].admin_token == "admin-token"
    assert understood[0].run_id == understood[1].run_id == "0123456789ab"
    assert understood[1].num_frontends == 1
    assert understood[1].frontend_id not in ("", "query_frontend-0")
    assert {each.access.query_token for each in understood} == {"query-token"}
    assert "query-frontend-at-lab.team.svc.cluster.local" in understood[1].access.allowed_hosts


def test_a_replica_understands_what_it_is_told(tmp_path):
    secret, deployment = version()
    container = deployment["spec"]["template"]["spec"]["containers"][0]
    variables = {each["name"]: each["value"] for each in container["env"] if "value" in each}
    path = tmp_path / "credentials"
    path.write_text(secret["stringData"]["file.CLIPPER_REPLICA_CREDENTIALS_FILE"])
    assert variables["CLIPPER_REPLICA_CREDENTIALS_FILE"] == "/run/clipper_nb/CLIPPER_REPLICA_CREDENTIALS_FILE"
    told = {**variables, "CLIPPER_REPLICA_CREDENTIALS_FILE": str(path), "CLIPPER_REPLICA_NAME": "pod-1"}
    settings = model_container_settings(told)
    assert settings.model_id == MODEL
    assert settings.follows_frontends
    assert settings.frontend_addresses == ("query-frontend-rpc-at-lab:7000",)
    assert settings.credentials is not None
    assert settings.credentials.replica_name == "digits-net_1.0_rc1/pod-1"


def test_a_dollar_in_a_value_reaches_the_container():
    assert literal("$(HOME) costs $5") == "$$(HOME) costs $$5"


def test_without_a_storage_class_redis_has_no_claim():
    state = dataclasses.replace(STATE, storage_class=None)
    [redis] = [each for each in core(state=state) if each["kind"] == "StatefulSet"]
    assert "volumeClaimTemplates" not in redis["spec"]
    assert {"name": "data", "emptyDir": {}} in redis["spec"]["template"]["spec"]["volumes"]


def test_with_an_external_redis_there_is_none_here():
    settings = dataclasses.replace(SETTINGS, external_redis={"CLIPPER_REDIS_URL": "redis://:elsewhere@r:1"})
    objects = core(settings)
    assert not [each for each in objects if each["metadata"]["labels"].get("ai.clipper.role") == "redis"]
    assert "elsewhere" not in to_yaml([each for each in objects if each["kind"] != "Secret"])


def test_the_state_is_read_back_and_not_shown():
    assert decode_state(STATE.encode().encode(), "lab") == STATE
    assert "admin-token" not in repr(STATE)
    assert "query-token" not in repr(STATE)
    assert STATE.cluster_options.num_frontend_replicas == 2
    with pytest.raises(ClusterUnreachableError, match="cluster 'lab' cannot be read"):
        decode_state(b"{}", "lab")


def test_an_object_of_the_server_is_made_as_it_would_be_created():
    read = {
        "kind": "Deployment",
        "metadata": {"name": "n", "uid": "u", "annotations": {"deployment.kubernetes.io/revision": "1", "a": "b"}},
        "spec": {},
        "status": {"replicas": 1},
    }
    assert without_status(read) == {
        "kind": "Deployment",
        "metadata": {"name": "n", "annotations": {"a": "b"}},
        "spec": {},
    }
