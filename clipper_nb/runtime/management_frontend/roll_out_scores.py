"""Reads the feedback of a version that is rolled out, and of all others."""

from __future__ import annotations

from functools import partial

from clipper_nb.protocol.roll_out import ArmCounts, RollOut, RollOutCounts
from clipper_nb.protocol.score_books import arm_of, book_of
from clipper_nb.protocol.score_counts import NO_COUNTS
from clipper_nb.runtime.management_frontend.roll_out_driver import ReadScores
from clipper_nb.runtime.state.store import StateStore


def scores_in(store: StateStore) -> ReadScores:
    """Return what reads the scores of a roll-out in a store, as sums that only grow."""
    return partial(_read, store)


async def _read(store: StateStore, roll_out: RollOut) -> RollOutCounts:
    configuration = await store.read_configuration()
    application = configuration.applications.get(roll_out.plan.app_name)
    version = configuration.versions.get(roll_out.plan.model_id)
    if application is None or version is None:
        return RollOutCounts()
    (found,) = await store.feedback.read(book_of(application, roll_out.before.policy))
    candidate = others = NO_COUNTS
    for arm, dated in found.items():
        if arm == arm_of(version):
            candidate = dated.counts
        else:
            others = others.plus(dated.counts)
    return RollOutCounts(
        ArmCounts.of_scores(candidate.num, candidate.total), ArmCounts.of_scores(others.num, others.total)
    )
