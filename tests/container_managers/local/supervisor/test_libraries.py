"""What the next nursery imports."""

from __future__ import annotations

from clipper_nb.container_managers.local.supervisor.libraries import Libraries


def test_what_a_model_imported_is_due_once():
    libraries = Libraries()
    assert not libraries.is_due
    libraries.learn(["a", "b"])
    assert libraries.is_due
    libraries.are_imported(libraries.modules)
    libraries.learn(["b", "a"])
    assert not libraries.is_due
    libraries.learn(["c"])
    assert (libraries.is_due, libraries.modules) == (True, ("a", "b", "c"))


def test_what_was_learned_is_lacking_until_it_is_imported():
    libraries = Libraries()
    libraries.learn(["a", "b"])
    assert (libraries.lack(["x", "b"]), libraries.lack(["x"])) == (True, False)
    libraries.are_imported(libraries.modules)
    assert not libraries.lack(["x", "b"])


def test_heir_has_what_its_nursery_had_and_what_it_imported():
    libraries = Libraries()
    libraries.learn(["a"])
    libraries.are_imported(libraries.modules)
    assert libraries.missing(["a", "b.c", "b.c"]) == ("b.c",)
    assert libraries.are_inherited(("b", "b.c")) == ["b"]
    assert (libraries.missing(["a", "b.c"]), libraries.modules, libraries.is_due) == ((), ("a", "b", "b.c"), False)


def test_what_is_refused_is_not_missing():
    libraries = Libraries()
    libraries.are_refused(("bad",))
    assert libraries.missing(["bad", "good"]) == ("good",)


def test_refused_modules_are_never_due_again():
    libraries = Libraries()
    libraries.learn(["a"])
    libraries.are_imported(libraries.modules)
    libraries.learn(["bad.x", "bad.y"])
    assert libraries.are_refused(libraries.modules) == ["bad"]
    libraries.learn(["bad.x", "bad.y"])
    assert (libraries.is_due, libraries.modules) == (False, ("a",))


def test_new_nursery_has_everything_to_import_again():
    libraries = Libraries()
    libraries.learn(["a"])
    libraries.are_imported(libraries.modules)
    libraries.are_imported(())
    assert (libraries.is_due, libraries.modules) == (True, ("a",))
