"""Containers that were removed by hand: what they were, and which of them come back. (pure)"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from clipper_nb.protocol import environment

_ENDPOINT_SETTINGS = ("Aliases", "IPAMConfig", "Links", "DriverOpts")
_SHORT_ID = 12

Attributes = Mapping[str, Any]
"""What the engine says when it is asked to inspect a container."""


def should_run(attributes: Attributes) -> bool:
    """Return whether nobody has meant it to end: stopping takes the restart policy away first."""
    return bool(attributes["HostConfig"]["RestartPolicy"]["Name"] == "always")


class SeenContainers:
    """What the containers of a cluster were when they were last seen."""

    def __init__(self) -> None:
        self._by_id: dict[str, Attributes] = {}

    def see_all(self, containers: Iterable[Attributes]) -> None:
        """Record those that are there; what is there no more was removed while nobody watched, by whomever."""
        self._by_id = {str(attributes["Id"]): attributes for attributes in containers}

    def see(self, container_id: str, attributes: Attributes | None) -> None:
        """Record one that was started or changed; ``None`` if it is gone already.

        Stopping changes a container before it removes it. So one that is gone so soon after a change is to stay away.
        """
        if attributes is None:
            self._by_id.pop(container_id, None)
        else:
            self._by_id[container_id] = attributes

    def take_removed(self, container_id: str) -> Attributes | None:
        """Return what a container was that is removed now, if it is to come back."""
        attributes = self._by_id.pop(container_id, None)
        if attributes is None or not should_run(attributes):
            return None
        return attributes if environment.LABEL_ROLE in attributes["Config"]["Labels"] else None


@dataclass(frozen=True)
class EqualContainer:
    """What the engine is asked for to have a container again."""

    name: str
    config: dict[str, Any]
    """The body of the request that creates it, with the first of its networks."""
    networks: dict[str, dict[str, Any]]
    """Its other networks, and what it is in them."""


def equal_container(attributes: Attributes) -> EqualContainer:
    """Return what makes an equal container, from its image and limits to its published ports and aliases."""
    short_id = str(attributes["Id"])[:_SHORT_ID]
    endpoints = {
        network: _endpoint(settings, short_id)
        for network, settings in attributes["NetworkSettings"]["Networks"].items()
    }
    first = attributes["HostConfig"]["NetworkMode"]
    config = {name: value for name, value in attributes["Config"].items() if (name, value) != ("Hostname", short_id)}
    config["HostConfig"] = attributes["HostConfig"]
    config["NetworkingConfig"] = {"EndpointsConfig": {first: endpoints.pop(first, {})}}
    return EqualContainer(attributes["Name"].lstrip("/"), config, endpoints)


def _endpoint(settings: Mapping[str, Any], short_id: str) -> dict[str, Any]:
    kept = {name: settings[name] for name in _ENDPOINT_SETTINGS if settings.get(name)}
    if "Aliases" in kept:  # the engine adds the short id by itself
        kept["Aliases"] = [alias for alias in kept["Aliases"] if alias != short_id]
    return kept
