"""What the comparison of two builds rests on: pairs, targets, every process of a cluster, the right sources."""

from __future__ import annotations

import argparse
import contextlib
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from loop import builds, notebook
from loop.notebook import FIRST_DEPLOY, LATER_DEPLOY, MARK, START, cluster_pids, pss_bytes
from peers.environments import InstallError
from report.loop_tables import format_markdown, format_terminal
from report.loop_targets import CLUSTER, DOCKER_PLAIN, FOREST, PLAIN, TARGETS, judge, scenario_of
from report.pairs import BEFORE, NOW, PairResults, Sample
from startup import Comparison, order_of

MACHINE = {
    "date": "2026-01-01", "revision": "abc", "cpu": "any", "cores": 2, "memory_gib": 4, "system": "any", "python": "3",
    "compiled": False,
}  # fmt: skip

# Starts a process in a session of its own, tells its number, and ends: nobody is that process's parent any more.
DAEMON = """
import subprocess, sys
command = [sys.executable, "-c", "import time; time.sleep(600)"]
pipe = subprocess.DEVNULL
print(subprocess.Popen(command, start_new_session=True, stdin=pipe, stdout=pipe, stderr=pipe).pid)
"""


def make_results(*rounds, scenario=FOREST, what=LATER_DEPLOY, failures=None):
    """Return results with these numbers of before and of now in each round."""
    samples = [
        Sample(who, scenario, what, round_, value, "ms")
        for round_, pair in enumerate(rounds)
        for who, values in zip((BEFORE, NOW), pair, strict=True)
        for value in values
    ]
    settings = {"rounds": len(rounds), "against": "5c9573d"}
    return PairResults(MACHINE, settings, samples, others_cores=[0.1, 0.5], failures=failures or {})


def test_a_ratio_compares_what_was_measured_in_one_round():
    """A machine that is slower in one round is so for both builds."""
    results = make_results(([1000.0, 1100.0, 1200.0], [100.0]), ([9000.0], [990.0, 990.0]))
    assert results.get_ratios(FOREST, LATER_DEPLOY) == pytest.approx([100 / 1100, 0.11])


def test_a_round_without_one_of_the_builds_has_no_ratio():
    results = make_results(([1000.0], [100.0]), ([], [50.0]), ([2000.0], []))
    assert results.get_ratios(FOREST, LATER_DEPLOY) == [0.1]


def test_neither_build_is_always_the_first():
    assert [order_of(round_)[0] for round_ in range(4)] == [BEFORE, NOW, BEFORE, NOW]


@pytest.mark.parametrize(("now_ms", "is_met"), [(99.0, True), (101.0, False)])
def test_a_later_deploy_must_be_ten_times_faster(now_ms, is_met):
    [verdict] = judge(make_results(([1000.0], [now_ms])))
    assert (verdict.is_met, verdict.target.scenario) == (is_met, FOREST)


@pytest.mark.parametrize(("now_ms", "is_met"), [(499.0, True), (501.0, False)])
def test_a_start_is_judged_by_its_own_time(now_ms, is_met):
    [verdict] = judge(make_results(([400.0], [now_ms]), scenario=CLUSTER, what=START))
    assert (verdict.is_met, verdict.measured) == (is_met, f"{now_ms:.0f} ms")


def test_every_target_is_measured_by_the_notebook():
    """A renamed measure would leave its target unjudged."""
    names = [value for name, value in vars(notebook).items() if name.isupper() and isinstance(value, str)]
    known = {name.format(8) for name in names}
    assert {target.what for target in TARGETS} <= known


@pytest.mark.parametrize(("output", "is_right"), [(206.0, True), (106.0, False), (None, False)])
def test_the_answer_of_the_version_before_is_not_right(output, is_right):
    assert notebook.is_right(output, 206.0) is is_right


def test_start_counts_for_the_embedded_cluster_of_any_model():
    assert [scenario_of(run, START) for run in (PLAIN, FOREST, DOCKER_PLAIN)] == [CLUSTER, CLUSTER, DOCKER_PLAIN]
    assert scenario_of(FOREST, FIRST_DEPLOY) == FOREST


