"""The query frontend's Tornado handlers: everything but predict and infer requests, which bypass Tornado."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

import tornado.web

from clipper_nb.errors import ApplicationNotFoundError
from clipper_nb.protocol import rest
from clipper_nb.runtime.http.errors import JsonHandler, LiveHandler, MetricsHandler, OpenExposition, UnknownPathHandler
from clipper_nb.runtime.http.tornado_bridge import credential_of
from clipper_nb.runtime.query_frontend.feedback_desk import FeedbackDesk
from clipper_nb.runtime.query_frontend.pages import (
    ApplicationHandler,
    DocsFileHandler,
    DocsHandler,
    IndexHandler,
    OpenApiHandler,
    ShownState,
)
from clipper_nb.runtime.query_frontend.predictor import Predictor
from clipper_nb.runtime.query_frontend.v2_handlers import v2_routes


class ReadyHandler(JsonHandler):
    """``GET /readyz``: whether every linked application has a replica that can answer; ``?app=NAME`` checks one."""

    def initialize(self, predictor: Predictor) -> None:
        """Store the route's arguments (called by Tornado)."""
        self._predictor = predictor

    def get(self) -> None:
        """Answer 200 or 503, with the applications that are not ready and why."""
        unready = self._predictor.unready_applications()
        name = self.get_query_argument("app", None)
        if name is not None:
            if self._predictor.find_application(name) is None:
                raise ApplicationNotFoundError(name)
            unready = {name: unready[name]} if name in unready else {}
        if unready:
            self.set_status(HTTPStatus.SERVICE_UNAVAILABLE)
        self.finish(rest.format_body({"ready": not unready, "not_ready": unready}))

    head = get


class PredictMethodHandler(JsonHandler):
    """Answers 405 for non-POST requests to the predict path; POSTs never reach Tornado."""

    def post(self) -> None:
        """Mark POST as an allowed method."""
        raise AssertionError("predict requests do not come through Tornado")


class UpdateHandler(JsonHandler):
    """``POST /<application>/update``: how good an answer was."""

    def initialize(self, desk: FeedbackDesk) -> None:
        """Store the route's arguments (called by Tornado)."""
        self._desk = desk

    async def post(self, name: str) -> None:
        """Answer with what was counted."""
        feedback = await self._desk.receive(name + credential_of(self.request), self.request.body)
        self.finish(rest.format_body(feedback))


def make_application(
    predictor: Predictor,
    exposition: OpenExposition,
    desk: FeedbackDesk,
    *,
    of_cluster: OpenExposition | None = None,
    needs_token: bool = False,
) -> tornado.web.Application:
    """Return the Tornado application of all but predict and infer requests.

    *of_cluster* returns the metrics of all query frontends, if *exposition* does not; *needs_token* is shown to
    clients.
    """
    state = ShownState(
        configuration=lambda: predictor.configuration,
        unready_applications=predictor.unready_applications,
        needs_token=needs_token,
        has_application=lambda key: predictor.find_application(key) is not None,
    )
    shown = {"shown": state}
    metrics = {"exposition": exposition, "of_cluster": of_cluster, "has_open_metrics": True}
    routes: list[Any] = [
        (r"/", IndexHandler, shown),
        (r"/docs", DocsHandler, shown),
        (r"/docs/([^/]+)", DocsFileHandler),
        (r"/openapi\.json", OpenApiHandler, shown),
        (r"/livez", LiveHandler),
        (r"/readyz", ReadyHandler, {"predictor": predictor}),
        (r"/metrics", MetricsHandler, metrics),
        (r"/[^/]+/predict/?", PredictMethodHandler),
        (r"/([^/]+)/update/?", UpdateHandler, {"desk": desk}),
        *v2_routes(predictor),
        (r"/([^/]+)", ApplicationHandler, shown),
    ]
    return tornado.web.Application(
        routes,
        default_handler_class=UnknownPathHandler,
        unknown_path="The query frontend has no path {path}; applications answer at /<application>/predict.",
        log_function=lambda handler: None,
    )
