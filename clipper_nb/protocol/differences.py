"""What changed from one configuration to the next: found, encoded, and applied to a copy. (pure)

What did not change is the same object in both configurations, so finding the changes costs almost nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, TypeVar

import msgspec

from clipper_nb.protocol.application_tokens import ApplicationToken
from clipper_nb.protocol.autoscaling import Autoscaling
from clipper_nb.protocol.names import ModelId, parse_model_id
from clipper_nb.protocol.records import Application, Claim, Configuration, ModelVersion
from clipper_nb.protocol.roll_out import RollOut
from clipper_nb.protocol.route import Route, decode_route, encode_route
from clipper_nb.protocol.shadow import Shadow

_Key = TypeVar("_Key")
_Value = TypeVar("_Value")


@dataclass(frozen=True)
class Difference:
    """The fields of a configuration's mappings that are new or changed, and ``None`` for those that are gone."""

    applications: Mapping[str, Application | None] = field(default_factory=dict)
    versions: Mapping[ModelId, ModelVersion | None] = field(default_factory=dict)
    current_versions: Mapping[str, str | None] = field(default_factory=dict)
    routes: Mapping[str, Route | None] = field(default_factory=dict)
    num_replicas: Mapping[ModelId, int | None] = field(default_factory=dict)
    claims: Mapping[ModelId, Claim | None] = field(default_factory=dict)
    tokens: Mapping[str, ApplicationToken | None] = field(default_factory=dict)
    shadows: Mapping[str, Shadow | None] = field(default_factory=dict)
    roll_outs: Mapping[str, RollOut | None] = field(default_factory=dict)
    autoscaling: Mapping[ModelId, Autoscaling | None] = field(default_factory=dict)


MAPPINGS = tuple(one.name for one in fields(Difference))
"""Names of a configuration's mappings; ``RedisKeys`` has the key of each under the same name."""


class _Told(msgspec.Struct, omit_defaults=True):
    """A difference as in its JSON: without the unchanged mappings, and with ids as text."""

    applications: dict[str, Application | None] = {}
    versions: dict[str, ModelVersion | None] = {}
    current_versions: dict[str, str | None] = {}
    links: dict[str, str | None] = {}
    """The routes, as ``encode_route`` writes them."""
    num_replicas: dict[str, int | None] = {}
    claims: dict[str, Claim | None] = {}
    tokens: dict[str, ApplicationToken | None] = {}
    shadows: dict[str, Shadow | None] = {}
    roll_outs: dict[str, RollOut | None] = {}
    autoscaling: dict[str, Autoscaling | None] = {}


_decode = msgspec.json.Decoder(_Told).decode


def find_difference(before: Configuration, after: Configuration) -> Difference:
    """Return the difference from *before* to *after*."""
    return Difference(**{name: changed_fields(getattr(before, name), getattr(after, name)) for name in MAPPINGS})


def changed_fields(before: Mapping[_Key, _Value], after: Mapping[_Key, _Value]) -> dict[_Key, _Value | None]:
    """Return the fields that are new or changed, and ``None`` for those that are gone."""
    if before is after:
        return {}
    changed: dict[_Key, _Value | None] = {}
    num_new = 0
    for key, value in after.items():
        old = before.get(key)
        if old is None:
            changed[key] = value
            num_new += 1
        elif old is not value and old != value:
            changed[key] = value
    if len(before) + num_new != len(after):
        changed.update(dict.fromkeys(key for key in before if key not in after))
    return changed


def apply_difference(configuration: Configuration, difference: Difference, *, revision: int) -> Configuration:
    """Return the configuration of *revision*; it shares its unchanged mappings with *configuration*."""
    changed = {name: told for name in MAPPINGS if (told := getattr(difference, name))}
    mappings = {name: _with_fields(getattr(configuration, name), told) for name, told in changed.items()}
    return replace(configuration, revision=revision, **mappings)


def encode_difference(difference: Difference) -> str:
    """Return a difference as JSON."""
    told: dict[str, dict[str, Any]] = {
        name: {str(key): value for key, value in getattr(difference, name).items()} for name in MAPPINGS
    }
    told["links"] = {name: None if route is None else encode_route(route) for name, route in told.pop("routes").items()}
    return msgspec.json.encode(_Told(**told)).decode()


def decode_difference(text: str) -> Difference:
    """Return the difference in JSON."""
    told = _decode(text)
    return Difference(
        told.applications, by_model_id(told.versions), told.current_versions,
        {name: None if text is None else decode_route(text) for name, text in told.links.items()},
        by_model_id(told.num_replicas), by_model_id(told.claims), told.tokens, told.shadows, told.roll_outs,
        by_model_id(told.autoscaling),
    )  # fmt: skip


def by_model_id(told: Mapping[str, _Value]) -> dict[ModelId, _Value]:
    """Return a mapping by the versions that its keys name as text."""
    return {parse_model_id(text): value for text, value in told.items()}


def _with_fields(mapping: Mapping[_Key, _Value], changed: Mapping[_Key, _Value | None]) -> dict[_Key, _Value]:
    merged = dict(mapping)
    for key, value in changed.items():
        if value is None:
            merged.pop(key, None)
        else:
            merged[key] = value
    return merged
