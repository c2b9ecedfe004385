"""The panel that queries an application: an input, the answer with its time, and lines to do the same elsewhere."""

from __future__ import annotations

import base64
import json
import shlex
import sys
from collections.abc import Sequence
from typing import Any, ClassVar

import ipywidgets

from clipper_nb.display.html import Html, as_html
from clipper_nb.errors import InvalidInputError
from clipper_nb.panels.cluster_state import ApplicationState, ClusterState, Status, VersionState
from clipper_nb.panels.markup import badge, facts, format_ms, paragraph
from clipper_nb.panels.panel import Panel, dropdown, offer, row
from clipper_nb.protocol import predict_call
from clipper_nb.protocol.environment import QUERY_TOKEN
from clipper_nb.protocol.input_types import InputType
from clipper_nb.protocol.inputs import format_input
from clipper_nb.protocol.records import Prediction
from clipper_nb.protocol.schema_words import describe_fields

_PLACEHOLDERS = {
    InputType.INTEGERS: "[1, 2, 3], or a variable of this notebook: X[0]",
    InputType.FLOATS: "[0.1, 0.2], or a variable of this notebook: X[0]",
    InputType.DOUBLES: "[0.1, 0.2], or a variable of this notebook: X[0]",
    InputType.STRINGS: "text, as it is",
    InputType.JSON: '{"age": 22, "sex": "male"}, or a variable of this notebook: rows[0]',
    InputType.BYTES: "an expression of this notebook, such as image_bytes; or upload a file",
}
_MAX_SHOWN = 4000
_CURRENT = ""
_AUTHORITY_FILE = "authority.pem"


class TryAQueryPanel(Panel):
    """Sends one query as any client would."""

    title: ClassVar[str] = "Try a query"

    def render(self) -> Html:
        """Return the last answer."""
        return self._answer

    def _arrange(
        self, picture: ipywidgets.Widget, controls: Sequence[ipywidgets.Widget], outcome: ipywidgets.Widget
    ) -> Sequence[ipywidgets.Widget]:
        """Return the question above the answer."""
        return [*controls, outcome, picture]

    def _make_controls(self) -> list[ipywidgets.Widget]:
        self._answer = paragraph("No query sent yet.")
        self._application = dropdown("Application", name="try-application", width="260px")
        self._version = dropdown("Version", name="try-version")
        self._input = ipywidgets.Textarea(
            description="Input", rows=2, layout={"width": "100%"}, style={"description_width": "initial"}
        )
        self._input.add_class("cl-input")
        self._file = ipywidgets.FileUpload(description="Upload a file", layout={"width": "auto", "display": "none"})
        self._file.add_class("cl-file")
        self._example_button = self._button(
            "Use the example", self._use_example, name="use-example",
            tooltip="The first of the sample_inputs that this version was deployed with",
        )  # fmt: skip
        for choice in (self._application, self._version):
            choice.observe(lambda _change: self._poller.call_soon(self.paint), "value")
        return [
            row(self._application, self._version),
            self._input,
            row(
                self._button("Send", self._send, name="send", tooltip="Send the query", style="primary"),
                self._example_button,
                self._file,
            ),
        ]

    def _offer(self, state: ClusterState) -> None:
        offer(self._application, [(found.name, found.name) for found in state.applications])
        application = state.application(self._application.value)
        versions = state.versions_of(application.linked_model) if application else []
        options = [("the current one", _CURRENT), *((found.version, found.version) for found in versions)]
        offer(self._version, options)
        input_type = application.input_type if application else InputType.DOUBLES
        version = self._chosen_version(state, application)
        schema = version.input_schema if version else None
        self._input.placeholder = describe_fields(schema) if schema else _PLACEHOLDERS[input_type]
        self._file.layout.display = "flex" if input_type is InputType.BYTES else "none"

    def _is_possible(self, button: ipywidgets.Button) -> bool:
        return (self._example() if button is self._example_button else self._application.value) is not None

    def _example(self) -> str | None:
        """Return the example input of the chosen version as a user would type it."""
        application = self._poller.state.application(self._application.value)
        version = self._chosen_version(self._poller.state, application)
        if application is None or version is None or version.example_input is None:
            return None
        return _as_typed(application.input_type, version.example_input)

    def _chosen_version(self, state: ClusterState, application: ApplicationState | None) -> VersionState | None:
        """Return the version that is asked: the chosen one, or the current one."""
        versions = state.versions_of(application.linked_model) if application else []
        asked = self._version.value
        return next((found for found in versions if (found.version == asked if asked else found.is_current)), None)

    def _use_example(self) -> None:
        text = self._example()
        if text is not None:
            self._poller.call_soon(lambda: setattr(self._input, "value", text))

    def _send(self) -> None:
        application = self._poller.state.application(self._application.value)
        if application is None:
            return
        text, version = self._input.value, self._version.value or None
        files = [bytes(file["content"]) for file in self._file.value]

        def ask() -> str:
            value = _read_input(application.input_type, text, files)
            prediction = self._conn.predict(application.name, value, version=version)
            manager = self._conn.cm
            needs_token, tls = manager.get_query_token() is not None, manager.get_tls_identity()
            self._answer = _format_answer(
                application, value, version, prediction, manager.get_query_url(), needs_token=needs_token,
                needs_authority=tls is not None and bool(tls.authority),
            )  # fmt: skip
            return f"{application.name} answered in {format_ms(prediction.latency_s)} ms."

        self._act(f"Asking {application.name}", ask)


