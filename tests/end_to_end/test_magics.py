"""``%load_ext clipper_nb`` in IPython: cells that deploy, lines that ask, and refusals before anything runs."""

from __future__ import annotations

from pathlib import Path

import pytest
from IPython.core.error import UsageError
from IPython.core.interactiveshell import InteractiveShell

from clipper_nb import (
    ApplicationNotFoundError,
    ClipperConnection,
    DeploymentError,
    ExistsError,
    InvalidNameError,
    InvalidRequestError,
    LocalContainerManager,
    NotFoundError,
    ParityError,
    VersionExistsError,
)
from clipper_nb.panels import Frame
from clipper_nb.panels.poller import poller_of

pytestmark = pytest.mark.cluster

SLO_MICROS = 10_000_000
SUM = "def total(inputs):\n    return [float(x.sum()) * factor for x in inputs]\n"


@pytest.fixture(scope="module")
def kind() -> str:
    """Magics only call the connection, which behaves alike on both container managers."""
    return "local"


def shows(dashboard: Frame, conn: ClipperConnection) -> bool:
    """Return whether a dashboard is of this cluster, and close it."""
    with dashboard:
        return dashboard._poller is poller_of(conn)


def test_samples_are_an_expression_of_the_notebook(shell: InteractiveShell, shared: ClipperConnection) -> None:
    shell.user_ns["rows"] = [[1.0], [2.0]]
    shell.run_cell_magic("deploy", "sampled -v 1 -t doubles --samples rows[:1]", SUM)
    assert shared.get_current_model_version("sampled") == "1"
    changing = "import os\ndef pid(inputs):\n    return [os.getpid() for _ in inputs]\n"
    with pytest.raises(ParityError, match="sample 0"):
        shell.run_cell_magic("deploy", "sampled -v 2 -t doubles --samples rows", changing)
    with pytest.raises(UsageError, match="--samples must be a Python expression"):
        shell.run_cell_magic("deploy", "sampled -v 3 -t doubles --samples rows[", SUM)
    assert "sampled:3" not in shared.get_all_models()


def test_text_outputs_are_an_option_of_deploy(shell: InteractiveShell, shared: ClipperConnection) -> None:
    shared.register_application("codes", "strings", "", 20_000_000)
    code = "def code(inputs):\n    return ['1E5' for _ in inputs]\n"
    shell.run_cell_magic("deploy", "codes -v 1 -t strings --text-outputs text --link codes", code)
    assert shell.run_line_magic("predict", "codes 'a'").output == "1E5"
    with pytest.raises(InvalidRequestError, match='text_outputs must be "json" or "text"'):
        shell.run_cell_magic("deploy", "codes -v 2 -t strings --text-outputs raw", "cell_ran = True\n" + code)
    assert "cell_ran" not in shell.user_ns


def test_system_packages_are_checked_before_the_cell_runs(shell: InteractiveShell, shared: ClipperConnection) -> None:
    line = "images -v {} -t doubles --system-packages {}"
    shell.run_cell_magic("deploy", line.format(1, "'libgomp1 libgl1'"), SUM)
    assert shared.get_model_source("images").system_packages == ["libgomp1", "libgl1"]
    with pytest.raises(InvalidRequestError, match="names of Debian packages"):
        shell.run_cell_magic("deploy", line.format(2, "'libgomp1 ; reboot'"), "cell_ran = True\n" + SUM)
    assert "cell_ran" not in shell.user_ns


def test_a_large_variable_travels_when_that_is_asked_for(shell: InteractiveShell, shared: ClipperConnection) -> None:
    shell.user_ns["table"] = bytes(101 * 1024 * 1024)
    cell = "def sizes(inputs):\n    return [len(table) for _ in inputs]\n"
    with pytest.raises(InvalidRequestError, match="allow_large"):
        shell.run_cell_magic("deploy", "sizes -v 1 -t doubles", cell)
    shell.run_cell_magic("deploy", "sizes -v 1 -t doubles --allow-large --samples [[1.0]]", cell)
    assert shared.get_current_model_version("sizes") == "1"


