"""REST client of the query frontend: predictions."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

from clipper_nb.clients.http_client import Http, HttpClient
from clipper_nb.clients.trust import Trust
from clipper_nb.errors import (
    ClusterUnreachableError,
    InvalidInputError,
    NotFoundError,
)
from clipper_nb.protocol import predict_body, rest
from clipper_nb.protocol.descriptions import ApplicationInfo, VersionInfo
from clipper_nb.protocol.input_batches import format_batch
from clipper_nb.protocol.inputs import format_input
from clipper_nb.protocol.names import ModelId, parse_model_id
from clipper_nb.protocol.number_columns import columns_of, has_names, row_in_order
from clipper_nb.protocol.records import Prediction

_MAX_TRIES = 3
_MARGIN_S = 5.0
"""Seconds that a reply may take beyond the SLO before the query frontend counts as unreachable."""


class QueryClient:
    """Asks the query frontend.

    Parameters
    ----------
    http : Http
        Sends requests to the query frontend.
    find_application : callable
        Returns an application's description by name, or raises ``NotFoundError``; called once per application while
        that exists.
    find_version : callable
        Returns a version's description by id, or ``None``.
    """

    def __init__(
        self,
        http: Http,
        find_application: Callable[[str], ApplicationInfo],
        find_version: Callable[[ModelId], VersionInfo | None],
    ) -> None:
        self._http = http
        self._find_version = find_version
        self._ask_for_application = find_application
        self._applications: dict[str, ApplicationInfo] = {}

    @classmethod
    def at(
        cls,
        address: str,
        find_application: Callable[[str], ApplicationInfo],
        find_version: Callable[[ModelId], VersionInfo | None],
        token: str | None = None,
        trust: Trust | None = None,
    ) -> QueryClient:
        """Return a client of the query frontend at ``host:port`` or a URL.

        *token* is the cluster's query token, if it has one; *trust* is how the frontend proves itself over TLS.
        """
        http = HttpClient(address, "query frontend", token=token, trust=trust)
        return cls(http, find_application, find_version)

    def predict(
        self, application_name: str, inputs: Any, *, is_batch: bool, version: str | None, key: str | None = None
    ) -> list[Prediction]:
        """Return the answers, in order: for the inputs of a checked batch, or for one input."""
        is_known = application_name in self._applications
        for _ in range(_MAX_TRIES):
            try:
                found = self._predict(application_name, inputs, is_batch=is_batch, version=version, key=key)
            except (InvalidInputError, NotFoundError):
                self._applications.pop(application_name, None)
                if not is_known:
                    raise
                found = None
            if found is not None:
                return found
            # The stored description may be old: the application may have been registered again, or have a new version.
            self._applications.pop(application_name, None)
            is_known = False
        raise ClusterUnreachableError(
            f"The version that answers for '{application_name}' changed {_MAX_TRIES} times while it was asked, and "
            "each may take its columns in another order. Ask again, or name a version."
        )

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def _predict(
        self, application_name: str, inputs: Any, *, is_batch: bool, version: str | None, key: str | None
    ) -> list[Prediction] | None:
        """Return the answers; ``None`` if a version answered that may take columns in another order than assumed."""
        application = self._find_application(application_name)
        goes_by_names = application.input_type.is_numeric and has_names(inputs, is_batch=is_batch)
        columns = self._columns(application, version) if goes_by_names else None
        if is_batch:
            value: Any = format_batch(application.input_type, inputs, columns)
        else:
            value = format_input(application.input_type, row_in_order(inputs, columns))
        body = predict_body.format_request(application.input_type, value, is_batch=is_batch, version=version, key=key)
        timeout_s = application.slo_micros / 1e6 + _MARGIN_S
        started_s = time.perf_counter()
        status, reply = self._http.request(
            "POST", f"/{application_name}/predict", body=body, timeout_s=timeout_s, is_repeatable=True
        )
        latency_s = time.perf_counter() - started_s
        if status == 200:
            predictions = predict_body.parse_predictions(reply, latency_s=latency_s)
            known = {None, application.model, *(target.model for target in application.traffic)}
            is_other = any(prediction.model not in known for prediction in predictions)
            return None if goes_by_names and version is None and is_other else predictions
        raise _failure(status, reply)

    def _columns(self, application: ApplicationInfo, version: str | None) -> Sequence[str] | None:
        """Return the names of an input's numbers, in the order in which the version takes them, if it has names."""
        if version is None:
            return _common_columns(application)
        named = [version] if ":" in version else [f"{name}:{version}" for name in application.linked_models]
        found = [self._find_version(parse_model_id(name)) for name in named]
        return next((columns_of(each.input_schema) for each in found if each is not None), None)

    def _find_application(self, name: str) -> ApplicationInfo:
        application = self._applications.get(name)
        if application is None:
            application = self._applications[name] = self._ask_for_application(name)
        return application


def _common_columns(application: ApplicationInfo) -> Sequence[str] | None:
    """Return the names of an input's numbers, in an order that suits every version that may answer."""
    columns = columns_of(application.input_schema)
    for target in application.traffic:
        others = columns_of(target.input_schema)
        if target.model is not None and others != columns:
            raise InvalidInputError(
                f"The versions that answer for '{application.name}' take columns in different orders: "
                f"{application.model} {_in_words(columns)}, {target.model} {_in_words(others)}. Name a version: "
                "predict(..., version=...)."
            )
    return columns


def _in_words(columns: Sequence[str] | None) -> str:
    return "by position" if columns is None else f"({', '.join(columns[:10])}{', …' if len(columns) > 10 else ''})"


def _failure(status: int, reply: bytes) -> Exception:
    try:
        cause = str(rest.parse_body(reply)["cause"])
    except (ValueError, TypeError, KeyError):
        cause = f"The query frontend answered with status {status}: {reply[:500].decode('utf-8', 'replace')}"
    if status == 404:
        return NotFoundError(cause)
    if status in (400, 413):
        return InvalidInputError(cause)
    return ClusterUnreachableError(cause)
