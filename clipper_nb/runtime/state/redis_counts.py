"""The counts of query frontends in Redis: a hash by runs, and the ids of the runs that were merged."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import Any, cast

from clipper_nb.protocol.redis_keys import NUM_KNOWN_MERGED_RUNS, RedisKeys
from clipper_nb.runtime.state.count_store import PAST, CountStore

_KEEP = """
if redis.call("ZSCORE", KEYS[2], ARGV[1]) then return 0 end
redis.call("HSET", KEYS[1], ARGV[1], ARGV[2])
return 1
"""

_MERGE = """
for i = 4, #ARGV, 2 do
  if redis.call("HGET", KEYS[1], ARGV[i]) ~= (ARGV[i + 1] ~= "" and ARGV[i + 1]) then return 0 end
end
for i = 6, #ARGV, 2 do
  redis.call("HDEL", KEYS[1], ARGV[i])
  redis.call("ZADD", KEYS[2], ARGV[1], ARGV[i])
end
redis.call("ZREMRANGEBYRANK", KEYS[2], 0, -tonumber(ARGV[2]) - 1)
redis.call("HSET", KEYS[1], ARGV[4], ARGV[3])
return 1
"""
"""Arguments: now, how many merged runs are known, the merged counts; then each run with what it must have."""


class RedisCounts(CountStore):
    """Keeps them in the store's database.

    Parameters
    ----------
    client : redis.asyncio.Redis
        The store's, which closes it.
    keys : RedisKeys
    translated : callable
        Returns a context manager that turns Redis' errors into ``StateUnavailableError``.
    """

    def __init__(self, client: Any, keys: RedisKeys, translated: Callable[[], AbstractContextManager[None]]) -> None:
        self._redis = client
        self._keys = keys
        self._translated = translated

    async def keep(self, run: str, counts: str) -> bool:
        with self._translated():
            return bool(await self._redis.eval(_KEEP, 2, self._keys.counts, self._keys.merged_runs, run, counts))

    async def read(self) -> Mapping[str, str]:
        with self._translated():
            return cast("Mapping[str, str]", await self._redis.hgetall(self._keys.counts))

    async def merge(self, ended: Mapping[str, str], past: str | None, merged: str) -> bool:
        expected = [text for pair in ((PAST, past or ""), *ended.items()) for text in pair]
        keys = self._keys.counts, self._keys.merged_runs
        with self._translated():
            arguments = time.time(), NUM_KNOWN_MERGED_RUNS, merged, *expected
            return bool(await self._redis.eval(_MERGE, 2, *keys, *arguments))
