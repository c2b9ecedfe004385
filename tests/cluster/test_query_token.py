"""Which token a new cluster gets."""

from __future__ import annotations

import logging

import pytest

from clipper_nb import InvalidRequestError
from clipper_nb.cluster.other_users import MachineFacts
from clipper_nb.cluster.query_token import ChosenToken, choose_query_token

ALONE = MachineFacts(0)
HUB = MachineFacts(0, variables={"JUPYTERHUB_USER": "ann"})


def test_default_follows_the_other_users_and_says_so(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        alone = choose_query_token(None, lambda: ALONE)
        alone.tell("mine", None)
        assert (alone.token, caplog.messages) == ("", [])
        among_others = choose_query_token(None, lambda: HUB)
        among_others.tell("resumed", None)  # with what it was started with
        among_others.tell("mine", among_others.token)
    assert len(among_others.token) == 43
    assert among_others.token not in repr(among_others)
    (line,) = caplog.messages
    assert line == (
        "Clients of cluster 'mine' need its token (conn.query_token), because JupyterHub runs this notebook. "
        "start_clipper(query_token=False) turns this off."
    )


def test_what_the_user_says_wins() -> None:
    assert choose_query_token(False, lambda: HUB) == ChosenToken("")
    assert choose_query_token("my-own-token-0123", lambda: HUB) == ChosenToken("my-own-token-0123")
    assert len({choose_query_token(True, lambda: ALONE).token for _ in range(3)}) == 3


@pytest.mark.parametrize(
    "token", ["short", "secret with blanks", "secretsecretsecret=", 5, b"secretsecretsecret", "é" * 20]
)
def test_text_that_is_no_token_is_refused_and_not_repeated(token: object) -> None:
    with pytest.raises(InvalidRequestError, match="16 to 256 characters") as info:
        choose_query_token(token)
    assert "secret" not in str(info.value)


def test_frontends_that_others_reach_ask_for_a_token_by_default():
    chosen = choose_query_token(None, lambda: ALONE, others_reach="every pod reaches them")
    assert chosen.token
    assert chosen.because == "every pod reaches them"
    assert choose_query_token(False, lambda: ALONE, others_reach="every pod reaches them") == ChosenToken("")
