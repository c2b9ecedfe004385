"""Assembles the query frontend: state → predictor ← wire, predictor → batching → RPC."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections import Counter
from functools import partial

from clipper_nb.errors import StateUnavailableError
from clipper_nb.protocol.autoscaling import VersionLoad, announce_interval_s
from clipper_nb.protocol.names import ModelId
from clipper_nb.protocol.records import Configuration, Replica
from clipper_nb.protocol.redis_keys import PRESENCE_INTERVAL_S
from clipper_nb.runtime.batching.dispatcher import Dispatcher
from clipper_nb.runtime.batching.model_pool import ModelPool
from clipper_nb.runtime.clock import LoopClock
from clipper_nb.runtime.http.guard import Guard
from clipper_nb.runtime.http.server import HttpServer
from clipper_nb.runtime.http.waiting_bytes import WaitingBytes
from clipper_nb.runtime.metrics.counters import QueryFrontendMetrics, make_gauges
from clipper_nb.runtime.process import keep_garbage_collector_short
from clipper_nb.runtime.query_frontend.cluster_metrics import SEEN_BY_ALL, ClusterMetrics
from clipper_nb.runtime.query_frontend.exposed_metrics import ContinuedMetrics, OwnMetrics
from clipper_nb.runtime.query_frontend.feedback_desk import FeedbackDesk
from clipper_nb.runtime.query_frontend.gate import Gate
from clipper_nb.runtime.query_frontend.handlers import make_application
from clipper_nb.runtime.query_frontend.journal import Journal
from clipper_nb.runtime.query_frontend.large_request import LargeRequests
from clipper_nb.runtime.query_frontend.learner import Learner
from clipper_nb.runtime.query_frontend.policy_chooser import PolicyChoosers
from clipper_nb.runtime.query_frontend.predict_endpoint import PredictEndpoint
from clipper_nb.runtime.query_frontend.prediction_cache import PredictionCache
from clipper_nb.runtime.query_frontend.predictor import Predictor
from clipper_nb.runtime.query_frontend.query_histories import QueryHistories
from clipper_nb.runtime.query_frontend.roll_out_reports import RollOutReports
from clipper_nb.runtime.query_frontend.v2_endpoint import V2Endpoint
from clipper_nb.runtime.rpc.admission import Admission
from clipper_nb.runtime.rpc.server import RpcServer
from clipper_nb.runtime.settings import QueryFrontendSettings
from clipper_nb.runtime.short_waits import ShortWaits, WakefulLoop, has_spare_core
from clipper_nb.runtime.state.count_keeping import CountKeeper, KeepHere
from clipper_nb.runtime.state.kept_source import KeptSource
from clipper_nb.runtime.state.lease import Lease
from clipper_nb.runtime.state.store import StateStore
from clipper_nb.runtime.state.view import ConfigurationView
from clipper_nb.runtime.tasks import end_tasks
from clipper_nb.runtime.turns import Turns
from clipper_nb.runtime.workers.http import ConnectionCounts, SharedHttpServer, connection_counts_path
from clipper_nb.runtime.workers.metrics import SharedMetrics

logger = logging.getLogger(__name__)

QUERY_IDS_PER_START = 10**11
"""After its n-th restart a frontend's ids begin at n times this: none is given twice, and all fit a double."""
_REPLICAS_TIMEOUT_S = 2.0
_REPLICAS_LOOK_INTERVAL_S = 0.02


