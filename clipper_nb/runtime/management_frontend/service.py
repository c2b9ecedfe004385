"""The operations of the management frontend, in terms of our records; independent of HTTP.

Every change is written in one transaction and then waited for: the call returns when all live query frontends act on
it. So no client needs to sleep after an admin call.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable

from clipper_nb.errors import ClusterUnreachableError, NotFoundError, StateUnavailableError
from clipper_nb.protocol import names, rest
from clipper_nb.protocol.application_tokens import ApplicationToken, check_digest
from clipper_nb.protocol.autoscaling import check_rule
from clipper_nb.protocol.input_types import parse_input_type
from clipper_nb.protocol.names import ModelId
from clipper_nb.protocol.number_rules import checked
from clipper_nb.protocol.query_history import NUM_KEPT_QUERIES, QueryHistory
from clipper_nb.protocol.records import (
    Application,
    Claim,
    Configuration,
    FrontendPresence,
    Replica,
)
from clipper_nb.protocol.route import check_traffic
from clipper_nb.protocol.traffic import ApplicationTraffic
from clipper_nb.runtime.management_frontend import rules, traffic_rules
from clipper_nb.runtime.management_frontend.arrival import are_connected, find_other_input_type, replicas_known_to_all
from clipper_nb.runtime.management_frontend.claim_holding import LOOK_INTERVAL_S, ClaimHolding
from clipper_nb.runtime.management_frontend.liveness import FrontendLiveness
from clipper_nb.runtime.management_frontend.scaling_rules import set_autoscaling
from clipper_nb.runtime.management_frontend.traffic_reading import read_traffic
from clipper_nb.runtime.state.store import Change, StateStore
from clipper_nb.runtime.tasks import end_tasks
from clipper_nb.version import __version__

logger = logging.getLogger(__name__)

_LOOK_AGAIN_INTERVAL_S = 0.25
_LOOK_REGULARLY_INTERVAL_S = 1.0
_LOOK_FOR_CLAIMS_INTERVAL_S = 30.0
"""Claims are granted here, so each is noticed; this is for a Redis that was restored to an older state."""
_HOLD_TIMEOUT_S = 30.0


class ManagementService:
    """The rules of the configuration on top of a store.

    Parameters
    ----------
    store : StateStore
        Holds the configuration.
    run_id : str
        The cluster's since it was resumed: announcements of before do not count. If it is empty, all do.
    confirmation_timeout_s : float
        How long a change waits for the query frontends to act on it.
    clock : callable
        Returns monotonic seconds.
    wall_clock : callable
        Returns seconds since the epoch.
    """

    def __init__(
        self,
        store: StateStore,
        *,
        run_id: str = "",
        confirmation_timeout_s: float = 10.0,
        clock: Callable[[], float] = time.monotonic,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        self._store = store
        self._run_id = run_id
        self._confirmation_timeout_s = confirmation_timeout_s
        self._clock = clock
        self._wall_clock = wall_clock
        self._presence_changed = asyncio.Event()  # replaced at each change, so that none is missed
        self._changed = asyncio.Event()  # replaced at each change of the configuration
        self._liveness = FrontendLiveness()
        self._holding = ClaimHolding()
        self._is_stopping = False
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Start to follow the query frontends' announcements; called once on the running loop."""
        self._tasks = [
            asyncio.create_task(self._watch_presence(), name="watch presence"),
            asyncio.create_task(self._look_regularly(), name="look for the dead"),
            asyncio.create_task(self._release_lapsed_claims(), name="release lapsed claims"),
        ]

    def end_waits(self) -> None:
        """Answer requests that wait for a change now, because the frontend is about to stop."""
        self._is_stopping = True
        self._changed.set()

    async def stop(self) -> None:
        """End what ``start`` started."""
        await end_tasks(self._tasks)

    # --- applications

    async def register_application(self, request: rest.AddApplication, change_id: str | None = None) -> Application:
        """Add an application."""
        application = Application(
            name=names.check_application_name(request.name),
            input_type=parse_input_type(request.input_type),
            default_output=request.default_output,
            slo_micros=checked(request).latency_slo_micros,
            registered_at=self._wall_clock(),
        )
        await self._change(lambda configuration: rules.register_application(configuration, application), change_id)
        return application

    async def unregister_application(self, name: str, change_id: str | None = None) -> None:
        """Remove an application and its link."""
        await self._change(lambda configuration: rules.unregister_application(configuration, name), change_id)

    async def link_model(self, request: rest.ModelLinks, change_id: str | None = None) -> None:
        """Link one model to an application."""
        application, model = request.app_name, request.only_model_name
        await self._change(lambda before: traffic_rules.link_model(before, application, model), change_id)

    async def unlink_model(self, request: rest.ModelLinks, change_id: str | None = None) -> None:
        """Remove the link between an application and a model."""
        application, model = request.app_name, request.only_model_name
        await self._change(lambda before: traffic_rules.unlink_model(before, application, model), change_id)

    async def set_traffic(self, request: rest.SetTraffic, change_id: str | None = None) -> None:
        """Divide an application's queries among models and versions."""
        application, (weights, policy) = request.app_name, check_traffic(request.weights, request.policy)
        await self._change(lambda before: traffic_rules.set_traffic(before, application, weights, policy), change_id)

    async def get_traffic(self, application_name: str) -> ApplicationTraffic:
        """Return how an application's queries are divided."""
        return await read_traffic(self._store, application_name, await self.read_replicas(), self._wall_clock())

    async def create_token(self, request: rest.CreateToken, change_id: str | None = None) -> None:
        """Add a token of an application."""
        created_at, lifetime_s = self._wall_clock(), checked(request).expires_s
        token = ApplicationToken(
            application_name=request.app_name,
            name=names.check_token_name(request.token_name),
            digest=check_digest(request.digest),
            created_at=created_at,
            expires_at=None if lifetime_s is None else created_at + lifetime_s,
        )
        await self._change(lambda configuration: rules.create_token(configuration, token), change_id)

    async def revoke_token(self, request: rest.TokenName, change_id: str | None = None) -> None:
        """Remove a token of an application."""
        application, name = request.app_name, request.token_name
        await self._change(lambda configuration: rules.revoke_token(configuration, application, name), change_id)

    # --- model versions

    async def register_version(self, request: rest.AddModel, change_id: str | None = None) -> None:
        """Add a model version and make it current, unless the request says otherwise."""
        number, claim_id = checked(request).num_replicas, request.claim_id
        at = self._wall_clock()
        version = rest.parse_version(request, registered_at=at)
        scaling = None if request.autoscaling is None else check_rule(request.autoscaling)

        def change(configuration: Configuration) -> Configuration:
            after = rules.register_version(
                configuration, version, num_replicas=number, claim_id=claim_id,
                becomes_current=request.becomes_current,
            )  # fmt: skip
            return after if scaling is None else set_autoscaling(after, version.model_id, scaling, at=at)

        await self._change(change, change_id)

    async def unregister_version(self, model_id: ModelId, change_id: str | None = None) -> None:
        """Remove a model version, also one that is only claimed so far."""
        await self._change(lambda configuration: rules.unregister_version(configuration, model_id), change_id)

    async def set_current_version(self, model_id: ModelId, change_id: str | None = None) -> None:
        """Make a registered version current."""
        await self._change(lambda configuration: rules.set_current_version(configuration, model_id), change_id)

    # --- replicas

    async def set_num_replicas(self, request: rest.NumReplicas, change_id: str | None = None) -> None:
        """Set how many replicas of a version should run."""
        model_id = ModelId(request.model_name, request.model_version)
        number, claim_id = checked(request).num_replicas, request.claim_id
        await self._change(lambda before: rules.set_num_replicas(before, model_id, number, claim_id), change_id)

    async def claim_version(self, request: rest.ClaimVersion, change_id: str | None = None) -> None:
        """Grant a caller a claim on a version, to start and stop its replicas."""
        claim = Claim(
            request.claim_id, request.model_name, request.model_version, request.holder, request.has_foreign_image
        )
        if request.is_new:
            names.check_model_name(claim.model_name)
            names.check_version(claim.model_version)
        is_new, replaces = request.is_new, request.replaces
        await self._store_change(
            lambda before: rules.claim_version(before, claim, is_new=is_new, replaces=replaces), change_id
        )

    async def release_claim(self, request: rest.ClaimName, change_id: str | None = None) -> None:
        """End a claim."""
        model_id, claim_id = ModelId(request.model_name, request.model_version), request.claim_id
        await self._store_change(lambda before: rules.release_claim(before, model_id, claim_id), change_id)

    async def hold_claim(self, request: rest.HoldClaim, gone: asyncio.Event) -> rest.ClaimHeld:
        """Keep a claim from lapsing until it ends, the caller is *gone*, or some seconds have passed.

        With awaited replicas, return as soon as they are connected, or one of another input type is.
        """
        model_id, claim_id = ModelId(request.model_name, request.model_version), request.claim_id
        deadline_s = self._clock() + _HOLD_TIMEOUT_S
        self._holding.opened(claim_id)
        try:
            while True:
                changed, presence_changed = self._changed, self._presence_changed
                held = await self._look_at_claim(model_id, claim_id, request.awaited)
                is_over = not held.is_held or held.is_complete or held.other_input_type is not None
                if is_over or gone.is_set() or self._is_stopping or self._clock() >= deadline_s:
                    return held
                news = (changed, gone) if request.awaited is None else (changed, gone, presence_changed)
                await _first_of(*news, timeout_s=deadline_s - self._clock())
        finally:
            self._holding.closed(claim_id)

    async def _look_at_claim(
        self, model_id: ModelId, claim_id: str, awaited: rest.AwaitedReplicas | None
    ) -> rest.ClaimHeld:
        reading = self._store.read_configuration()
        configuration, living = (await reading, []) if awaited is None else await self._with_living(reading)
        known = configuration.claims.get(model_id)
        is_held = known is not None and known.claim_id == claim_id
        if awaited is None or not is_held:
            return rest.ClaimHeld(is_held=is_held)
        return rest.ClaimHeld(
            is_held=True,
            is_complete=are_connected(living, model_id, awaited),
            other_input_type=find_other_input_type(living, model_id, awaited),
        )

    async def read_desired_replicas(self, request: rest.DesiredReplicasSince) -> rest.DesiredReplicas:
        """Return which replicas should run, once the configuration differs from the known one or the wait is over."""
        deadline_s = self._clock() + min(request.wait_s, _HOLD_TIMEOUT_S)
        while True:
            changed = self._changed
            configuration = await self._store.read_configuration()
            left_s = deadline_s - self._clock()
            if configuration.revision != request.known_revision or left_s <= 0 or self._is_stopping:
                return _desired_replicas(configuration)
            await _first_of(changed, timeout_s=left_s)

    # --- reading

    async def read_configuration(self) -> Configuration:
        """Return the configuration."""
        return await self._store.read_configuration()

    async def read_deploy_state(self, model_id: ModelId) -> rest.DeployState:
        """Return the state that a deploy of a version must agree with."""
        configuration, living = await self._with_living(self._store.read_configuration())
        return rest.describe_deploy_state(configuration, living, model_id, __version__)

    async def read_replicas(self) -> list[Replica]:
        """Return the replicas that every live query frontend is connected to.

        Each of several frontends has its own numbers for replicas; those of the frontend with the fewest are returned,
        so that a count never promises more than any frontend can use.
        """
        return replicas_known_to_all(await self._read_living())

    async def read_query_frontends(self) -> list[FrontendPresence]:
        """Return the last announcement of each live query frontend."""
        return sorted(await self._read_living(), key=lambda frontend: frontend.frontend_id)

    async def read_query_history(self, query_id: int) -> QueryHistory:
        """Return what happened to a query, from the query frontend that answered it.

        Raises
        ------
        NotFoundError
            No query frontend has it.
        """
        found = await self._store.ask_frontends(query_id)
        if not found:
            raise NotFoundError(
                f"No query frontend knows what happened to query {query_id}. Each keeps its last {NUM_KEPT_QUERIES} "
                "answered queries until it ends, and none that its client gave up. Ask soon after the answer, with its "
                "query_id."
            )
        return max(found, key=lambda history: history.received_at)

    # --- confirmation

    async def change(self, change: Change, change_id: str | None = None) -> None:
        """Change the configuration by a rule; return when all live query frontends act on it."""
        await self._change(change, change_id)

    async def wait_for_change(self, timeout_s: float) -> None:
        """Return when the configuration is changed here, or after *timeout_s*."""
        await _first_of(self._changed, timeout_s=timeout_s)

    async def _change(self, change: Change, change_id: str | None) -> None:
        configuration = await self._store_change(change, change_id)
        await self._wait_until_applied(configuration.revision)

    async def _store_change(self, change: Change, change_id: str | None) -> Configuration:
        """Store a change that no query frontend acts on, or whose confirmation is awaited later."""
        try:
            return await self._store.update_configuration(change, change_id)
        finally:  # also if it is unknown whether it was stored
            changed, self._changed = self._changed, asyncio.Event()
            changed.set()

    async def _wait_until_applied(self, revision: int) -> None:
        deadline_s = self._clock() + self._confirmation_timeout_s
        while True:
            changed = self._presence_changed
            behind = await self._frontends_behind(revision)
            if not behind:
                return
            if self._clock() > deadline_s:
                raise ClusterUnreachableError(
                    f"The change is stored, but query frontend {', '.join(behind)} has not confirmed it within "
                    f"{self._confirmation_timeout_s:g} s. It will act on it as soon as it can."
                )
            # A frontend that dies sends nothing, so poll.
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(changed.wait(), timeout=_LOOK_AGAIN_INTERVAL_S)

    async def _frontends_behind(self, revision: int) -> list[str]:
        living = await self._read_living()
        return [frontend.frontend_id for frontend in living if frontend.applied_revision < revision]

    async def _with_living(self, reading: Awaitable[Configuration]) -> tuple[Configuration, list[FrontendPresence]]:
        """Return a configuration with the live query frontends; both are read at the same time."""
        return await asyncio.gather(reading, self._read_living())

    async def _read_living(self) -> list[FrontendPresence]:
        presence = await self._store.read_presence()
        living, dead = self._liveness.observe(presence, now_s=self._clock())
        for frontend in dead:
            await self._store.withdraw(frontend.frontend_id)
        return [frontend for frontend in living if not self._run_id or frontend.run_id == self._run_id]

    async def _watch_presence(self) -> None:
        async for _ in self._store.presence_changes():
            changed, self._presence_changed = self._presence_changed, asyncio.Event()
            changed.set()

    async def _look_regularly(self) -> None:
        while True:
            with contextlib.suppress(StateUnavailableError):
                await self._read_living()
            await asyncio.sleep(_LOOK_REGULARLY_INTERVAL_S)

    async def _release_lapsed_claims(self) -> None:
        while True:
            changed = self._changed
            claims: list[Claim] | None = None
            with contextlib.suppress(StateUnavailableError):
                claims = list((await self._store.read_configuration()).claims.values())
                lapsed = self._holding.lapsed([claim.claim_id for claim in claims], now_s=self._clock())
                for claim in claims:
                    if claim.claim_id in lapsed:
                        await self._release_lapsed_claim(claim)
            if self._is_stopping:
                return
            has_none = claims is not None and not claims  # known only if Redis answers
            await _first_of(changed, timeout_s=_LOOK_FOR_CLAIMS_INTERVAL_S if has_none else LOOK_INTERVAL_S)

    async def _release_lapsed_claim(self, claim: Claim) -> None:
        logger.warning("%s, which was deploying or scaling %s, is gone", claim.holder, claim.model_id)
        await self._store_change(lambda before: rules.release_claim(before, claim.model_id, claim.claim_id), None)


async def _first_of(*events: asyncio.Event, timeout_s: float) -> None:
    """Return when any of the events is set, or after *timeout_s*."""
    tasks = [asyncio.ensure_future(event.wait()) for event in events]
    try:
        await asyncio.wait(tasks, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
    finally:
        await end_tasks(tasks)


def _desired_replicas(configuration: Configuration) -> rest.DesiredReplicas:
    return rest.DesiredReplicas(
        revision=configuration.revision,
        num_replicas={str(model_id): number for model_id, number in configuration.num_replicas.items()},
        images={str(model_id): version.image for model_id, version in configuration.versions.items()},
        claimed=[str(model_id) for model_id in configuration.claims],
        autoscaled=[str(model_id) for model_id in configuration.autoscaling],
    )
