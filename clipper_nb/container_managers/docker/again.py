"""Containers that were removed by hand: their last known state, and which to create again. (pure)"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from clipper_nb.protocol import environment

_ENDPOINT_SETTINGS = ("Aliases", "IPAMConfig", "Links", "DriverOpts")
_SHORT_ID = 12

Attributes = Mapping[str, Any]
"""The engine's answer to inspecting a container."""


def should_run(attributes: Attributes) -> bool:
    """Return whether the container is meant to run: stopping it removes its restart policy first."""
    return bool(attributes["HostConfig"]["RestartPolicy"]["Name"] == "always")


class SeenContainers:
    """The containers of a cluster as they were last seen."""

    def __init__(self) -> None:
        self._by_id: dict[str, Attributes] = {}

    def see_all(self, containers: Iterable[Attributes]) -> None:
        """Record the containers that exist, and forget the others: they were removed while no watcher ran."""
        self._by_id = {str(attributes["Id"]): attributes for attributes in containers}

    def see(self, container_id: str, attributes: Attributes | None) -> None:
        """Record a container that was started or changed; ``None`` if it is gone already.

        Stopping changes a container before it removes it, so one that is gone right after a change must stay removed.
        """
        if attributes is None:
            self._by_id.pop(container_id, None)
        else:
            self._by_id[container_id] = attributes

    def take_removed(self, container_id: str) -> Attributes | None:
        """Return the last known state of a container that was just removed, if it must come back."""
        attributes = self._by_id.pop(container_id, None)
        if attributes is None or not should_run(attributes):
            return None
        return attributes if environment.LABEL_ROLE in attributes["Config"]["Labels"] else None


@dataclass(frozen=True)
class EqualContainer:
    """The requests that create a removed container again."""

    name: str
    config: dict[str, Any]
    """The body of the request that creates it, with the first of its networks."""
    networks: dict[str, dict[str, Any]]
    """Its other networks, and its endpoint settings in them."""


def equal_container(attributes: Attributes) -> EqualContainer:
    """Return the requests for an equal container, from its image and limits to its published ports and aliases."""
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
    if "Aliases" in kept:  # the engine adds the short id itself
        kept["Aliases"] = [alias for alias in kept["Aliases"] if alias != short_id]
    return kept
