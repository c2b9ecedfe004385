"""Properties are tried with fewer examples where there is little time."""

from __future__ import annotations

import pytest
from hypothesis import settings

from tests.support.examples import examples


@pytest.mark.parametrize(("number", "fast"), [(300, 30), (50, 5), (1, 1)])
def test_fast_run_tries_a_tenth_of_the_examples(number: int, fast: int) -> None:
    before = settings.get_current_profile_name()
    settings.load_profile("fast")
    try:
        assert examples(number).max_examples == fast
        settings.load_profile("default")
        assert examples(number).max_examples == number
    finally:
        settings.load_profile(before)
    assert examples(number, stateful_step_count=7).stateful_step_count == 7


@pytest.mark.parametrize("profile", ["default", "fast"])
def test_no_profile_has_a_deadline_for_an_example(profile: str) -> None:
    assert settings.get_profile(profile).deadline is None
