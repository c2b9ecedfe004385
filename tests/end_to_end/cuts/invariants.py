"""What must hold soon after a cut, and what a look at the cluster found."""

from __future__ import annotations

import contextlib
import itertools
import json
import re
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from clipper_nb import ClipperConnection, DockerContainerManager, LocalContainerManager
from clipper_nb.protocol.environment import CLUSTER_FOLDER, LABEL_CLUSTER
from clipper_nb.protocol.records import CONTAINERLESS_IMAGE
from tests.end_to_end.cuts.cluster_state import (
    ABSENT,
    autoscaling_of,
    describe_applications,
    describe_autoscaling,
    describe_monitoring,
    describe_replicas,
    is_watched,
)
from tests.end_to_end.cuts.operations import Operation
from tests.end_to_end.cuts.traffic_state import traffic_of
from tests.support.clusters import http_request, observe

_NOTHING_CHANGED = re.compile(r"nothing (of it )?(was|is|has been) (changed|left|stored|started)", re.IGNORECASE)
_inputs = itertools.count()


@dataclass(frozen=True)
class Outcome:
    """What the caller was told: ``returned``, ``raised``, or nothing since it was ``killed``; or what it was told when
    it made the call again, ``returned again``."""

    kind: str
    error_type: str = ""
    message: str = ""

    def __str__(self) -> str:
        return self.kind if self.kind != "raised" else f"raised {self.error_type}: {self.message[:300]}"


@dataclass(frozen=True)
class Observed:
    """A cluster as it was found."""

    facts: Mapping[str, str]
    answers: Mapping[str, str] = field(default_factory=dict)
    """By application: who answered, or ``default: <reason>``."""
    expected_answers: Mapping[str, str] = field(default_factory=dict)
    orphans: Collection[str] = ()
    """Claims that nobody holds, and processes, containers and folders that nothing registered needs."""


def problems(observed: Observed, operation: Operation, outcome: Outcome) -> list[str]:
    """Return what does not hold after a call was cut; nothing when all is well. (pure)"""
    return [
        *_wrong_facts(observed.facts, operation, outcome),
        *(
            f"application {name} answers {observed.answers.get(name)!r} and its current version is {version}"
            for name, version in observed.expected_answers.items()
            if observed.answers.get(name) != version
        ),
        *(f"orphan: {orphan}" for orphan in observed.orphans),
    ]


def _wrong_facts(found: Mapping[str, str], operation: Operation, outcome: Outcome) -> list[str]:
    """Compare with what the caller may find: a call that returned has done all, another any part of it."""
    before, after = operation.before.facts(), operation.after.facts()
    if outcome.kind == "returned":
        return _differences(found, after)
    if outcome.kind == "returned again":
        made_again = [after, *(state.facts() for state in operation.made_again)]
        return min((_differences(found, state) for state in made_again), key=len)
    if outcome.kind == "raised" and _NOTHING_CHANGED.search(outcome.message):
        return _differences(found, before)
    if outcome.kind == "raised" and operation.undoes_itself:
        return min(_differences(found, before), _differences(found, after), key=len)
    return _differences(found, before, after)


def _differences(found: Mapping[str, str], *legal: Mapping[str, str]) -> list[str]:
    wrong = []
    for what in sorted({*found, *itertools.chain(*legal)}):
        allowed = list(dict.fromkeys(state.get(what, ABSENT) for state in legal))
        if found.get(what, ABSENT) not in allowed:
            wrong.append(f"{what}: {found.get(what, ABSENT)}, should be {' or '.join(allowed)}")
    return wrong


def look(conn: ClipperConnection, images_before: Collection[str] | None = None) -> Observed:
    """Return how the cluster is now, and its new images where the old are given. Raises while it does not answer."""
    models = conn.get_all_models(verbose=True)
    traffic = traffic_of(conn)
    applications = {
        one["name"]: None if one["name"] in traffic.shares else (one["linked_models"] or [None])[0]
        for one in conn.get_all_apps(verbose=True)
    }
    replicas = {f"{one['model_name']}:{one['model_version']}": _replicas(conn, one) for one in models}
    current = {one["model_name"]: one["model_version"] for one in models if one["is_current_version"]}
    registered_images = {one["container_name"] for one in models}
    facts = {
        **describe_applications(applications),
        **{f"version {name}": text for name, text in {**_unregistered(conn, replicas), **replicas}.items()},
        **{f"current version of {model}": version for model, version in current.items()},
        **traffic.facts(),
        **describe_autoscaling(autoscaling_of(models)),
        **describe_monitoring(is_watched=is_watched(conn)),
    }
    serving = {f"{model}:{number}" for model, number in current.items()} - _containerless(models)
    expected = {
        name: f"{model}:{current[model]}"
        for name, model in applications.items()
        if model in current and f"{model}:{current[model]}" in serving
    }
    answers = {name: _answer(conn, name) for name in {**expected, **traffic.shares}}
    for name, shares in traffic.shares.items():  # whichever of its targets
        targets = [target if ":" in target else f"{target}:{current.get(target)}" for target in shares]
        expected[name] = answers[name] if answers[name] in targets else " or ".join(targets)
    images = set() if images_before is None else _images(conn) - set(images_before) - _folders(conn, registered_images)
    return Observed(
        facts,
        answers,
        expected,
        [*_claims(conn), *_unlisted(conn), *sorted(images)],
    )


