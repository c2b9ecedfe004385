"""Pages of the query frontend for people and tools: ``/``, ``/<application>``, ``/docs`` and ``/openapi.json``.

Everything that a page needs is in the folder ``web``: no request leaves the machine. Each page shows the configuration
that queries see. The guard has checked token and host before; a token of an application shows that application alone.
"""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import json
import re
import shlex
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import tornado.template
import tornado.web

from clipper_nb.errors import ApplicationNotFoundError
from clipper_nb.protocol import rest
from clipper_nb.protocol.records import Configuration
from clipper_nb.runtime.http.errors import JsonHandler
from clipper_nb.runtime.http.tornado_bridge import credential_of
from clipper_nb.runtime.query_frontend.catalogue import Catalogue, CataloguedApplication
from clipper_nb.runtime.query_frontend.openapi import openapi_pieces
from clipper_nb.runtime.query_frontend.predict_endpoint import describe_unknown
from clipper_nb.runtime.slices import in_slices
from clipper_nb.version import __version__

_FOLDER = Path(__file__).with_name("web")
_FILES = {
    "docs.css": "text/css",
    "docs.js": "text/javascript",
    "page.css": "text/css",
    "swagger-ui-bundle.js": "text/javascript",
    "swagger-ui.css": "text/css",
}
_COMPRESSED = frozenset({"swagger-ui-bundle.js", "swagger-ui.css"})
_HTML = "text/html; charset=utf-8"
_OWN_PARTS = (
    "default-src 'none'; style-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_WITH_SCRIPT = f"{_OWN_PARTS}; script-src 'self'; connect-src 'self'"
_PREFIX = re.compile(r"(?:/[\w.~@%-]+)+", re.ASCII)


@dataclass(frozen=True)
class ShownState:
    """What the pages show.

    Parameters
    ----------
    configuration : callable
        Returns the configuration that queries see.
    unready_applications : callable
        Returns the linked applications without a replica that can answer, with the reason.
    needs_token : bool
        Whether the cluster asks for a token.
    has_application : callable
        Returns whether queries of that name, or with that key of a token, find an application.
    """

    configuration: Callable[[], Configuration]
    unready_applications: Callable[[], dict[str, str]]
    needs_token: bool
    has_application: Callable[[str], bool]

    def why_not_ready(self, entry: CataloguedApplication, unready: dict[str, str]) -> str | None:
        """Return why an application answers with its default output now, or ``None``."""
        return "no model is linked" if entry.linked_model is None else unready.get(entry.name)


class _PageHandler(JsonHandler):
    """A page for browsers, which other clients get as JSON."""

    def initialize(self, shown: ShownState) -> None:
        """Store the route's arguments (called by Tornado)."""
        self._shown = shown

    @property
    def _wants_html(self) -> bool:
        return "text/html" in self.request.headers.get("Accept", "")

    async def _finish_html(self, template: str, csp: str = _OWN_PARTS, **values: Any) -> None:
        self.set_header("Content-Type", _HTML)
        self.set_header("Content-Security-Policy", csp)
        self.set_header("Referrer-Policy", "no-referrer")
        self.finish((await _template(template)).generate(**values))

    def _address(self, entry: CataloguedApplication) -> str:
        """Return the address of predict requests, as this client reaches the frontend."""
        prefix = _PREFIX.fullmatch(self.request.headers.get("X-Forwarded-Prefix", "").rstrip("/"))
        scheme = self.request.headers.get("X-Forwarded-Proto", "")
        scheme = scheme if scheme in ("http", "https") else self.request.protocol
        root = f"{scheme}://{self.request.host}{prefix[0] if prefix else ''}"
        return f"{root}/{entry.predict_path}"

    def compute_etag(self) -> None:
        """Return no digest: what is shown changes with the cluster."""


class IndexHandler(_PageHandler):
    """``GET /``: the applications and their addresses."""

    async def get(self) -> None:
        """Answer with all applications, in slices: there may be thousands."""
        self.set_header("Vary", "Accept")
        unready = self._shown.unready_applications()
        entries = (
            (entry, self._address(entry), self._shown.why_not_ready(entry, unready))
            for entry in Catalogue(self._shown.configuration())
        )
        if self._wants_html:
            row = await _template("index_row.html")
            rows = await in_slices(
                row.generate(entry=entry, address=address, not_ready=not_ready) for entry, address, not_ready in entries
            )
            await self._finish_html("index.html", rows=rows, release=__version__)
        else:
            described = await in_slices(_summary(*values) for values in entries)
            links = {"docs": "docs", "openapi": "openapi.json", "metrics": "metrics", "readiness": "readyz"}
            self.finish(rest.format_body({"version": __version__, "applications": described, **links}))

    head = get


class ApplicationHandler(_PageHandler):
    """``GET /<application>``: what it is, and how to call it."""

    method_hint = " Queries are sent to /<application>/predict."

    async def get(self, name: str) -> None:
        """Answer with one application.

        Raises
        ------
        ApplicationNotFoundError
            There is none of that name.
        tornado.web.HTTPError
            The token is another application's.
        """
        self.set_header("Vary", "Accept")
        if (credential := credential_of(self.request)) and not self._shown.has_application(name + credential):
            status, cause = describe_unknown(name + credential)
            raise tornado.web.HTTPError(status, "%s", cause)
        entry = Catalogue(self._shown.configuration()).find(name)
        if entry is None:
            raise ApplicationNotFoundError(name)
        not_ready = self._shown.why_not_ready(entry, self._shown.unready_applications())
        address = self._address(entry)
        if not self._wants_html:
            example = {"example": {"input": entry.sample_input}}
            more: dict[str, Any] = {
                "default_output": entry.application.default_output,
                "input_schema": entry.input_schema,
                **example,
            }
            if entry.targets:
                more["traffic"] = entry.targets
            self.finish(rest.format_body({**_summary(entry, address, not_ready), **more, "openapi": "openapi.json"}))
            return
        await self._finish_html(
            "application.html",
            entry=entry,
            address=address,
            not_ready=not_ready,
            needs_token=self._shown.needs_token,
            command=_command(entry, address, self._shown.needs_token),
            python=_python(entry, address, self._shown.needs_token),
            answer=_answer(entry),
        )

    head = get


class OpenApiHandler(_PageHandler):
    """``GET /openapi.json``: the applications as an OpenAPI document."""

    async def get(self) -> None:
        """Answer with the document, made in slices."""
        pieces = openapi_pieces(Catalogue(self._shown.configuration()), needs_token=self._shown.needs_token)
        self.finish(b"".join(await in_slices(pieces)))

    head = get


class DocsHandler(_PageHandler):
    """``GET /docs``: a page with Swagger UI, which shows the document and sends requests."""

    async def get(self) -> None:
        """Answer with the page; what it loads is answered by :class:`DocsFileHandler`."""
        await self._finish_html("docs.html", _WITH_SCRIPT)

    head = get


class DocsFileHandler(JsonHandler):
    """``GET /docs/<file>``: a script or a style sheet of the pages."""

    async def get(self, name: str) -> None:
        """Answer with the file."""
        if name not in _FILES:
            raise tornado.web.HTTPError(404, "The pages have no file %s.", name)
        accepts_gzip = "gzip" in self.request.headers.get("Accept-Encoding", "")
        content, is_compressed, digest = await asyncio.to_thread(_read_file, name, accepts_gzip)
        self.set_header("Content-Type", f"{_FILES[name]}; charset=utf-8")
        self.set_header("Cache-Control", "no-cache")
        self.set_header("Vary", "Accept-Encoding")
        self.set_header("Etag", digest)
        if is_compressed:
            self.set_header("Content-Encoding", "gzip")
        if self.check_etag_header():
            self.set_status(304)
            self.finish()
        else:
            self.finish(content)

    head = get

    def compute_etag(self) -> None:
        """Return no digest of what is sent: the file's has been set."""


@lru_cache(maxsize=2 * len(_FILES))
def _read_file(name: str, accepts_gzip: bool) -> tuple[bytes, bool, str]:
    """Return a file's content, whether it is compressed, and a digest that distinguishes it from other versions."""
    path = _FOLDER / name
    if name not in _COMPRESSED:
        content = path.read_bytes()
    else:
        content = path.with_name(f"{name}.gz").read_bytes()
        if not accepts_gzip:
            content = gzip.decompress(content)
    digest = hashlib.sha256(content).hexdigest()[:16]
    return content, name in _COMPRESSED and accepts_gzip, f'"{digest}"'


_TEMPLATES = tornado.template.Loader(str(_FOLDER))


async def _template(name: str) -> tornado.template.Template:
    """Return a template; its first use compiles it, which takes milliseconds."""
    return await asyncio.to_thread(_TEMPLATES.load, name)


def _summary(entry: CataloguedApplication, address: str, not_ready: str | None) -> dict[str, Any]:
    return {
        "name": entry.name,
        "address": address,
        "input_type": entry.application.input_type,
        "latency_slo_micros": entry.application.slo_micros,
        "linked_model": entry.linked_model,
        "model": None if entry.model_id is None else str(entry.model_id),
        "ready": not_ready is None,
        "not_ready": not_ready,
    }


def _command(entry: CataloguedApplication, address: str, needs_token: bool) -> str:
    token = " -H 'Authorization: Bearer <token>'" if needs_token else ""
    body = json.dumps({"input": entry.sample_input})
    return f"curl{token} -d {shlex.quote(body)} {shlex.quote(address)}"


def _python(entry: CataloguedApplication, address: str, needs_token: bool) -> str:
    headers = '\n    headers={"Authorization": "Bearer <token>"},' if needs_token else ""
    return (
        "import requests\n\n"
        f"reply = requests.post(\n    {address!r},{headers}\n    json={{'input': {entry.sample_input!r}}},\n)\n"
        'print(reply.json()["output"])'
    )


def _answer(entry: CataloguedApplication) -> str:
    output = json.dumps(entry.sample_output) if entry.has_sample else "..."
    model = "" if entry.model_id is None else f', "model": "{entry.model_id}"'
    return f'{{"query_id": 0, "output": {output}, "default": false{model}}}'
