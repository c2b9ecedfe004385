"""A question lasts as long as what it is about."""

from __future__ import annotations

import pytest

from clipper_nb.panels.poller import Poller
from clipper_nb.panels.question import Question
from tests.panels.standing import StandingConnection


class Asked:
    """A question with what came of it."""

    def __init__(self) -> None:
        self.conn = StandingConnection()
        self.poller = Poller(self.conn)  # type: ignore[arg-type]
        self.question = Question(self.poller)
        self.link: str | None = "net"
        self.num_yes = 0
        self.question.ask("Unlink <digits>?", self._count, lambda: self.link)
        self.settle()

    @property
    def is_shown(self) -> bool:
        return bool(self.question.widget.layout.display == "flex")

    def settle(self) -> None:
        while not self.poller._calls.empty():
            self.poller._calls.get()()

    def _count(self) -> None:
        self.num_yes += 1


@pytest.fixture
def asked() -> Asked:
    return Asked()


def test_yes_acts_once(asked: Asked) -> None:
    assert asked.is_shown
    assert "Unlink &lt;digits&gt;?" in asked.question._text.value
    asked.question.yes.click()
    asked.question.yes.click()
    asked.settle()
    assert asked.num_yes == 1
    assert not asked.is_shown


def test_no_takes_it_back(asked: Asked) -> None:
    asked.question.no.click()
    asked.question.yes.click()  # a click that was under way
    asked.settle()
    assert asked.num_yes == 0
    assert not asked.is_shown


def test_it_stays_while_nothing_changes(asked: Asked) -> None:
    asked.question.dismiss_if_outdated()
    asked.settle()
    assert asked.is_shown


def test_change_of_its_subject_takes_it_back(asked: Asked) -> None:
    asked.link = None
    asked.question.dismiss_if_outdated()
    asked.settle()
    assert not asked.is_shown


def test_yes_to_an_outdated_question_does_nothing(asked: Asked) -> None:
    asked.link = None
    asked.question.yes.click()
    assert asked.num_yes == 0
