"""The query frontend's Tornado handlers: everything but predict requests, which bypass Tornado."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

import tornado.web

from clipper_nb.errors import ApplicationNotFoundError
from clipper_nb.protocol import rest
from clipper_nb.runtime.http.errors import Exposition, JsonHandler, LiveHandler, MetricsHandler, UnknownPathHandler
from clipper_nb.runtime.query_frontend.predictor import Predictor


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


def make_application(predictor: Predictor, exposition: Exposition) -> tornado.web.Application:
    """Return the Tornado application of everything but predict requests."""
    routes: list[Any] = [
        (r"/livez", LiveHandler),
        (r"/readyz", ReadyHandler, {"predictor": predictor}),
        (r"/metrics", MetricsHandler, {"exposition": exposition}),
        (r"/[^/]+/predict/?", PredictMethodHandler),
    ]
    return tornado.web.Application(
        routes,
        default_handler_class=UnknownPathHandler,
        unknown_path="The query frontend has no path {path}; applications answer at /<application>/predict.",
        log_function=lambda handler: None,
    )
