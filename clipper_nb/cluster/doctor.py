"""Checks the machine and the cluster of a connection, and reports what to do: ``conn.doctor()``."""

from __future__ import annotations

import platform
from collections import Counter
from collections.abc import Sequence, Set
from contextlib import closing
from typing import Protocol

from clipper_nb.clients.cluster_version import is_compatible
from clipper_nb.clients.frontend_client import FrontendClient
from clipper_nb.clients.management_client import ManagementClient
from clipper_nb.clients.metrics_text import parse_samples
from clipper_nb.clients.trust import Trust
from clipper_nb.container_managers.base import ContainerManager
from clipper_nb.container_managers.tls.identity import expiry_finding
from clipper_nb.display.diagnosis import Diagnosis, Finding
from clipper_nb.display.long_lists import count, join_some
from clipper_nb.errors import ClipperException, NotFoundError
from clipper_nb.protocol.containers import ObservedContainer
from clipper_nb.protocol.descriptions import ApplicationInfo, VersionInfo
from clipper_nb.protocol.environment import HUNG_EXIT_STATUS
from clipper_nb.protocol.metric_names import CONTAINERS_REFUSED, LABEL_REASON
from clipper_nb.protocol.records import REFUSAL_REASONS
from clipper_nb.version import __version__

_RESTART = "stop_all() and then start_clipper() restart it; get_clipper_logs() has what it wrote."

_REFUSALS = dict(zip(REFUSAL_REASONS, ("want of a token", "a wrong proof"), strict=True))


class FrontendAt(Protocol):
    """Returns a client of the frontend at an address."""

    def __call__(
        self, address: str, what: str, token: str | None = None, trust: Trust | None = None, /
    ) -> FrontendClient:
        """Name it *what* in errors, send it the query token, and check that it proves itself."""


def examine(
    manager: ContainerManager, management: ManagementClient | None, frontend_at: FrontendAt = FrontendClient.at
) -> Diagnosis:
    """Return what was found; *management* is ``None`` for a connection without a cluster. Raises nothing."""
    findings = [Finding("Notebook", "ok", f"clipper_nb {__version__}, Python {platform.python_version()}.")]
    findings += manager.check_machine()
    if management is None:
        findings.append(
            Finding(
                "Cluster", "warning", f"This connection has none; the name is '{manager.cluster_name}'.",
                "start_clipper() starts one, connect() finds one that runs.",
            )
        )  # fmt: skip
        return Diagnosis(findings)
    answers, trust = [], manager.get_trust()
    urls = {"Management frontend": manager.get_admin_url(), "Query frontend": manager.get_query_url()}
    for what, url in urls.items():
        found = _check_frontend(what, url, trust, frontend_at)
        answers.append(found.state != "problem")
        findings.append(found)
    if manager.get_query_token() is not None:
        findings.append(Finding("Query token", "ok", "Clients need one to predict: conn.query_token has it."))
    if (identity := manager.get_tls_identity()) is not None:
        findings.append(expiry_finding(identity))
    if answers[1]:
        findings += _check_refusals(manager, frontend_at)
    if answers[0]:
        redis = _check_redis(manager.get_admin_url(), trust, frontend_at)
        findings.append(redis)
        if redis.state == "ok":
            findings += _check_models(manager, management)
    return Diagnosis(findings)


def _check_frontend(what: str, url: str, trust: Trust | None, frontend_at: FrontendAt) -> Finding:
    try:
        with closing(frontend_at(url, what.lower(), None, trust)) as frontend:
            version = frontend.live()
    except ClipperException as exc:
        return Finding(what, "problem", exc.msg, _RESTART)
    if not is_compatible(version):
        return Finding(
            what, "problem", f"Answers at {url}; clipper_nb {version}, and the notebook has {__version__}.",
            "Deploys are refused. Use a notebook with that version, or restart the cluster and deploy again.",
        )  # fmt: skip
    return Finding(what, "ok", f"Answers at {url}; clipper_nb {version}.")


def _check_refusals(manager: ContainerManager, frontend_at: FrontendAt) -> list[Finding]:
    """Report containers that said they serve a model, and could not prove it; usually there are none."""
    try:
        url, token = manager.get_query_url(), manager.get_query_token()
        with closing(frontend_at(url, "query frontend", token, manager.get_trust())) as frontend:
            samples = list(parse_samples(frontend.metrics(), (CONTAINERS_REFUSED,)))
    except ClipperException as exc:
        return [Finding("Strangers", "problem", exc.msg, _RESTART)]
    num_refused = {labels[LABEL_REASON]: int(number) for _, labels, number in samples if number}
    if not num_refused:
        return []
    told = join_some([f"{count(number, 'time')} for {_REFUSALS[reason]}" for reason, number in num_refused.items()])
    return [
        Finding(
            "Strangers", "warning", f"Model containers were refused {told}.",
            "The query frontend's log names the versions: get_clipper_logs(). If the containers are yours, "
            "start_clipper(accept_clipper_containers=['name:version']) lets them in.",
        )
    ]  # fmt: skip


