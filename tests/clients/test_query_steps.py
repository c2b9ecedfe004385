"""What a call sends, step by step, and what becomes of the replies."""

from __future__ import annotations

import json
from typing import Any

import pandas as pd
import pytest

from clipper_nb.clients.predict_parts import PartLimits
from clipper_nb.clients.query_steps import (
    MARGIN_S,
    QuerySteps,
    Reply,
    Request,
    ask_query_frontend,
    columns_of_current,
)
from clipper_nb.errors import (
    ApplicationNotFoundError,
    ClipperException,
    ClusterUnreachableError,
    InvalidInputError,
    NotFoundError,
    UnauthorizedError,
)
from clipper_nb.protocol.input_types import InputType
from clipper_nb.protocol.number_columns import columns_schema
from tests.support.fake_clock import FakeClock

FACTS = {"name": "app", "input_type": "doubles", "latency_slo_micros": 250_000, "more": 1}


def reply(body: Any, status: int = 200) -> Reply:
    return Reply(status, body if isinstance(body, bytes) else json.dumps(body).encode(), 0.5)


def refusal(status: int, cause: str) -> Reply:
    return reply({"error": "E", "cause": cause}, status)


def batch(*outputs: Any) -> Reply:
    return reply({"batch_predictions": [{"query_id": 0, "output": one, "default": False} for one in outputs]})


class Conversation:
    """Answers the steps of calls with prepared replies or errors, and keeps the requests."""

    def __init__(self, *, num_inputs: int = 2) -> None:
        self.clock = FakeClock()
        self.steps = QuerySteps(ask_query_frontend, columns_of_current, PartLimits(num_inputs, 10_000), self.clock)
        self.requests: list[Request] = []

    def predict(
        self,
        inputs: Any,
        *answers: Any,
        is_batch: bool = True,
        timeout_s: float | None = None,
        version: str | None = None,
    ) -> Any:
        steps = self.steps.predict("app", inputs, is_batch=is_batch, version=version, timeout_s=timeout_s)
        self.requests = []
        left = list(answers)
        try:
            request = next(steps)
            while True:
                self.requests.append(request)
                answer = left.pop(0)
                if isinstance(answer, Exception):
                    request = steps.throw(answer)
                else:
                    if isinstance(answer, float):
                        self.clock.advance(answer)
                        answer = left.pop(0)
                    request = steps.send(answer)
        except StopIteration as end:
            assert not left
            return [prediction.output for prediction in end.value]

    @property
    def sent(self) -> list[str]:
        return [f"{request.method} {request.path}" for request in self.requests]


def test_facts_are_asked_for_once_and_give_the_deadline() -> None:
    talk = Conversation()
    assert talk.predict([[1.0], [2.0], [3.0]], reply(FACTS), batch(1, 2), batch(3)) == [1, 2, 3]
    assert talk.sent == ["GET /app", "POST /app/predict", "POST /app/predict"]
    assert {request.timeout_s for request in talk.requests[1:]} == {0.25 + MARGIN_S}
    assert talk.predict([[1.0]], batch(1)) == [1]
    assert talk.sent == ["POST /app/predict"]


def test_timeout_is_for_the_whole_call() -> None:
    talk = Conversation()
    talk.predict([[1.0]] * 4, reply(FACTS), 0.5, batch(1, 2), batch(3, 4), timeout_s=2.0)
    assert [request.timeout_s for request in talk.requests] == [2.0, 2.0, 1.5]
    with pytest.raises(ClusterUnreachableError, match=r"2 inputs were answered within timeout_s=2; the rest was not"):
        talk.predict([[1.0]] * 4, 2.0, batch(1, 2), timeout_s=2.0)


def test_unknown_application_names_those_that_there_are() -> None:
    talk = Conversation()
    index = reply({"applications": [{"name": "a"}, {"name": "b"}]})
    with pytest.raises(ApplicationNotFoundError, match=r"'app' exists\. Applications: a, b\."):
        talk.predict([[1.0]], refusal(404, "No."), index)


@pytest.mark.parametrize("name", ["", "a/b", "metrics", "openapi.json", "é"])
def test_name_that_no_application_has_is_not_asked_for(name: str) -> None:
    steps = ask_query_frontend(name, 1.0)
    assert next(steps) == Request("GET", "/", 1.0)
    with pytest.raises(ApplicationNotFoundError, match="There are no applications yet"):
        steps.send(reply({"applications": []}))


def test_application_that_was_registered_again_is_looked_up() -> None:
    talk = Conversation()
    talk.predict([[1.0]], reply(FACTS), batch(1))
    other = reply({**FACTS, "input_type": "strings"})
    assert talk.predict(["a"], other, batch("a")) == ["a"]
    assert talk.sent == ["GET /app", "POST /app/predict"]
    assert talk.predict(["b"], refusal(404, "No."), other, batch("b")) == ["b"]


def test_input_that_is_still_wrong_is_not_sent_again() -> None:
    talk = Conversation()
    talk.predict([[1.0]], reply(FACTS), batch(1))
    with pytest.raises(InvalidInputError, match="Bad"):
        talk.predict([[1.0]] * 4, batch(1, 2), refusal(400, "Bad."), reply(FACTS))
    assert talk.sent == ["POST /app/predict", "POST /app/predict", "GET /app"]


FRAME = pd.DataFrame({"a": [1.0, 3.0, 5.0], "b": [2.0, 4.0, 6.0]})