class QueryFrontend:
    """One query frontend process.

    Parameters
    ----------
    settings : QueryFrontendSettings
    store : StateStore
        Holds the configuration; closed by its creator.
    """

    def __init__(self, settings: QueryFrontendSettings, store: StateStore) -> None:
        self._settings = settings
        self._store = store
        self._loop = LoopClock(asyncio.get_running_loop())
        self._wakeful_loop = WakefulLoop(self._loop.call_soon, self._loop.time, ShortWaits(is_allowed=has_spare_core()))
        worker = settings.worker
        self._metrics = QueryFrontendMetrics(counts_replicas=worker is None or worker.index == 0)
        self._cache = PredictionCache(settings.cache_size_bytes)
        self._pool = ModelPool(
            self._make_dispatcher,
            on_replicas_changed=self._replicas_changed,
            on_forgotten=self._metrics.forget_model,
        )
        self._learner = Learner(store.feedback, time.time)
        choosers = PolicyChoosers(self._learner)
        self._predictor = Predictor(
            self._loop,
            self._pool,
            self._cache,
            self._metrics,
            first_query_id=0 if worker is None else worker.index,
            query_id_step=settings.num_frontends,
            choosers=choosers,
        )
        self._journal = Journal()
        self._own_metrics = OwnMetrics(self._metrics)
        self._kept_metrics = self._make_cluster_metrics() if settings.is_apart else self._make_continued_metrics()
        self._histories = self._make_histories()
        self._roll_out_reports = RollOutReports(store, self._predictor.watches.counts)
        self._tasks: list[asyncio.Task[None]] = []
        self._lease = Lease()
        self._view = self._make_view()
        self._metrics.show_gauges(
            lambda: make_gauges(self._model_values(), self._cache_values(), self._application_values())
        )
        self._metrics.show_gauges(self._predictor.watches.families)
        self._metrics.show_gauges(choosers.families)
        self._rpc = self._make_rpc_server()
        self._http = self._make_http_server()

    async def start(self) -> None:
        """Start to serve as soon as the configuration is known."""
        await self._rpc.start()
        self._view.start()
        await self._view.wait_until_current()
        await self._skip_known_query_ids()
        await self._kept_metrics.start()
        if self._settings.worker is not None:
            await self._wait_for_replicas()
        listening = self._settings.http.open_socket()
        await self._http.start(listening)
        self._tasks = [
            asyncio.create_task(self._histories.answer_questions(), name="answer questions"),
            asyncio.create_task(self._learner.run(), name="keep answers and learn from feedback"),
            asyncio.create_task(self._roll_out_reports.write_regularly(), name="report to roll-outs"),
        ]
        if isinstance(self._kept_metrics, ClusterMetrics):
            self._tasks.append(asyncio.create_task(self._kept_metrics.keep_regularly(), name="keep counts"))
        keep_garbage_collector_short()
        logger.info("query frontend listens on %s:%s", *listening.getsockname()[:2])

    async def stop(self) -> None:
        """Finish the requests in progress and end."""
        await self._http.stop()
        await end_tasks(self._tasks)
        with contextlib.suppress(StateUnavailableError):
            await self._learner.flush()
        await self._view.stop()
        await self._kept_metrics.stop()
        self._rpc.stop()

    async def _skip_known_query_ids(self) -> None:
        """Give no id that this frontend gave before it was restarted: its feedback may still come."""
        index = 0 if self._settings.worker is None else self._settings.worker.index
        while True:
            try:
                num_starts = await self._store.count_start(index)
            except StateUnavailableError as exc:
                logger.warning("%s", exc)
                await asyncio.sleep(_REPLICAS_LOOK_INTERVAL_S)
            else:
                self._predictor.skip_query_ids(num_starts * QUERY_IDS_PER_START)
                return

    async def _wait_for_replicas(self) -> None:
        """Wait for the replicas of the neighbouring frontends to connect here too, before queries arrive."""
        deadline_s = self._loop.time() + _REPLICAS_TIMEOUT_S
        while self._loop.time() < deadline_s:
            with contextlib.suppress(StateUnavailableError):
                ours = Counter(replica.model_id for replica in self._usable_replicas())
                others = [
                    Counter(replica.model_id for replica in frontend.replicas)
                    for frontend in await self._store.read_presence()
                    if frontend.frontend_id != self._settings.frontend_id and frontend.run_id == self._settings.run_id
                ]
                if all(ours >= other for other in others):
                    return
            await asyncio.sleep(_REPLICAS_LOOK_INTERVAL_S)
        logger.warning("serves without some replicas that other query frontends have")

    def _apply(self, configuration: Configuration) -> None:
        self._rpc.apply(configuration)  # first: whom it expels must get no query of a version that it makes known
        self._predictor.apply(configuration)

    def _make_histories(self) -> QueryHistories:
        return QueryHistories(
            self._store,
            self._journal,
            self._settings.frontend_id,
            clock=self._loop.time,
            wall_clock=time.time,
            flush=self._learner.flush,
            find_shadow_report=self._predictor.watches.report,
            read_metrics=self._kept_metrics.report if isinstance(self._kept_metrics, ClusterMetrics) else _no_metrics,
        )

    def _make_keeper(self, keep_here: KeepHere | None = None) -> CountKeeper:
        return CountKeeper(
            self._store.counts,
            self._settings.frontend_id,
            lambda: self._predictor.configuration,
            keep_here=keep_here,
            seen_by_all=SEEN_BY_ALL if self._settings.is_apart else (),
        )

    def _make_cluster_metrics(self) -> ClusterMetrics:
        return ClusterMetrics(self._store, self._settings.frontend_id, self._own_metrics, self._make_keeper())

    def _make_continued_metrics(self) -> ContinuedMetrics:
        worker = self._settings.worker
        if worker is None:
            return ContinuedMetrics(KeptSource(self._metrics, self._make_keeper()), self._metrics)
        num_frontends = self._settings.num_frontends
        shared = SharedMetrics(self._metrics, worker.folder, worker.index, num_frontends, self._make_keeper)
        return ContinuedMetrics(shared, self._metrics)

    def _make_view(self) -> ConfigurationView:
        return ConfigurationView(
            self._store,
            self._settings.frontend_id,
            apply=self._apply,
            replicas=self._usable_replicas,
            loads=self._loads,
            lease=self._lease,
            run_id=self._settings.run_id,
        )

    def _make_rpc_server(self) -> RpcServer:
        settings, worker = self._settings, self._settings.worker
        return RpcServer(
            settings.open_rpc_sockets(),
            self._pool,
            admission=_admission(settings),
            metrics=self._metrics,
            refused=self._metrics.container_refused,
            frontend_ports=() if worker is None else worker.rpc_ports,
            frontend_sockets=() if worker is None else worker.rpc_sockets,
        )

    def _make_http_server(self) -> HttpServer:
        settings, worker = self._settings, self._settings.worker
        waiting = WaitingBytes(settings.http_limits.max_waiting_size_bytes)
        turns = Turns(self._loop.call_soon, self._loop.time)
        large_requests = LargeRequests(self._predictor, self._loop, turns, waiting, self._journal)
        gate = Gate(
            PredictEndpoint(self._predictor, self._loop.time, large_requests, self._journal),
            V2Endpoint(self._predictor, self._loop, large_requests),
            self._predictor,
            self._lease,
            self._view.announce_soon,
            self._loop,
        )
        of_cluster = self._kept_metrics.exposition
        application = make_application(
            self._predictor,
            self._own_metrics.exposition if settings.is_apart else of_cluster,
            FeedbackDesk(self._predictor, self._store, self._learner),
            of_cluster=of_cluster,
            needs_token=settings.access.query_token is not None,
        )
        guard = Guard(settings.access)
        if worker is None:
            return HttpServer(gate, application, settings.http_limits, waiting, guard, settings.tls, gate.infer)
        counts = ConnectionCounts(connection_counts_path(worker.folder))
        return SharedHttpServer(
            gate, application, settings.http_limits, counts, worker.index, waiting, guard, settings.tls, gate.infer
        )

    def _make_dispatcher(self, model_id: ModelId, batch_size: int) -> Dispatcher:
        return Dispatcher(
            model_id,
            batch_size=batch_size,
            observer=partial(self._metrics.model, model_id),
            clock=self._loop.time,
            call_soon=self._loop.call_soon,
            call_at=self._loop.call_at,
            wakeful_loop=self._wakeful_loop,
        )

    def _usable_replicas(self) -> list[Replica]:
        return self._pool.usable_replicas()

    def _loads(self) -> tuple[tuple[VersionLoad, ...], float]:
        """Return the load of the versions that are autoscaled, and how often it should be announced, in seconds."""
        scaled = self._predictor.configuration.autoscaling
        loads = tuple(each.load.read(each.model_id) for each in self._pool if each.model_id in scaled)
        return loads, min((announce_interval_s(each) for each in scaled.values()), default=PRESENCE_INTERVAL_S)

    def _replicas_changed(self) -> None:
        self._view.announce_soon()

    def _model_values(self) -> list[tuple[ModelId, int, int]]:
        return [(d.model_id, d.queue_length, d.num_replicas) for d in self._pool]

    def _application_values(self) -> list[tuple[str, float, bool | None]]:
        configuration, unready = self._predictor.configuration, self._predictor.unready_applications()
        return [
            (name, application.slo_micros / 1e6, name not in unready if name in configuration.routes else None)
            for name, application in configuration.applications.items()
        ]

    def _cache_values(self) -> tuple[int, int, int]:
        return self._cache.size_bytes, len(self._cache), self._cache.evictions


async def _no_metrics() -> str:
    return ""


def _admission(settings: QueryFrontendSettings) -> Admission:
    networks = settings.container_network, settings.proven_network
    return Admission(settings.replica_secret, settings.clipper_containers, *networks)
