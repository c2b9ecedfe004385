"""Takes feedback: matches it to the versions that answered, and counts it once."""

from __future__ import annotations

import tornado.web

from clipper_nb.errors import InvalidInputError, InvalidRequestError, NotFoundError
from clipper_nb.protocol.feedback import (
    Answered,
    FeedbackRequest,
    Outcome,
    digest_of_input,
    digest_of_key,
    parse_feedback,
    score_of,
)
from clipper_nb.protocol.feedback_call import Feedback
from clipper_nb.protocol.names import parse_model_id
from clipper_nb.protocol.policies import Policy
from clipper_nb.protocol.query_history import NUM_KEPT_QUERIES
from clipper_nb.protocol.records import Application
from clipper_nb.protocol.score_books import arm_of, book_of, model_of
from clipper_nb.runtime.query_frontend.learner import Learner
from clipper_nb.runtime.query_frontend.predict_endpoint import describe_unknown
from clipper_nb.runtime.query_frontend.predictor import Predictor
from clipper_nb.runtime.routing.bandits import FixedShares
from clipper_nb.runtime.routing.choose_policy import make_selection
from clipper_nb.runtime.state.feedback_store import ANSWERS_KEPT_S, MAX_KEPT_ANSWERS, Scored
from clipper_nb.runtime.state.store import StateStore

_MAX_BODY_SIZE_BYTES = 256 * 1024
"""Of one feedback, which is parsed at once."""


class FeedbackDesk:
    """Takes the feedback of all applications.

    Parameters
    ----------
    predictor : Predictor
    store : StateStore
    learner : Learner
    """

    def __init__(self, predictor: Predictor, store: StateStore, learner: Learner) -> None:
        self._predictor = predictor
        self._store = store
        self._learner = learner

    async def receive(self, key: str, body: bytes) -> Feedback:
        """Return what became of the feedback in *body*; *key* finds its application.

        Raises
        ------
        tornado.web.HTTPError
            There is no such application, or the token is not good for it.
        InvalidInputError, InvalidRequestError
            The body is no feedback, or not one for this query.
        NotFoundError
            The application has not answered that query, or it is not kept any more.
        StateUnavailableError
            Redis does not answer; the same feedback can be sent again.
        """
        served = self._predictor.find_application(key)
        if served is None:
            status, cause = describe_unknown(key)
            raise tornado.web.HTTPError(status, "%s", cause)
        if len(body) > _MAX_BODY_SIZE_BYTES:
            raise InvalidInputError(
                f"The body has {len(body)} bytes, and feedback has at most {_MAX_BODY_SIZE_BYTES}: name the query by "
                "its 'query_id' in place of its 'input'."
            )
        application = served.application
        request = parse_feedback(body, application.input_type)
        route = self._predictor.configuration.routes.get(application.name)
        policy = None if route is None else route.policy
        book = book_of(application, policy)
        answered = await self._find(book, application, request)
        scores = _scores(answered, request, policy)
        return await self._count(book, application, answered, scores, policy)

    async def _count(
        self, book: str, application: Application, answered: Answered, scores: dict[str, float], policy: Policy | None
    ) -> Feedback:
        told = {model_of(arm): round(score, 6) for arm, score in scores.items()}
        if not scores:
            cause = "No version answered the query in time, so there is nothing to score."
            if policy is not None and policy.default_weight is not None:
                cause += " Its default output has counted by itself, by default_weight."
            return Feedback(counted=False, query_id=answered.query_id, cause=cause)
        selection = FixedShares() if policy is None else make_selection(policy)
        propensities = {outcome.arm: outcome.propensity for outcome in answered.outcomes}
        scored = Scored(
            answered.query_id,
            selection.observe(scores, propensities),
            answered.k if policy is not None and policy.by_key else "",
            None if policy is None else policy.half_life_s,
        )
        if await self._learner.count(book, application.name, scored):
            return Feedback(counted=True, query_id=answered.query_id, scores=told)
        cause = f"Feedback for query {answered.query_id} was counted before; each query counts once."
        return Feedback(counted=False, query_id=answered.query_id, cause=cause)

    async def _find(self, book: str, application: Application, request: FeedbackRequest) -> Answered:
        """Return the answer that is meant, wherever it is: in the store, or on the way there from a frontend."""
        answered = await self._look_up(book, request)
        if answered is None:
            await self._learner.flush()
            answered = await self._look_up(book, request)
        if answered is None:
            # Each frontend writes its answers before it says what it knows.
            histories = await self._store.ask_frontends(request.query_id or 0)
            answered = await self._look_up(book, request)
            if answered is None and request.query_id is not None:
                for history in histories:
                    if history.application == application.name and history.model is not None:
                        return self._without_output(history.query_id, history.model)
        if answered is None:
            raise NotFoundError(_never_asked(application.name, request))
        return answered

    async def _look_up(self, book: str, request: FeedbackRequest) -> Answered | None:
        feedback = self._store.feedback
        if request.query_id is not None:
            return await feedback.find(book, query_id=request.query_id)
        key = digest_of_key(None if request.key is None else request.key.encode())
        if request.payload is None:
            return await feedback.find(book, key=key)
        answered = await feedback.find(book, payload=digest_of_input(request.payload))
        return answered if answered is None or request.key is None or answered.k == key else None

    def _without_output(self, query_id: int, model: str) -> Answered:
        version = self._predictor.configuration.versions.get(parse_model_id(model))
        arm = f"{model}@" if version is None else arm_of(version)
        return Answered(query_id=query_id, outcomes=(Outcome(arm, None),), is_kept=False)


def _scores(answered: Answered, request: FeedbackRequest, policy: Policy | None) -> dict[str, float]:
    """Return the score of each version that answered."""
    asks_all = policy is not None and policy.asks_all
    # Without default_weight a default output counts when there is feedback for it.
    counts_default = not asks_all and (policy is None or policy.default_weight is None)
    if answered.is_kept and not counts_default and all(outcome.output is None for outcome in answered.outcomes):
        return {}
    if request.score is not None:
        if asks_all:
            raise InvalidRequestError(
                "Several models made this answer, and a score does not say which of them was right. Send the label: "
                "the output of each is compared with it."
            )
        return {answered.outcomes[0].arm: request.score}
    if not answered.is_kept:
        raise InvalidRequestError(
            f"The output of query {answered.query_id} is not kept, so a label has nothing to be compared with. Send a "
            "score, from 0 to 1. Outputs of up to 2048 characters are kept where set_traffic was given a policy; "
            "policy='weights' changes nothing else."
        )
    error_scale = None if policy is None else policy.error_scale
    scores = {}
    for outcome in answered.outcomes:
        if outcome.output is not None:
            scores[outcome.arm] = score_of(outcome.output, request.label, error_scale)
        elif counts_default:
            scores[outcome.arm] = 0.0
    return scores


def _never_asked(application_name: str, request: FeedbackRequest) -> str:
    if request.query_id is not None:
        what = f"query {request.query_id}"
    else:
        what = "a query with this input" if request.payload is not None else "a query with this key"
    return (
        f"Application '{application_name}' has not answered {what}, or does not keep it any more. Send the 'query_id' "
        f"of an answer. With a policy, the last {MAX_KEPT_ANSWERS} answers of an application are kept for "
        f"{ANSWERS_KEPT_S / 3600:g} hours; without one, the last {NUM_KEPT_QUERIES} of each query frontend, which are "
        "found by 'query_id' alone."
    )
