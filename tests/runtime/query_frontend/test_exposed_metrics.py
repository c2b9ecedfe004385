"""What the only query frontend of a cluster shows: no sum falls when another process takes its place."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clipper_nb.protocol.input_types import InputType
from clipper_nb.protocol.model_metrics import MetricReport, define_metric
from clipper_nb.protocol.names import ModelId
from clipper_nb.protocol.records import Application, ModelVersion, Replica
from clipper_nb.runtime.query_frontend.exposed_metrics import ContinuedMetrics
from clipper_nb.runtime.state.count_keeping import CountKeeper
from clipper_nb.runtime.state.count_store import PAST
from clipper_nb.runtime.state.kept_source import KeptSource
from tests.support.counting import MODEL, QUERIES, REPLICA, Counted, CountsThatAreAway, configuration, of, values
from tests.support.examples import examples


class Cluster:
    """What outlives a process: the store and the configuration."""

    def __init__(self) -> None:
        self.counts = CountsThatAreAway()
        self.configuration = configuration()

    async def start(self) -> Frontend:
        frontend = Frontend(self)
        await frontend.shown.start()
        return frontend


class Frontend(Counted):
    """The metrics of one process; one that is no longer used was killed."""

    def __init__(self, cluster: Cluster) -> None:
        super().__init__()
        keeper = CountKeeper(cluster.counts, "one", lambda: cluster.configuration)
        self.shown = ContinuedMetrics(KeptSource(self.metrics, keeper), self.metrics)

    async def sums(self) -> dict[str, float]:
        return values(await self.shown.exposition())


def run(test: Callable[[Cluster], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(test(Cluster()))


def test_frontend_goes_on_where_killed_ones_ended() -> None:
    async def test(cluster: Cluster) -> None:
        for number in range(1, 4):
            frontend = await cluster.start()
            assert of(await frontend.sums()) == [5 * (number - 1), 5 * (number - 1), number - 1, 2 * (number - 1)]
            frontend.count(5)
            assert of(await frontend.sums()) == [5 * number, 5 * number, number, 2 * number]
        assert len(await cluster.counts.read()) == 2, "those that have ended are one"

    run(test)


def test_frontend_that_ends_keeps_what_nobody_saw() -> None:
    async def test(cluster: Cluster) -> None:
        first = await cluster.start()
        first.count(5)
        await first.shown.stop()
        assert of(await (await cluster.start()).sums()) == [5, 5, 1, 2]

    run(test)


def test_store_that_is_away_is_waited_for() -> None:
    """What it has would be left out by a frontend that went on without."""

    async def test(cluster: Cluster) -> None:
        first = await cluster.start()
        first.count(5)
        await first.sums()
        for num_failures in (1, 2, 3, 4):  # while it is read, merged, and read again
            cluster.counts.num_failures = num_failures
            assert of(await (await cluster.start()).sums()) == [5, 5, 1, 2]

    run(test)


def test_metrics_are_shown_while_the_store_is_away() -> None:
    async def test(cluster: Cluster) -> None:
        first = await cluster.start()
        first.count(5)
        await first.sums()
        again = await cluster.start()
        cluster.counts.is_away = True
        again.count(1)
        assert of(await again.sums()) == [6, 6, 2, 4]
        cluster.counts.is_away = False
        assert of(await again.sums()) == [6, 6, 2, 4]
        assert of(await (await cluster.start()).sums()) == [6, 6, 2, 4], "it was kept when the store was back"

    run(test)


def test_frontend_ended_while_it_starts_takes_no_counts() -> None:
    """It does not know what is registered yet."""

    async def test(cluster: Cluster) -> None:
        first = await cluster.start()
        first.count(5)
        await first.sums()
        starting = Frontend(cluster)
        starting.count(3)
        await starting.shown.stop()
        assert of(await (await cluster.start()).sums()) == [5, 5, 1, 2]

    run(test)


def test_what_is_registered_again_begins_at_zero() -> None:
    async def test(cluster: Cluster) -> None:
        first = await cluster.start()
        first.count(5)
        await first.sums()
        second = await cluster.start()
        cluster.configuration = configuration(Application("app", InputType.INTEGERS, "-1", 100_000, 11.0))
        assert of(await second.sums()) == [0, 0, 1, 2]
        cluster.configuration = replace(cluster.configuration, versions={})
        assert of(await second.sums()) == [0, 0, 0, 0]
        await cluster.start()
        assert of(await (await cluster.start()).sums()) == [0, 0, 0, 0]

    run(test)


def test_counts_are_kept_for_what_is_registered_later() -> None:
    """A replica connects, and may be lost, before its version is registered."""

    async def test(cluster: Cluster) -> None:
        registered, cluster.configuration = cluster.configuration, replace(cluster.configuration, versions={})
        first = await cluster.start()
        first.count(0)
        assert of(await first.sums()) == [0, 0, 1, 2]
        cluster.configuration = registered
        await first.sums()
        assert of(await (await cluster.start()).sums()) == [0, 0, 1, 2]

    run(test)


def test_type_that_a_version_had_before_is_kept(caplog: pytest.LogCaptureFixture) -> None:
    """Another version's metric of that name, which reports first after a restart, does not take its place."""

    async def test(cluster: Cluster) -> None:
        two, other = ModelId("net", "2"), ModelVersion("net", "2", InputType.INTEGERS, "net:2", (), -1, 30.0)
        cluster.configuration = replace(cluster.configuration, versions={**cluster.configuration.versions, two: other})
        times = [MetricReport(define_metric("times", "histogram", bounds=[1]), [((), [1.0, 0.0, 0.5])])]
        gauge = [MetricReport(define_metric("times", "gauge"), [((), [7.0])])]
        first = await cluster.start()
        first.metrics.replica_reported(REPLICA, times)
        await first.sums()
        second = await cluster.start()
        second.metrics.replica_reported(Replica(*two, 0, InputType.INTEGERS), gauge)
        second.metrics.replica_reported(REPLICA, times)
        shown = await second.sums()
        assert shown["clipper_user_times_count"] == 2
        assert "clipper_user_times" not in shown
        assert "another version has it as a histogram" in caplog.text
        cluster.configuration = replace(cluster.configuration, versions={two: other})
        second.metrics.forget_model(MODEL)
        second.metrics.replica_reported(Replica(*two, 0, InputType.INTEGERS), gauge)
        assert (await second.sums())["clipper_user_times"] == 7

    run(test)


