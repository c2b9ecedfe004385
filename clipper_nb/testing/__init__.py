"""For your own tests, with pytest: the contract of container managers, and doubles that run nothing."""

from clipper_nb.testing.contract import ContainerManagerContract
from clipper_nb.testing.doubles import RecordingContainerManager, RecordingImageBuilder

__all__ = ["ContainerManagerContract", "RecordingContainerManager", "RecordingImageBuilder"]