def facts_of(version: str, columns: str) -> Reply:
    schema = columns_schema(InputType.DOUBLES, list(columns))
    return reply({**FACTS, "linked_model": "m", "model": f"m:{version}", "input_schema": schema})


def by_version(version: str, *outputs: int) -> Reply:
    answers = [{"query_id": 0, "output": one, "default": False, "model": f"m:{version}"} for one in outputs]
    return reply({"batch_predictions": answers})


def divided_between(first: Reply, second: Reply) -> Reply:
    targets = [json.loads(facts.body) for facts in (first, second)]
    return reply({**targets[0], "traffic": [{"target": each["model"], "weight": 1.0, **each} for each in targets]})


def test_each_version_that_gets_a_share_may_answer() -> None:
    facts = divided_between(facts_of("1", "ba"), facts_of("2", "ba"))
    talk = Conversation()
    assert talk.predict(FRAME, facts, by_version("2", 1, 2), by_version("1", 3)) == [1, 2, 3]


def test_shares_of_versions_with_other_orders_are_refused() -> None:
    facts = divided_between(facts_of("1", "ba"), facts_of("2", "ab"))
    with pytest.raises(InvalidInputError, match=r"different orders: m:1 \(b, a\), m:2 \(a, b\)"):
        Conversation().predict(FRAME, facts)
    assert Conversation().predict([[1.0, 2.0]], facts, by_version("2", 1)) == [1]


def test_columns_go_by_name_in_each_part() -> None:
    talk = Conversation()
    talk.predict(FRAME, facts_of("1", "ba"), by_version("1", 1, 2), by_version("1", 3))
    sent = [json.loads(request.body or b"null")["input_batch"] for request in talk.requests[1:]]
    assert sent == [[[2.0, 1.0], [4.0, 3.0]], [[6.0, 5.0]]]


def test_version_that_changed_between_two_parts_gets_all_anew() -> None:
    talk = Conversation()
    old, new = (facts_of("1", "ab"), facts_of("2", "ba"))
    found = talk.predict(
        FRAME, old, by_version("1", 1, 2), by_version("2", 3), new, by_version("2", 4, 5), by_version("2", 6)
    )
    assert found == [4, 5, 6]


def test_names_of_another_version_are_not_guessed() -> None:
    talk = Conversation()
    assert talk.predict(FRAME[:2], facts_of("1", "ba"), by_version("1", 1, 2), version="1") == [1, 2]
    with pytest.raises(InvalidInputError, match="Version '2' is not the one that answers now"):
        talk.predict(FRAME, facts_of("1", "ba"), version="2")


def test_facts_are_forgotten_when_no_answer_came() -> None:
    talk = Conversation()
    talk.predict([[1.0]], reply(FACTS), batch(1))
    with pytest.raises(ClusterUnreachableError):
        talk.predict([[1.0]], ClusterUnreachableError("late"))
    talk.predict([[1.0]], reply({**FACTS, "latency_slo_micros": 9_000_000}), batch(1))
    assert talk.requests[-1].timeout_s == 9.0 + MARGIN_S


def test_position_in_an_error_is_that_in_the_whole_batch() -> None:
    talk = Conversation()
    cause = "Expected `float`, got `str` - at `$.input_batch[1][7]`. Send 'input_batch'."
    with pytest.raises(InvalidInputError, match=r"at `\$\.input_batch\[3\]\[7\]`"):
        talk.predict([[1.0]] * 3 + [["x"]], reply(FACTS), batch(1, 2), refusal(400, cause))


@pytest.mark.parametrize(
    ("answer", "kind", "words"),
    [
        (refusal(400, "Bad."), InvalidInputError, "Bad."),
        (refusal(413, "Large."), InvalidInputError, "Large."),
        (refusal(404, "None."), NotFoundError, "None."),
        (refusal(401, "No token."), UnauthorizedError, "No token. A client takes it as token=."),
        (refusal(503, "Busy."), ClusterUnreachableError, "Busy."),
        (reply(b"<html>", 502), ClusterUnreachableError, "status 502: <html>"),
        (reply(b"", 307), ClusterUnreachableError, "a redirect (status 307), which is not followed"),
        (reply(b"<html>"), ClusterUnreachableError, "no query frontend of this release: '<html>'"),
        (reply([1]), ClusterUnreachableError, "no query frontend of this release"),
        (batch(), ClusterUnreachableError, "no query frontend of this release"),
        (batch(1, 2), ClusterUnreachableError, "no query frontend of this release"),
    ],
)
def test_other_replies_are_errors(answer: Reply, kind: type[ClipperException], words: str) -> None:
    with pytest.raises(kind) as caught:
        Conversation().predict([[1.0]], reply(FACTS), answer)
    assert words in str(caught.value)


@pytest.mark.parametrize("facts", [b"<html>", b"{}", b'{"input_type": "tensors", "latency_slo_micros": 1}'])
def test_other_servers_are_no_query_frontends(facts: bytes) -> None:
    with pytest.raises(ClusterUnreachableError, match="no query frontend"):
        Conversation().predict([[1.0]], reply(facts))


def test_index_that_is_refused_is_the_error() -> None:
    with pytest.raises(UnauthorizedError, match="No token"):
        Conversation().predict([[1.0]], refusal(404, "No."), refusal(401, "No token."))
