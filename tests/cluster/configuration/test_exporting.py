"""What is in the file that an export writes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from clipper_nb import ConfigurationFileError, ImageNotFoundError
from clipper_nb.cluster.configuration.archive import open_archive
from clipper_nb.cluster.configuration.manifest import Manifest
from clipper_nb.images.builder import ImageRequest
from clipper_nb.protocol.autoscaling import ScalingRule
from clipper_nb.protocol.names import ModelId
from clipper_nb.protocol.policies import Policy
from clipper_nb.testing import RecordingContainerManager
from tests.support.management_frontend import ManagementFrontend, application, connection_to, version


class Bench:
    """A cluster with one model whose image was built, and a connection to it."""

    def __init__(self, tmp_path: Path, *more: Any, **options: Any) -> None:
        self.manager = RecordingContainerManager()
        self.path = tmp_path / "exported.tar"
        bundle = tmp_path / "bundle"
        bundle.mkdir()
        (bundle / "func.pkl").write_bytes(b"function")
        request = ImageRequest("c", ModelId("net", "1"), str(bundle), packages=["humanize"])
        image = self.manager.image_builder.build(request)
        net = version("net", container_name=image, environment_variables=["TOKEN"], num_replicas=3, **options)
        self.frontend = ManagementFrontend(applications=[application("app", "net")], versions=[net, *more])
        self.frontend.answers["get_environment_variables"] = {"TOKEN": "s3cret"}

    def export(self, **options: Any) -> Manifest:
        connection_to(self.frontend, self.manager).export_configuration(self.path, **options)
        with open_archive(self.path) as archive:
            return archive.manifest


def test_records_and_bundles_are_in_the_file(tmp_path: Path) -> None:
    bench = Bench(tmp_path, labels=["a"], limits={"memory": 2**30, "cpus": 1.5, "processes": None})
    manifest = bench.export()
    (net,) = manifest.versions
    assert net.bundle is not None
    assert [file.path for file in net.files] == ["func.pkl"]
    assert (net.bundle.packages, net.num_replicas, net.labels, net.is_current) == (("humanize",), 3, ("a",), True)
    assert (net.limits.memory, net.limits.cpus) == (2**30, 1.5)
    assert net.environment_variables == {"TOKEN": "s3cret"}
    assert manifest.applications[0].linked_models == ("net",)


def test_bounds_of_autoscaling_are_in_the_file(tmp_path: Path) -> None:
    scaled = {
        "min_replicas": 1,
        "max_replicas": 4,
        "target": 0.5,
        "too_few": 2,
        "events": [{"at": 1.0, "text": "grew"}],
    }
    (net,) = Bench(tmp_path, autoscaling=scaled).export().versions
    assert (net.num_replicas, net.autoscaling) == (3, ScalingRule(1, 4, 0.5))


def test_digests_of_tokens_are_in_the_file(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    tokens = [{"token_name": "shop", "created_at": 1.0, "expires_at": 9e9, "digest": "ab" * 32}]
    bench.frontend.answers["get_tokens"] = tokens
    [app] = bench.export().applications
    assert [(token.name, token.digest, token.expires_at) for token in app.tokens] == [("shop", "ab" * 32, 9e9)]
    assert bench.frontend.requests("get_tokens") == [{"app_name": "app", "with_digests": True}]


def test_token_without_a_digest_is_not_lost_silently(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.frontend.answers["get_tokens"] = [{"token_name": "shop", "created_at": 1.0, "expires_at": None}]
    with pytest.raises(ConfigurationFileError, match="Token 'shop' of 'app' cannot be exported"):
        bench.export()


def test_traffic_is_in_the_file_in_place_of_a_link(tmp_path: Path) -> None:
    bench = Bench(tmp_path, version("net", "2", is_current=False, container_name="NO_CONTAINER", num_replicas=0))
    targets = [{"target": "net", "weight": 9.0, "share": 0.9}, {"target": "net:2", "weight": 1.0, "share": 0.1}]
    policy = {"name": "ensemble", "min_confidence": 0.5}
    bench.frontend.answers["get_all_applications"] = [application("app", "net", traffic=targets, policy=policy)]
    (exported,) = bench.export().applications
    assert (exported.linked_models, exported.traffic) == ((), {"net": 9.0, "net:2": 1.0})
    assert exported.policy == Policy(name="ensemble", min_confidence=0.5)


def test_values_of_variables_are_left_out_if_asked(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    assert bench.export(include_environment=False).versions[0].environment_variables == {"TOKEN": None}
    assert b"s3cret" not in bench.path.read_bytes()
    assert bench.frontend.requests("get_environment_variables") == []


def test_versions_without_a_bundle_are_exported_by_name(tmp_path: Path) -> None:
    bench = Bench(
        tmp_path,
        version("outside", container_name="NO_CONTAINER", num_replicas=0),
        version("registered", container_name="not/here:1", num_replicas=0),
    )
    by_name = {each.name: (each.image, each.bundle) for each in bench.export().versions if each.name != "net"}
    assert by_name == {"outside": ("NO_CONTAINER", None), "registered": ("not/here:1", None)}


def test_missing_image_of_a_running_version_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ImageNotFoundError, match="not/here:1"):
        Bench(tmp_path, version("gone", container_name="not/here:1")).export()
    assert not (tmp_path / "exported.tar").exists()


def test_configuration_that_keeps_changing_is_not_exported(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    names = iter(range(1000))
    bench.frontend.answers["get_all_applications"] = lambda request: [application(f"app-{next(names)}")]
    with pytest.raises(ConfigurationFileError, match="keeps changing"):
        bench.export()