def images_of(conn: ClipperConnection) -> set[str]:
    """Return what ``look`` is to take for old."""
    return _images(conn)


def _containerless(models: list) -> set[str]:
    return {
        f"{one['model_name']}:{one['model_version']}" for one in models if one["container_name"] == CONTAINERLESS_IMAGE
    }


def _replicas(conn: ClipperConnection, model: Mapping) -> str:
    """Describe the replicas of a registered version: those that run and those that are connected are the same."""
    if model["container_name"] == CONTAINERLESS_IMAGE:
        return describe_replicas(None)
    version = f"{model['model_name']}:{model['model_version']}"
    running = sum(container.model == version for container in observe(conn, "replica"))
    connected = sum(replica["model_id"] == version for replica in conn.get_all_model_replicas(verbose=True))
    return describe_replicas(running) if running == connected else f"{connected} of {running} replicas connected"


def _unregistered(conn: ClipperConnection, registered: Collection[str]) -> dict[str, str]:
    running = Counter(container.model for container in observe(conn, "replica") if container.model)
    return {name: f"not registered, {number} replicas" for name, number in running.items() if name not in registered}


def _answer(conn: ClipperConnection, application: str) -> str:
    body, token = json.dumps({"input": [float(next(_inputs))]}), {"Authorization": f"Bearer {conn.query_token}"}
    status, reply = http_request(conn.get_query_addr(), "POST", f"/{application}/predict", body, token)
    if status != 200 or reply["default"]:
        return f"default: {reply.get('default_reason', reply) if isinstance(reply, dict) else reply}"
    return str(reply["output"])


def _claims(conn: ClipperConnection) -> list[str]:
    """Return the versions that are said to be deployed or scaled, while no call is under way."""
    assert conn._management is not None
    return [f"claim on {claim.model}" for claim in conn._management.get_claims()]


def _unlisted(conn: ClipperConnection) -> list[str]:
    """Return processes or containers that carry the cluster's mark and are not what its manager lists."""
    if isinstance(conn.cm, DockerContainerManager):
        wanted = {"label": f"{LABEL_CLUSTER}={conn.cm.cluster_name}"}
        found = conn.cm.docker_client.containers.list(filters=wanted, ignore_removed=True)
        listed = {container.name for container in observe(conn)}
        return [container.name for container in found if container.name not in listed]
    assert isinstance(conn.cm, LocalContainerManager)
    folder, listed = str(conn.cm._folder.path), observe(conn)
    listed_pids, expected = {each.pid for each in listed}, {f"template {each.model}" for each in listed if each.model}
    unlisted = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.environ().get(CLUSTER_FOLDER) == folder and process.status() != psutil.STATUS_ZOMBIE:
                command = " ".join(process.cmdline()).rstrip()
                if process.pid not in listed_pids and not command.endswith(tuple(expected)) and _is_unwanted(command):
                    unlisted.append(f"process {command}")
    return unlisted


def _is_unwanted(command: str) -> bool:
    """Return whether a process is neither the supervisor nor a nursery, which serves any version or none."""
    return "supervisor" not in command and ("runtime.nursery" not in command or "template" in command)


def _images(conn: ClipperConnection) -> set[str]:
    """Return the folders of images, and of builds that did not end; on Docker images are kept for the next deploy."""
    if not isinstance(conn.cm, LocalContainerManager):
        return set()
    root = conn.cm._folder.images_path
    with contextlib.suppress(OSError):
        return {
            *(str(path.parent) for path in root.rglob("func.pkl")),
            *(str(path) for path in root.rglob(".building-*")),
        }
    return _images(conn)  # a folder went while it was read


def _folders(conn: ClipperConnection, images: Collection[str]) -> set[str]:
    if not isinstance(conn.cm, LocalContainerManager):
        return set()
    return {str(Path(conn.cm._folder.image_path(image))) for image in images if image != CONTAINERLESS_IMAGE}
