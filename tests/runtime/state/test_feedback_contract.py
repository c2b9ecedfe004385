"""The same promises on answers and scores, asked of every store."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator

import pytest

from clipper_nb.errors import StateUnavailableError
from clipper_nb.protocol.feedback import Answered, Outcome
from clipper_nb.protocol.score_counts import Counts
from clipper_nb.runtime.state import memory_feedback, redis_feedback
from clipper_nb.runtime.state.feedback_store import ANSWERS_KEPT_S, Scored
from clipper_nb.runtime.state.store import StateStore
from tests.support.stores import OpenState, state_in_memory, state_in_redis


@pytest.fixture(params=["memory", pytest.param("redis", marks=pytest.mark.redis)], scope="module")
def state(request: pytest.FixtureRequest) -> Iterator[OpenState]:
    yield from state_in_memory() if request.param == "memory" else state_in_redis()


@pytest.fixture
def book(request: pytest.FixtureRequest) -> str:
    """A book of each test's own."""
    return f"{request.node.name}:1.000000:thompson"


def answer(query_id: int, *, key: str = "", payload: str = "", arm: str = "m:1@1") -> Answered:
    return Answered(query_id=query_id, outcomes=(Outcome(arm, "7", 0.25),), k=key, i=payload)


def scored(query_id: int, total: float = 1.0, group: str = "", half_life_s: float | None = None) -> Scored:
    return Scored(query_id, {"m:1@1": Counts(1.0, total, 2 * total)}, group, half_life_s)


def run(state: OpenState, test: Callable[[StateStore, StateStore], object]) -> None:
    async def main() -> None:
        one, other = state.open_store(), state.open_store()
        try:
            await test(one, other)  # type: ignore[misc]
        finally:
            await one.close()
            await other.close()

    asyncio.run(main())


def test_answer_is_found_by_id_key_and_input(state: OpenState, book: str) -> None:
    async def test(one: StateStore, other: StateStore) -> None:
        await one.feedback.keep(book, [answer(1, key="k", payload="i"), answer(2, key="k")], 100.0)
        assert await other.feedback.find(book, query_id=1) == answer(1, key="k", payload="i")
        assert await other.feedback.find(book, key="k") == answer(2, key="k")
        assert await other.feedback.find(book, payload="i") == answer(1, key="k", payload="i")
        assert await other.feedback.find(book, query_id=3) is None
        assert await other.feedback.find(book, key="other") is None
        assert await other.feedback.find(f"other {book}", query_id=1) is None

    run(state, test)


def test_feedback_counts_once_whoever_counts_it(state: OpenState, book: str) -> None:
    async def test(one: StateStore, other: StateStore) -> None:
        counted = await asyncio.gather(
            *(store.feedback.count(book, scored(number), 100.0) for store in (one, other, one) for number in range(20))
        )
        assert sum(counted) == 20
        (counts,) = await other.feedback.read(book)
        assert counts["m:1@1"].counts == Counts(20.0, 20.0, 40.0)

    run(state, test)


def test_counts_fade_and_add_up(state: OpenState, book: str) -> None:
    async def test(one: StateStore, other: StateStore) -> None:
        await one.feedback.count(book, scored(1, half_life_s=10.0), 100.0)
        await other.feedback.count(book, scored(2, 0.5, half_life_s=10.0), 110.0)
        (counts,) = await one.feedback.read(book)
        assert counts["m:1@1"].counts == Counts(1.5, 1.0, 2.0)
        assert counts["m:1@1"].at_s == 110.0
        await one.feedback.count(book, scored(3, half_life_s=10.0), 105.0)  # a clock behind
        (counts,) = await one.feedback.read(book)
        assert (counts["m:1@1"].counts.num, counts["m:1@1"].at_s) == (2.5, 110.0)

    run(state, test)


def test_group_counts_for_itself_too(state: OpenState, book: str) -> None:
    async def test(one: StateStore, other: StateStore) -> None:
        await one.feedback.count(book, scored(1, group="ann"), 100.0)
        await one.feedback.count(book, scored(2, 0.0, group="bob"), 100.0)
        everyone, ann, nobody = await other.feedback.read(book, ["ann", "nobody"])
        assert everyone["m:1@1"].counts == Counts(2.0, 1.0, 2.0)
        assert ann["m:1@1"].counts == Counts(1.0, 1.0, 2.0)
        assert nobody == {}

    run(state, test)


def test_groups_are_bounded(state: OpenState, book: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (memory_feedback, redis_feedback):
        monkeypatch.setattr(module, "MAX_GROUPS", 3)

    async def test(one: StateStore, other: StateStore) -> None:
        for number in range(6):
            await one.feedback.count(book, scored(number, group=f"user-{number}"), 100.0 + number)
        _, *groups = await other.feedback.read(book, [f"user-{number}" for number in range(6)])
        assert [bool(group) for group in groups] == [False] * 3 + [True] * 3

    run(state, test)


def test_old_answers_make_room(state: OpenState, book: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (memory_feedback, redis_feedback):
        monkeypatch.setattr(module, "MAX_KEPT_ANSWERS", 50)

    async def test(one: StateStore, other: StateStore) -> None:
        await one.feedback.keep(book, [answer(number, key=f"k{number}") for number in range(300)], 100.0)
        await one.feedback.count(book, scored(299), 100.0)
        await one.feedback.keep(book, [answer(300)], 101.0)
        kept = [await other.feedback.find(book, query_id=number) is not None for number in range(301)]
        assert kept == [False] * 251 + [True] * 50
        assert await other.feedback.find(book, key="k0") is None
        assert await other.feedback.find(book, key="k299") is not None
        await one.feedback.keep(book, [answer(301)], 102.0 + ANSWERS_KEPT_S)
        assert await other.feedback.find(book, query_id=300) is None
        assert await other.feedback.find(book, query_id=301) is not None

    run(state, test)


def test_starts_are_counted_by_frontend(state: OpenState) -> None:
    async def test(one: StateStore, other: StateStore) -> None:
        assert [await one.count_start(8), await other.count_start(8), await one.count_start(9)] == [0, 1, 0]

    run(state, test)


@pytest.mark.redis
def test_redis_that_is_away_is_said_so() -> None:
    for state in state_in_redis():
        assert state.server is not None
        state.server.kill()

        async def test(one: StateStore, other: StateStore) -> None:
            with pytest.raises(StateUnavailableError):
                await one.feedback.count("book", scored(1), 100.0)
            with pytest.raises(StateUnavailableError):
                await one.feedback.read("book")

        run(state, test)
