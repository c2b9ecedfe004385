"""Answers an application's queries, each within the application's SLO."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Union

from clipper_nb.protocol.differences import Difference, find_difference
from clipper_nb.protocol.input_types import InputType
from clipper_nb.protocol.json_check import ANY_JSON, JsonCheck
from clipper_nb.protocol.json_schema import JsonSchema
from clipper_nb.protocol.names import ModelId
from clipper_nb.protocol.predict_body import format_model
from clipper_nb.protocol.records import Application, Configuration
from clipper_nb.protocol.request_origin import RequestOrigin, key_of
from clipper_nb.protocol.route import RouteTarget
from clipper_nb.protocol.v2_body import known_requests
from clipper_nb.protocol.v2_reply import OutputForm
from clipper_nb.runtime.batching import query as reasons
from clipper_nb.runtime.batching.deadline_timer import DeadlineTimer
from clipper_nb.runtime.batching.dispatcher import Dispatcher
from clipper_nb.runtime.batching.lateness import explain_lateness, explain_no_replica
from clipper_nb.runtime.batching.model_pool import ModelPool
from clipper_nb.runtime.batching.query import Computation, Query
from clipper_nb.runtime.clock import LoopClock
from clipper_nb.runtime.metrics.counters import ApplicationMetrics, ModelMetrics, QueryFrontendMetrics
from clipper_nb.runtime.query_frontend.combiner import Combiner
from clipper_nb.runtime.query_frontend.policy_chooser import PolicyChooser, PolicyChoosers
from clipper_nb.runtime.query_frontend.policy_target import PolicyTarget
from clipper_nb.runtime.query_frontend.prediction_cache import PredictionCache, cache_key, key_prefix
from clipper_nb.runtime.query_frontend.token_keys import TokenKeys
from clipper_nb.runtime.query_frontend.traffic_watch import TrafficWatch, TrafficWatches
from clipper_nb.runtime.routing.asked_version import check_input_type, find_version, versions_to_ask_for
from clipper_nb.runtime.routing.split import Arm, Split

OnAnswered = Callable[[Query], None]


class ServedVersion:
    """A model version as this frontend serves it."""

    def __init__(
        self, model_id: ModelId, metrics: ModelMetrics, number: int, input_schema: JsonSchema | None = None
    ) -> None:
        self.model_id = model_id
        self.json_check = JsonCheck(input_schema, str(model_id))  # of its inputs, if they are of type json
        self.metrics = metrics
        self.key_prefix = key_prefix(model_id, number)
        self.reply_part = format_model(model_id)  # that names it
        self.infer_names: dict[str, bytes] = {}  # the same of a reply of V2, by application
        self.output_form: OutputForm | None = None  # of its last outputs that were sent as a tensor


@dataclass(frozen=True)
class NoTarget:
    """The reason why no version can answer a query."""

    reason: str
    explanation: str
    reply_part: bytes = b""
    model_id: None = None
    json_check: JsonCheck = ANY_JSON


Target = Union[ServedVersion, NoTarget, PolicyTarget]
"""The version that is asked, or the reason why there is none; or what a policy chose for one request."""

_REPLY_MARGIN_S = 0.0015
_REPLY_MARGIN_SHARE = 0.2


class ServedApplication:
    """An application as this frontend serves it."""

    def __init__(
        self, application: Application, metrics: ApplicationMetrics, make_timer: Callable[[], DeadlineTimer]
    ) -> None:
        self.application = application
        self.name = application.name
        self.metrics = metrics
        self.takes_doubles = application.input_type is InputType.DOUBLES
        self.takes_json = application.input_type is InputType.JSON
        self.known_requests = known_requests(application.input_type)
        self.slo_s = application.slo_micros / 1e6
        # The reply must be sent by the SLO, so the decision is made a little before.
        self.wait_s = self.slo_s - min(_REPLY_MARGIN_S, _REPLY_MARGIN_SHARE * self.slo_s)
        self.timer = make_timer()
        self.default_target: Target = NoTarget(reasons.NOT_LINKED, "")
        """The target of queries that do not name a version, unless there is a split."""
        self.split: Split[ServedVersion] | PolicyChooser | None = None
        """Chooses the target of queries that do not name a version, if there are several."""
        self.watch: TrafficWatch | None = None  # for a shadow or a roll-out


class Predictor:
    """Answers queries according to the last applied configuration.

    Parameters
    ----------
    loop : LoopClock
        Arrivals and deadlines are instants of its clock.
    pool : ModelPool
    cache : PredictionCache
    metrics : QueryFrontendMetrics
    wall_clock : callable
        Seconds since the epoch, by which tokens expire.
    first_query_id, query_id_step : int
        With which the ids of its queries begin and go on: those of several query frontends differ.
    choosers : PolicyChoosers, optional
        Makes what chooses by applications' policies; without it they have none.
    """

    def __init__(
        self,
        loop: LoopClock,
        pool: ModelPool,
        cache: PredictionCache,
        metrics: QueryFrontendMetrics,
        wall_clock: Callable[[], float] = time.time,
        *,
        first_query_id: int = 0,
        query_id_step: int = 1,
        choosers: PolicyChoosers | None = None,
    ) -> None:
        self._loop = loop
        self._pool = pool
        self._cache = cache
        self._metrics = metrics
        self._configuration = Configuration()
        self._applications: dict[str, ServedApplication] = {}
        """By name, and by the key of each token that is good."""
        self.find_application = self._applications.get
        self.watches = TrafficWatches(loop, pool, wall_clock)
        self._token_keys = TokenKeys(self._applications, loop, wall_clock)
        self._versions: dict[ModelId, ServedVersion] = {}
        self._num_versions = 0
        """Number of versions so far; a re-registered version counts again."""
        self._next_query_id = first_query_id
        self._query_id_step = query_id_step
        self._choosers = choosers

    # --- configuration

    @property
    def configuration(self) -> Configuration:
        """The configuration that queries see."""
        return self._configuration

    def apply(self, configuration: Configuration) -> None:
        """Act on *configuration* from the next query on; what did not change is not touched.

        If it raises, a repeated call starts from the same differences.
        """
        before, self._configuration = self._configuration, configuration
        try:
            self._act_on(find_difference(before, configuration), before)
            self._pool.apply(configuration)
        except BaseException:
            self._configuration = before
            raise

    def _act_on(self, difference: Difference, before: Configuration) -> None:
        for name, application in difference.applications.items():
            self._replace_application(name, application)
        self._token_keys.apply(difference.applications, difference.tokens)
        for model_id, version in difference.versions.items():
            if model_id in before.versions:
                self._versions.pop(model_id, None)
                self._metrics.forget_model(model_id)
            if version is not None:
                schema = version.provenance.input_schema if version.input_type is InputType.JSON else None
                metrics = self._metrics.model(model_id)
                self._versions[model_id] = ServedVersion(model_id, metrics, self._num_versions, schema)
                self._num_versions += 1
        for name in self.watches.apply(difference, self._configuration):
            if (served := self._applications.get(name)) is not None:
                served.watch = self.watches.find(name)
        for name in self._changed_targets(difference):
            if (served := self._applications.get(name)) is not None:
                served.default_target, served.split = self._targets_of(name)
                served.metrics.set_targets(self._configuration.answering_versions(name))

    def _replace_application(self, name: str, application: Application | None) -> None:
        if self._applications.pop(name, None) is not None:
            self._metrics.forget_application(name)
            if self._choosers is not None:
                self._choosers.forget(name)
        if application is not None:
            self._applications[name] = self._serve(application)

    def _changed_targets(self, difference: Difference) -> set[str]:
        """Return the names of the applications whose target may have changed."""
        names = {*difference.applications, *difference.routes}
        models = {*difference.current_versions, *(model_id.name for model_id in difference.versions)}
        if models:
            names.update(name for name, route in self._configuration.routes.items() if models & {*route.model_names})
        return names

    def unready_applications(self) -> dict[str, str]:
        """Return the linked applications without a replica that can answer, with the reason."""
        names = self._configuration.routes
        return {name: reason for name in names if (reason := self.unready_reason(name)) is not None}

    def unready_reason(self, application_name: str, version: str | None = None) -> str | None:
        """Return why a version, by default the current one, cannot answer for an application; ``None`` if it can.

        Raises
        ------
        UnknownVersionError
            *version* is not a version of the linked model.
        """
        route = self._configuration.routes.get(application_name)
        if route is None:
            return "no model is linked"
        if version is not None:
            return self._why_not_ready(find_version(self._configuration, route, version))
        combining = None if route.combiner is None else self._find_served(route.combiner)
        if route.combiner is not None and (combining is None or not self._is_ready(combining)):
            return f"'{route.combiner}', which combines the outputs, has no connected replica"
        why = []
        for target in route.targets:
            model_id = target.resolve(self._configuration.current_versions)
            reason = f"model '{target}' has no current version" if model_id is None else self._why_not_ready(model_id)
            if reason is None:
                return None
            why.append(reason)
        return "; ".join(why)

    def _why_not_ready(self, model_id: ModelId) -> str | None:
        if self._replicas_of(model_id) == 0:
            return f"version '{model_id.version}' of model '{model_id.name}' has no connected replica"
        return None

    def versions_of(self, application_name: str) -> list[str]:
        """Return the versions that an application may be asked for."""
        configuration = self._configuration
        application = configuration.applications[application_name]
        return versions_to_ask_for(application, configuration.routes.get(application_name), configuration.versions_of)

    # --- queries

    def find_target(
        self,
        served: ServedApplication,
        version: str | None,
        key: bytes | None = None,
        origin: RequestOrigin | None = None,
    ) -> Target:
        """Return the target of queries for *version*; without one, that of the key, or any by the weights.

        *key* is the one in the request's body, which wins over that of its *origin*.

        Raises
        ------
        UnknownVersionError
            *version* is not a version of a linked model, or takes another input type.
        """
        if version is None:
            split = served.split
            return served.default_target if split is None else split.choose(key_of(key, origin), self._is_ready)
        route = self._configuration.routes.get(served.application.name)
        if route is None:
            return served.default_target
        model_id = find_version(self._configuration, route, version)
        check_input_type(self._configuration.versions[model_id], served.application)
        return self._versions[model_id]

    def predict(
        self,
        served: ServedApplication,
        target: Target,
        payload: bytes,
        *,
        arrived_s: float,
        on_answered: OnAnswered,
        origin: RequestOrigin | None = None,
    ) -> Query:
        """Answer one query by calling *on_answered* once, now or later, never after its SLO."""
        query = Query(self.next_query_id(), arrived_s, arrived_s + served.wait_s, on_answered)
        query.origin = origin
        self.ask(served, target, payload, query)
        return query

    def ask(self, served: ServedApplication, target: Target, payload: bytes, query: Query) -> None:
        """Answer *query* now or later, never after its SLO."""
        if served.watch is not None:
            served.watch.asked(target.model_id, payload, query)
        if isinstance(target, ServedVersion):
            self._ask(served, target, payload, query)
        elif isinstance(target, NoTarget):
            query.answer_default(target.reason, target.explanation)
        else:
            target.ask(served, payload, query)

    def skip_query_ids(self, count: int) -> None:
        """Leave out as many ids as an earlier run may have given."""
        self._next_query_id += count

    def next_query_id(self) -> int:
        """Return a new query's id."""
        query_id = self._next_query_id
        self._next_query_id = query_id + self._query_id_step
        return query_id

    def take_query_ids(self, count: int) -> list[int]:
        """Return ids for queries that are answered without asking the model."""
        first = self._next_query_id
        self._next_query_id += count * self._query_id_step
        return list(range(first, self._next_query_id, self._query_id_step))

    def explain_lateness(self, served: ServedApplication, query: Query) -> tuple[str, str]:
        """Return the reason and explanation of the default output for a query that has waited too long."""
        return self._explain_lateness(query, f"{served.application.slo_micros / 1000:g} ms")

    def _targets_of(self, application_name: str) -> tuple[Target, Split[ServedVersion] | PolicyChooser | None]:
        """Return the target of an application's queries, or several as a split."""
        route = self._configuration.routes.get(application_name)
        if route is None:
            explanation = (
                f"No connected models found for query: no model is linked to application '{application_name}'."
            )
            return NoTarget(reasons.NOT_LINKED, explanation), None
        arms = []
        for target in route.targets:
            version = self._configuration.version_of(target)
            if version is not None:
                arms.append(Arm(str(target), target.weight, self._versions[version.model_id]))
        if not arms:
            names = " and ".join(f"'{name}'" for name in route.model_names)
            explanation = f"No connected models found for query: model {names} has no current version."
            return NoTarget(reasons.NO_READY_REPLICA, explanation), None
        application, chooser = self._configuration.applications.get(application_name), None
        if self._choosers is not None and application is not None:
            make_combiner = partial(Combiner, self._loop, self._ask, self._find_served, self.explain_lateness)
            chooser = self._choosers.make(self._configuration, application, arms, self._ask, make_combiner)
        return arms[0].target, chooser or (Split(application_name, arms) if len(arms) > 1 else None)

    def _find_served(self, target: RouteTarget) -> ServedVersion | None:
        """Return the version that a target means now."""
        version = self._configuration.version_of(target)
        return None if version is None else self._versions[version.model_id]

    def _is_ready(self, version: ServedVersion) -> bool:
        return self._replicas_of(version.model_id) > 0

    def _ask(self, served: ServedApplication, version: ServedVersion, payload: bytes, query: Query) -> None:
        cache = self._cache
        model_id = version.model_id
        dispatcher = self._pool.find(model_id)
        if cache.is_on:
            metrics = version.metrics
            key = cache_key(version.key_prefix, payload)
            output = cache.find_output(key, payload)
            if output is not None:
                metrics.num_cache_hits += 1
                query.answer(output)
                return
            known = cache.find_in_flight(key, payload)
            # A waiting computation is not joined while there is no replica: the query gets its default output at once.
            if known is not None and dispatcher is not None and (known.sent_s or dispatcher.num_replicas):
                metrics.num_cache_hits += 1
                known.join(query)
                served.timer.add(query)
                if query.deadline_s < known.deadline_s:
                    dispatcher.move_deadline_earlier(known, deadline_s=query.deadline_s, slo_s=served.slo_s)
                return
            metrics.num_cache_misses += 1
        if dispatcher is None or dispatcher.num_replicas == 0:
            query.answer_default(reasons.NO_READY_REPLICA, explain_no_replica(model_id))
            return
        computation = Computation(model_id, payload, query.deadline_s, served.slo_s, served.application.name)
        computation.join(query)
        if cache.is_on:
            cache.watch(key, computation)
        served.timer.add(query)
        dispatcher.submit(computation)

    def _serve(self, application: Application) -> ServedApplication:
        slo_text = f"{application.slo_micros / 1000:g} ms"

        def on_deadline(query: Query) -> None:
            query.answer_default(*self._explain_lateness(query, slo_text))

        return ServedApplication(
            application,
            self._metrics.application(application.name, application.slo_micros / 1e6),
            lambda: DeadlineTimer(self._loop, on_deadline),
        )

    def _explain_lateness(self, query: Query, slo_text: str) -> tuple[str, str]:
        computation = query.computation
        assert computation is not None  # only queries with a computation wait for a deadline
        return explain_lateness(computation, self._pool.find(computation.model_id), self._loop.time(), slo_text)

    def _replicas_of(self, model_id: ModelId) -> int:
        dispatcher: Dispatcher | None = self._pool.find(model_id)
        return 0 if dispatcher is None else dispatcher.num_replicas
