"""The report of what happened to a query."""

from __future__ import annotations

import msgspec

from clipper_nb.protocol.query_history import QueryHistory

ANSWERED = QueryHistory(
    query_id=17, application="digits", model="digits-net:3", frontend_id="query-frontend-0", received_at=1.5,
    sent_after_s=0.00041, batch_size=8, replica_id=1, answered_after_s=0.00295, reason=None, explanation=None,
    request_id="abc",
)  # fmt: skip


def test_report_has_a_line_for_each_step() -> None:
    assert str(ANSWERED).splitlines() == [
        "Query 17 of application 'digits', digits-net:3 (request abc):",
        "      0.00 ms  received 1970-01-01 00:00:01.500+00:00 by query-frontend-0",
        "      0.41 ms  sent to replica 1, in a batch of 8",
        "      2.95 ms  answered with the model's output",
    ]


def test_default_output_is_reported_with_its_reason() -> None:
    never_sent = msgspec.structs.replace(
        ANSWERED, model=None, sent_after_s=None, batch_size=None, replica_id=None, reason="not_linked",
        explanation="No model is linked.", request_id="",
    )  # fmt: skip
    first, _, last = str(never_sent).splitlines()
    assert first == "Query 17 of application 'digits', no model:"
    assert last.endswith("answered with the default output (not_linked): No model is linked.")
    assert not never_sent.is_from_cache


def test_cached_and_joined_answers_are_told_apart() -> None:
    cached = msgspec.structs.replace(ANSWERED, sent_after_s=None, batch_size=None, replica_id=None)
    joined = msgspec.structs.replace(ANSWERED, sent_after_s=-0.001)
    assert cached.is_from_cache
    assert str(cached).endswith("answered from the cache")
    assert "for an equal query that it joined" in str(joined)


def test_input_of_a_large_request_waited_for_its_turn() -> None:
    late = msgspec.structs.replace(ANSWERED, queued_after_s=0.0002)
    assert str(late).splitlines()[2] == "      0.20 ms  queued, when its turn in a large request came"
    joined = msgspec.structs.replace(late, sent_after_s=0.0001)
    assert "for an equal query that it joined" in str(joined)


def test_record_crosses_the_wire() -> None:
    assert msgspec.json.decode(msgspec.json.encode(ANSWERED), type=QueryHistory) == ANSWERED
