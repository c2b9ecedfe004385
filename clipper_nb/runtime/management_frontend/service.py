"""What the management frontend does, told in our records; knows no HTTP.

Every change is written in one transaction and then waited for: it returns when all query frontends that live act on
it. So nobody needs to sleep after an admin call.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import Callable

from clipper_nb.errors import ClusterUnreachableError, InvalidRequestError, StateUnavailableError
from clipper_nb.protocol import names, rest
from clipper_nb.protocol.input_types import parse_input_type
from clipper_nb.protocol.names import ModelId
from clipper_nb.protocol.records import (
    ADAPTIVE_BATCH_SIZE,
    Application,
    Configuration,
    FrontendPresence,
    ModelVersion,
    Replica,
)
from clipper_nb.runtime.management_frontend import rules
from clipper_nb.runtime.management_frontend.liveness import FrontendLiveness
from clipper_nb.runtime.state.store import Change, StateStore
from clipper_nb.runtime.tasks import end_tasks

_LOOK_AGAIN_INTERVAL_S = 0.25
_LOOK_REGULARLY_INTERVAL_S = 1.0


class ManagementService:
    """The rules of the configuration on top of a store.

    Parameters
    ----------
    store : StateStore
        Where the configuration is.
    confirmation_timeout_s : float
        How long a change waits for the query frontends to act on it.
    clock : callable
        Gives monotonic seconds.
    wall_clock : callable
        Gives seconds since the epoch.
    """

    def __init__(
        self,
        store: StateStore,
        *,
        confirmation_timeout_s: float = 10.0,
        clock: Callable[[], float] = time.monotonic,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        self._store = store
        self._confirmation_timeout_s = confirmation_timeout_s
        self._clock = clock
        self._wall_clock = wall_clock
        self._presence_changed = asyncio.Event()  # replaced at each change, so that none is missed
        self._liveness = FrontendLiveness()
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Begin to listen for what query frontends say; called once on the running loop."""
        self._tasks = [
            asyncio.create_task(self._watch_presence(), name="watch presence"),
            asyncio.create_task(self._look_regularly(), name="look for the dead"),
        ]

    async def stop(self) -> None:
        """End what ``start`` began."""
        await end_tasks(self._tasks)

    # --- applications

    async def register_application(self, request: rest.AddApplication) -> Application:
        """Add an application."""
        application = Application(
            name=names.check_application_name(request.name),
            input_type=parse_input_type(request.input_type),
            default_output=request.default_output,
            slo_micros=_check_slo(request.latency_slo_micros),
            registered_at=self._wall_clock(),
        )
        await self._change(lambda configuration: rules.register_application(configuration, application))
        return application

    async def unregister_application(self, name: str) -> None:
        """Remove an application and its link."""
        await self._change(lambda configuration: rules.unregister_application(configuration, name))

    async def link_model(self, request: rest.ModelLinks) -> None:
        """Link one model to an application."""
        model_name = _only_model_name(request)
        await self._change(lambda configuration: rules.link_model(configuration, request.app_name, model_name))

    async def unlink_model(self, request: rest.ModelLinks) -> None:
        """Remove the link between an application and a model."""
        model_name = _only_model_name(request)
        await self._change(lambda configuration: rules.unlink_model(configuration, request.app_name, model_name))

    async def get_linked_models(self, application_name: str) -> list[str]:
        """Return the names of the application's linked models: none or one."""
        configuration = await self._store.read_configuration()
        rules.find_application(configuration, application_name)
        linked = configuration.links.get(application_name)
        return [] if linked is None else [linked]

    # --- model versions

    async def register_version(self, request: rest.AddModel) -> ModelVersion:
        """Add a model version and make it current."""
        version = ModelVersion(
            name=names.check_model_name(request.model_name),
            version=names.check_version(request.model_version),
            input_type=parse_input_type(request.input_type),
            image=request.container_name,
            labels=tuple(request.labels),
            batch_size=_check_batch_size(request.batch_size),
            limits=request.limits,
            provenance=request.provenance,
            registered_at=self._wall_clock(),
        )
        await self._change(lambda configuration: rules.register_version(configuration, version))
        return version

    async def unregister_version(self, model_id: ModelId) -> None:
        """Remove a model version."""
        await self._change(lambda configuration: rules.unregister_version(configuration, model_id))

    async def set_current_version(self, model_id: ModelId) -> None:
        """Make a registered version current."""
        await self._change(lambda configuration: rules.set_current_version(configuration, model_id))

    # --- reading

    async def read_configuration(self) -> Configuration:
        """Return the configuration."""
        return await self._store.read_configuration()

    async def read_replicas(self) -> list[Replica]:
        """Return the replicas that every living query frontend is connected to.

        With several frontends a replica is known to each by a number of its own; those of the frontend that has the
        fewest are told, so that a count never promises more than any frontend can use.
        """
        return _replicas_known_to_all(await self._read_living())

    async def read_query_frontends(self) -> list[FrontendPresence]:
        """Return what each living query frontend says of itself."""
        return sorted(await self._read_living(), key=lambda frontend: frontend.frontend_id)

    # --- confirmation

    async def _change(self, change: Change) -> None:
        configuration = await self._store.update_configuration(change)
        await self._wait_until_applied(configuration.revision)

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
            # A frontend that dies says nothing: look again once in a while.
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(changed.wait(), timeout=_LOOK_AGAIN_INTERVAL_S)

    async def _frontends_behind(self, revision: int) -> list[str]:
        living = await self._read_living()
        return [frontend.frontend_id for frontend in living if frontend.applied_revision < revision]

    async def _read_living(self) -> list[FrontendPresence]:
        presence = await self._store.read_presence()
        living, dead = self._liveness.observe(presence, now_s=self._clock())
        for frontend in dead:
            await self._store.withdraw(frontend.frontend_id)
        return living

    async def _watch_presence(self) -> None:
        async for _ in self._store.presence_changes():
            changed, self._presence_changed = self._presence_changed, asyncio.Event()
            changed.set()

    async def _look_regularly(self) -> None:
        while True:
            with contextlib.suppress(StateUnavailableError):
                await self._read_living()
            await asyncio.sleep(_LOOK_REGULARLY_INTERVAL_S)


def _replicas_known_to_all(presence: list[FrontendPresence]) -> list[Replica]:
    counts = [Counter(replica.model_id for replica in frontend.replicas) for frontend in presence]
    known: list[Replica] = []
    for model_id in sorted({model_id for count in counts for model_id in count}):
        poorest = min(range(len(presence)), key=lambda index: counts[index][model_id])
        known += [replica for replica in presence[poorest].replicas if replica.model_id == model_id]
    return known


def _only_model_name(request: rest.ModelLinks) -> str:
    if len(request.model_names) != 1:
        raise InvalidRequestError(f"An application has exactly one model; {len(request.model_names)} were named.")
    return names.check_model_name(request.model_names[0])


def _check_slo(slo_micros: int) -> int:
    if not 0 < slo_micros <= rest.MAX_SLO_MICROS:
        raise InvalidRequestError(
            f"The SLO is {slo_micros} microseconds; it must be from 1 to {rest.MAX_SLO_MICROS}. 100 ms is 100000."
        )
    return slo_micros


def _check_batch_size(batch_size: int) -> int:
    if batch_size < 1 and batch_size != ADAPTIVE_BATCH_SIZE:
        raise InvalidRequestError(
            f"batch_size is {batch_size}; it must be at least 1, or {ADAPTIVE_BATCH_SIZE} to adapt to the SLO."
        )
    return batch_size