def _check_redis(admin_url: str, trust: Trust | None, frontend_at: FrontendAt) -> Finding:
    """Ask the management frontend, which alone can reach Redis."""
    try:
        with closing(frontend_at(admin_url, "management frontend", None, trust)) as frontend:
            cause = frontend.ready()
    except ClipperException as exc:
        return Finding("Redis", "problem", exc.msg, _RESTART)
    if cause is None:
        return Finding("Redis", "ok", "Answers the management frontend; the configuration can be read.")
    return Finding(
        "Redis", "problem", f"Does not answer the management frontend: {cause}",
        "Queries are answered from the last known configuration; nothing can be changed until Redis is back.",
    )  # fmt: skip


def _check_models(manager: ContainerManager, management: ManagementClient) -> list[Finding]:
    try:
        # In this order, a version that is being deployed meanwhile is found to be claimed, or registered.
        running = manager.observe_replicas()
        claimed = _claimed(management)
        models, applications = management.get_models(), management.get_applications()
        connected = Counter(replica.model for replica in management.get_replicas())
    except ClipperException as exc:
        return [Finding("Replicas", "problem", exc.msg, _RESTART)]
    return [
        _check_replicas(models, connected, running, claimed),
        *_check_limits(manager, models),
        _check_applications(applications, models, connected),
    ]


def _claimed(management: ManagementClient) -> set[str]:
    """Return the versions that are being deployed or scaled now; what they lack is no fault."""
    try:
        return {claim.model for claim in management.get_claims()}
    except NotFoundError:
        return set()  # the cluster's release has none


def _check_replicas(
    models: Sequence[VersionInfo],
    connected: Counter[str],
    running: Sequence[ObservedContainer],
    claimed: Set[str],
) -> Finding:
    """Report versions with fewer replicas that run than should, or fewer that serve than run."""
    numbers = Counter(str(container.model) for container in running)
    desired = {str(model.model_id): model.num_replicas for model in models}
    faults = [
        f"{model_id}: {count(number, 'replica')} run{'s' * (number == 1)}, but the version is not registered"
        for model_id, number in numbers.items()
        if model_id not in desired and model_id not in claimed
    ]
    advice = ["Replicas of versions that are not registered are ended soon."] if faults else []
    missing = [
        f"{model_id}: {numbers[model_id]} of {number} run"
        for model_id, number in desired.items()
        if number is not None and numbers[model_id] < number and model_id not in claimed
    ]
    if missing:
        advice.append("set_num_replicas() starts those that do not run.")
    unsteady = [
        f"{model_id}: {connected[model_id]} of {number} serve"
        for model_id, number in numbers.items()
        if connected[model_id] < number
    ]
    unsteady += [
        f"{container.name} ended {count(container.num_exits, 'time')}{_why(container)}"
        for container in running
        if container.num_exits
    ]
    if unsteady:
        advice.append("They are started again by themselves; get_clipper_logs() has what they wrote.")
    faults += missing + unsteady
    if faults:
        return Finding("Replicas", "warning", f"{join_some(faults, '; ')}.", " ".join(advice))
    num_models = len({model.name for model in models})
    if not num_models:
        return Finding("Replicas", "ok", "No model is deployed yet.")
    found = f"{count(sum(connected.values()), 'replica')} of {count(num_models, 'model')} ready."
    return Finding("Replicas", "ok", found)


def _check_limits(manager: ContainerManager, models: Sequence[VersionInfo]) -> list[Finding]:
    """Report limits that replicas are not held to, if a version has some."""
    faults = [f"{model.model_id}: {fault}" for model in models for fault in manager.find_unenforced(model.limits)]
    if not faults:
        return []
    return [
        Finding(
            "Limits", "warning", f"{join_some(faults, '; ')}.", "DockerContainerManager() holds replicas to all limits."
        )
    ]


def _why(container: ObservedContainer) -> str:
    if container.was_out_of_memory:
        return ", last at its memory limit"
    if container.exit_status == HUNG_EXIT_STATUS:
        return ", last because it was busy with one batch for too long"
    return "" if container.exit_status is None else f", last with status {container.exit_status}"


def _check_applications(
    applications: Sequence[ApplicationInfo], models: Sequence[VersionInfo], connected: Counter[str]
) -> Finding:
    """Report the applications that answer only their default output."""
    current = {model.name: str(model.model_id) for model in models if model.is_current}
    faults, advice = [], []
    for application in applications:
        name, linked = application.name, application.linked_model
        if not linked:
            faults.append(f"'{name}' is not linked to a model")
            advice.append(f"link_model_to_app({name!r}, …)")
        elif not connected[current.get(linked, "")]:
            faults.append(f"'{name}' is linked to '{linked}', whose current version has no replica that serves")
            advice.append(f"set_num_replicas({linked!r}, 1)")
    if faults:
        return Finding(
            "Applications", "warning", f"{join_some(faults, '; ')}: only default outputs.", join_some(advice, "; ")
        )  # fmt: skip
    if not applications:
        return Finding("Applications", "ok", "None is registered yet.")
    return Finding("Applications", "ok", f"{len(applications)} registered, each with a model that is ready.")
