"""Reads the frontends' metrics, as ``runtime/metrics/exposition.py`` writes them. (pure)

Panels read them every second, and a query frontend with a thousand applications has 75,000 samples: those that are not
asked for are skipped, and parsed labels are cached, since they repeat. prometheus_client's own parser takes ten times
as long.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from types import MappingProxyType

_NAME = r"[a-zA-Z_:][\w:]*"
_TYPE = re.compile(rf"^# TYPE ({_NAME}) (\w+)$", re.M)
_LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')
_ESCAPED = re.compile(r"\\(.)")


Sample = tuple[str, Mapping[str, str], float]
"""One line: a name, labels and a number. A plain tuple, since there are many."""


def parse_types(text: str) -> dict[str, str]:
    """Return the type of every metric in Prometheus text: ``{"clipper_cache_entries": "gauge", ...}``, in order."""
    return dict(_TYPE.findall(text))


def parse_samples(text: str, names: tuple[str, ...] = ()) -> Iterator[Sample]:
    """Yield the samples in Prometheus text, in order: those of the given names, or all."""
    for name, labels, value in _samples_of(names).findall(text):
        yield name, _parse_labels(labels), float(value)


@lru_cache(maxsize=16)
def _samples_of(names: tuple[str, ...]) -> re.Pattern[str]:
    return re.compile(rf"^({'|'.join(names) or _NAME})(?:\{{(.*)\}})? (\S+)$", re.M)


@lru_cache(maxsize=65536)
def _parse_labels(text: str) -> Mapping[str, str]:
    return MappingProxyType({name: _unescape(value) for name, value in _LABEL.findall(text)})


def _unescape(text: str) -> str:
    return _ESCAPED.sub(lambda found: "\n" if found[1] == "n" else found[1], text) if "\\" in text else text
