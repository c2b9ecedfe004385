"""A cluster and what is in it, in one line and in HTML, for the ``repr`` of connections and handles. (pure)"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from clipper_nb.display.browser_url import browser_url
from clipper_nb.display.html import table
from clipper_nb.display.long_lists import MAX_LINES, count
from clipper_nb.protocol.descriptions import ApplicationInfo, ReplicaInfo, VersionInfo

# A style, since JupyterLab aligns the cells of tables right.
_CELL = 'style="text-align:left;padding:2px 16px 2px 0"'


@dataclass(frozen=True)
class ClusterSnapshot:
    """The facts about a cluster that a summary shows."""

    cluster_name: str
    query_url: str
    applications: Sequence[ApplicationInfo]
    models: Sequence[VersionInfo]
    replicas: Sequence[ReplicaInfo]


def format_text(snapshot: ClusterSnapshot) -> str:
    """Return one line."""
    models = {model.name for model in snapshot.models}
    return (
        f"<ClipperConnection {snapshot.cluster_name!r} at {snapshot.query_url}: "
        f"{count(len(snapshot.applications), 'application')}, {count(len(models), 'model')}, "
        f"{count(len(snapshot.models), 'version')}, {count(len(snapshot.replicas), 'replica')}>"
    )


def format_html(snapshot: ClusterSnapshot) -> str:
    """Return a small page: the address, a table of applications and one of model versions."""
    address = browser_url(snapshot.query_url)
    return (
        f"<div><strong>Clipper cluster “{escape(snapshot.cluster_name)}”</strong> "
        f'<a href="{escape(address)}/metrics">{escape(address)}</a>'
        f"{format_applications(snapshot.applications)}{format_models(snapshot.models, snapshot.replicas)}</div>"
    )


def describe_application(application: ApplicationInfo) -> str:
    """Return one line about an application."""
    linked = f"linked to {application.linked_model}" if application.linked_model else "not linked"
    return (
        f"<Application {application.name!r}: {application.input_type}, SLO {_format_slo(application)}, "
        f"default output {application.default_output!r}, "
        f"{f'traffic {application.routing}' if application.traffic else linked}>"
    )


def describe_endpoint(application: ApplicationInfo, current: str | None, url: str) -> str:
    """Return one line about an endpoint, whose linked model has a *current* version, or none."""
    linked = application.linked_model
    serves = f"{linked}:{current}" if current else f"{linked} without a current version" if linked else "not linked"
    serves = f"traffic {application.routing}" if application.traffic else serves
    return f"<Endpoint {application.name!r}: {application.input_type}, SLO {_format_slo(application)}, {serves}, {url}>"


def describe_model(name: str, versions: Sequence[VersionInfo]) -> str:
    """Return one line about a model, from the records of its versions."""
    current = next((model.version for model in versions if model.is_current), "none")
    return f"<Model {name!r}: {versions[0].input_type}, {count(len(versions), 'version')}, current {current}>"


def describe_version(model: VersionInfo, num_replicas: int) -> str:
    """Return one line about a version of a model."""
    current = "current" if model.is_current else "not current"
    replicas = f"{count(num_replicas, 'replica')}{_bounds(model)}"
    return f"<Version {model.model_id}: {model.input_type}, {current}, {replicas}>"


def format_applications(applications: Sequence[ApplicationInfo]) -> str:
    """Return a table of applications, or a sentence where there are none."""
    if not applications:
        return "<p>No applications yet: call <code>register_application()</code>.</p>"
    rows = [
        (
            application.name,
            application.input_type,
            _format_slo(application),
            application.default_output,
            application.routing or "none",
        )
        for application in applications[:MAX_LINES]
    ]
    head = ("application", "input type", "SLO", "default output", "linked model")
    return _table(head, rows) + _more(len(applications), "application")


def format_models(models: Sequence[VersionInfo], connected: Sequence[ReplicaInfo]) -> str:
    """Return a table of model versions with their numbers of *connected* replicas, or a sentence without any."""
    if not models:
        return "<p>No models yet: call <code>deploy_python_closure()</code>.</p>"
    replicas = Counter(replica.model_id for replica in connected)
    rows = [
        (
            model.name,
            model.version,
            "● current" if model.is_current else "",
            model.input_type,
            f"{replicas[model.model_id]}{_bounds(model)}",
        )
        for model in models[:MAX_LINES]
    ]
    return _table(("model", "version", "", "input type", "replicas"), rows) + _more(len(models), "version")


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    return table(rows, head=head, columns=[_CELL] * len(head))


def _more(number: int, noun: str) -> str:
    return f"<p>… and {count(number - MAX_LINES, f'more {noun}')}.</p>" if number > MAX_LINES else ""


def _bounds(model: VersionInfo) -> str:
    """Return the bounds of an autoscaled version after its number of replicas: ``" of 1-8"``."""
    return "" if model.autoscaling is None else f" of {model.autoscaling.bounds}"


def _format_slo(application: ApplicationInfo) -> str:
    return f"{application.slo_micros / 1000:g} ms"
