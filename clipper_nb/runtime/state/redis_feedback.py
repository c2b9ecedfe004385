"""Answers and scores in Redis; what must be one step is a script there, so frontends need not wait for each other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any

import msgspec

from clipper_nb.protocol.feedback import Answered
from clipper_nb.protocol.redis_keys import RedisKeys
from clipper_nb.protocol.score_counts import ArmCounts, Counts, DatedCounts
from clipper_nb.runtime.state.feedback_store import (
    ANSWERS_KEPT_S,
    GROUP_KEPT_S,
    MAX_GROUPS,
    MAX_KEPT_ANSWERS,
    SCORES_KEPT_S,
    FeedbackStore,
    Scored,
)

_ANSWERS_PER_CALL = 200
"""Redis does nothing else while it runs a script."""

_ONE_AFTER_THE_OTHER_S = 1e-6
"""Between answers that are kept together: those of one instant would be in the order of their texts."""

_KEEP = """
local answers, order = KEYS[1], KEYS[2]
for n = 4, #ARGV, 5 do
  local id = ARGV[n]
  redis.call('HSET', answers, 'q' .. id, ARGV[n + 2])
  redis.call('ZADD', order, ARGV[n + 1], id)
  if ARGV[n + 3] ~= '' then redis.call('HSET', answers, 'k' .. ARGV[n + 3], id) end
  if ARGV[n + 4] ~= '' then redis.call('HSET', answers, 'i' .. ARGV[n + 4], id) end
end
local gone = redis.call('ZRANGEBYSCORE', order, '-inf', '(' .. ARGV[2], 'LIMIT', 0, 400)
local over = math.min(redis.call('ZCARD', order) - tonumber(ARGV[1]), 400)
if over > #gone then gone = redis.call('ZRANGE', order, 0, over - 1) end
for _, id in ipairs(gone) do
  local text = redis.call('HGET', answers, 'q' .. id)
  if text then
    local answered = cjson.decode(text)
    for _, kind in ipairs({'k', 'i'}) do
      local field = kind .. (answered[kind] or '')
      if redis.call('HGET', answers, field) == id then redis.call('HDEL', answers, field) end
    end
  end
  redis.call('HDEL', answers, 'q' .. id, 'c' .. id)
  redis.call('ZREM', order, id)
end
redis.call('EXPIRE', answers, ARGV[3])
redis.call('EXPIRE', order, ARGV[3])
"""
"""KEYS: answers, order. ARGV: how many are kept, since when, for how many seconds; then for each answer its id, the
instant, JSON, and the digests of its key and its input."""

_COUNT = """
local answers, order, scores, groups = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local id, now, half_life, group = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), ARGV[4]
if redis.call('HSETNX', answers, 'c' .. id, '1') == 0 then return 0 end
redis.call('ZADD', order, 'NX', now, id)
redis.call('EXPIRE', answers, ARGV[5])
redis.call('EXPIRE', order, ARGV[5])
local function add(key, kept_s)
  for n = 9, #ARGV, 4 do
    local num, total, estimate, at = 0, 0, 0, now
    local known = redis.call('HGET', key, ARGV[n])
    if known then
      local a, b, c, d = string.match(known, '(%S+) (%S+) (%S+) (%S+)')
      num, total, estimate, at = tonumber(a), tonumber(b), tonumber(c), tonumber(d)
      if half_life > 0 and now > at then
        local factor = 2 ^ (-(now - at) / half_life)
        num, total, estimate = num * factor, total * factor, estimate * factor
      end
    end
    redis.call('HSET', key, ARGV[n], string.format('%.17g %.17g %.17g %.17g', num + tonumber(ARGV[n + 1]),
      total + tonumber(ARGV[n + 2]), estimate + tonumber(ARGV[n + 3]), math.max(now, at)))
  end
  redis.call('EXPIRE', key, kept_s)
