"""The feedback that a roll-out looks at."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from clipper_nb.protocol.policies import Policy
from clipper_nb.protocol.roll_out import ArmCounts, RollOut, RollOutCounts, RollOutPlan
from clipper_nb.protocol.route import make_route
from clipper_nb.protocol.score_books import arm_of, book_of
from clipper_nb.protocol.score_counts import Counts
from clipper_nb.runtime.management_frontend.roll_out_scores import scores_in
from clipper_nb.runtime.state.feedback_store import Scored
from clipper_nb.runtime.state.memory_store import MemoryStore
from tests.support.records import make_application, make_configuration, make_version

APPLICATION = make_application()
V1, V2, V3 = (make_version(version=version, registered_at=float(version)) for version in "123")
CONFIGURATION = make_configuration(V1, V2, V3, applications=(APPLICATION,))
WEIGHTS = Policy(name="weights")


def read(policy: Policy | None, *, configuration=CONFIGURATION) -> RollOutCounts:
    """Return the scores of version 2 and of the others, after each version got some."""

    async def main() -> RollOutCounts:
        store = MemoryStore()
        await store.update_configuration(lambda _: configuration)
        book = book_of(APPLICATION, policy)
        given = [(V1, 4.0, 3.0), (V2, 10.0, 6.5), (V3, 2.0, 2.0), (V2, 1.0, 0.5)]
        for query_id, (version, num, total) in enumerate(given):
            await store.feedback.count(book, Scored(query_id, {arm_of(version): Counts(num, total)}), 1000.0)
        before = replace(make_route({"digits-net:1": 1, "digits-net:3": 1}), policy=policy)
        plan = RollOutPlan("digits", "digits-net", "2", (10.0, 100.0))
        return await scores_in(store)(RollOut("id", plan, before, started_at=1.0))

    return asyncio.run(main())


@pytest.mark.parametrize("policy", [None, WEIGHTS])
def test_scores_of_all_others_are_the_baseline(policy: Policy | None) -> None:
    expected = RollOutCounts(ArmCounts(num_scored=11, num_bad_scores=4), ArmCounts(num_scored=6, num_bad_scores=1))
    assert read(policy) == expected


def test_version_that_is_gone_has_no_scores() -> None:
    assert read(None, configuration=make_configuration(V1, applications=(APPLICATION,))) == RollOutCounts()
