"""REST client of the query frontend: predictions."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from clipper_nb.clients.http_client import Http, HttpClient
from clipper_nb.clients.query_steps import ApplicationFacts, QuerySteps, Reply, Request, Steps
from clipper_nb.clients.trust import Trust
from clipper_nb.errors import ClipperException
from clipper_nb.protocol.feedback_call import Feedback
from clipper_nb.protocol.names import ModelId, parse_model_id
from clipper_nb.protocol.number_columns import columns_of
from clipper_nb.protocol.records import Prediction

if TYPE_CHECKING:
    from clipper_nb.protocol.descriptions import VersionInfo


_AnswerT = TypeVar("_AnswerT")


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
        find_version: Callable[[ModelId], VersionInfo | None],
        token: str | None = None,
        trust: Trust | None = None,
    ) -> QueryClient:
        """Return a client of the query frontend at ``host:port`` or a URL.

        *find_application* returns an application's description by name, or raises ``NotFoundError``; *find_version* a
        version's by id, or ``None``. *token* is the cluster's query token, if it has one; *trust* is how the frontend
        proves itself over TLS.
        """
        http = HttpClient(address, "query frontend", token=token, trust=trust)
        return cls.informed(http, find_application, find_version)

    @classmethod
    def informed(
        cls,
        http: Http,
        find_application: Callable[[str], ApplicationFacts],
        find_version: Callable[[ModelId], VersionInfo | None],
    ) -> QueryClient:
        """Return a client that is told elsewhere what applications and versions take."""

        def find_elsewhere(name: str, timeout_s: float) -> Steps[ApplicationFacts]:
            yield from ()
            return find_application(name)

        def find_columns(application: ApplicationFacts, version: str) -> Sequence[str] | None:
            named = [version] if ":" in version else [f"{model}:{version}" for model in application.linked_models]
            found = [find_version(parse_model_id(name)) for name in named]
            return next((columns_of(each.input_schema) for each in found if each is not None), None)

        return cls(http, QuerySteps(find_elsewhere, find_columns))

    def predict(
        self,
        application_name: str,
        inputs: Any,
        *,
        is_batch: bool,
        version: str | None,
        key: str | None = None,
        timeout_s: float | None = None,
    ) -> list[Prediction]:
        """Return the answers, in order: for the inputs of a checked batch, or for one input."""
        steps = self._steps.predict(
            application_name, inputs, is_batch=is_batch, version=version, key=key, timeout_s=timeout_s
        )
        return self._take(steps)

    def feedback(self, application_name: str, body: bytes, timeout_s: float | None = None) -> Feedback:
        """Return what became of a feedback, which ``format_feedback`` wrote; each query counts once."""
        return self._take(self._steps.feedback(application_name, body, timeout_s))

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def _take(self, steps: Steps[_AnswerT]) -> _AnswerT:
        """Return what the steps of a call return."""
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
            answer: _AnswerT = end.value
            return answer

    def _send(self, request: Request) -> Reply:
        started_s = time.perf_counter()
        status, body = self._http.request(
            request.method, request.path, body=request.body, timeout_s=request.timeout_s, is_repeatable=True
        )
        return Reply(status, body, time.perf_counter() - started_s)
