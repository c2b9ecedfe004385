"""Health, metadata and index of the Open Inference Protocol (V2): an application is a model there."""

from __future__ import annotations

from collections.abc import Iterator
from http import HTTPStatus
from typing import Any

import msgspec
import tornado.web

from clipper_nb.errors import InvalidInputError
from clipper_nb.protocol import rest
from clipper_nb.protocol.v2_reply import EXTENSIONS, describe_model, format_error
from clipper_nb.protocol.v2_schema import IndexBody, decode_index_body
from clipper_nb.runtime.http.errors import JsonHandler
from clipper_nb.runtime.http.tornado_bridge import credential_of
from clipper_nb.runtime.query_frontend.predict_endpoint import describe_unknown
from clipper_nb.runtime.query_frontend.predictor import Predictor, ServedApplication, ServedVersion
from clipper_nb.runtime.routing.asked_version import UnknownVersionError, versions_to_ask_for
from clipper_nb.runtime.slices import in_slices
from clipper_nb.version import __version__


class V2Handler(JsonHandler):
    """A handler whose failures are ``{"error"}``, as the protocol has it."""

    def initialize(self, predictor: Predictor) -> None:
        """Store the route's arguments (called by Tornado)."""
        self._predictor = predictor

    def format_failure(self, error: str, cause: str) -> bytes:
        """Return the body of a failure."""
        return format_error(cause)

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        """Answer with ``{"error"}``; an unknown version is not found."""
        exc = kwargs.get("exc_info", (None, None, None))[1]
        if isinstance(exc, UnknownVersionError):
            self.set_status(HTTPStatus.NOT_FOUND)
            self.finish(format_error(str(exc)))
        else:
            super().write_error(status_code, **kwargs)

    def _find(self, name: str) -> ServedApplication:
        key = name + credential_of(self.request)
        served = self._predictor.find_application(key)
        if served is None:
            status, cause = describe_unknown(key)
            raise tornado.web.HTTPError(status, "%s", cause)
        return served

    def _reply(self, value: dict[str, Any], *, unready: str | None = None) -> None:
        """Answer 200, or 503 with the reason."""
        if unready is not None:
            self.set_status(HTTPStatus.SERVICE_UNAVAILABLE)
            value["error"] = unready
        self.finish(rest.format_body(value))


class ServerLiveHandler(V2Handler):
    """``GET /v2/health/live``: the event loop runs."""

    def get(self) -> None:
        """Answer 200."""
        self._reply({"live": True})

    head = get


class ServerReadyHandler(V2Handler):
    """``GET /v2/health/ready``: whether every linked application has a replica that can answer."""

    def get(self) -> None:
        """Answer 200 or 503."""
        unready = self._predictor.unready_applications()
        reason = "; ".join(f"application '{name}': {why}" for name, why in list(unready.items())[:10])
        self._reply({"ready": not unready}, unready=reason or None)

    head = get


class ServerMetadataHandler(V2Handler):
    """``GET /v2``: name, version and extensions."""

    def get(self) -> None:
        """Answer 200."""
        self._reply({"name": "clipper_nb", "version": __version__, "extensions": EXTENSIONS})

    head = get


class ModelReadyHandler(V2Handler):
    """``GET /v2/models/<application>[/versions/<version>]/ready``: whether it has a replica that can answer."""

    def get(self, name: str, version: str | None = None) -> None:
        """Answer 200 or 503."""
        served = self._find(name)
        unready = self._predictor.unready_reason(served.application.name, version)
        self._reply({"name": served.application.name, "ready": unready is None}, unready=unready)

    head = get


class ModelMetadataHandler(V2Handler):
    """``GET /v2/models/<application>[/versions/<version>]``: versions, and what the tensors look like."""

    def get(self, name: str, version: str | None = None) -> None:
        """Answer 200."""
        served = self._find(name)
        versions = self._predictor.versions_of(served.application.name)
        if version is not None:
            if not versions:
                raise UnknownVersionError(version, [served.application.name])
            versions = [version]
        target = self._predictor.find_target(served, version)
        form = target.output_form if isinstance(target, ServedVersion) else None
        self._reply(describe_model(served.application.name, served.application.input_type, versions, form))

    head = get


class ModelListHandler(V2Handler):
    """``GET /v2/models``: the names of all applications."""

    def get(self) -> None:
        """Answer 200."""
        self._reply({"models": sorted(self._predictor.configuration.applications)})

    head = get


class RepositoryIndexHandler(V2Handler):
    """``POST /v2/repository/index``: the versions of all applications, and which of them can answer."""

    async def post(self) -> None:
        """Answer 200."""
        try:
            body = decode_index_body(self.request.body) if self.request.body.strip() else IndexBody()
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as exc:
            raise InvalidInputError(f'The body must be empty or {{"ready": true or false}}: {exc}.') from exc
        rows = await in_slices(_index(self._predictor))
        self.finish(rest.format_body([row for row in rows if row["state"] == "READY" or not body.ready]))


def _index(predictor: Predictor) -> Iterator[dict[str, str]]:
    """Yield each version of each application."""
    configuration = predictor.configuration
    versions = configuration.versions_by_model()
    for name, application in sorted(configuration.applications.items()):
        found = versions_to_ask_for(application, configuration.routes.get(name), versions.__getitem__)
        for version_text in found or [""]:
            reason = predictor.unready_reason(name, version_text or None)
            state = "READY" if reason is None else "UNAVAILABLE"
            yield {"name": name, "version": version_text, "state": state, "reason": reason or ""}


class UnknownV2PathHandler(V2Handler):
    """Answers every other path below ``/v2``."""

    def prepare(self) -> None:
        """Answer independent of the method."""
        raise tornado.web.HTTPError(
            HTTPStatus.NOT_FOUND,
            "The query frontend has no path %s: models are loaded and configured through the management frontend.",
            self.request.path,
        )


_MODEL = r"/v2/models/([^/]+)(?:/versions/([^/]+))?"


class InferMethodHandler(V2Handler):
    """Answers 405 for other methods than POST to the infer path; POSTs never reach Tornado."""

    def post(self, *_: str) -> None:
        """Mark POST as an allowed method."""
        raise AssertionError("infer requests do not come through Tornado")


def v2_routes(predictor: Predictor) -> list[Any]:
    """Return the routes of everything but inference."""
    arguments = {"predictor": predictor}
    return [
        (r"/v2/?", ServerMetadataHandler, arguments),
        (r"/v2/health/live/?", ServerLiveHandler, arguments),
        (r"/v2/health/ready/?", ServerReadyHandler, arguments),
        (r"/v2/models/?", ModelListHandler, arguments),
        (_MODEL + "/?", ModelMetadataHandler, arguments),
        (_MODEL + "/ready/?", ModelReadyHandler, arguments),
        (_MODEL + "/infer/?", InferMethodHandler, arguments),
        (r"/v2/repository/index/?", RepositoryIndexHandler, arguments),
        (r"/v2/.*", UnknownV2PathHandler, arguments),
    ]