def test_counts_of_targets_are_shown_while_there_are_several() -> None:
    async def test(cluster: Cluster) -> None:
        targets = [MODEL, ModelId("net", "2")]
        first = await cluster.start()
        first.application.set_targets(targets)
        first.application.query_answered(0.01, None, MODEL)
        await first.sums()
        second = await cluster.start()
        assert "clipper_target_queries_total" not in await second.sums()
        second.application.set_targets(targets)
        assert (await second.sums())["clipper_target_queries_total"] == 1

    run(test)


def test_counts_of_another_form_are_left_out() -> None:
    async def test(cluster: Cluster) -> None:
        await cluster.counts.keep("strange", "what is this?")
        frontend = await cluster.start()
        frontend.count(5)
        assert of(await frontend.sums()) == [5, 5, 1, 2]
        assert PAST not in await cluster.counts.read()

    run(test)


@pytest.mark.slow
@examples(50)
@given(st.lists(st.sampled_from(["count", "show", "kill", "end", "kill while it starts", "blink"]), max_size=20))
def test_no_sum_ever_falls(events: list[str]) -> None:
    async def test(cluster: Cluster) -> None:
        frontend, highest, num_counted = await cluster.start(), 0.0, 0
        for event in events:
            if event == "count":
                frontend.count(1)
                num_counted += 1
            elif event == "blink":
                cluster.counts.is_away = True
                assert highest <= (await frontend.sums()).get(QUERIES, 0.0) <= num_counted
                cluster.counts.is_away = False
            elif event != "show":
                if event == "end":
                    await frontend.shown.stop()
                elif event == "kill while it starts":
                    await Frontend(cluster).shown.stop()
                frontend = await cluster.start()
            shown = (await frontend.sums()).get(QUERIES, 0.0)
            assert highest <= shown <= num_counted
            highest = shown

    run(test)
