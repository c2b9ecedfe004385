"""How an answer looks, with the lines that ask the same elsewhere. (pure)"""

from __future__ import annotations

import base64
import json
import shlex
from dataclasses import dataclass
from typing import Any

from clipper_nb.display.html import Html, as_html
from clipper_nb.panels.cluster_state import ApplicationState, Status
from clipper_nb.panels.markup import badge, facts, format_ms, preformatted
from clipper_nb.protocol import predict_call
from clipper_nb.protocol.environment import QUERY_TOKEN
from clipper_nb.protocol.input_types import InputType
from clipper_nb.protocol.records import Prediction

_MAX_SHOWN = 4000
_AUTHORITY_FILE = "authority.pem"


@dataclass(frozen=True)
class Asked:
    """A query as it was sent.

    Attributes
    ----------
    application : ApplicationState
    sent : object
        The input as it is in JSON.
    version : str or None
        The version that was asked for; ``None`` for the current one.
    query_url : str
        The address of the query frontend.
    needs_token, needs_authority : bool
        Whether another client needs the cluster's token, and the certificate of its authority.
    """

    application: ApplicationState
    sent: Any
    version: str | None
    query_url: str
    needs_token: bool = False
    needs_authority: bool = False


def format_answer(asked: Asked, prediction: Prediction) -> Html:
    """Return an answer with its facts and lines to copy."""
    status = Status("warning", f"default output: {prediction.reason}") if prediction.default else Status("ok", "model")
    slo_ms = asked.application.slo_s * 1e3
    rows = [
        ("Output", _format_output(prediction.output)),
        ("From", Html(f"{badge(status)} {as_html(prediction.model or '')}")),
        ("Time", f"{format_ms(prediction.latency_s)} ms; the SLO is {slo_ms:,g} ms"),
        ("Query", f"{prediction.query_id} of {asked.application.name}"),
    ]
    if prediction.explanation:
        rows.insert(2, ("Why", prediction.explanation))
    lines = _to_copy("curl", _curl(asked)) + _to_copy("Python", _python(asked))
    if asked.needs_authority:
        write = f"from pathlib import Path; Path({_AUTHORITY_FILE!r}).write_text(conn.get_tls_authority())"
        lines += _to_copy("The authority, for curl", write)
    return Html(facts(rows, caption="Answer") + lines)


def _format_output(output: Any) -> Html:
    """Return text as it is, and anything else as JSON."""
    is_text = isinstance(output, str)
    text = output if is_text else json.dumps(output, ensure_ascii=False)
    notes = ["text"] if is_text else []
    if len(text) > _MAX_SHOWN:
        notes.append(f"the first {_MAX_SHOWN:,} of {len(text):,} characters")
    shown = preformatted(text[:_MAX_SHOWN], label="Output", also="cl-output")
    return Html(f'{shown}<span class="cl-small">{", ".join(notes)}</span>')


def _curl(asked: Asked) -> str:
    application = asked.application
    body = predict_call.format_request(application.input_type, asked.sent, is_batch=False, version=asked.version)
    # The notebook keeps what a panel shows, so the token is named and not shown.
    token = f'-H "Authorization: Bearer ${QUERY_TOKEN}" ' if asked.needs_token else ""
    authority = f"--cacert {_AUTHORITY_FILE} " if asked.needs_authority else ""
    url = f"{asked.query_url}/{application.name}/predict"
    return f"curl {authority}{token}-H 'Content-Type: application/json' -d {shlex.quote(body.decode())} {url}"


def _python(asked: Asked) -> str:
    is_bytes = asked.application.input_type is InputType.BYTES
    value = base64.b64decode(asked.sent) if is_bytes else asked.sent
    of_version = f", version={asked.version!r}" if asked.version else ""
    return f"conn.predict({asked.application.name!r}, {value!r}{of_version})"


def _to_copy(label: str, text: str) -> str:
    if len(text) > _MAX_SHOWN:
        return f'<p class="cl-small">{label}: the input is too long to be shown as a line.</p>'
    line = preformatted(text, label=f"The same query with {label}")
    return (
        f'<div class="cl-copied"><span class="cl-small">{label}</span>{line}'
        '<button type="button" class="cl-copy">Copy</button></div>'
    )
