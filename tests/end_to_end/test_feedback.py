"""Feedback over two query frontends: what is counted, what policies learn of it, and what is left after a crash."""

from __future__ import annotations

import asyncio
import itertools
import json
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from clipper_nb import ClipperConnection, Feedback, InvalidInputError, InvalidRequestError, NotFoundError
from clipper_nb.client import AsyncClient
from clipper_nb.deployers.python import deploy_python_closure
from tests.support.clusters import end_query_frontend, eventually, http_request, query_frontends_of, running_cluster

pytestmark = [pytest.mark.cluster, pytest.mark.same_on_docker]

SLO_MICROS = 2_000_000


@pytest.fixture(scope="module")
def conn(kind: str) -> Iterator[ClipperConnection]:
    """Two query frontends, and an application of which version n of its model always answers n."""
    with running_cluster(kind, num_frontend_replicas=2) as conn:
        conn.register_application("app", "doubles", "0", SLO_MICROS)
        for version in (1, 2, 3):
            deploy_python_closure(conn, "m", version, "doubles", _answer(version))
        yield conn


def _answer(version: int) -> Any:
    return lambda xs: [version for _ in xs]


def post(conn: ClipperConnection, path: str, body: Any) -> tuple[int, Any]:
    """Return status and body of the answer of one of the frontends, whichever gets the connection."""
    return http_request(conn.get_query_addr(), "POST", path, json.dumps(body))


def predict(conn: ClipperConnection, **body: Any) -> Any:
    status, reply = post(conn, "/app/predict", {"input": [1.0], **body})
    assert status == 200, reply
    return reply


def learn(conn: ClipperConnection, right: int, num: int, **body: Any) -> Counter[str]:
    """Return who answered queries, each of which gets its label at once."""
    answered: Counter[str] = Counter()
    for number in range(num):
        reply = predict(conn, input=[float(number)], **body)
        answered[reply["model"]] += 1
        status, feedback = post(conn, "/app/update", {"query_id": reply["query_id"], "label": right})
        assert (status, feedback["counted"]) == (200, True), feedback
    return answered


@pytest.mark.also_on_kubernetes
def test_each_query_counts_once_at_any_frontend(conn: ClipperConnection) -> None:
    conn.set_traffic("app", {"m:1": 1, "m:2": 1}, policy="weights")
    predictions = [conn.predict("app", [float(number)]) for number in range(40)]
    for prediction in predictions:
        model = str(prediction.model)
        told = {"query_id": prediction.query_id, "label": "1.0"}
        expected = {"counted": True, "query_id": prediction.query_id, "scores": {model: float(model == "m:1")}}
        assert post(conn, "/app/update", told) == (200, {**expected, "cause": ""})
        assert not conn.feedback("app", prediction, label=1).counted
    first, second = conn.get_traffic("app").targets
    assert (first.score, second.score) == (1.0, 0.0)
    assert first.num_scores + second.num_scores == 40
    assert repr(conn.apps["app"].traffic).startswith("<Traffic of 'app' by weights: m:1 50 % (score 1 of ")


@pytest.mark.also_on_kubernetes
def test_query_is_found_by_key_and_by_input(conn: ClipperConnection) -> None:
    conn.set_traffic("app", ["m:1", "m:2"], policy="weights")
    reply = predict(conn, input=[7.5], key="ann")
    found = conn.feedback("app", key="ann", label=3)
    assert found == Feedback(True, reply["query_id"], {reply["model"]: 0.0})
    again = post(conn, "/app/update", {"uid": 0, "input": [7.5], "label": 1.0})
    assert again[1]["cause"] == f"Feedback for query {reply['query_id']} was counted before; each query counts once."


def test_scores_need_no_policy(conn: ClipperConnection) -> None:
    conn.set_traffic("app", {"m:2": 1})
    prediction = conn.predict("app", [1.0])
    assert post(conn, "/app/update", {"query_id": prediction.query_id, "score": 0.5})[1]["scores"] == {"m:2": 0.5}
    assert conn.get_traffic("app").targets[0].score == 0.5
    with pytest.raises(InvalidInputError, match="a label has nothing to be compared with"):
        conn.feedback("app", conn.predict("app", [1.0]), label=1)


