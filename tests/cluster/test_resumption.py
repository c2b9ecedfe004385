"""Which replicas a resumed cluster gets; no process is started."""

from __future__ import annotations

import pytest

from clipper_nb.cluster.resumption import resume_replicas
from clipper_nb.errors import ImageNotFoundError
from clipper_nb.protocol.records import CONTAINERLESS_IMAGE
from clipper_nb.testing import RecordingContainerManager
from tests.support.management_frontend import ManagementFrontend, application, client_of, replicas_of, version


class Steps:
    """What a call says that it does."""

    def __init__(self) -> None:
        self.names: list[str] = []

    def step(self, name: str) -> None:
        self.names.append(name)

    def detail(self, text: str) -> None:
        pass


def resume(manager, *versions, applications=()):
    """Resume a cluster with these versions; return the steps that were shown."""
    frontend = ManagementFrontend(
        applications=list(applications), versions=list(versions), replicas=replicas_of(manager)
    )
    steps = Steps()
    resume_replicas(manager, client_of(frontend), steps)
    return steps.names


def test_each_version_gets_as_many_replicas_as_it_had():
    manager = RecordingContainerManager()
    steps = resume(
        manager,
        version("net", "1", num_replicas=2),
        version("net", "2", num_replicas=1),
        version("idle", num_replicas=0),
        version("own", num_replicas=0, container_name=CONTAINERLESS_IMAGE),
        applications=[application("digits", "net")],
    )
    assert [(replica.model, replica.image) for replica in manager.replicas] == [
        ("net:1", "net:1-image"), ("net:1", "net:1-image"), ("net:2", "net:2-image"),
    ]  # fmt: skip
    assert steps == ["Resume 1 application, 4 model versions, 3 replicas"]


def test_version_whose_image_is_gone_is_logged_and_others_start(caplog: pytest.LogCaptureFixture):
    class Manager(RecordingContainerManager):
        def set_num_replicas(self, model_id, **wanted):
            if model_id.name == "lost":
                raise ImageNotFoundError("lost:1-image", "It was removed.")
            super().set_num_replicas(model_id, **wanted)

    manager = Manager()
    resume(manager, version("lost"), version("net"))
    assert [replica.model for replica in manager.replicas] == ["net:1"]
    assert "lost:1 has no replicas again: There is no image" in caplog.text
