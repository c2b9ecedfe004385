"""The panel that queries an application: an input, the answer with its time, and lines to do the same elsewhere."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, ClassVar

import ipywidgets

from clipper_nb.display.html import Html, as_html
from clipper_nb.panels.answer import Asked, format_answer
from clipper_nb.panels.cluster_state import ApplicationState, ClusterState, VersionState
from clipper_nb.panels.markup import format_ms, paragraph, preformatted
from clipper_nb.panels.panel import Panel, Warned, dropdown, offer, row
from clipper_nb.panels.picture import Picture
from clipper_nb.panels.typed_input import PLACEHOLDERS, as_typed, notebook_variables, read_typed
from clipper_nb.protocol.input_types import InputType
from clipper_nb.protocol.inputs import format_input
from clipper_nb.protocol.schema_words import describe_fields

_Choice = tuple[str | None, str | None]
_CURRENT = ""
_NOTHING_SENT = paragraph("No query sent yet.")


class TryAQueryPanel(Panel):
    """Sends one query as any client would."""

    title: ClassVar[str] = "Try a query"

    def render(self) -> Html:
        """Return the last answer, if it is one of the chosen application and version."""
        asked_for, answer = self._answer
        return answer if asked_for == self._choice() else _NOTHING_SENT

    def _arrange(
        self, picture: ipywidgets.Widget, controls: Sequence[ipywidgets.Widget], outcome: ipywidgets.Widget
    ) -> Sequence[ipywidgets.Widget]:
        """Return the question above the answer."""
        return [*controls, outcome, picture]

    def _make_controls(self) -> list[ipywidgets.Widget]:
        self._answer: tuple[_Choice, Html] = ((None, None), _NOTHING_SENT)
        self._last_choice: _Choice = (None, None)
        self._filled_in = ""
        self._focus_at_poll = 0
        self._is_file_last = False
        self._application = dropdown("Application", name="try-application", width="260px")
        self._version = dropdown("Version", name="try-version")
        for choice in (self._application, self._version):
            choice.observe(lambda _change: self._poller.call_soon(self.paint), "value")
        self._make_inputs()
        self._schema = Picture("Schema")
        self._example_button = self._button(
            "Use the example", self._use_example, name="use-example",
            tooltip="The first of the sample_inputs that this version was deployed with",
        )  # fmt: skip
        send = self._button("Send", self._send, name="send", tooltip="Send the query (Ctrl+Enter)", style="primary")
        return [
            row(self._application, self._version),
            self._input,
            self._schema,
            row(send, self._example_button, self._file, self._file_name),
        ]

    def _make_inputs(self) -> None:
        # The page sends the text when it is complete: half of it could overtake a click while a cell runs.
        self._input = ipywidgets.Textarea(
            description="Input", rows=2, layout={"width": "auto"}, style={"description_width": "initial"},
            continuous_update=False,
        )  # fmt: skip
        self._input.add_class("cl-input")
        self._file = ipywidgets.FileUpload(description="Upload a file", layout={"width": "auto", "display": "none"})
        self._file.add_class("cl-file")
        self._file_name = ipywidgets.HTML()
        # What was given last is sent, and nothing else is shown.
        self._input.observe(lambda _change: self._hear_of(is_file=False), "value")
        self._file.observe(lambda _change: self._hear_of(is_file=True), "value")

    def choose(self, application: str) -> None:
        """Let the next query be one of *application*; called in the poller's thread."""
        self._offer(self._poller.state)
        self._application.value = application
        self._focus_at_poll = self._poller.num_polls + 1
        self._poller.poll_soon()

    def paint(self) -> None:
        """Show the latest state; called in the poller's thread."""
        super().paint()
        # The page has opened the tab by the next poll; before, what is in it takes no focus.
        if self._focus_at_poll and self._poller.num_polls >= self._focus_at_poll:
            self._focus_at_poll = 0
            self._input.focus()

    def _offer(self, state: ClusterState) -> None:
        offer(self._application, [(found.name, found.name) for found in state.applications])
        application = state.application(self._application.value)
        versions = state.versions_of(application.linked_model) if application else []
        options = [("the current one", _CURRENT), *((found.version, found.version) for found in versions)]
        offer(self._version, options)
        input_type = application.input_type if application else InputType.DOUBLES
        version = self._chosen_version(state, application)
        schema = version.input_schema if version else None
        self._input.placeholder = describe_fields(schema) if schema else PLACEHOLDERS[input_type]
        self._schema.value = _format_schema(version) if version and schema else ""
        self._file.layout.display = "flex" if input_type is InputType.BYTES else "none"
        self._follow_choice()

    def _choice(self) -> _Choice:
        return self._application.value, self._version.value

    def _follow_choice(self) -> None:
        """Take away what belongs to another choice, and fill in an example unless something was typed."""
        if self._choice() != self._last_choice:
            self._last_choice = self._choice()
            self._outcome.value = self._outcome.value if self._is_acting else ""
            self._picture.value = self.render()
            self._forget_file()
            self._filled_in = self._filled_in if self._input.value else ""
        example = self._example() or ""
        if self._input.value in ("", self._filled_in) and not self._file.value and example != self._filled_in:
            self._fill_in(example)

    def _fill_in(self, example: str) -> None:
        self._filled_in = self._input.value = example

    def _hear_of(self, *, is_file: bool) -> None:
        if (self._file if is_file else self._input).value:
            self._is_file_last = is_file  # at once: a click may follow before the poller's thread is there
            self._poller.call_soon(self._keep_last_given)

    def _keep_last_given(self) -> None:
        if not self._is_file_last:
            self._forget_file()
        elif self._file.value:
            self._input.value = ""
            file = self._file.value[-1]
            self._file_name.value = f"{as_html(file['name'])}, {file['size']:,} bytes"

    def _forget_file(self) -> None:
        self._file.value = ()
        self._file_name.value = ""

    def _is_possible(self, button: ipywidgets.Button) -> bool:
        return (self._example() if button is self._example_button else self._application.value) is not None

    def _example(self) -> str | None:
        """Return the example input of the chosen version as a user would type it."""
        application = self._poller.state.application(self._application.value)
        version = self._chosen_version(self._poller.state, application)
        if application is None or version is None or version.example_input is None:
            return None
        return as_typed(application.input_type, version.example_input)

    def _chosen_version(self, state: ClusterState, application: ApplicationState | None) -> VersionState | None:
        """Return the version that is asked: the chosen one, or the current one."""
        versions = state.versions_of(application.linked_model) if application else []
        asked = self._version.value
        return next((found for found in versions if (found.version == asked if asked else found.is_current)), None)

    def _use_example(self) -> None:
        text = self._example()
        if text is not None:
            self._poller.call_soon(lambda: self._fill_in(text))

    def _send(self) -> None:
        application = self._poller.state.application(self._application.value)
        if application is None or self._is_acting:
            return
        text, choice = self._input.value, self._choice()
        file = bytes(self._file.value[-1]["content"]) if self._is_file_last and self._file.value else None
        self._answer = choice, Html("")

        def ask() -> str | Warned:
            value = read_typed(application.input_type, text, notebook_variables()) if file is None else file
            version = choice[1] or None
            prediction = self._conn.predict(application.name, value, version=version)
            self._answer = choice, format_answer(self._asked(application, value, version), prediction)
            how = f"in {format_ms(prediction.latency_s)} ms"
            if prediction.default:
                return Warned(f"{application.name} answered its default output {how}: {prediction.reason}.")
            return f"{application.name} answered {how}."

        self._act(f"Asking {application.name}", ask)

    def _asked(self, application: ApplicationState, value: Any, version: str | None) -> Asked:
        manager = self._conn.cm
        tls = manager.get_tls_identity()
        return Asked(
            application,
            format_input(application.input_type, value),
            version,
            manager.get_query_url(),
            needs_token=manager.get_query_token() is not None,
            needs_authority=tls is not None and bool(tls.authority),
        )


def _format_schema(version: VersionState) -> Html:
    text = json.dumps(version.input_schema, indent=2, ensure_ascii=False)
    label = f"Schema of the inputs of {version.model_id}"
    return Html(f"<details><summary>{as_html(label)}</summary>{preformatted(text, label=label)}</details>")