def test_programs_without_the_notebook_give_feedback(conn: ClipperConnection) -> None:
    conn.set_traffic("app", ["m:1", "m:2"], policy="weights")
    with conn.get_client() as client:
        prediction = client.predict("app", [11.0])
        assert client.feedback("app", prediction, label=1).scores == {
            prediction.model: float(prediction.model == "m:1")
        }
        with pytest.raises(InvalidRequestError, match="Pass label="):
            client.feedback("app", prediction)

    async def main() -> Feedback:
        async with AsyncClient(conn.get_query_url()) as client:
            prediction = await client.predict("app", [12.0], key="eve")
            assert (await client.feedback("app", key="eve", score=0.5)).query_id == prediction.query_id
            return await client.feedback("app", prediction.query_id, score=0.5)

    assert not asyncio.run(main()).counted


def test_what_was_never_asked_is_refused(conn: ClipperConnection) -> None:
    with pytest.raises(NotFoundError, match="has not answered query 123456789"):
        conn.feedback("app", 123456789, score=1)
    with pytest.raises(NotFoundError, match="No application with name 'nobody'"):
        conn.feedback("nobody", 1, score=1)
    with pytest.raises(InvalidRequestError, match="score must be a number from 0"):
        conn.feedback("app", 1, score=5)


def wait_until_learnt(conn: ClipperConnection, right: int, num: int, least: int, **body: Any) -> None:
    """Ask so many queries, and again, until the right version answers at least so many: by chance, or because the
    scores of the other frontend are read late, that may take some turns. No policy that learns nothing gets there."""
    eventually(
        lambda: learn(conn, right, num, **body)[f"m:{right}"] >= least, within_s=60, what=f"version {right} is learnt"
    )


def test_bandit_learns_from_both_frontends(conn: ClipperConnection) -> None:
    """Each asks mostly the right version, which the labels of the other have shown too."""
    conn.set_traffic("app", ["m:1", "m:2", "m:3"], policy="thompson", half_life_s=3600)
    wait_until_learnt(conn, 2, 60, least=46)
    scores = {target.target: target.score for target in conn.get_traffic("app").targets}
    assert scores["m:2"] == pytest.approx(1.0)


def test_each_key_learns_for_itself(conn: ClipperConnection) -> None:
    conn.set_traffic("app", ["m:1", "m:2"], policy="epsilon-greedy", by_key=True)
    for key, right in (("ann", 1), ("bob", 2), ("ann", 1), ("bob", 2)):
        wait_until_learnt(conn, right, 40, least=34, key=key)


def test_ensemble_answers_by_the_slo_with_what_came(conn: ClipperConnection) -> None:
    conn.register_application("patient", "doubles", "0", 1_000_000)
    deploy_python_closure(conn, "same", 1, "doubles", lambda xs: [1 for _ in xs])

    def slow(xs: Any) -> Any:
        import time

        time.sleep(3.0 if xs[0][0] < 0 else 0.0)
        return [1 for _ in xs]

    deploy_python_closure(conn, "straggler", 1, "doubles", slow)
    conn.set_traffic("patient", {"same": 1, "straggler": 1, "m:1": 1}, policy="ensemble", min_confidence=0.6)
    quick = conn.predict("patient", [5.0])
    assert (quick.output, quick.confidence, quick.models_used) == (1, 1.0, ("same:1", "straggler:1", "m:1"))
    late = conn.predict("patient", [-1.0])
    assert (late.output, late.default, late.confidence) == (1, False, pytest.approx(2 / 3, abs=1e-5))
    assert (late.models_used, late.model) == (("same:1", "m:1"), None)
    assert 0.9 < late.latency_s < 2.9
    assert conn.feedback("patient", late, label=1).scores == {"same:1": 1.0, "m:1": 1.0}
    conn.set_traffic("patient", ["same:1", "straggler:1", "m:1"], policy="ensemble", min_confidence=0.9)
    unsure = conn.predict("patient", [-2.0])
    assert (unsure.output, unsure.reason) == (0, "not_confident")
    assert unsure.explanation == (
        "The models agree with a confidence of 0.667; min_confidence is 0.9; 1 of 3 did not answer."
    )
    conn.stop_models(["same", "straggler"])
    assert conn.get_traffic("patient").policy is None
    assert conn.predict("patient", [5.0]).model == "m:1"


