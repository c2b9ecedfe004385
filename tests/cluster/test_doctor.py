"""What ``conn.doctor()`` says of replicas and applications, from what was seen."""

from __future__ import annotations

from collections import Counter

from clipper_nb.cluster.doctor import _check_applications, _check_replicas
from clipper_nb.container_managers.specs import ObservedContainer
from clipper_nb.display.long_lists import join_some
from tests.support.records import make_application_info, make_version_info


def model(name, num_replicas=None):
    return make_version_info(name, num_replicas=num_replicas)


def replica(name, **fields):
    return ObservedContainer(f"{name}-0", "model_container", f"{name}:1", is_running=True, **fields)


def check(models, running, *, connected=None, claimed=()):
    serving = Counter(container.model for container in running) if connected is None else Counter(connected)
    return _check_replicas(models, serving, running, set(claimed))


def test_replicas_as_they_should_be_are_well():
    assert check([model("a", 2), model("idle", 0)], [replica("a"), replica("a")]).state == "ok"


def test_replicas_of_a_version_that_is_not_registered_are_told():
    finding = check([model("a", 1)], [replica("a"), replica("lost"), replica("lost")])
    assert finding.state == "warning"
    assert finding.found == "lost:1: 2 replicas run, but the version is not registered."
    assert "ended soon" in finding.advice


def test_fewer_replicas_than_should_run_are_told():
    finding = check([model("a", 3), model("b", 1)], [replica("a"), replica("b")])
    assert finding.found == "a:1: 1 of 3 run."
    assert "set_num_replicas()" in finding.advice


def test_version_that_is_deployed_or_scaled_now_is_no_fault():
    assert check([model("a", 3)], [replica("a"), replica("new")], claimed=["a:1", "new:1"]).state == "ok"


def test_cluster_that_does_not_say_how_many_should_run_is_well():
    assert check([model("a")], []).state == "ok"


def test_replicas_that_ended_or_do_not_serve_are_told():
    finding = check([model("a", 2)], [replica("a"), replica("a", num_exits=2, exit_status=-9)], connected={"a:1": 1})
    assert finding.found == "a:1: 1 of 2 serve; a-0 ended 2 times, last with status -9."
    assert "started again" in finding.advice


def test_many_faults_are_summed_up():
    applications = [make_application_info(f"app-{number}") for number in range(1000)]
    finding = _check_applications(applications, [], Counter())
    assert finding.found.count("is not linked") == 50
    assert finding.found.endswith("; and 950 more: only default outputs.")
    assert finding.advice.endswith("; and 950 more")
    assert check([model(f"m-{number}", 1) for number in range(60)], []).found.endswith("; and 10 more.")


def test_short_list_is_whole():
    assert join_some([]) == ""
    assert join_some(["a"] * 50).count("a") == 50
    assert join_some(["a"] * 51).endswith(", a, and 1 more")
