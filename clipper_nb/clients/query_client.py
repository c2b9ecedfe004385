"""REST client of the query frontend: predictions."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from clipper_nb.clients.http_client import Http, HttpClient
from clipper_nb.clients.query_steps import ApplicationFacts, QuerySteps, Reply, Request, Steps
from clipper_nb.clients.trust import Trust
from clipper_nb.errors import ClipperException
from clipper_nb.protocol.records import Prediction


class QueryClient:
    """Asks the query frontend.

    Parameters
    ----------
    http : Http
        Sends requests to the query frontend.
    steps : QuerySteps
        What is sent.
    """

    def __init__(self, http: Http, steps: QuerySteps) -> None:
        self._http = http
        self._steps = steps

    @classmethod
    def at(
        cls,
        address: str,
        find_application: Callable[[str], ApplicationFacts],
        token: str | None = None,
        trust: Trust | None = None,
    ) -> QueryClient:
        """Return a client of the query frontend at ``host:port`` or a URL.

        *find_application* returns an application's description by name, or raises ``NotFoundError``. *token* is the
        cluster's query token, if it has one; *trust* is how the frontend proves itself over TLS.
        """

        def find_elsewhere(name: str, timeout_s: float) -> Steps[ApplicationFacts]:
            yield from ()
            return find_application(name)

        return cls(HttpClient(address, "query frontend", token=token, trust=trust), QuerySteps(find_elsewhere))

    def predict(
        self, application_name: str, inputs: Any, *, is_batch: bool, version: str | None, timeout_s: float | None = None
    ) -> list[Prediction]:
        """Return the answers, in order: for the inputs of a checked batch, or for one input."""
        steps = self._steps.predict(application_name, inputs, is_batch=is_batch, version=version, timeout_s=timeout_s)
        try:
            request = next(steps)
            while True:
                try:
                    reply = self._send(request)
                except ClipperException as exc:
                    request = steps.throw(exc)
                else:
                    request = steps.send(reply)
        except StopIteration as end:
            predictions: list[Prediction] = end.value
            return predictions

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def _send(self, request: Request) -> Reply:
        started_s = time.perf_counter()
        status, body = self._http.request(
            request.method, request.path, body=request.body, timeout_s=request.timeout_s, is_repeatable=True
        )
        return Reply(status, body, time.perf_counter() - started_s)
