"""When versions are stopped, their images go; what anybody may still need stays."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from clipper_nb.cluster.image_cleanup import remove_unused_images
from clipper_nb.display.progress import QUIET, Progress
from clipper_nb.errors import ClusterUnreachableError
from clipper_nb.images.builder import DeployedImage, ImageBuilder, ImageRequest
from clipper_nb.protocol.containers import ObservedContainer
from clipper_nb.protocol.descriptions import ClaimInfo, VersionInfo
from clipper_nb.protocol.names import ModelId
from tests.support.records import make_version_info

ONE, TWO = ModelId("m", "1"), ModelId("m", "2")


class RecordingBuilder(ImageBuilder):
    """Has the images ``m:1-a``, ``m:1-b`` and ``m:2-c``, and records which are removed."""

    def __init__(self) -> None:
        self.removed: list[str] = []

    def build(self, request: ImageRequest, progress: Progress = QUIET) -> str:
        raise NotImplementedError

    def remove(self, image: str) -> None:
        self.removed.append(image)

    def find_deployed(self, cluster_name: str) -> list[DeployedImage]:
        return [DeployedImage("m:1-a", ONE), DeployedImage("m:1-b", ONE), DeployedImage("m:2-c", TWO)]


class Cluster:
    """What is asked of a manager and a management frontend."""

    cluster_name = "c"

    def __init__(
        self, *, registered: Sequence[str] = (), claimed: Sequence[str] = (), running: Sequence[str] = ()
    ) -> None:
        self._registered, self._claimed, self._running = registered, claimed, running

    def get_models(self) -> list[VersionInfo]:
        return [make_version_info(image=image) for image in self._registered]

    def get_claims(self) -> list[ClaimInfo]:
        return [ClaimInfo(model=version) for version in self._claimed]

    def observe_replicas(self) -> list[ObservedContainer]:
        return [ObservedContainer("r", "replica", "m:9", True, 0, None, 1, image=image) for image in self._running]


class LostCluster(Cluster):
    def get_models(self) -> list[VersionInfo]:
        raise ClusterUnreachableError("The management frontend does not answer.")


def _removed(cluster: Any, stopped: dict[ModelId, str], claimed_here: ModelId | None = None) -> list[str]:
    builder = RecordingBuilder()
    remove_unused_images(builder, cluster, cluster, stopped, claimed_here=claimed_here)
    return builder.removed


def test_deployed_images_of_a_stopped_version_are_removed():
    assert _removed(Cluster(registered=["m:2-c"]), {ONE: "m:1-a"}) == ["m:1-a", "m:1-b"]


@pytest.mark.parametrize("need", ["registered", "running"])
def test_image_that_another_version_needs_stays(need):
    assert _removed(Cluster(**{need: ["m:1-a"]}), {ONE: "m:1-a"}) == ["m:1-b"]


def test_version_that_another_caller_redeploys_is_kept():
    assert _removed(Cluster(claimed=["m:1"]), {ONE: "m:1-a", TWO: "m:2-c"}) == ["m:2-c"]


def test_failed_deploy_image_is_removed_despite_its_own_claim():
    assert _removed(Cluster(claimed=["m:1"]), {ONE: "m:1-a"}, claimed_here=ONE) == ["m:1-a", "m:1-b"]


def test_no_image_is_removed_if_the_cluster_cannot_be_asked():
    assert _removed(LostCluster(), {ONE: "m:1-a"}) == []