def test_cell_becomes_a_linked_queried_and_replaced_version(shell: InteractiveShell, shared: ClipperConnection) -> None:
    shared.register_application("totals", "doubles", "-1", SLO_MICROS)
    first = shell.run_cell_magic("deploy", "total -v 1 -t doubles --link totals", SUM)
    assert repr(first) == "<Version total:1: doubles, current, 1 replica>"
    shell.user_ns["x"] = [1.0, -2.0, 4.0]
    assert shell.run_line_magic("predict", "totals x").output == 30.0
    assert shell.run_line_magic("predict", "totals [1.0,   -0.5]").output == 5.0
    assert shell.run_line_magic("predict", "--conn conn totals [v * 2 for v in x]").output == 60.0
    # What a cell defines is there afterwards, as after any cell; captured variables have their value of now.
    assert shell.user_ns["total"].__name__ == "total"
    shell.user_ns["factor"] = 100
    shell.run_cell_magic("deploy", "total -v v2 -t doubles --link totals --replicas 2", SUM)
    assert shell.run_line_magic("predict", "totals x").output == 300.0
    assert len(shared.models["total"]["v2"].replicas) == 2
    assert shows(shell.run_line_magic("clipper", ""), shared)


def test_cell_travels_with_variables_files_and_setup(
    shell: InteractiveShell, shared: ClipperConnection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my words.txt").write_text("a b")
    monkeypatch.setenv("NAMED", "here")
    shell.run_cell("def prepare():\n    global ready\n    ready = True")
    body = "[os.environ[n] for n in ('NAMED', 'GIVEN')] + [open('my words.txt').read(), ready]"
    cell = f"import os\ndef f(xs): return [{body}]"
    line = "travels -v 1 -t doubles --env NAMED --env 'GIVEN=a b' --files \"'my words.txt'\" --setup prepare"
    with pytest.raises(UsageError, match="NOT_SET"):
        shell.run_cell_magic("deploy", "travels -v 1 -t doubles --env NOT_SET", "cell_ran = True\n" + SUM)
    shared.register_application("travels", "doubles", "-1", slo_micros=20_000_000)
    shell.run_cell_magic("deploy", f"{line} --link travels", cell)
    assert shared.predict("travels", [1.0]).output == ["here", "a b", "a b", True]
    assert "cell_ran" not in shell.user_ns


def test_the_last_function_of_a_cell_is_deployed(shell: InteractiveShell, shared: ClipperConnection) -> None:
    cell = "def first(x):\n    return int(x[0])\nlast = lambda xs: [first(x) for x in xs]\nlimit = 3\n"
    options = "--batch-size 1 --packages 'numpy' --no-isolate-errors --hang-timeout none"
    shell.run_cell_magic("deploy", f"floors -v 1 -t doubles {options}", cell)
    info = shared.models["floors"]["1"].info
    assert (info["batch_size"], info["isolate_errors"], info["hang_timeout_s"]) == (1, False, None)
    shared.register_application("floors", "doubles", "-1", SLO_MICROS)
    shared.apps["floors"].link("floors")
    assert shared.apps["floors"].predict([2.5]).output == 2


def test_cell_becomes_a_canary(shell: InteractiveShell, shared: ClipperConnection) -> None:
    """The version before keeps its queries while the new one becomes current; if that fails, all is as before."""
    shared.register_application("birds", "doubles", "-1", SLO_MICROS)
    with pytest.raises(InvalidRequestError, match=r"'birds' has no model that answers yet.*use --link birds"):
        shell.run_cell_magic("deploy", "bird -v 1 -t doubles --canary birds=10", "cell_ran = True\n" + SUM)
    shell.run_cell_magic("deploy", "bird -v 1 -t doubles --link birds", SUM)
    failing = "def prepare():\n    raise ValueError('no canary today')\n" + SUM
    with pytest.raises(DeploymentError, match="no canary today"):
        shell.run_cell_magic("deploy", "bird -v 2 -t doubles --canary birds=10 --setup prepare", failing)
    assert shared.get_app_info("birds")["linked_models"] == ["bird"]
    assert "traffic" not in shared.get_app_info("birds"), "it is linked, as before"
    new = shell.run_cell_magic("deploy", "bird -t doubles --canary birds=10", SUM)
    assert (new.version, shared.get_current_model_version("bird")) == ("2", "2")
    assert shared.get_traffic("birds").shares == {"bird:1": 0.9, "bird:2": 0.1}
    shell.run_cell_magic("deploy", "bird -v 3 -t doubles --canary birds=50%", SUM)
    assert repr(shell.run_line_magic("clipper_traffic", "birds")) == (
        "<Traffic of 'birds': bird:1 45 %, bird:2 5 %, bird:3 50 %>"
    )
    with pytest.raises(NotFoundError, match="nothing"):
        shell.run_line_magic("clipper_traffic", "nothing")
    assert shows(shell.run_line_magic("clipper_traffic", ""), shared)
    assert "cell_ran" not in shell.user_ns


def test_undeployable_cell_is_refused_before_it_runs(shell: InteractiveShell, shared: ClipperConnection) -> None:
    shared.register_application("texts", "strings", "", SLO_MICROS)
    marking = "ran = True\n" + SUM
    for line, error, match in (
        ("never", UsageError, "type"),
        ("never -t doubles --endpoint --link texts", UsageError, "choose one"),
        ("never -t doubles --slo-micros 5", UsageError, "that --endpoint makes"),
        ("never -t doubles --endpoint --slo-micros 0", InvalidRequestError, "slo_micros"),
        ("docs -t doubles --endpoint", InvalidNameError, "the frontends use this path"),
        ("texts -t doubles --endpoint", ExistsError, "input_type=strings, not doubles"),
        ("never -v 1 -t doubles --frobnicate", UsageError, "frobnicate"),
        ("never -v 1 -t doubles --replicas many", UsageError, "replicas"),
        ("never -v 1 -t decimals", InvalidRequestError, "decimals"),
        ("never -v 1 -t doubles --conn nothing", UsageError, "nothing"),
        ("never -v 1 -t doubles --canary texts=5", InvalidRequestError, "strings"),
        ("never -v 1 -t doubles --canary texts", InvalidRequestError, "a per cent above 0 and below 100"),
        ("never -v 1 -t doubles --canary unknown=5", ApplicationNotFoundError, "unknown"),
        ("never -v 1 -t doubles --canary texts=5 --link texts", UsageError, "leave out --link and --endpoint"),
        ("never -v 1 -t doubles --link texts", InvalidRequestError, "strings"),
        ("never -v 1 -t doubles --link unknown", ApplicationNotFoundError, "unknown"),
    ):
        with pytest.raises(error, match=match):
            shell.run_cell_magic("deploy", line, marking)
    shell.run_cell_magic("deploy", "once -v 1 -t doubles", SUM)
    with pytest.raises(VersionExistsError, match="Version '2' is free"):
        shell.run_cell_magic("deploy", "once -v 1 -t doubles", marking)
    shared.register_application("taken", "doubles", "", SLO_MICROS)
    shared.link_model_to_app("taken", "once")
    with pytest.raises(InvalidRequestError, match="unlink"):
        shell.run_cell_magic("deploy", "never -v 1 -t doubles --link taken", marking)
    shared.set_traffic("taken", {"once:1": 1})
    with pytest.raises(InvalidRequestError, match=r"traffic set: once:1 100 %.*give the version a share"):
        shell.run_cell_magic("deploy", "once -v 2 -t doubles --link taken", marking)
    assert "ran" not in shell.user_ns
    assert "never" not in shared.models


def test_a_cell_without_a_version_can_run_again(shell: InteractiveShell, shared: ClipperConnection) -> None:
    shared.register_application("counted", "doubles", "-1", SLO_MICROS)
    line = "counted-model -t doubles --link counted"
    found = [shell.run_cell_magic("deploy", line, SUM).version for _ in range(2)]
    assert found == ["1", "2"]
    assert shell.run_line_magic("predict", "counted [1.0]").output == 10.0


def test_a_cell_makes_an_endpoint_and_deploys_to_it_again(shell: InteractiveShell, shared: ClipperConnection) -> None:
    line = f"tens -t doubles --endpoint --slo-micros {SLO_MICROS} --default-output 'no answer'"
    assert shell.run_cell_magic("deploy", line, SUM).predict([1.0]).output == 10.0
    shell.user_ns["factor"] = 20
    endpoint = shell.run_cell_magic("deploy", line, SUM)
    assert repr(endpoint).startswith("<Endpoint 'tens': doubles, SLO 10000 ms, tens:2, http://")
    assert endpoint.predict([1.0]).output == 20.0
    assert endpoint.info["default_output"] == "no answer"
    # What a line leaves out is as the endpoint has it, and a version may be named.
    assert shell.run_cell_magic("deploy", "tens -t doubles --endpoint -v named", SUM).predict([1.0]).output == 20.0
    assert list(endpoint.versions) == ["1", "2", "named"]
    with pytest.raises(ExistsError, match="slo_micros=10000000, not 5"):
        shell.run_cell_magic("deploy", "tens -t doubles --endpoint --slo-micros 5", "ran = True\n" + SUM)
    assert "ran" not in shell.user_ns
    shell.run_cell_magic("deploy", "plain -t doubles --endpoint", SUM)
    info = shared.get_app_info("plain")
    assert (info["default_output"], info["latency_slo_micros"]) == ("null", 1_000_000)


def test_a_cell_deploys_the_estimator_that_it_fits(shell: InteractiveShell, shared: ClipperConnection) -> None:
    cell = "from sklearn.linear_model import LogisticRegression\nmodel = LogisticRegression().fit(rows, labels)\n"
    shell.user_ns.update(rows=[[0.0], [1.0], [2.0], [3.0]], labels=["low", "low", "1", "1"])
    line = f"levels -t doubles --endpoint --slo-micros {SLO_MICROS}"
    endpoint = shell.run_cell_magic("deploy", line, cell)
    assert [found.output for found in endpoint.predict_batch([[0.0], [3.0]])] == ["low", "1"]
    probabilities = shell.run_cell_magic("deploy", line + " --method predict_proba", cell).predict([0.0]).output
    assert probabilities == pytest.approx(shell.user_ns["model"].predict_proba([[0.0]])[0].tolist())
    shell.run_cell_magic("deploy", line, cell + "def always(inputs):\n    return ['mine' for _ in inputs]\n")
    assert endpoint.predict([0.0]).output == "mine"


def test_a_cell_that_fails_or_defines_nothing_deploys_nothing(
    shell: InteractiveShell, shared: ClipperConnection
) -> None:
    with pytest.raises(ZeroDivisionError):
        shell.run_cell_magic("deploy", "never -v 1 -t doubles", SUM + "1 / 0\n")
    with pytest.raises(SyntaxError):
        shell.run_cell_magic("deploy", "never -v 1 -t doubles", "def broken(:\n")
    with pytest.raises(UsageError, match="defines no function"):
        shell.run_cell_magic("deploy", "never -v 1 -t doubles", "class Only:\n    pass\n")
    assert "never" not in shared.models


def test_a_prediction_needs_an_application_and_an_expression(shell: InteractiveShell) -> None:
    for line in ("", "totals", "--version 1 totals"):
        with pytest.raises(UsageError, match="usage: %predict"):
            shell.run_line_magic("predict", line)
    with pytest.raises(UsageError, match="Python expression"):
        shell.run_line_magic("predict", "totals good film")
    with pytest.raises(ApplicationNotFoundError):
        shell.run_line_magic("predict", "nowhere [1.0]")


def test_magic_finds_the_meant_connection(shell: InteractiveShell, shared: ClipperConnection) -> None:
    shell.user_ns["unconnected"] = ClipperConnection(LocalContainerManager("never-started"))
    shell.user_ns["same"] = shared
    assert shows(shell.run_line_magic("clipper", ""), shared)
    other = ClipperConnection(LocalContainerManager(shared.cm.cluster_name))
    other.connect()
    shell.user_ns["other"] = other
    with pytest.raises(UsageError, match="conn, other, same"):
        shell.run_line_magic("clipper", "")
    assert shows(shell.run_line_magic("clipper", "--conn other"), other)
    del shell.user_ns["conn"], shell.user_ns["same"], shell.user_ns["other"]
    with pytest.raises(UsageError, match="start_clipper"):
        shell.run_line_magic("clipper", "")
