"""The cluster cannot be started or reached, or does not answer as it should. (pure)"""

from __future__ import annotations

from clipper_nb.errors.base import ClipperException, log_end


class ClusterError(ClipperException):
    """The cluster cannot be started or reached."""


class ClusterStartError(ClusterError):
    """The cluster does not come up."""

    def __init__(self, what: str, log_tail: str = "") -> None:
        super().__init__(what + log_end(log_tail))
        self.log_tail = log_tail


class ClusterFolderError(ClusterStartError):
    """A folder is not the cluster's own, or others may write there; nothing in it was touched."""


class ClusterNotFoundError(ClusterError):
    """No cluster with that name runs here."""


class ClusterUnreachableError(ClusterError):
    """A frontend or the cluster's supervisor did not answer in time.

    Attributes
    ----------
    is_passing : bool
        Whether the connection was refused or broke, as happens while a frontend restarts.
    """

    def __init__(self, msg: str, *, is_passing: bool = False) -> None:
        super().__init__(msg)
        self.is_passing = is_passing


class EngineUnreachableError(ClusterError):
    """No Docker Engine answers."""

    def __init__(self, address: str, what: str) -> None:
        super().__init__(
            f"No Docker Engine answers at {address}, {what.rstrip('.')}. Start it, or set DOCKER_HOST to where it is. "
            "Without Docker, LocalContainerManager() runs the same cluster as local processes."
        )
        self.address = address


class ManagementError(ClipperException):
    """The management frontend answered with an unexpected status."""

    def __init__(self, status: int, body: str) -> None:
        super().__init__(f"The management frontend answered with status {status}: {body[:500]}")
        self.status, self.body = status, body


class PredictionError(ClipperException):
    """The model raised, or returned something that is not one output per input.

    Attributes
    ----------
    exception_type : str
        Name of the exception's class in the model container.
    traceback_text : str
        The exception's traceback in the model container; empty when there is none.
    """

    def __init__(self, message: str, exception_type: str = "PredictionError", traceback_text: str = "") -> None:
        super().__init__(message)
        self.exception_type, self.traceback_text = exception_type, traceback_text


class StateUnavailableError(ClipperException):
    """Redis does not answer, so the configuration cannot be read or changed.

    Attributes
    ----------
    is_in_doubt : bool
        Whether the change that was asked for may have been made.
    """

    def __init__(self, msg: str, *, is_in_doubt: bool = False) -> None:
        super().__init__(msg)
        self.is_in_doubt = is_in_doubt


class ProtocolError(ClipperException):
    """A frame or body is malformed, or speaks another version of the protocol."""
