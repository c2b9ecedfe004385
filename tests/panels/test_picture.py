"""What the page says to a picture."""

from __future__ import annotations

from clipper_nb.panels.picture import Picture


def test_action_of_a_row_is_heard() -> None:
    heard: list[tuple[str, str]] = []
    picture = Picture("Applications", lambda action, key: heard.append((action, key)))
    picture._handle_custom_msg({"action": "try", "key": "digits"}, [])
    picture._handle_custom_msg({"seen": True}, [])
    picture._handle_custom_msg("something else", [])
    assert heard == [("try", "digits")]
