"""The store in Redis: the layout and channels are in ``protocol/redis_keys.py``.

Each process keeps the configuration that it read or wrote last, and reads from Redis what has changed since.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeVar, Union, cast

import msgspec
import redis.asyncio
from redis.backoff import NoBackoff
from redis.exceptions import RedisError, WatchError

from clipper_nb.errors import StateUnavailableError
from clipper_nb.protocol.application_tokens import ApplicationToken
from clipper_nb.protocol.autoscaling import Autoscaling
from clipper_nb.protocol.differences import (
    MAPPINGS,
    Difference,
    apply_difference,
    by_model_id,
    decode_difference,
    encode_difference,
    find_difference,
)
from clipper_nb.protocol.names import parse_model_id
from clipper_nb.protocol.query_history import QueryHistory
from clipper_nb.protocol.records import Application, Claim, Configuration, FrontendPresence, ModelVersion
from clipper_nb.protocol.redis_keys import (
    DRIVER_LEASE_S,
    LAYOUT_VERSION,
    NUM_KEPT_CHANGES,
    NUM_KEPT_DIFFERENCES,
    ROLL_OUT_KEPT_S,
    RedisKeys,
)
from clipper_nb.protocol.roll_out import RollOut, RollOutCounts, RollOutProgress
from clipper_nb.protocol.route import Route, decode_route, encode_route
from clipper_nb.protocol.shadow import Shadow, ShadowReport
from clipper_nb.runtime.slices import in_slices
from clipper_nb.runtime.state.count_store import CountStore
from clipper_nb.runtime.state.feedback_store import FeedbackStore
from clipper_nb.runtime.state.redis_counts import RedisCounts
from clipper_nb.runtime.state.redis_feedback import RedisFeedback
from clipper_nb.runtime.state.store import ANSWER_TIMEOUT_S, Answer, Change, Question, StateStore

logger = logging.getLogger(__name__)

_TIMEOUT_S = 3.0
_MAX_RETRY_INTERVAL_S = 1.0
_CHANNEL_CHECK_INTERVAL_S = 5.0

_FAILURES = (RedisError, OSError, TimeoutError)

_FIELDS_PER_READ = 100
"""For large hashes: fields that are read together are parsed together, and queries wait meanwhile."""

_ABOUT_A_SHADOW, _ABOUT_METRICS = "shadow ", "metrics"

_RecordT = TypeVar("_RecordT")
_AnswerT = TypeVar("_AnswerT", QueryHistory, ShadowReport, str)

_KEEP_LEASE = """
local holder = redis.call("GET", KEYS[1])
if holder and holder ~= ARGV[1] then return 0 end
redis.call("SET", KEYS[1], ARGV[1], "PX", ARGV[2])
return 1
"""


@dataclass(frozen=True)
class _Copy:
    """A configuration, and the id of its last change, which distinguishes equal revisions of different histories."""

    configuration: Configuration
    change_id: str | None


class RedisStore(StateStore):
    """Keeps the state in one Redis database.

    Parameters
    ----------
    url : str
        ``redis://``, ``rediss://`` or ``unix://``, with the password.
    key_prefix : str
        Distinguishes clusters that share one Redis.
    ca_certificates : str, optional
        PEM text of certificates to verify ``rediss://`` with, instead of the system's.
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
        self._copy: _Copy | None = None
        self._feedback = RedisFeedback(self._redis, self._keys, _translated)
        self._counts = RedisCounts(self._redis, self._keys, _translated)

    async def read_configuration(self) -> Configuration:
        with _translated():
            return (await self._read()).configuration

    async def update_configuration(self, change: Change, change_id: str | None = None) -> Configuration:
        written: Configuration | None = None
        change_id = change_id or secrets.token_hex(8)
        try:
            async with self._redis.pipeline(transaction=True) as pipe:
                while True:
                    try:
                        await pipe.watch(self._keys.revision)
                        copy, known = await asyncio.gather(
                            self._read(), self._redis.zscore(self._keys.changes, change_id)
                        )  # fmt: skip
                        before = copy.configuration
                        if known is not None:
                            return before  # a repeated request, or the connection broke after the change was made
                        after = replace(change(before), revision=before.revision + 1)
                        pipe.multi()  # type: ignore[no-untyped-call]
                        _queue_writes(pipe, self._keys, find_difference(before, after), after.revision, change_id)
                        written = after
                        await pipe.execute()
                    except WatchError:  # another caller wrote in between, or the connection broke
                        continue
                    self._copy = _Copy(after, change_id)
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
            found = cast("Mapping[str, str]", await self._redis.hgetall(self._keys.frontends))
        return list((await _decode_all(found, FrontendPresence)).values())

    async def presence_changes(self) -> AsyncIterator[None]:
        async for _ in self._messages(self._keys.presence_channel):
            yield

    async def ask_frontends(self, query_id: int) -> list[QueryHistory]:
        return await self._ask(str(query_id), QueryHistory)

    async def ask_shadow(self, application_name: str) -> list[ShadowReport]:
        return await self._ask(_ABOUT_A_SHADOW + application_name, ShadowReport)

    async def ask_metrics(self) -> list[str]:
        return await self._ask(_ABOUT_METRICS, str)

    async def _ask(self, question: str, answer_type: type[_AnswerT]) -> list[_AnswerT]:
        question_id = secrets.token_hex(8)
        answers: list[str] = []
        deadline_s = time.monotonic() + ANSWER_TIMEOUT_S
        with _translated():
            async with self._redis.pubsub(ignore_subscribe_messages=True) as pubsub:
                await pubsub.subscribe(self._keys.answers_to(question_id))
                num_asked = int(await self._redis.publish(self._keys.question_channel, f"{question_id} {question}"))
                while len(answers) < num_asked and (left_s := deadline_s - time.monotonic()) > 0:
                    message = await pubsub.get_message(timeout=left_s)
                    if message is not None:
                        answers.append(message["data"])
        decode = msgspec.json.Decoder(Union[answer_type, None]).decode
        return [found for found in map(decode, answers) if found is not None]

    async def questions(self) -> AsyncIterator[Question]:
        async for message in self._messages(self._keys.question_channel):
            question_id, _, about = message.partition(" ")
            if about.isdecimal():
                yield Question(question_id, int(about))
            elif about == _ABOUT_METRICS:
                yield Question(question_id, 0, is_about_metrics=True)
            elif about.startswith(_ABOUT_A_SHADOW):
                yield Question(question_id, 0, about.removeprefix(_ABOUT_A_SHADOW))

    async def answer_question(self, question_id: str, answer: Answer) -> None:
        with _translated():  # on no disk: metrics may have megabytes
            await self._redis.publish(self._keys.answers_to(question_id), msgspec.json.encode(answer))

    async def count_start(self, index: int) -> int:
        with _translated():
            return int(await cast("Awaitable[Any]", self._redis.hincrby(self._keys.frontend_starts, str(index), 1))) - 1

    @property
    def feedback(self) -> FeedbackStore:
        return self._feedback

    @property
    def counts(self) -> CountStore:
        return self._counts

    async def write_roll_out_counts(self, roll_out_id: str, run_id: str, counts: RollOutCounts) -> None:
        key = self._keys.roll_out_counts(roll_out_id)
        with _translated():
            async with self._redis.pipeline(transaction=True) as pipe:
                pipe.hset(key, run_id, msgspec.json.encode(counts).decode())
                pipe.expire(key, ROLL_OUT_KEPT_S)
                await pipe.execute()

    async def read_roll_out_counts(self, roll_out_id: str) -> RollOutCounts:
        total = RollOutCounts()
        with _translated():
            found = cast("Mapping[str, str]", await self._redis.hgetall(self._keys.roll_out_counts(roll_out_id)))
        for counts in (await _decode_all(found, RollOutCounts)).values():
            total = total.plus(counts)
        return total

    async def write_roll_out_progress(self, roll_out_id: str, progress: RollOutProgress) -> None:
        text = msgspec.json.encode(progress)
        with _translated():
            await self._redis.set(self._keys.roll_out_progress(roll_out_id), text, ex=ROLL_OUT_KEPT_S)

    async def read_roll_out_progress(self, roll_out_id: str) -> RollOutProgress:
        with _translated():
            text = await self._redis.get(self._keys.roll_out_progress(roll_out_id))
        return RollOutProgress() if text is None else msgspec.json.decode(text, type=RollOutProgress)

    async def hold_driver_lease(self, holder: str) -> bool:
        with _translated():
            command = self._redis.eval(_KEEP_LEASE, 1, self._keys.roll_out_driver, holder, int(1000 * DRIVER_LEASE_S))
            return bool(await command)

    async def close(self) -> None:
        await self._redis.aclose()

    async def _read(self) -> _Copy:
        """Return the current configuration; a recent copy is updated with one command for the newer changes."""
        newer = None if self._copy is None else await self._follow(self._copy)
        while newer is None:
            newer = await self._follow(await self._read_all())
        self._copy = newer
        return newer

    async def _follow(self, copy: _Copy) -> _Copy | None:
        """Return *copy* with all later changes, or ``None`` if Redis no longer has them."""
        revision = copy.configuration.revision
        async with self._redis.pipeline(transaction=True) as pipe:
            pipe.get(self._keys.revision)
            pipe.zrangebyscore(self._keys.changes, revision, revision)
            pipe.xrange(self._keys.differences, min=f"{revision + 1}-0")
            revision_now, change_ids, entries = await pipe.execute()
        is_its_history = change_ids == ([] if copy.change_id is None else [copy.change_id])
        if not is_its_history or int(revision_now or 0) != revision + len(entries):
            return None
        configuration, change_id = copy.configuration, copy.change_id
        for _, entry in entries:
            change_id = entry["change"]
            configuration = apply_difference(
                configuration, decode_difference(entry["difference"]), revision=configuration.revision + 1
            )
            if len(entries) > 1:
                await asyncio.sleep(0)
        return _Copy(configuration, change_id)

    async def _read_all(self) -> _Copy:
        """Return the configuration of one revision, perhaps with parts of later ones.

        It is read in pieces, each of which may or may not have a change that is made meanwhile. Applying all changes
        since that revision again makes it consistent.
        """
        keys = self._keys
        async with self._redis.pipeline(transaction=True) as pipe:
            pipe.get(keys.revision)
            pipe.zrevrange(keys.changes, 0, 0, withscores=True)
            revision, last_change = await pipe.execute()
        revision = int(revision or 0)
        texts = {name: await self._read_hash(key) for name, key in _hash_keys(keys).items()}
        versions = await _decode_all(texts["versions"], ModelVersion)
        configuration = Configuration(
            revision=revision,
            applications=await _decode_all(texts["applications"], Application),
            versions={record.model_id: record for record in versions.values()},
            current_versions=texts["current_versions"],
            routes={name: decode_route(text) for name, text in texts["routes"].items()},
            num_replicas={parse_model_id(text): int(number) for text, number in texts["num_replicas"].items()},
            tokens=await _decode_all(texts["tokens"], ApplicationToken),
            shadows=await _decode_all(texts["shadows"], Shadow),
            roll_outs=await _decode_all(texts["roll_outs"], RollOut),
            autoscaling=by_model_id(await _decode_all(texts["autoscaling"], Autoscaling)),
            claims={claim.model_id: claim for claim in (await _decode_all(texts["claims"], Claim)).values()},
        )
        return _Copy(configuration, next((name for name, score in last_change if int(score) == revision), None))

    async def _read_hash(self, key: str) -> dict[str, str]:
        return {field: text async for field, text in self._redis.hscan_iter(key, count=_FIELDS_PER_READ)}

    async def _messages(self, channel: str) -> AsyncIterator[str]:
        """Yield "" after subscribing, and each message; subscribe again, with growing delays, after a failure."""
        interval_s = 0.05
        while True:
            pubsub = self._redis.pubsub(ignore_subscribe_messages=True)
            try:
                await pubsub.subscribe(channel)
                interval_s = 0.05
                yield ""
                while True:
                    message = await pubsub.get_message(timeout=_CHANNEL_CHECK_INTERVAL_S)
                    if message is not None:
                        yield str(message["data"])
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
        "configuration as it was. Try again in a moment.",
        is_in_doubt=was_maybe_written,
    )


