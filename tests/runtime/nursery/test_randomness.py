"""Which random numbers a load used, and how replicas get others."""

from __future__ import annotations

import random

import numpy as np

from clipper_nb.runtime.nursery.randomness import find_changed, find_generator, read_states, seed_anew


def test_untouched_generators_are_unchanged():
    assert find_changed(read_states(), read_states()) == []


def test_drawing_and_seeding_are_seen():
    before = read_states()
    random.random()
    np.random.rand()
    assert find_changed(before, read_states()) == ["random", "numpy.random"]
    np.random.seed(3)
    seeded = read_states()
    np.random.seed(4)
    assert find_changed(seeded, read_states()) == ["numpy.random"]


def test_generator_that_came_with_its_module_counts_as_changed():
    states = read_states()
    assert find_changed({"random": states["random"]}, states) == [name for name in states if name != "random"]


def test_new_seeds_are_different_from_any_other():
    def draw(seed: int) -> tuple[float, float]:
        random.seed(seed)
        np.random.seed(seed)
        seed_anew()
        return random.random(), float(np.random.rand())

    assert len({*draw(1), *draw(1)}) == 4


def test_generators_are_found_by_their_own_class():
    class Liar:
        @property
        def __class__(self):
            raise AssertionError("asked")

    assert find_generator([Liar(), object()]) is None
    assert find_generator([Liar(), random.Random(1)]) == "Random"
    assert find_generator([np.random.default_rng()]) == "Generator"