def _read_input(input_type: InputType, text: str, files: list[bytes]) -> Any:
    """Return the input that the user means: text, JSON, an expression of the notebook, or a file.

    Raises
    ------
    InvalidInputError
        It is none of these.
    """
    if input_type is InputType.STRINGS:
        return text
    if input_type is InputType.BYTES and files and not text.strip():
        return files[-1]
    if not text.strip():
        raise InvalidInputError(f"There is no input. Type {_PLACEHOLDERS[input_type]}.")
    try:
        return json.loads(text)
    except ValueError:
        pass
    try:
        code = compile(text.strip(), "<input>", "eval")
    except SyntaxError as exc:
        raise InvalidInputError(f"The input is neither JSON nor a Python expression: {exc.msg}.") from exc
    try:
        return eval(code, _notebook_variables())  # a user who types here may type in a cell as well
    except Exception as exc:
        raise InvalidInputError(f"The input {text.strip()!r} raises {type(exc).__name__}: {exc}.") from exc


def _as_typed(input_type: InputType, sent: Any) -> str:
    """Return what :func:`_read_input` reads as the input that is *sent* in JSON."""
    if input_type is InputType.STRINGS:
        return str(sent)
    return json.dumps(sent) if input_type is not InputType.BYTES else _as_python(input_type, sent)


def _notebook_variables() -> dict[str, Any]:
    get_ipython = getattr(sys.modules.get("IPython"), "get_ipython", None)
    shell = get_ipython() if get_ipython else None
    return {} if shell is None else shell.user_ns


def _format_answer(
    application: ApplicationState,
    value: Any,
    version: str | None,
    prediction: Prediction,
    query_url: str,
    *,
    needs_token: bool,
    needs_authority: bool = False,
) -> Html:
    status = Status("warning", f"default output: {prediction.reason}") if prediction.default else Status("ok", "model")
    rows = [
        ("Output", Html(f'<code class="cl-output">{as_html(_shortened(json.dumps(prediction.output)))}</code>')),
        ("From", badge(status)),
        ("Time", f"{format_ms(prediction.latency_s)} ms of {application.slo_s * 1e3:,g} ms"),
        ("Query", str(prediction.query_id)),
    ]
    if prediction.explanation:
        rows.insert(2, ("Why", prediction.explanation))
    sent = format_input(application.input_type, value)
    body = predict_call.format_request(application.input_type, sent, is_batch=False, version=version).decode()
    url = f"{query_url}/{application.name}/predict"
    # The notebook keeps what a panel shows, so the token is named and not shown.
    token = f'-H "Authorization: Bearer ${QUERY_TOKEN}" ' if needs_token else ""
    authority = f"--cacert {_AUTHORITY_FILE} " if needs_authority else ""
    curl = f"curl {authority}{token}-H 'Content-Type: application/json' -d {shlex.quote(body)} {url}"
    of_version = f", version={version!r}" if version else ""
    python = f"conn.predict({application.name!r}, {_as_python(application.input_type, sent)}{of_version})"
    lines = _to_copy("curl", curl) + _to_copy("Python", python)
    if needs_authority:
        write = f"from pathlib import Path; Path({_AUTHORITY_FILE!r}).write_text(conn.get_tls_authority())"
        lines += _to_copy("The authority, for curl", write)
    return Html(facts(rows, caption="Answer") + lines)


def _as_python(input_type: InputType, sent: Any) -> str:
    return repr(base64.b64decode(sent)) if input_type is InputType.BYTES else repr(sent)


def _to_copy(label: str, text: str) -> str:
    if len(text) > _MAX_SHOWN:
        return f'<p class="cl-small">{label}: the input is too long to be shown as a line.</p>'
    return (
        f'<div class="cl-copied"><span class="cl-small">{label}</span>'
        f'<pre class="cl-pre" tabindex="0" role="region" aria-label="The same query with {label}">{as_html(text)}</pre>'
        '<button type="button" class="cl-copy">Copy</button></div>'
    )


def _shortened(text: str) -> str:
    return text if len(text) <= _MAX_SHOWN else f"{text[:_MAX_SHOWN]}…"
