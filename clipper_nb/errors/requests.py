"""The caller can fix it: what was asked for is invalid, does not exist, or is taken. (pure)"""

from __future__ import annotations

from collections.abc import Sequence

from clipper_nb.errors.base import ClipperException


class UnconnectedException(ClipperException):
    """A method that needs a cluster was called before ``start_clipper()`` or ``connect()``."""

    def __init__(self, method: str = "This method") -> None:
        super().__init__(f"{method} needs a cluster: call start_clipper() or connect() first.")


class InvalidRequestError(ClipperException):
    """The caller asked for something invalid; the message says what to change."""


class InvalidNameError(InvalidRequestError):
    """A name or version breaks its rule."""

    def __init__(self, what: str, value: object, rule: str) -> None:
        super().__init__(f"{value!r} is not a valid {what}: {rule}")
        self.what, self.value, self.rule = what, value, rule


class UnauthorizedError(InvalidRequestError):
    """The query frontend asks for a token, or the one that it got is not good for what was asked."""


class InvalidInputError(InvalidRequestError):
    """An input does not fit the input type it is sent to."""


class InputTypeConflictError(InvalidRequestError):
    """A version takes another input type than an application that its model is linked to."""

    def __init__(self, model_name: str, input_type: str, application_name: str, application_type: str) -> None:
        super().__init__(
            f"Model '{model_name}' is linked to application '{application_name}', which takes {application_type}; a "
            f"version that takes {input_type} cannot serve it."
        )
        self.model_name, self.input_type = model_name, input_type
        self.application_name, self.application_type = application_name, application_type


class NotFoundError(ClipperException):
    """The thing that was named does not exist."""


class ApplicationNotFoundError(NotFoundError):
    """No application has that name."""

    def __init__(self, name: str, known: Sequence[str] | None = None) -> None:
        super().__init__(f"No application with name '{name}' exists.{_known('Applications', known)}")
        self.name = name


class ModelNotFoundError(NotFoundError):
    """No model has that name, or the model has no such version."""

    def __init__(self, name: str, version: str | None = None, known: Sequence[str] | None = None) -> None:
        if version is None:
            sentence = f"No model with name '{name}' exists.{_known('Models', known)}"
        else:
            sentence = f"No model with name '{name}' and version '{version}' exists.{_known('Versions', known)}"
        super().__init__(sentence)
        self.name, self.version = name, version


class ImageNotFoundError(NotFoundError):
    """The image of a model version is missing where replicas are started."""

    def __init__(self, image: str, hint: str) -> None:
        super().__init__(f"There is no image '{image}'. {hint}")
        self.image = image


class ExistsError(ClipperException):
    """That name is already taken."""


class VersionExistsError(ExistsError):
    """The model has that version already; *free* is one that it does not have."""

    def __init__(self, name: str, version: str, free: str) -> None:
        super().__init__(
            f"Model '{name}' already has a version '{version}', and versions are immutable. Version '{free}' is free; "
            "a deploy with version=None takes it."
        )
        self.name, self.version, self.free = name, version, free


class VersionClaimedError(ExistsError):
    """Another caller deploys or scales that version at this moment."""


class ClaimLostError(ExistsError):
    """Another caller stopped, or took over, the version that was being deployed or scaled."""

    def __init__(self, model_id: str) -> None:
        super().__init__(
            f"{model_id} was stopped by another caller while it was being deployed or scaled, or this process was "
            "suspended for so long that the cluster considered it dead. Deploy it again."
        )
        self.model_id = model_id


class ConfigurationFileError(ClipperException):
    """The file of an exported configuration cannot be written or read; the message says why."""


def _known(what: str, names: Sequence[str] | None) -> str:
    if names is None:
        return ""
    if not names:
        return f" There are no {what.lower()} yet."
    shown = ", ".join(names[:10]) + (", …" if len(names) > 10 else "")
    return f" {what}: {shown}."
