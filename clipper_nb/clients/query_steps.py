"""What a client sends to predict, and what the replies mean, whether it waits for them or awaits them. (pure)

A call is a generator: it yields requests and is sent their replies, so that ``QueryClient`` and ``AsyncClient`` differ
only in how they send. What fails on the way is thrown into it.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Protocol, TypeVar
from urllib.parse import quote

import msgspec

from clipper_nb.clients.predict_parts import Part, PartLimits, make_parts
from clipper_nb.errors import (
    ApplicationNotFoundError,
    ClipperException,
    ClusterUnreachableError,
    InvalidInputError,
    InvalidNameError,
    NotFoundError,
    UnauthorizedError,
)
from clipper_nb.protocol.feedback_call import Feedback
from clipper_nb.protocol.input_types import InputType
from clipper_nb.protocol.names import check_application_name
from clipper_nb.protocol.number_columns import columns_of, has_names
from clipper_nb.protocol.predict_call import parse_predictions
from clipper_nb.protocol.records import Prediction
from clipper_nb.protocol.typed_values import read_json

MARGIN_S = 5.0
"""Seconds that a reply may take beyond the SLO before the query frontend counts as unreachable."""
_FACTS_TIMEOUT_S = 5.0
_FEEDBACK_TIMEOUT_S = 10.0
_MAX_TRIES = 3
_POSITION = re.compile(r"(?<=\$\.input_batch\[)\d+(?=\])")
_AnswerT = TypeVar("_AnswerT")


@dataclass(frozen=True)
class Request:
    """What is sent next."""

    method: str
    path: str
    timeout_s: float
    body: bytes | None = None


@dataclass(frozen=True)
class Reply:
    """What came back."""

    status: int
    body: bytes
    latency_s: float


Steps = Generator[Request, Reply, _AnswerT]


class ApplicationFacts(Protocol):
    """What a client must know of an application."""

    @property
    def input_type(self) -> InputType: ...
    @property
    def slo_micros(self) -> int: ...
    @property
    def linked_models(self) -> Sequence[str]: ...
    @property
    def model(self) -> str | None:
        """The version that answers, as ``"name:version"``."""

    @property
    def input_schema(self) -> Mapping[str, Any] | None:
        """That of the version that answers."""

    @property
    def traffic(self) -> Sequence[TargetFacts]:
        """The versions among which its queries are divided, if they are."""


class TargetFacts(Protocol):
    """What a client must know of a version that gets a share of the queries."""

    @property
    def model(self) -> str | None: ...
    @property
    def input_schema(self) -> Mapping[str, Any] | None: ...


class _Target(msgspec.Struct, frozen=True):
    model: str | None = None
    input_schema: dict[str, Any] | None = None


class _Facts(msgspec.Struct, frozen=True):
    """What ``GET /<application>`` says; other fields are ignored."""

    input_type: InputType
    slo_micros: int = msgspec.field(name="latency_slo_micros")
    linked_model: str | None = None
    model: str | None = None
    input_schema: dict[str, Any] | None = None
    traffic: tuple[_Target, ...] = ()

    @property
    def linked_models(self) -> Sequence[str]:
        """The model that gets the most of the queries, or none."""
        return [] if self.linked_model is None else [self.linked_model]


class _Index(msgspec.Struct, frozen=True):
    """What ``GET /`` says."""

    applications: list[dict[str, Any]]


class _Failure(msgspec.Struct, frozen=True):
    cause: str


FactsFinder = Callable[[str, float], Steps[ApplicationFacts]]
"""Steps that return the facts of an application by name, within so many seconds, or raise ``NotFoundError``."""

ColumnsFinder = Callable[[ApplicationFacts, str], "Sequence[str] | None"]
"""Returns the names of an input's numbers as a named version takes them, if it has names."""


