"""The store in Redis: layout and channels as ``protocol/redis_keys.py`` describes them."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import replace
from typing import Any, TypeVar, cast

import msgspec
import redis.asyncio
from redis.backoff import NoBackoff
from redis.exceptions import RedisError, WatchError

from clipper_nb.errors import StateUnavailableError
from clipper_nb.protocol.names import parse_model_id
from clipper_nb.protocol.records import Application, Claim, Configuration, FrontendPresence, ModelVersion
from clipper_nb.protocol.redis_keys import LAYOUT_VERSION, NUM_KEPT_CHANGES, RedisKeys
from clipper_nb.runtime.state.store import Change, StateStore

logger = logging.getLogger(__name__)

_TIMEOUT_S = 3.0
_MAX_RETRY_INTERVAL_S = 1.0
_CHANNEL_CHECK_INTERVAL_S = 5.0

_FAILURES = (RedisError, OSError, TimeoutError)

_RecordT = TypeVar("_RecordT")


class RedisStore(StateStore):
    """Keeps the state in one Redis database.

    Parameters
    ----------
    url : str
        ``redis://``, ``rediss://`` or ``unix://``, with the password.
    key_prefix : str
        Tells clusters apart that share one Redis.
    ca_certificates : str, optional
        PEM text that ``rediss://`` is checked against in place of the usual certificates.
    """

    def __init__(self, url: str, *, key_prefix: str = "clipper", ca_certificates: str | None = None) -> None:
        self._keys = RedisKeys(key_prefix)
        tls = {"ssl_ca_data": ca_certificates} if ca_certificates and url.startswith("rediss:") else {}
        self._redis = redis.asyncio.from_url(
            url,
            **tls,
            decode_responses=True,
            socket_timeout=_TIMEOUT_S,
            socket_connect_timeout=_TIMEOUT_S,
            # One immediate retry covers a pooled connection that a restarted Redis closed.
            retry=redis.asyncio.retry.Retry(NoBackoff(), 1),
            retry_on_error=[redis.exceptions.ConnectionError],
        )

    async def read_configuration(self) -> Configuration:
        with _translated():
            async with self._redis.pipeline(transaction=True) as pipe:
                _queue_reads(pipe, self._keys)
                return _parse_configuration(await pipe.execute())

    async def update_configuration(self, change: Change, change_id: str | None = None) -> Configuration:
        written: Configuration | None = None
        change_id = change_id or secrets.token_hex(8)
        try:
            async with self._redis.pipeline(transaction=True) as pipe:
                while True:
                    try:
                        await pipe.watch(self._keys.revision)
                        before = await self.read_configuration()
                        if await self._redis.zscore(self._keys.changes, change_id) is not None:
                            return before  # asked for again, or the connection broke after it was made
                        after = replace(change(before), revision=before.revision + 1)
                        pipe.multi()  # type: ignore[no-untyped-call]
                        _queue_writes(pipe, self._keys, before, after, change_id)
                        written = after
                        await pipe.execute()
                    except WatchError:  # somebody else wrote in between, or the connection broke
                        continue
                    return after
        except _FAILURES as exc:
            raise _unavailable(exc, was_maybe_written=written is not None) from exc

    async def configuration_changes(self) -> AsyncIterator[None]:
        async for _ in self._messages(self._keys.configuration_channel):
            yield

    async def announce(self, presence: FrontendPresence) -> int:
        with _translated():
            async with self._redis.pipeline(transaction=True) as pipe:
                pipe.hset(self._keys.frontends, presence.frontend_id, msgspec.json.encode(presence).decode())
                pipe.get(self._keys.revision)
                pipe.publish(self._keys.presence_channel, presence.frontend_id)
                return int((await pipe.execute())[1] or 0)

    async def withdraw(self, frontend_id: str) -> None:
        with _translated():
            async with self._redis.pipeline(transaction=True) as pipe:
                pipe.hdel(self._keys.frontends, frontend_id)
                pipe.publish(self._keys.presence_channel, frontend_id)
                await pipe.execute()

    async def read_presence(self) -> list[FrontendPresence]:
        with _translated():
            found = await self._redis.hgetall(self._keys.frontends)
        return list(_decode_all(cast("Mapping[str, str]", found), FrontendPresence).values())

    async def presence_changes(self) -> AsyncIterator[None]:
        async for _ in self._messages(self._keys.presence_channel):
            yield

    async def close(self) -> None:
        await self._redis.aclose()

    async def _messages(self, channel: str) -> AsyncIterator[None]:
        """Yield after subscribing and after each message; subscribe again, with growing waits, when Redis was away."""
        interval_s = 0.05
        while True:
            pubsub = self._redis.pubsub(ignore_subscribe_messages=True)
            try:
                await pubsub.subscribe(channel)
                interval_s = 0.05
                yield
                while True:
                    if await pubsub.get_message(timeout=_CHANNEL_CHECK_INTERVAL_S) is not None:
                        yield
            except _FAILURES as exc:
                logger.warning("Redis is away (%s); trying again in %.2f s", exc, interval_s)
                await asyncio.sleep(interval_s)
                interval_s = min(2 * interval_s, _MAX_RETRY_INTERVAL_S)
            finally:
                with contextlib.suppress(RedisError, OSError):
                    await pubsub.aclose()  # type: ignore[no-untyped-call]


@contextlib.contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except _FAILURES as exc:
        raise _unavailable(exc, was_maybe_written=False) from exc


def _unavailable(exc: Exception, *, was_maybe_written: bool) -> StateUnavailableError:
    outcome = "Nothing was changed"
    if was_maybe_written:
        outcome = "Whether the change was made is not known: look before you repeat it"
    return StateUnavailableError(
        f"The cluster's Redis does not answer ({type(exc).__name__}: {exc}). {outcome}; predictions go on with the "
        "configuration as it was. Try again in a moment."
    )


def _queue_reads(pipe: Any, keys: RedisKeys) -> None:
    pipe.get(keys.revision)
    for key in (keys.applications, keys.versions, keys.current_versions, keys.links, keys.num_replicas, keys.claims):
        pipe.hgetall(key)


def _parse_configuration(answers: list[Any]) -> Configuration:
    revision, applications, versions, current_versions, links, num_replicas, claims = answers
    return Configuration(
        revision=int(revision or 0),
        applications=_decode_all(applications, Application),
        versions={record.model_id: record for record in _decode_all(versions, ModelVersion).values()},
        current_versions=current_versions,
        links=links,
        num_replicas={parse_model_id(text): int(number) for text, number in num_replicas.items()},
        claims={claim.model_id: claim for claim in _decode_all(claims, Claim).values()},
    )


def _decode_all(texts: Mapping[str, str], record_type: type[_RecordT]) -> dict[str, _RecordT]:
    return {key: msgspec.json.decode(text, type=record_type) for key, text in texts.items()}


def _queue_writes(pipe: Any, keys: RedisKeys, before: Configuration, after: Configuration, change_id: str) -> None:
    """Queue the differences between two configurations, and the news of them."""
    pipe.set(keys.layout, LAYOUT_VERSION)
    pipe.set(keys.revision, after.revision)
    pipe.zadd(keys.changes, {change_id: after.revision})
    pipe.zremrangebyrank(keys.changes, 0, -NUM_KEPT_CHANGES - 1)
    for key, old, new in (
        (keys.applications, before.applications, after.applications),
        (keys.versions, before.versions, after.versions),
        (keys.current_versions, before.current_versions, after.current_versions),
        (keys.links, before.links, after.links),
        (keys.num_replicas, before.num_replicas, after.num_replicas),
        (keys.claims, before.claims, after.claims),
    ):
        _queue_hash_writes(pipe, key, old, new)
    pipe.publish(keys.configuration_channel, after.revision)


def _queue_hash_writes(pipe: Any, key: str, old: Mapping[Any, Any], new: Mapping[Any, Any]) -> None:
    gone = [str(field) for field in old if field not in new]
    if gone:
        pipe.hdel(key, *gone)
    for field, value in new.items():
        if old.get(field) != value:
            pipe.hset(key, str(field), _encode_field(value))


def _encode_field(value: Application | ModelVersion | Claim | int | str) -> str | bytes:
    return value if isinstance(value, str) else msgspec.json.encode(value)
