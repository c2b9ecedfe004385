"""What ``conn.doctor()`` says of a cluster, and of its replicas and applications, from what was seen."""

from __future__ import annotations

from collections import Counter

from clipper_nb import __version__
from clipper_nb.clients.frontend_client import FrontendClient
from clipper_nb.clients.trust import Trust
from clipper_nb.cluster.doctor import _check_applications, _check_replicas, examine
from clipper_nb.display.diagnosis import Diagnosis, Finding
from clipper_nb.display.long_lists import join_some
from clipper_nb.errors import ClusterUnreachableError
from clipper_nb.protocol.containers import ObservedContainer
from clipper_nb.protocol.names import ModelId
from clipper_nb.testing import RecordingContainerManager
from tests.support import management_frontend as wire
from tests.support.management_frontend import ManagementFrontend, client_of, refusal, replicas_of
from tests.support.records import make_application_info, make_version_info


def model(name, num_replicas=None):
    return make_version_info(name, num_replicas=num_replicas)


def replica(name, **fields):
    return ObservedContainer(f"{name}-0", "model_container", f"{name}:1", is_running=True, **fields)


def check(models, running, *, connected=None, claimed=()):
    serving = Counter(container.model for container in running) if connected is None else Counter(connected)
    return _check_replicas(models, serving, running, set(claimed))


def test_expected_replicas_are_healthy():
    assert check([model("a", 2), model("idle", 0)], [replica("a"), replica("a")]).state == "ok"


def test_replicas_of_an_unregistered_version_are_reported():
    finding = check([model("a", 1)], [replica("a"), replica("lost"), replica("lost")])
    assert finding.state == "warning"
    assert finding.found == "lost:1: 2 replicas run, but the version is not registered."
    assert "ended soon" in finding.advice


def test_missing_replicas_are_reported():
    finding = check([model("a", 3), model("b", 1)], [replica("a"), replica("b")])
    assert finding.found == "a:1: 1 of 3 run."
    assert "set_num_replicas()" in finding.advice


def test_version_being_deployed_or_scaled_is_healthy():
    assert check([model("a", 3)], [replica("a"), replica("new")], claimed=["a:1", "new:1"]).state == "ok"


def test_cluster_without_desired_numbers_is_healthy():
    assert check([model("a")], []).state == "ok"


def test_ended_or_unserving_replicas_are_reported():
    finding = check([model("a", 2)], [replica("a"), replica("a", num_exits=2, exit_status=-9)], connected={"a:1": 1})
    assert finding.found == "a:1: 1 of 2 serve; a-0 ended 2 times, last with status -9."
    assert "started again" in finding.advice


def test_replica_that_hung_is_reported_as_such():
    finding = check([model("a", 1)], [replica("a", num_exits=1, exit_status=5)], connected={"a:1": 1})
    assert "a-0 ended 1 time, last because it was busy with one batch for too long." in finding.found


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


class Frontends:
    """Both frontends, asked about themselves: each path has an answer, or an error."""

    base_url = "http://frontend"

    def __init__(self, **answers) -> None:
        live = (200, f'{{"live": true, "version": "{__version__}"}}'.encode())
        self.answers = {"management frontend/livez": live, "query frontend/livez": live}
        self.answers["management frontend/readyz"] = (200, b'{"ready": true}')
        metrics = b'clipper_refused_containers_total{reason="no_token"} 0\n'
        self.answers["query frontend/metrics?of=cluster"] = (200, metrics)
        self.answers |= {name.replace("_", " "): answer for name, answer in answers.items()}

    def at(self, address: str, what: str, token: str | None = None, trust: Trust | None = None, /) -> FrontendClient:
        self.what = what
        return FrontendClient(self)

    def request(self, method, path, *, body=None, headers=None, timeout_s, is_repeatable=False):
        answer = self.answers[self.what + path]
        if isinstance(answer, Exception):
            raise answer
        return answer

    def close(self) -> None:
        """Have nothing to close."""


