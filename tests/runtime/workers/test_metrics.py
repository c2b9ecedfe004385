"""The common metrics of several query frontends of one parent."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clipper_nb.protocol.input_types import InputType
from clipper_nb.protocol.model_metrics import MetricReport, define_metric
from clipper_nb.protocol.records import Application
from clipper_nb.runtime.query_frontend.exposed_metrics import ContinuedMetrics
from clipper_nb.runtime.state.count_keeping import CountKeeper, KeepHere
from clipper_nb.runtime.workers.metrics import SharedMetrics
from tests.support.counting import QUERIES, REPLICA, Counted, CountsThatAreAway, configuration, of, values
from tests.support.examples import examples

NUM_FRONTENDS = 2


class Parent:
    """What its frontends have in common: the store, the configuration, and a folder."""

    def __init__(self, folder: Path) -> None:
        self.counts = CountsThatAreAway()
        self.configuration = configuration()
        self.folder = folder
        self.started: list[Frontend] = []

    async def start(self, index: int) -> Frontend:
        frontend = Frontend(self, index)
        self.started.append(frontend)
        await frontend.shown.start()
        return frontend

    def start_again(self) -> None:
        """Begin with an empty folder, as a parent in a new container; its frontends are gone."""
        self.folder = Path(tempfile.mkdtemp(dir=self.folder))


class Frontend(Counted):
    """One process of a query frontend."""

    def __init__(self, parent: Parent, index: int) -> None:
        super().__init__(counts_replicas=index == 0)

        def make_keeper(keep_here: KeepHere) -> CountKeeper:
            return CountKeeper(parent.counts, f"worker-{index}", lambda: parent.configuration, keep_here=keep_here)

        self.shared = SharedMetrics(self.metrics, parent.folder, index, NUM_FRONTENDS, make_keeper)
        self.shown = ContinuedMetrics(self.shared, self.metrics)

    async def sums(self) -> dict[str, float]:
        return values(await self.shown.exposition())

    def kill(self) -> None:
        """Answer no more."""
        if self.shared._server is not None:
            self.shared._server.close()


def run(test: Callable[[Parent], Coroutine[Any, Any, None]]) -> None:
    async def main(folder: str) -> None:
        parent = Parent(Path(folder))
        await test(parent)
        for frontend in parent.started:
            frontend.kill()

    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(main(folder))


def test_restarted_frontend_counts_on() -> None:
    async def test(parent: Parent) -> None:
        first, other = await parent.start(0), await parent.start(1)
        first.count(5)
        other.count(2)
        assert of(await first.sums()) == of(await other.sums()) == [7, 7, 1, 4]
        await first.shown.stop()
        assert of(await other.sums()) == [7, 7, 1, 4]
        again = await parent.start(0)
        again.count(1)
        assert of(await other.sums()) == [8, 8, 2, 6]
        again.kill()
        third = await parent.start(0)
        assert of(await third.sums()) == of(await other.sums()) == [8, 8, 2, 6]

    run(test)


def test_no_sum_falls_while_the_store_is_away() -> None:
    async def test(parent: Parent) -> None:
        first, other = await parent.start(0), await parent.start(1)
        parent.counts.is_away = True
        first.count(5)
        assert of(await other.sums()) == [5, 5, 1, 2]
        first.kill()
        assert of(await other.sums()) == [5, 5, 1, 2]
        starting = asyncio.create_task(parent.start(0))
        await asyncio.sleep(0.02)
        assert not starting.done(), "it waits for the store"
        assert of(await other.sums()) == [5, 5, 1, 2]
        parent.counts.is_away = False
        again = await starting
        assert of(await again.sums()) == of(await other.sums()) == [5, 5, 1, 2]
        again.kill()
        other.kill()
        parent.start_again()
        assert of(await (await parent.start(0)).sums()) == [5, 5, 1, 2], "it was kept when the store was back"

    run(test)


def test_frontend_ended_while_it_starts_takes_no_counts() -> None:
    """It does not know the applications yet, so it would write that nothing was counted."""

    async def test(parent: Parent) -> None:
        first, other = await parent.start(0), await parent.start(1)
        first.count(5)
        await first.shown.stop()
        await Frontend(parent, 0).shown.stop()
        assert of(await other.sums()) == [5, 5, 1, 2]

    run(test)


def test_frontends_of_a_new_parent_count_on_once() -> None:
    async def test(parent: Parent) -> None:
        for number in range(1, 4):
            first = await parent.start(0)
            first.count(1)
            await first.sums()  # it is in the store before the other one starts
            other = await parent.start(1)
            other.count(1)
            assert of(await first.sums()) == of(await other.sums()) == [2 * number, 2 * number, number, 4 * number]
            first.kill()
            other.kill()
            parent.start_again()
        assert len(await parent.counts.read()) == 3

    run(test)


def test_counts_that_no_file_can_have_count_once(caplog: pytest.LogCaptureFixture) -> None:
    """As on a full disk: the store must not have what a successor would not know to be its own."""

    async def test(parent: Parent) -> None:
        first = await parent.start(0)
        (parent.folder / "0.new").mkdir()
        first.count(5)
        assert of(await first.sums()) == [5, 5, 1, 2]
        assert "cannot be kept" in caplog.text
        other = await parent.start(1)
        assert of(await other.sums()) == [5, 5, 1, 2]
        (parent.folder / "0.new").rmdir()
        assert of(await other.sums()) == [5, 5, 1, 2]
        first.kill()
        assert of(await other.sums()) == [5, 5, 1, 2]

    run(test)


def test_application_that_is_registered_again_begins_at_zero() -> None:
    async def test(parent: Parent) -> None:
        first, other = await parent.start(0), await parent.start(1)
        first.count(5)
        await other.sums()
        first.kill()
        parent.configuration = configuration(Application("app", InputType.INTEGERS, "-1", 100_000, 11.0))
        assert of(await other.sums()) == [0, 0, 1, 2]
        await parent.start(0)
        assert of(await other.sums()) == [0, 0, 1, 2]

    run(test)


def test_metric_of_two_types_at_two_frontends_is_shown_as_one() -> None:
    async def test(parent: Parent) -> None:
        first, other = await parent.start(0), await parent.start(1)
        for frontend, metric, numbers in (
            (first, define_metric("times", "histogram"), [1.0, 0.5]),
            (other, define_metric("times", "gauge"), [7.0]),
        ):
            frontend.metrics.replica_reported(REPLICA, [MetricReport(metric, [((), numbers)])])
        assert (await other.sums())["clipper_user_times_count"] == 1

    run(test)


@pytest.mark.slow
@examples(30)
@given(st.lists(st.tuples(st.sampled_from(["count", "kill", "end", "away", "back", "parent"]), st.integers(0, 1)),
                max_size=15))  # fmt: skip
def test_no_sum_ever_falls(events: list[tuple[str, int]]) -> None:
    async def test(parent: Parent) -> None:
        frontends = [await parent.start(index) for index in range(NUM_FRONTENDS)]
        highest, num_counted = 0.0, 0
        for event, index in events:
            if event == "count":
                frontends[index].count(1)
                num_counted += 1
            elif event in ("away", "back"):
                parent.counts.is_away = event == "away"
            elif event == "parent":
                parent.counts.is_away = False
                await frontends[index].sums()  # a parent that is killed while the store is away loses what was counted
                for frontend in frontends:
                    frontend.kill()
                parent.start_again()
                frontends = [await parent.start(index) for index in range(NUM_FRONTENDS)]
            else:
                if event == "end":
                    await frontends[index].shown.stop()
                else:
                    frontends[index].kill()
                shown = (await frontends[1 - index].sums()).get(QUERIES, 0.0)
                assert highest <= shown
                was_away, parent.counts.is_away = parent.counts.is_away, False
                frontends[index] = await parent.start(index)
                parent.counts.is_away = was_away
            for frontend in frontends:
                shown = (await frontend.sums()).get(QUERIES, 0.0)
                assert highest <= shown <= num_counted
                highest = shown

    run(test)
