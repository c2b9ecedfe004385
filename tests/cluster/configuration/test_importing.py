"""What an import checks before it changes anything, and what it undoes when a step fails."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from clipper_nb import ClipperConnection, ExistsError, IncompatibleEnvironmentError, InvalidRequestError
from clipper_nb.cluster.configuration.archive import new_archive
from clipper_nb.cluster.configuration.manifest import ExportedApplication, ExportedToken, ExportedVersion, Manifest
from clipper_nb.errors import ConfigurationFileError, ImageBuildError
from clipper_nb.images.builder import ImageSource
from clipper_nb.protocol.autoscaling import ScalingRule
from clipper_nb.protocol.policies import Policy
from clipper_nb.testing import RecordingContainerManager
from clipper_nb.version import __version__
from tests.support.management_frontend import (
    ManagementFrontend,
    application,
    client_of,
    refusal,
    replicas_of,
    version,
)


class Bench:
    """A connection to a cluster that records what it is asked."""

    def __init__(self, **known: Any) -> None:
        self.manager = RecordingContainerManager()
        self.frontend = ManagementFrontend(replicas=replicas_of(self.manager), **known)
        self.frontend.answers["get_deploy_state"] = {
            "release": __version__, "query_frontend_releases": [__version__], "is_registered": False,
            "current_version": None, "has_application": False, "linked_input_types": {},
        }  # fmt: skip
        self.conn = ClipperConnection(self.manager)
        self.conn.connected, self.conn._management = True, client_of(self.frontend)

    def asked(self, action: str, *fields: str) -> list[Any]:
        return [tuple(request[field] for field in fields) for request in self.frontend.requests(action)]


def write(
    path: Path,
    *,
    python: str = "",
    link: str = "net",
    tokens: tuple[ExportedToken, ...] = (),
    traffic: dict[str, float] | None = None,
    policy: Policy | None = None,
    **options: Any,
) -> Path:
    metadata = json.dumps({"kind": "python_closure", "environment": {"Python": python} if python else {}})
    with new_archive(path) as archive:
        versions = []
        for number in ("1", "2"):
            source = ImageSource({"func.pkl": b"", "metadata.json": metadata.encode()}, ["humanize"], "my/base:1")
            bundle = archive.add_bundle(f"models/net/{number}", source)
            versions.append(
                ExportedVersion(
                    name="net",
                    version=number,
                    input_type="doubles",
                    is_current=number == "1",
                    num_replicas=2,
                    bundle=bundle,
                    **options,
                )
            )
        outside = ExportedVersion(
            name="outside", version="1", input_type="ints", is_current=True, num_replicas=0, image="NO_CONTAINER"
        )
        own = ExportedVersion(
            name="own", version="1", input_type="ints", is_current=True, num_replicas=1, image="own:1"
        )
        app = ExportedApplication(
            name="app", input_type="doubles", default_output="-1", slo_micros=1000,
            linked_models=() if traffic else (link,), traffic=traffic or {}, policy=policy, tokens=tokens,
        )  # fmt: skip
        archive.add_manifest(
            Manifest(release="0.2", cluster_name="c", applications=(app,), versions=(*versions, outside, own))
        )
    return path


@pytest.fixture
def exported(tmp_path: Path) -> Path:
    return write(tmp_path / "exported.tar")


def test_all_is_deployed_and_what_was_current_becomes_current(exported: Path) -> None:
    bench = Bench()
    bench.manager.image_builder.files["own:1"] = {}
    imported = bench.conn.import_configuration(str(exported))
    assert imported.models == ("net:1", "net:2", "outside:1", "own:1")
    assert bench.asked("add_model", "model_name", "model_version", "num_replicas", "becomes_current") == [
        ("net", "1", 2, True), ("net", "2", 2, False), ("outside", "1", 0, True), ("own", "1", 1, True),
    ]  # fmt: skip
    built = bench.manager.image_builder.requests
    assert [(request.packages, request.base_image) for request in built] == [(["humanize"], "my/base:1")] * 2
    assert [call for call in bench.manager.calls if call[0] == "set_num_replicas"] == [
        ("set_num_replicas", "net:1", 2), ("set_num_replicas", "net:2", 2), ("set_num_replicas", "own:1", 1),
    ]  # fmt: skip
    assert bench.frontend.changes[-2:] == ["add_app", "add_model_links"]


def test_bounds_of_autoscaling_come_with_the_version(tmp_path: Path) -> None:
    bench = Bench()
    bench.manager.image_builder.files["own:1"] = {}
    bench.conn.import_configuration(str(write(tmp_path / "exported.tar", autoscaling=ScalingRule(1, 4, 0.5))))
    bounds = {"min_replicas": 1, "max_replicas": 4, "target": 0.5, "period_s": 10.0, "stable_s": 60.0}
    assert bench.asked("add_model", "num_replicas", "autoscaling") == [
        (2, bounds), (2, bounds), (0, None), (1, None),
    ]  # fmt: skip


@pytest.mark.parametrize(("rule", "words"), [
    (ScalingRule(4, 1), "net:1 cannot be autoscaled so: min must not exceed max"),
    (ScalingRule(3, 4), "net:1 has 2 replicas and is autoscaled between 3-4"),
])  # fmt: skip
def test_bounds_that_cannot_be_are_refused(tmp_path: Path, rule: ScalingRule, words: str) -> None:
    bench = Bench()
    with pytest.raises(ConfigurationFileError, match=words):
        bench.conn.import_configuration(str(write(tmp_path / "exported.tar", autoscaling=rule)))
    assert bench.frontend.changes == []


def test_tokens_come_with_the_time_that_they_have_left(tmp_path: Path) -> None:
    tokens = tuple(
        ExportedToken(name=name, digest="ab" * 32, expires_at=expires_at)
        for name, expires_at in (("for-ever", None), ("old", time.time() - 1.0), ("new", time.time() + 1000.0))
    )
    bench = Bench()
    bench.manager.image_builder.files["own:1"] = {}
    bench.conn.import_configuration(str(write(tmp_path / "exported.tar", tokens=tokens)))
    asked = bench.asked("create_token", "token_name", "digest", "expires_s")
    found = {name: (digest, left_s) for name, digest, left_s in asked}
    assert found.keys() == {"for-ever", "new"}
    assert found["for-ever"] == ("ab" * 32, None)
    assert 990.0 < found["new"][1] <= 1000.0


@pytest.mark.parametrize(
    ("names", "digest", "words"),
    [(("a",), "AB" * 32, "Token 'a' of 'app' cannot be one"), (("a",), "", "cannot be one"),
     (("a", "a"), "ab" * 32, "two entries for token of 'app' 'a'"), (("a b",), "ab" * 32, "a b")],
)  # fmt: skip
def test_token_that_cannot_be_one_is_refused(tmp_path: Path, names: Any, digest: str, words: str) -> None:
    path = write(tmp_path / "exported.tar", tokens=tuple(ExportedToken(name=name, digest=digest) for name in names))
    bench = Bench()
    with pytest.raises(ConfigurationFileError, match=words):
        bench.conn.import_configuration(str(path))
    assert bench.frontend.changes == []


def test_traffic_is_set_in_place_of_a_link(tmp_path: Path) -> None:
    bench = Bench()
    bench.manager.image_builder.files["own:1"] = {}
    bench.frontend.answers["get_traffic"] = {"app_name": "app", "targets": []}
    bench.conn.import_configuration(write(tmp_path / "exported.tar", traffic={"net": 9.0, "net:2": 1.0}))
    assert bench.frontend.changes[-2:] == ["add_app", "set_traffic"]
    assert bench.asked("set_traffic", "app_name", "weights") == [("app", {"net": 9.0, "net:2": 1.0})]


def test_policy_is_set_with_its_options(tmp_path: Path) -> None:
    bench = Bench()
    bench.manager.image_builder.files["own:1"] = {}
    bench.frontend.answers["get_traffic"] = {"app_name": "app", "targets": []}
    policy = Policy(name="exp4", half_life_s=60.0, min_confidence=0.5)
    bench.conn.import_configuration(write(tmp_path / "e.tar", traffic={"net": 1.0, "net:2": 2.0}, policy=policy))
    told = {"name": "exp4", "half_life_s": 60.0, "min_confidence": 0.5}
    assert bench.asked("set_traffic", "weights", "policy") == [({"net": 1.0, "net:2": 2.0}, told)]


def test_what_exists_is_refused_before_anything_changes(exported: Path) -> None:
    bench = Bench(applications=[application("app")], versions=[version("net", "2")])
    with pytest.raises(ExistsError, match=r"has application 'app', version net:2 already; nothing was imported"):
        bench.conn.import_configuration(exported)
    assert (bench.frontend.changes, bench.manager.calls) == ([], [])


def test_what_exists_is_kept_with_its_current_version(exported: Path) -> None:
    bench = Bench(applications=[application("app")], versions=[version("net", "2"), version("own"), version("outside")])
    imported = bench.conn.import_configuration(exported, existing="skip")
    assert (imported.applications, imported.models) == ((), ("net:1",))
    assert imported.skipped == ("application 'app'", "version net:2", "version outside:1", "version own:1")
    assert bench.asked("add_model", "model_version", "becomes_current") == [("1", False)]


@pytest.mark.parametrize(
    ("python", "options", "error", "words"),
    [
        ("3.4.1", {}, IncompatibleEnvironmentError, "Import it from a notebook with that Python"),
        ("", {"environment_variables": {"NOT_SET_ANYWHERE": None}}, InvalidRequestError, "NOT_SET_ANYWHERE"),
        ("", {"environment_variables": {"PATH": "/evil"}}, InvalidRequestError, "PATH is reserved"),
        ("", {"batch_size": 0}, InvalidRequestError, "batch_size"),
        ("", {"hang_timeout_s": -1.0}, InvalidRequestError, "hang_timeout_s"),
    ],
)
def test_undeployable_version_is_refused_before_any_change(
    tmp_path: Path, python: str, options: dict[str, Any], error: type[Exception], words: str
) -> None:
    bench = Bench()
    with pytest.raises(error, match=words):
        bench.conn.import_configuration(write(tmp_path / "exported.tar", python=python, **options))
    assert (bench.frontend.changes, bench.manager.calls) == ([], [])


def test_failed_deploy_undoes_what_was_deployed_before(exported: Path) -> None:
    bench = Bench(versions=[version("net", "1"), version("outside")])  # as they are once they are registered
    bench.frontend.answers["get_all_models"] = []
    bench.frontend.answers["add_app"] = refusal(400, "no such thing")
    bench.manager.image_builder.files["own:1"] = {}
    with pytest.raises(InvalidRequestError, match="no such thing"):
        bench.conn.import_configuration(exported)
    assert len(bench.frontend.requests("add_model")) == 4
    assert bench.manager.replicas == []
    assert bench.asked("delete_app", "name") == [("app",)]


def test_version_of_another_caller_is_not_undone(exported: Path) -> None:
    bench = Bench()
    bench.frontend.answers["claim_version"] = refusal(409, "another caller was faster")
    with pytest.raises(ExistsError, match="faster"):
        bench.conn.import_configuration(exported)
    assert "delete_versioned_model" not in bench.frontend.changes
    assert bench.manager.calls == []


def test_failed_build_leaves_nothing(exported: Path) -> None:
    bench = Bench()
    bench.manager.image_builder.error = ImageBuildError("no room")
    with pytest.raises(ImageBuildError, match="no room"):
        bench.conn.import_configuration(exported)
    assert bench.frontend.requests("add_model") == []


@pytest.mark.parametrize(
    ("known", "changes"),
    [
        (application("app", latency_slo_micros=1000), ["create_token", "add_model_links"]),
        (application("app", "other", latency_slo_micros=1000), []),
        (application("app", latency_slo_micros=2000), []),
    ],
    ids=["the same, without a link", "linked by its user", "of other settings"],
)
def test_rest_of_an_import_that_was_killed_is_done(tmp_path: Path, known: Any, changes: list[str]) -> None:
    tokens = (ExportedToken(name="phone", digest="ab" * 32),)
    versions = [version("net", "1"), version("net", "2"), version("outside"), version("own")]
    bench = Bench(applications=[known], versions=versions)
    path = write(tmp_path / "exported.tar", tokens=tokens)
    imported = bench.conn.import_configuration(path, existing="skip")
    assert imported.applications == (("app",) if changes else ())
    assert bench.frontend.changes == changes
    with pytest.raises(ExistsError, match="application 'app'"):
        bench.conn.import_configuration(path)


@pytest.mark.parametrize(
    ("options", "words"), [({"existing": "replace"}, '"refuse" or "skip"'), ({"timeout_s": 0}, "timeout_s")]
)
def test_bad_arguments_are_refused(exported: Path, options: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidRequestError, match=words):
        Bench().conn.import_configuration(exported, **options)
    for path in ("", 5, None):
        with pytest.raises(InvalidRequestError, match="path must be the path of a file"):
            Bench().conn.import_configuration(path)  # type: ignore[arg-type]