async def _decode_all(texts: Mapping[str, str], record_type: type[_RecordT]) -> dict[str, _RecordT]:
    decode = msgspec.json.Decoder(record_type).decode
    return dict(await in_slices((key, decode(text)) for key, text in texts.items()))


def _hash_keys(keys: RedisKeys) -> dict[str, str]:
    """Return the key of each of a configuration's mappings."""
    return {name: getattr(keys, name) for name in MAPPINGS}


def _queue_writes(pipe: Any, keys: RedisKeys, difference: Difference, revision: int, change_id: str) -> None:
    """Queue the writes of the next revision, and its message."""
    pipe.set(keys.layout, LAYOUT_VERSION)
    pipe.set(keys.revision, revision)
    pipe.zadd(keys.changes, {change_id: revision})
    pipe.zremrangebyrank(keys.changes, 0, -NUM_KEPT_CHANGES - 1)
    for name, key in _hash_keys(keys).items():
        _queue_hash_writes(pipe, key, getattr(difference, name))
    entry = {"change": change_id, "difference": encode_difference(difference)}
    pipe.xadd(keys.differences, entry, id=f"{revision}-0", maxlen=NUM_KEPT_DIFFERENCES)
    pipe.publish(keys.configuration_channel, revision)


def _queue_hash_writes(pipe: Any, key: str, changed: Mapping[Any, Any]) -> None:
    gone = [str(field) for field, value in changed.items() if value is None]
    if gone:
        pipe.hdel(key, *gone)
    for field, value in changed.items():
        if value is not None:
            pipe.hset(key, str(field), _encode_field(value))


def _encode_field(
    value: Application | ModelVersion | Claim | ApplicationToken | Route | Shadow | RollOut | Autoscaling | int | str,
) -> str | bytes:
    if isinstance(value, Route):
        return encode_route(value)
    return value if isinstance(value, str) else msgspec.json.encode(value)