def test_version_that_only_times_out_is_left(conn: ClipperConnection) -> None:
    conn.register_application("hurried", "doubles", "0", 400_000)

    def stuck(xs: Any) -> Any:
        import time

        time.sleep(1.0)
        return [1 for _ in xs]

    deploy_python_closure(conn, "stuck", 1, "doubles", stuck, batch_size=1)
    conn.set_traffic("hurried", ["m:1", "stuck:1"], policy="thompson", default_weight=1)
    values = (number + 0.25 for number in itertools.count())

    def is_left() -> bool:
        asked = Counter(conn.predict("hurried", [next(values)]).model for _ in range(30))
        return asked["m:1"] >= 26

    eventually(is_left, within_s=60, what="hardly any query is stuck")  # there is no feedback at all
    eventually(lambda: conn.get_traffic("hurried").targets[1].score == 0.0, within_s=20, what="defaults are counted")
    label = conn.predict("hurried", [next(values)])
    if not label.default:
        assert conn.feedback("hurried", label, label=1).counted
    conn.stop_models(["stuck"])


def test_model_combines_an_ensemble(conn: ClipperConnection) -> None:
    conn.register_application("blended", "doubles", "0", SLO_MICROS)

    def blend(batch: list[Any]) -> list[Any]:
        return [{"most": max(each["predictions"].values()), "of": sorted(each["weights"])} for each in batch]

    deploy_python_closure(conn, "blend", 1, "json", blend)
    conn.set_traffic("blended", ["m:1", "m:2", "m:3"], policy="ensemble", combine="blend")
    prediction = conn.predict("blended", [1.0])
    assert prediction.output == {"most": 3, "of": ["m:1", "m:2", "m:3"]}
    assert (prediction.confidence, prediction.models_used) == (1.0, ("m:1", "m:2", "m:3"))
    assert conn.feedback("blended", prediction, label=2).scores == {"m:1": 0.0, "m:2": 1.0, "m:3": 0.0}
    with pytest.raises(InvalidRequestError, match=r"combines the outputs of application 'blended'.*takes strings"):
        deploy_python_closure(conn, "blend", 2, "strings", lambda texts: texts)
    with pytest.raises(InvalidRequestError, match="m:1 takes doubles, and what combines outputs gets them as json"):
        conn.set_traffic("blended", ["m:1", "m:2"], policy="ensemble", combine="m:1")
    with pytest.raises(NotFoundError, match="combine='median' is neither 'vote' nor 'mean'"):
        conn.set_traffic("blended", ["m:1", "m:2"], policy="ensemble", combine="median")
    conn.stop_models(["blend"])
    assert conn.predict("blended", [2.0]).reason == "no_ready_replica"


def test_killed_frontend_forgets_nothing(conn: ClipperConnection) -> None:
    """What was learnt is in Redis, and so are answers without a label yet; no id is given again."""
    conn.delete_application("app")
    conn.register_application("app", "doubles", "0", SLO_MICROS)  # its scores begin anew
    conn.set_traffic("app", ["m:1", "m:2", "m:3"], policy="thompson", explore=0)
    learn(conn, 3, 60)
    unlabelled = [predict(conn) for _ in range(20)]
    before = {target.target: target.num_scores for target in conn.get_traffic("app").targets}
    time.sleep(3.0)  # answers are written behind, within half a second
    killed = query_frontends_of(conn)
    for each in killed:
        end_query_frontend(conn, each, at_once=True)
    eventually(
        lambda: len(set(query_frontends_of(conn)) - set(killed)) == 2 and _answers(conn),
        within_s=60, what="both are back",
    )  # fmt: skip
    traffic = conn.get_traffic("app")
    assert {target.target: target.num_scores for target in traffic.targets} == before
    ids = {reply["query_id"] for reply in unlabelled}
    assert ids.isdisjoint(predict(conn)["query_id"] for _ in range(20))
    for reply in unlabelled:
        counted = post(conn, "/app/update", {"query_id": reply["query_id"], "label": 3})[1]
        assert counted["scores"] == {reply["model"]: float(reply["model"] == "m:3")}
    # Without another label: what they knew before is enough.
    eventually(
        lambda: Counter(predict(conn, input=[n + 0.5])["model"] for n in range(40))["m:3"] >= 34,
        within_s=30, what="both go on with what was learnt",
    )  # fmt: skip


def _answers(conn: ClipperConnection) -> bool:
    try:
        return all(predict(conn)["default"] is False for _ in range(6))
    except OSError:
        return False
