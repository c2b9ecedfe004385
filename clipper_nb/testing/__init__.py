"""For tests of yours, with pytest: what every container manager must keep, and doubles that run nothing."""

from clipper_nb.testing.contract import ContainerManagerContract
from clipper_nb.testing.doubles import RecordingContainerManager, RecordingImageBuilder

__all__ = ["ContainerManagerContract", "RecordingContainerManager", "RecordingImageBuilder"]
