"""Which versions containers without a token may serve: those that were written for Clipper have none. (pure)

The choice travels to the query frontend as one text: one of the words below, or versions as ``name:version,…``.
"""

from __future__ import annotations

from collections.abc import Iterable

from clipper_nb.errors import InvalidRequestError
from clipper_nb.protocol.names import ModelId, check_model_name, check_version
from clipper_nb.protocol.records import CONTAINERLESS_IMAGE, Configuration

NONE = "none"
ALL = "all"
CONTAINERLESS = "containerless"
"""Versions that were registered without an image."""
FOREIGN = "foreign"
"""Those, and versions of an image that no deployer of this package made."""

_WORDS = (NONE, ALL, CONTAINERLESS, FOREIGN)


class ClipperContainers:
    """The versions that containers without a token may serve.

    Parameters
    ----------
    choice : str
        What ``format_choice`` returned.
    """

    def __init__(self, choice: str) -> None:
        self._word = choice if choice in _WORDS else ""
        self._named = frozenset() if self._word else frozenset(_parse(word) for word in choice.split(","))

    def may_serve(self, model_id: ModelId, configuration: Configuration) -> bool:
        """Return whether a container without a token may serve that version, as it is configured now."""
        if self._word in ("", NONE, ALL):
            return self._word == ALL or model_id in self._named
        version = configuration.versions.get(model_id)
        if version is not None:
            is_foreign = self._word == FOREIGN and not version.provenance.environment
            return version.image == CONTAINERLESS_IMAGE or is_foreign
        claim = configuration.claims.get(model_id)
        return self._word == FOREIGN and claim is not None and claim.has_foreign_image

    def are_in_the_network(self, model_id: ModelId, configuration: Configuration) -> bool:
        """Return whether a container of that version, which may serve it, is started by the cluster itself.

        Where the user has said which versions such containers may serve, they may be anywhere.
        """
        version = configuration.versions.get(model_id)
        return self._word == FOREIGN and (version is None or version.image != CONTAINERLESS_IMAGE)

    def are_expected(self, configuration: Configuration) -> bool:
        """Return whether such a container may come at all."""
        if self._word in (NONE, ALL) or self._named:
            return self._word != NONE
        candidates: Iterable[ModelId] = (*configuration.versions, *configuration.claims)
        return any(self.may_serve(model_id, configuration) for model_id in candidates)


def format_choice(accepted: bool | Iterable[object]) -> str:
    """Return the text for all, none or the named versions; raises ``InvalidRequestError`` if one is no version."""
    if isinstance(accepted, bool):
        return ALL if accepted else NONE
    return ",".join(str(_parse(each)) for each in accepted) or NONE


def _parse(version: object) -> ModelId:
    name, colon, number = version.partition(":") if isinstance(version, str) else ("", "", "")
    if not colon:
        raise InvalidRequestError(f"accept_clipper_containers: {version!r} is no version; write 'name:version'.")
    return ModelId(check_model_name(name), check_version(number))
