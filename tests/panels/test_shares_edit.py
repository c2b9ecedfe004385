"""The sliders' shares follow the cluster until one is moved."""

from __future__ import annotations

import pytest

from clipper_nb.panels.shares_edit import SharesEdit

NOW = {"m:1": 0.9, "m:2": 0.1}


@pytest.fixture
def edit() -> SharesEdit:
    edit = SharesEdit()
    edit.follow("app", NOW)
    return edit


def test_shares_follow_until_one_is_moved(edit: SharesEdit) -> None:
    assert not edit.follow("app", {"m:1": 0.5, "m:2": 0.5})
    assert edit.shares == {"m:1": 0.5, "m:2": 0.5}
    edit.move("m:2", 0.2)
    assert edit.is_changed
    assert not edit.follow("app", {"m:1": 0.5, "m:2": 0.5})
    assert edit.shares == pytest.approx({"m:1": 0.8, "m:2": 0.2})
    edit.reset()
    assert edit.shares == edit.actual == {"m:1": 0.5, "m:2": 0.5}


def test_choice_that_was_set_is_not_lost(edit: SharesEdit) -> None:
    edit.move("m:3", 1 / 3)
    assert not edit.follow("app", {"m:1": 0.6, "m:2": 0.066667, "m:3": 0.333333})
    assert not edit.is_changed


def test_change_from_elsewhere_drops_the_choice(edit: SharesEdit) -> None:
    edit.move("m:2", 0.2)
    assert edit.follow("app", {"m:1": 1.0})
    assert (edit.shares, edit.is_changed) == ({"m:1": 1.0}, False)


def test_other_application_begins_without_a_choice(edit: SharesEdit) -> None:
    edit.move("m:2", 0.2)
    assert not edit.follow("other", NOW)
    assert edit.shares == NOW


def test_new_target_without_a_share_changes_nothing_yet(edit: SharesEdit) -> None:
    edit.move("m:3", 0.0)
    assert not edit.is_changed
    assert not edit.follow("app", NOW)
    assert edit.shares == pytest.approx({**NOW, "m:3": 0.0})


def test_first_target_has_all() -> None:
    edit = SharesEdit()
    edit.follow("app", {})
    edit.move("m:1", 0.0)
    assert (edit.shares, edit.is_changed) == ({"m:1": 1.0}, True)