end
add(scores, ARGV[6])
if group ~= '' then
  add(scores .. ':' .. group, ARGV[7])
  redis.call('ZADD', groups, now, group)
  redis.call('EXPIRE', groups, ARGV[7])
  local over = redis.call('ZCARD', groups) - tonumber(ARGV[8])
  if over > 0 then
    for _, oldest in ipairs(redis.call('ZRANGE', groups, 0, over - 1)) do
      redis.call('DEL', scores .. ':' .. oldest)
      redis.call('ZREM', groups, oldest)
    end
  end
end
return 1
"""
"""KEYS: answers, order, scores, groups. ARGV: id, instant, half-life or 0, group; for how many seconds answers, scores
and groups are kept, how many groups; then for each target its name and three counts."""

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Answered).decode


class RedisFeedback(FeedbackStore):
    """Keeps answers and scores in one Redis database.

    Parameters
    ----------
    redis : redis.asyncio.Redis
        Closed by its creator.
    keys : RedisKeys
    translated : callable
        Returns a context in which failures of Redis become ``StateUnavailableError``.
    """

    def __init__(self, redis: Any, keys: RedisKeys, translated: Callable[[], AbstractContextManager[None]]) -> None:
        self._redis = redis
        self._keys = keys
        self._translated = translated
        self._keep = redis.register_script(_KEEP)
        self._count = redis.register_script(_COUNT)

    async def keep(self, book: str, answers: Sequence[Answered], now_s: float) -> None:
        keys = [self._keys.feedback_answers(book), self._keys.feedback_order(book)]
        head = [MAX_KEPT_ANSWERS, now_s - ANSWERS_KEPT_S, int(ANSWERS_KEPT_S)]
        with self._translated():
            for first in range(0, len(answers), _ANSWERS_PER_CALL):
                arguments: list[Any] = list(head)
                for number, answered in enumerate(answers[first : first + _ANSWERS_PER_CALL], first):
                    at_s = now_s + number * _ONE_AFTER_THE_OTHER_S
                    arguments += [answered.query_id, repr(at_s), _encode(answered), answered.k, answered.i]
                await self._keep(keys=keys, args=arguments)

    async def find(
        self, book: str, *, query_id: int | None = None, key: str = "", payload: str = ""
    ) -> Answered | None:
        answers = self._keys.feedback_answers(book)
        with self._translated():
            if query_id is None:
                query_id = await self._redis.hget(answers, f"i{payload}" if payload else f"k{key}")
            text = None if query_id is None else await self._redis.hget(answers, f"q{query_id}")
        return None if text is None else _decode(text)

    async def count(self, book: str, scored: Scored, now_s: float) -> bool:
        of_book = self._keys.feedback_scores(book)
        keys = [self._keys.feedback_answers(book), self._keys.feedback_order(book), of_book]
        keys.append(self._keys.feedback_groups(book))
        arguments: list[Any] = [
            scored.query_id, repr(now_s), scored.half_life_s or 0, scored.group,
            int(ANSWERS_KEPT_S), SCORES_KEPT_S, GROUP_KEPT_S, MAX_GROUPS,
        ]  # fmt: skip
        for arm, counts in scored.counts.items():
            arguments += [arm, repr(counts.num), repr(counts.total), repr(counts.estimate)]
        with self._translated():
            return bool(await self._count(keys=keys, args=arguments))

    async def read(self, book: str, groups: Sequence[str] = ()) -> list[ArmCounts]:
        of_book = self._keys.feedback_scores(book)
        with self._translated():
            async with self._redis.pipeline(transaction=False) as pipe:
                pipe.hgetall(of_book)
                for group in groups:
                    pipe.hgetall(f"{of_book}:{group}")
                found = await pipe.execute()
        return [{arm: _read_counts(text) for arm, text in fields.items()} for fields in found]


def _read_counts(text: str) -> DatedCounts:
    num, total, estimate, at_s = map(float, text.split(" "))
    return DatedCounts(Counts(num, total, estimate), at_s)
