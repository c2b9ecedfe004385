"""What the page says to sliders."""

from __future__ import annotations

import math

from clipper_nb.panels.sliders import Sliders


def test_moves_are_heard_and_nothing_else() -> None:
    heard: list[tuple[str, float]] = []
    sliders = Sliders(lambda target, share: heard.append((target, share)))
    sliders.show({"m:1": 0.75, "m:2": 0.25}, is_enabled=True)
    assert sliders.shares == [["m:1", 75.0], ["m:2", 25.0]]
    sliders._handle_custom_msg({"target": "m:2", "per_cent": 50}, [])
    for target, per_cent in (("gone", 5), (["m:1"], 5), ("m:1", None), ("m:1", "5"), ("m:1", 101), ("m:1", math.nan)):
        sliders._handle_custom_msg({"target": target, "per_cent": per_cent}, [])
    sliders._handle_custom_msg("something else", [])
    assert heard == [("m:2", 0.5)]


def test_sliders_are_fixed_while_an_action_runs() -> None:
    heard: list[tuple[str, float]] = []
    sliders = Sliders(lambda target, share: heard.append((target, share)))
    sliders.show({"m:1": 1.0}, is_enabled=False)
    sliders._handle_custom_msg({"target": "m:1", "per_cent": 50}, [])
    assert heard == []
