"""Everything is killed at random instants while the configuration changes: every confirmed change is there again."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from clipper_nb import ClipperConnection, ClipperException, LocalContainerManager
from clipper_nb.container_managers.local.processes import kill_processes_of, processes_of
from clipper_nb.deployers.python import create_endpoint
from tests.support.clusters import eventually, new_manager, removed_afterwards

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(600)]

_LONGEST_CHANGES_S = 1.5

NOTEBOOK = textwrap.dedent(
    """
    import json, random, sys
    from clipper_nb import ClipperConnection, LocalContainerManager
    from clipper_nb.deployers.python import deploy_python_closure

    conn = ClipperConnection(LocalContainerManager(sys.argv[1], root_folder=sys.argv[2], detach=True))
    state = json.loads(sys.argv[3])
    rng = random.Random(sys.argv[4])
    conn.connect()

    def deploy(version):
        deploy_python_closure(conn, "m", version, "doubles", lambda xs, v=version: [v * x.sum() for x in xs])

    def propose(after):
        versions, apps = after["versions"], after["apps"]
        some = rng.choice(sorted(versions)) if versions else None
        kind = rng.choice(["deploy", "scale", "select", "stop", "register", "link", "unregister"])
        if kind == "deploy":
            version = after["next"]
            after.update(next=version + 1, current=str(version))
            versions[str(version)] = 1
            return lambda: deploy(version)
        if kind == "scale" and some:
            number = versions[some] = 3 - versions[some]
            return lambda: conn.set_num_replicas("m", number, some)
        if kind == "select" and some:
            after["current"] = some
            return lambda: conn.set_model_version("m", some)
        if kind == "stop" and some and some != after["current"]:
            del versions[some]
            return lambda: conn.stop_versioned_models({"m": [some]})
        if kind == "register" and len(apps) < 5:
            name = f"app-{after['next']}"
            after["next"] += 1
            apps[name] = False
            return lambda: conn.register_application(name, "doubles", "-1.0", 5_000_000)
        name = rng.choice(sorted(apps)) if apps else None
        if kind == "link" and name and not apps[name] and versions:
            apps[name] = True
            return lambda: conn.link_model_to_app(name, "m")
        if kind == "unregister" and name:
            del apps[name]
            return lambda: conn.unregister_application(name)
        return None

    while True:
        after = json.loads(json.dumps(state))
        change = propose(after)
        if change is not None:
            print(json.dumps({"begun": after}), flush=True)
            change()
            print(json.dumps({"confirmed": after}), flush=True)
            state = after
    """
)


def _state(conn: ClipperConnection, next_number: int) -> dict[str, Any]:
    """Return what the cluster has, as the notebook describes it."""
    versions = {model["model_version"]: model for model in conn.get_all_models(verbose=True)
                if model["model_name"] == "m"}  # fmt: skip
    return {
        "versions": {version: model["num_replicas"] for version, model in versions.items()},
        "current": next((version for version, model in versions.items() if model["is_current_version"]), None),
        "apps": {name: bool(conn.get_linked_models(name)) for name in conn.get_all_apps() if name != "steady"},
        "next": next_number,
    }


def _possible_states(lines: list[str], before: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the last confirmed state, and the one after a change that was cut off."""
    reports = [json.loads(line) for line in lines]
    confirmed = [report["confirmed"] for report in reports if "confirmed" in report]
    cut_off = [report["begun"] for report in reports[-1:] if "begun" in report]
    return [confirmed[-1] if confirmed else before, *cut_off]


def _check_answers(conn: ClipperConnection, state: dict[str, Any]) -> None:
    assert conn.predict("steady", [2.0]).output == 20.0
    for name, is_linked in state["apps"].items():
        expected = 2.0 * int(state["current"]) if is_linked else -1.0
        assert conn.predict(name, [2.0]).output == expected
    for version, number in state["versions"].items():
        assert conn.get_num_replicas("m", version) == number
        asked = [name for name, is_linked in state["apps"].items() if is_linked]
        if asked:
            assert conn.predict(asked[0], [2.0], version=version).output == 2.0 * int(version)


@contextlib.contextmanager
def _steady_load(conn: ClipperConnection) -> Iterator[None]:
    """Ask one application all the time; no answer is ever wrong."""
    stopping, wrong = threading.Event(), []

    def ask() -> None:
        while not stopping.is_set():
            with contextlib.suppress(ClipperException):  # while it is down
                prediction = conn.predict("steady", [1.0])
                if not prediction.default and prediction.output != 10.0:
                    wrong.append(prediction.output)

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        yield
    finally:
        stopping.set()
        thread.join()
    assert wrong == []


def _change_and_kill(manager: LocalContainerManager, report: Path, state: dict[str, Any], rng: random.Random) -> None:
    """Have a notebook change the configuration, and kill it with everything of the cluster at a random instant."""
    command = [sys.executable, "-c", NOTEBOOK, manager.cluster_name, str(manager._folder.path.parent),
               json.dumps(state), str(rng.random())]  # fmt: skip
    with report.open("w") as output, subprocess.Popen(command, stdout=output) as notebook:
        eventually(lambda: notebook.poll() or report.stat().st_size, within_s=60, what="changes begin")
        time.sleep(rng.uniform(0.0, _LONGEST_CHANGES_S))
        pids = [notebook.pid, *(process.pid for process in processes_of(manager._folder))]
        rng.shuffle(pids)
        assert notebook.poll() is None
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):  # the kernel ends those whose parent has ended
                os.kill(pid, signal.SIGKILL)
    kill_processes_of(manager._folder)  # those that were started meanwhile


@pytest.mark.parametrize("num_kills", [3, pytest.param(20, marks=pytest.mark.long)])
def test_confirmed_changes_outlive_a_kill_of_everything(tmp_path: Path, num_kills: int) -> None:
    manager = new_manager("local", root_folder=tmp_path / "c", detach=True)
    assert isinstance(manager, LocalContainerManager)
    state: dict[str, Any] = {"versions": {}, "current": None, "apps": {}, "next": 1}
    seed = random.randrange(10**6)
    rng = random.Random(seed)
    with removed_afterwards(manager) as conn:
        conn.start_clipper()
        create_endpoint(conn, "steady", "doubles", lambda xs: [10 * x.sum() for x in xs], slo_micros=5_000_000)
        for number in range(num_kills):
            report = tmp_path / f"changes-{number}"
            with _steady_load(conn):
                _change_and_kill(manager, report, state, rng)
            conn.start_clipper()
            possible = _possible_states(report.read_text().splitlines(), state)
            state = _state(conn, possible[-1]["next"])
            assert state in [{**each, "next": state["next"]} for each in possible], f"seed {seed}, kill {number}"
            _check_answers(conn, state)