def test_tables_tell_numbers_ratios_targets_and_failures():
    results = make_results(([1000.0, 1200.0], [50.0]), failures={"MLServer": "InstallError: no such package"})
    results.samples.append(Sample("LitServe", "peers, forest", "start", 0, 2500.0, "ms"))
    results.note_when()
    page = format_markdown(results)
    assert (
        "third and later deploys, ms | 1,100 (1,000 - 1,200) | 50.0 (50.0 - 50.0) | 0.045 (0.045 - 0.045) | 1 |" in page
    )
    assert "| third and later deploys | at most 0.1 of before | 0.045 | met |" in page
    assert "| LitServe: start | 2,500 (2,500 - 2,500) | 1 |" in page
    assert "- MLServer: InstallError: no such package" in page
    assert "not measured: MLServer: InstallError: no such package" in format_terminal(results)


def test_what_is_measured_again_replaces_its_scenario_alone(tmp_path):
    earlier, new = make_results(([1000.0], [50.0])), make_results(([2000.0], [60.0]))
    earlier.samples.append(Sample(NOW, PLAIN, FIRST_DEPLOY, 0, 7.0, "ms"))
    earlier.note_when()
    earlier.write(tmp_path / "startup.json")
    new.machine = {**MACHINE, "revision": "def"}
    new.note_when()
    new.add_earlier(PairResults.read(tmp_path / "startup.json"))
    assert (new.get_values(NOW, FOREST, LATER_DEPLOY), new.get_values(NOW, PLAIN, FIRST_DEPLOY)) == ([60.0], [7.0])
    assert [new.measured[scenario].split()[2] for scenario in (FOREST, PLAIN)] == ["def,", "abc,"]


@pytest.mark.slow
def test_memory_counts_descendants_and_marked_daemons(monkeypatch):
    """A nursery may be a daemon, and what it forks is the cluster's memory too."""
    monkeypatch.setenv(MARK, "a mark of this test")
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"]) as child:
        told = subprocess.run([sys.executable, "-c", DAEMON], capture_output=True, text=True, check=True, timeout=60)
        daemon = int(told.stdout)
        try:
            assert {child.pid, daemon} <= cluster_pids()
            assert os.getpid() not in cluster_pids()
            assert pss_bytes(daemon) > 100_000
        finally:
            child.kill()
            with contextlib.suppress(ProcessLookupError):
                os.kill(daemon, signal.SIGKILL)
    assert child.pid not in cluster_pids()
    assert pss_bytes(child.pid) == 0


@pytest.fixture
def has_history():
    if shutil.which("git") is None or not (builds.ROOT / ".git").exists():
        pytest.skip("these sources have no history")


@pytest.mark.slow
@pytest.mark.usefixtures("has_history")
def test_a_revision_is_taken_from_the_history(tmp_path):
    builds.extract_revision("HEAD", tmp_path)
    version = (tmp_path / "clipper_nb" / "version.py").read_bytes()
    shown = subprocess.run(
        ["git", "-C", str(builds.ROOT), "show", "HEAD:clipper_nb/version.py"], capture_output=True, check=True
    )
    assert version == shown.stdout
    assert (tmp_path / "container_templates").is_dir()


@pytest.mark.usefixtures("has_history")
def test_an_unknown_revision_is_refused_with_what_to_do(tmp_path):
    with pytest.raises(InstallError, match=r"Revision no-such-one .*--against"):
        builds.extract_revision("no-such-one", tmp_path)


@pytest.mark.slow
def test_an_edit_of_the_checkout_is_another_build(tmp_path):
    """Else a stale build would be measured."""
    source: Path = tmp_path / "source"
    source.mkdir()
    builds.copy_checkout(source)
    before = builds.digest(source)
    assert before == builds.digest(source)
    (source / "clipper_nb" / "version.py").write_text('__version__ = "edited"\n')
    assert builds.digest(source) != before
    assert not list(source.rglob("*.so"))


@pytest.mark.slow
def test_a_notebook_that_fails_is_told_with_its_last_words(tmp_path):
    """The other numbers are kept, and the failure is among the results."""
    options = argparse.Namespace(
        against="HEAD", rounds=1, num_edits=0, num_replicas=1, pause_s=0.0, scenarios=["embedded, no-such-model"]
    )
    comparison = Comparison({BEFORE: Path(sys.executable), NOW: Path(sys.executable)}, options)
    assert comparison.try_notebook(NOW, "embedded, no-such-model", tmp_path, options) == []
    [(what, reason)] = comparison.results.failures.items()
    assert what == "embedded, no-such-model, now"
    assert "invalid choice: 'no-such-model'" in reason