def cluster(num_replicas: int = 1) -> tuple[RecordingContainerManager, ManagementFrontend]:
    """Return a cluster that is well: one application, linked to a model with one replica."""
    manager = RecordingContainerManager("mine")
    manager.set_num_replicas(
        ModelId("net", "1"), input_type="doubles", image="net:1", num_replicas=num_replicas, load_timeout_s=1.0
    )
    frontend = ManagementFrontend(
        applications=[wire.application("digits", "net")], versions=[wire.version("net")], replicas=replicas_of(manager)
    )
    return manager, frontend


def look_over(manager, frontend, **answers) -> dict[str, Finding]:
    diagnosis = examine(manager, client_of(frontend), Frontends(**answers).at)
    assert isinstance(diagnosis, Diagnosis)
    return {finding.subject: finding for finding in diagnosis.findings}


def test_healthy_cluster_has_no_problem():
    told = look_over(*cluster())
    assert list(told) == [
        "Notebook", "Management frontend", "Query frontend", "Redis", "Replicas", "Applications"
    ]  # fmt: skip
    assert {finding.state for finding in told.values()} == {"ok"}
    assert told["Query frontend"].found == f"Answers at http://127.0.0.1:0; clipper_nb {__version__}."
    assert told["Replicas"].found == "1 replica of 1 model ready."


def test_refused_containers_are_reported():
    numbers = {"no_token": 3, "wrong_proof": 1}
    lines = [f'clipper_refused_containers_total{{reason="{reason}"}} {number}' for reason, number in numbers.items()]
    told = look_over(*cluster(), **{"query_frontend/metrics?of=cluster": (200, "\n".join(lines).encode())})
    assert told["Strangers"].state == "warning"
    assert told["Strangers"].found.endswith("refused 3 times for want of a token, 1 time for a wrong proof.")
    assert "accept_clipper_containers" in told["Strangers"].advice


def test_without_a_cluster_the_advice_is_start_clipper():
    *_, last = examine(RecordingContainerManager("mine"), None).findings
    assert (last.subject, last.state) == ("Cluster", "warning")
    assert "'mine'" in last.found
    assert "start_clipper()" in last.advice


def test_unreachable_frontend_is_asked_nothing_more():
    away = {"management_frontend/livez": ClusterUnreachableError("It does not answer.")}
    manager, frontend = cluster()
    told = look_over(manager, frontend, **away)
    assert list(told) == ["Notebook", "Management frontend", "Query frontend"]
    assert (told["Management frontend"].state, told["Management frontend"].found) == ("problem", "It does not answer.")
    assert told["Query frontend"].state == "ok"
    assert frontend.calls == []


def test_query_frontend_that_is_away_is_a_problem():
    told = look_over(*cluster(), **{"query_frontend/livez": (500, b"")})
    assert told["Query frontend"].found == "The query frontend answered /livez with status 500."
    assert told["Replicas"].state == "ok"


def test_cluster_of_another_release_is_named():
    told = look_over(*cluster(), **{"query_frontend/livez": (200, b'{"version": "0.0.9"}')})
    assert told["Query frontend"].state == "problem"
    assert "clipper_nb 0.0.9, and the notebook has" in told["Query frontend"].found


def test_silent_redis_is_reported_with_its_cause():
    cause = b'{"error": "State unavailable", "cause": "Redis does not answer."}'
    manager, frontend = cluster()
    told = look_over(manager, frontend, **{"management_frontend/readyz": (503, cause)})
    assert told["Redis"].found == "Does not answer the management frontend: Redis does not answer."
    assert told["Redis"].state == "problem"
    assert "Replicas" not in told
    assert frontend.calls == []


def test_management_frontend_that_ends_meanwhile_is_a_problem():
    manager, frontend = cluster()
    frontend.answers["get_all_models"] = refusal(504, "It was stopped.")
    told = look_over(manager, frontend)
    assert (told["Replicas"].state, told["Replicas"].found) == ("problem", "It was stopped.")


def test_older_release_without_claims_is_healthy():
    manager, frontend = cluster()
    frontend.answers["get_all_claims"] = refusal(404, "The management frontend has no path.")
    assert look_over(manager, frontend)["Replicas"].state == "ok"


def test_application_without_a_replica_that_serves_is_named():
    told = look_over(*cluster(num_replicas=0))
    assert told["Replicas"].state == "warning"
    assert "'digits' is linked to 'net'" in told["Applications"].found
    assert told["Applications"].advice == "set_num_replicas('net', 1)"