class QuerySteps:
    """The steps of calls to a query frontend.

    Parameters
    ----------
    find_application : callable
        A ``FactsFinder``; it is asked once for each application while that and its version exist.
    find_columns : callable
        A ``ColumnsFinder``.
    limits : PartLimits, optional
        How batches are split; without them each is one request.
    clock : callable
        Returns monotonic seconds.
    """

    def __init__(
        self,
        find_application: FactsFinder,
        find_columns: ColumnsFinder,
        limits: PartLimits | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._find = find_application
        self._find_columns = find_columns
        self._limits = limits
        self._clock = clock
        self._applications: dict[str, ApplicationFacts] = {}

    def predict(
        self,
        application_name: str,
        inputs: Any,
        *,
        is_batch: bool,
        version: str | None,
        key: str | None = None,
        timeout_s: float | None = None,
    ) -> Steps[list[Prediction]]:
        """Return the answers, in order: for the inputs of a checked batch, or for one input.

        All of it takes at most *timeout_s*; or each request at most the SLO and ``MARGIN_S``.
        """
        deadline = _Deadline(timeout_s, self._clock)
        for _ in range(_MAX_TRIES):
            known = self._applications.get(application_name)
            try:
                application = known or (yield from self._look_up(application_name, deadline))
                found = yield from self._predict(
                    application_name, application, inputs, is_batch, version, key, deadline
                )
            except ClipperException as exc:
                self._applications.pop(application_name, None)
                if known is None or not isinstance(exc, (InvalidInputError, NotFoundError)):
                    raise
                # What is known may be old: the application may have been registered again, or have a new version.
                application = yield from self._look_up(application_name, deadline)
                is_same = (application.input_type, application.model) == (known.input_type, known.model)
                if isinstance(exc, InvalidInputError) and is_same:
                    raise exc from None
                continue
            if found is not None:
                return found
            self._applications.pop(application_name, None)
        raise ClusterUnreachableError(
            f"The version that answers for '{application_name}' changed {_MAX_TRIES} times while it was asked, and "
            "each may take its columns in another order. Ask again, or name a version."
        )

    def feedback(self, application_name: str, body: bytes, timeout_s: float | None = None) -> Steps[Feedback]:
        """Return what became of a feedback."""
        left_s = _FEEDBACK_TIMEOUT_S if timeout_s is None else timeout_s
        reply = yield Request("POST", f"/{quote(application_name, safe='')}/update", left_s, body)
        if reply.status != HTTPStatus.OK:
            raise failure(reply)
        return _parse(reply, Feedback)

    def _look_up(self, name: str, deadline: _Deadline) -> Steps[ApplicationFacts]:
        application = yield from self._find(name, deadline.left_s(_FACTS_TIMEOUT_S))
        self._applications[name] = application
        return application

    def _predict(
        self,
        name: str,
        application: ApplicationFacts,
        inputs: Any,
        is_batch: bool,
        version: str | None,
        key: str | None,
        deadline: _Deadline,
    ) -> Steps[list[Prediction] | None]:
        """Return the answers; ``None`` if a version answered that may take columns in another order than assumed."""
        goes_by_names = application.input_type.is_numeric and has_names(inputs, is_batch=is_batch)
        columns = self._columns(application, version) if goes_by_names else None
        parts = make_parts(
            application.input_type, inputs, is_batch=is_batch, version=version, key=key, limits=self._limits,
            columns=columns,
        )  # fmt: skip
        known = {None, application.model, *(target.model for target in application.traffic)}
        predictions: list[Prediction] = []
        for part in parts:
            left_s = deadline.left_s(application.slo_micros / 1e6 + MARGIN_S, num_answered=part.first)
            reply = yield Request("POST", f"/{quote(name, safe='')}/predict", left_s, part.body)
            found = _read(reply, part)
            if goes_by_names and version is None and any(prediction.model not in known for prediction in found):
                return None
            predictions += found
        return predictions

    def _columns(self, application: ApplicationFacts, version: str | None) -> Sequence[str] | None:
        if version is None:
            return _common_columns(application)
        return self._find_columns(application, version)


def _common_columns(application: ApplicationFacts) -> Sequence[str] | None:
    """Return the names of an input's numbers, in an order that suits every version that may answer."""
    columns = columns_of(application.input_schema)
    for target in application.traffic:
        others = columns_of(target.input_schema)
        if target.model is not None and others != columns:
            raise InvalidInputError(
                f"The versions that answer take columns in different orders: {application.model} {_in_words(columns)}, "
                f"{target.model} {_in_words(others)}. Name a version: predict(..., version=...)."
            )
    return columns


def _in_words(columns: Sequence[str] | None) -> str:
    return "by position" if columns is None else f"({', '.join(columns[:10])}{', …' if len(columns) > 10 else ''})"


class _Deadline:
    """When a call must be over, if the caller says so."""

    def __init__(self, timeout_s: float | None, clock: Callable[[], float]) -> None:
        self._timeout_s = timeout_s
        self._clock = clock
        self._started_s = clock()

    def left_s(self, usual_s: float, *, num_answered: int = 0) -> float:
        """Return how long the next request may take; *usual_s* if the caller did not say."""
        if self._timeout_s is None:
            return usual_s
        left_s = self._started_s + self._timeout_s - self._clock()
        if left_s <= 0:
            raise ClusterUnreachableError(
                f"{num_answered} inputs were answered within timeout_s={self._timeout_s:g}; the rest was not sent. "
                "Allow more time, or send fewer inputs at once."
            )
        return left_s


def ask_query_frontend(name: str, timeout_s: float) -> Steps[ApplicationFacts]:
    """Return the facts of an application, asked of the query frontend itself.

    Raises
    ------
    ApplicationNotFoundError
        There is none of that name; the message has those that there are.
    UnauthorizedError
        The token is missing, or is not good for this application.
    """
    if _may_exist(name):
        reply = yield Request("GET", f"/{name}", timeout_s)
        if reply.status == HTTPStatus.OK:
            return _parse(reply, _Facts)
        if reply.status != HTTPStatus.NOT_FOUND:
            raise failure(reply)
    index = yield Request("GET", "/", timeout_s)
    if index.status != HTTPStatus.OK:
        raise failure(index)
    names = [str(application.get("name")) for application in _parse(index, _Index).applications]
    raise ApplicationNotFoundError(name, names)


def columns_of_current(application: ApplicationFacts, version: str) -> Sequence[str] | None:
    """Return the names of the numbers of the version that answers; the query frontend says them of no other one.

    Raises
    ------
    InvalidInputError
        *version* is another one.
    """
    if application.model is not None and version in (application.model, application.model.rpartition(":")[2]):
        return columns_of(application.input_schema)
    raise InvalidInputError(
        f"Version '{version}' is not the one that answers now ({application.model}), so a client does not know in "
        "which order it takes columns. Pass .to_numpy(), in its order; or use conn.predict(), which knows."
    )


def _may_exist(name: str) -> bool:
    try:
        check_application_name(name)
    except InvalidNameError:
        return False
    return True


def _read(reply: Reply, part: Part) -> list[Prediction]:
    if reply.status != HTTPStatus.OK:
        raise failure(reply, num_before=part.first)
    try:
        predictions = parse_predictions(reply.body, latency_s=reply.latency_s)
    except (ValueError, TypeError, AttributeError, KeyError, RecursionError) as exc:
        raise _no_frontend(reply) from exc
    if len(predictions) != part.num_inputs:
        raise _no_frontend(reply)
    return predictions


def _parse(reply: Reply, kind: type[_AnswerT]) -> _AnswerT:
    try:
        return read_json(reply.body, kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as exc:
        raise _no_frontend(reply) from exc


def _no_frontend(reply: Reply) -> ClusterUnreachableError:
    start = reply.body[:200].decode("utf-8", "replace")
    return ClusterUnreachableError(
        f"What answers there is no query frontend of this release: {start!r}. Use what conn.get_query_url() returns."
    )


def failure(reply: Reply, *, num_before: int = 0) -> ClipperException:
    """Return the error that a reply is; its inputs are those of a batch after the first *num_before*."""
    try:
        cause = read_json(reply.body, _Failure).cause
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        said = reply.body[:500].decode("utf-8", "replace")
        cause = f"The query frontend answered with status {reply.status}: {said}"
    if HTTPStatus.MULTIPLE_CHOICES <= reply.status < HTTPStatus.BAD_REQUEST:
        cause = f"The server answered with a redirect (status {reply.status}), which is not followed. Use its target."
    if reply.status == HTTPStatus.UNAUTHORIZED:
        cause += " A client takes it as token=."
    if num_before:
        cause = _POSITION.sub(lambda found: str(int(found[0]) + num_before), cause)
    kind = _ERRORS.get(reply.status, ClusterUnreachableError)
    return kind(cause)


_ERRORS: dict[int, type[ClipperException]] = {
    HTTPStatus.BAD_REQUEST: InvalidInputError,
    HTTPStatus.UNAUTHORIZED: UnauthorizedError,
    HTTPStatus.FORBIDDEN: UnauthorizedError,
    HTTPStatus.NOT_FOUND: NotFoundError,
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: InvalidInputError,
}
