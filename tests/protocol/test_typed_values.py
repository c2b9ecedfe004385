"""Records are read the same in several threads: msgspec looks at each type in one of them alone."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import msgspec
import pytest

from clipper_nb.protocol import typed_values
from clipper_nb.protocol.typed_values import describe, read_json, read_value

NUM_THREADS = 8


class Point(msgspec.Struct):
    x: int


class Line(msgspec.Struct):
    points: list[Point]


class CountingDecoder:
    """Takes the place of msgspec's, so that two looks at once are seen, and harm nothing."""

    now = 0
    most = 0
    kinds: list[Any]

    def __init__(self, kind: Any) -> None:
        cls = type(self)
        cls.kinds.append(kind)
        cls.now += 1
        cls.most = max(cls.most, cls.now)
        time.sleep(0.002)
        cls.now -= 1


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> type[CountingDecoder]:
    monkeypatch.setattr(CountingDecoder, "kinds", [], raising=False)
    monkeypatch.setattr(CountingDecoder, "most", 0)
    monkeypatch.setattr(msgspec.json, "Decoder", CountingDecoder)
    monkeypatch.setattr(typed_values, "_described", set())
    return CountingDecoder


def at_once(*calls: Any) -> list[Any]:
    barrier = threading.Barrier(NUM_THREADS)

    def run(number: int) -> Any:
        barrier.wait()
        return calls[number % len(calls)]()

    with ThreadPoolExecutor(NUM_THREADS) as threads:
        return list(threads.map(run, range(NUM_THREADS)))


def test_values_are_those_of_the_type() -> None:
    assert read_json(b'{"points":[{"x":1}]}', Line) == Line([Point(1)])
    assert read_value({"points": [{"x": 1}]}, Line) == Line([Point(1)])
    with pytest.raises(msgspec.ValidationError, match="points"):
        read_json(b"{}", Line)
    with pytest.raises(TypeError):
        describe(dict[Point, threading.Lock])


def test_one_thread_at_a_time_looks_at_types(looks: type[CountingDecoder]) -> None:
    # Described here, so that only the look itself is what threads may do at once.
    msgspec.json.decode(b'{"points":[]}', type=Line)
    found = at_once(
        lambda: read_json(b'{"x":1}', Point), lambda: read_value({"points": []}, Line), lambda: describe(Point)
    )
    assert found[:3] == [Point(1), Line([]), None]
    assert looks.most == 1
    num_looks = len(looks.kinds)
    read_json(b'{"x":1}', Point)
    read_value({"points": []}, Line)
    assert len(looks.kinds) == num_looks, "each type is looked at once"
