"""One notebook: it starts a cluster, deploys a function, edits it, deploys again, scales, and stops.

The Python of a build runs it in a process of its own: ``python notebook.py plain measured.json``. It uses the public
API alone, so it is the same work for every build. A deploy lasts until an HTTP client has received that version's right
answer, and the process pauses between its cells, as the person does who edits them.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import json
import linecache
import math
import os
import random
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

MILLISECONDS, MEGABYTES = "ms", "MB"

IMPORT = "from clipper_nb import ..."
BARE_RUN = "docker run --detach of a replica's base image, as the reference"
START = "start_clipper()"
FIRST_DEPLOY = "first deploy"
SECOND_DEPLOY = "second deploy"
LATER_DEPLOY = "third and later deploys"
OWN_WORK = "processor time of the notebook in a later deploy"
SWITCH = "set_model_version()"
SCALE = "set_num_replicas({}) from 1"
STOP = "stop_all()"
ALL_MEMORY = "whole cluster, replicas: {}"
REPLICA_MEMORY = "replicas and what forks them: {}"
MODULES_OF_REPLICAS = (b"clipper_nb.runtime.model_container", b"clipper_nb.runtime.nursery")

APP, MODEL = "app", "model"
MARK = "CLIPPER_NB_BENCHMARK"
ANSWER_TIMEOUT_S = 60.0
SETTLE_S, SETTLE_TIMEOUT_S, SETTLED_SHARE = 0.5, 10.0, 0.01
NUM_CLIENTS, NUM_QUERIES_EACH = 16, 20


@dataclass(frozen=True)
class Cells:
    """A model as it is written in a notebook."""

    preparation: str
    function: str
    """With the word EDIT in place of the number that is edited between two deploys."""
    num_doubles: int


PLAIN = "plain"
MODELS = {
    PLAIN: Cells("", "def predict(inputs):\n    return [float(x.sum()) + EDIT for x in inputs]\n", 10),
    "forest": Cells(
        "import os\n\nimport joblib\nimport numpy as np\n\nforest = joblib.load(os.environ['BENCHMARK_FOREST'])\n",
        "def predict(inputs):\n    return [label + EDIT for label in forest.predict(np.stack(inputs)).tolist()]\n",
        784,
    ),
    "array": Cells(
        "import numpy as np\n\ntable = np.random.default_rng(0).random((25_000, 1000))  # 200 MB\n",
        "def predict(inputs):\n    return [float(table[int(x[0])].sum()) + EDIT for x in inputs]\n",
        2,
    ),
}


@dataclass(frozen=True)
class Measured:
    """One number."""

    what: str
    value: float
    unit: str = MILLISECONDS


class Notebook:
    """The cells of one notebook, and what they took.

    Parameters
    ----------
    cells : Cells
    conn : ClipperConnection
        Of the build; not started yet.
    pause_s : float
        Between two cells.
    """

    def __init__(self, cells: Cells, conn: Any, *, pause_s: float) -> None:
        self.measured: list[Measured] = []
        self._cells = cells
        self._conn = conn
        self._pause_s = pause_s
        self._num_cells = 0
        self._inputs = make_inputs(cells.num_doubles, NUM_CLIENTS * NUM_QUERIES_EACH)

    def measure_bare_run(self, manager: Any) -> None:
        """Run a container without a cluster: that is the engine's, and a deploy cannot be faster."""
        image = manager.build_base_image()  # once for each build, and no part of a deploy
        manager.make_image_builder().build_base("frontend")
        with self._timed(BARE_RUN):
            container = manager.docker_client.containers.run(image, ["sleep", "60"], detach=True)
        container.remove(force=True)

    def start(self) -> None:
        """Start the cluster; without a cache, so that every query reaches a replica."""
        with self._timed(START):
            self._conn.start_clipper(cache_size=0)
        self._conn.register_application(APP, "doubles", "-1", slo_micros=10_000_000)
        self._run_cell(self._cells.preparation)

    def deploy(self, version: int) -> None:
        """Run the cell of the function as it is now, deploy it, and ask until its answer comes."""
        from clipper_nb.deployers.python import deploy_python_closure

        predict = self._edit(version)
        right = self._answer(predict, self._inputs[:1])
        time.sleep(self._pause_s)
        with self._timed(_name_of_deploy(version)):
            own_s = time.process_time()
            # One input at a time, so that a few clients keep every replica busy; no matter for a deploy.
            deploy_python_closure(
                self._conn, MODEL, version, "doubles", predict, batch_size=1, timeout_s=ANSWER_TIMEOUT_S,
                allow_large=True,
            )  # fmt: skip
            own_s = time.process_time() - own_s
            if version == 1:
                self._conn.link_model_to_app(APP, MODEL)
            wait_for_answer(self._conn.get_query_addr(), self._inputs[0], right[0])
        if version > 2:
            self.measured.append(Measured(OWN_WORK, own_s * 1000))

    def switch(self, newest: int) -> None:
        """Switch to the version before and back."""
        for version in (newest - 1, newest):
            time.sleep(self._pause_s)
            with self._timed(SWITCH):
                self._conn.set_model_version(MODEL, version)

    def keep_current_version_only(self) -> None:
        self._conn.stop_inactive_model_versions([MODEL])

    def scale(self, num_replicas: int) -> None:
        """Scale the current version, until all replicas are connected."""
        time.sleep(self._pause_s)
        with self._timed(SCALE.format(num_replicas)):
            self._conn.set_num_replicas(MODEL, num_replicas)
            while len(self._conn.get_all_model_replicas()) != num_replicas:
                time.sleep(0.001)

    def ask_all(self, version: int) -> None:
        """Send queries over several connections, so that every replica has computed; every answer must be right."""
        right = self._answer(self._edit(version), self._inputs)
        address = self._conn.get_query_addr()
        shares = [self._inputs[first::NUM_CLIENTS] for first in range(NUM_CLIENTS)]
        with ThreadPoolExecutor(NUM_CLIENTS) as pool:
            for first, outputs in enumerate(pool.map(lambda share: ask(address, share), shares)):
                if not all(map(is_right, outputs, right[first::NUM_CLIENTS])):
                    raise RuntimeError(f"Replicas answered {outputs} in place of {right[first::NUM_CLIENTS]}.")

    def weigh(self, num_replicas: int) -> None:
        """Measure the memory of all processes of the cluster, once it no longer changes; not that of containers."""
        if not cluster_pids():
            return
        size_mb = settled_memory_mb()
        self.measured.append(Measured(ALL_MEMORY.format(num_replicas), size_mb, MEGABYTES))
        if num_replicas > 0:
            pids = [pid for pid in cluster_pids() if is_of_replicas(pid)]
            self.measured.append(Measured(REPLICA_MEMORY.format(num_replicas), memory_mb(pids), MEGABYTES))

    def stop(self) -> None:
        """Stop the cluster."""
        time.sleep(self._pause_s)
        with self._timed(STOP):
            self._conn.stop_all()

    @contextlib.contextmanager
    def _timed(self, what: str) -> Iterator[None]:
        began_s = time.perf_counter()
        yield
        self.measured.append(Measured(what, (time.perf_counter() - began_s) * 1000))

    def _edit(self, number: int) -> Callable[[Sequence[Any]], list[float]]:
        """Run the cell of the function with another number in it."""
        return self._run_cell(self._cells.function.replace("EDIT", str(100 * number)))["predict"]

    def _run_cell(self, source: str) -> dict[str, Any]:
        """Run *source* in ``__main__``, and keep its lines where ``inspect`` finds them, as IPython does."""
        self._num_cells += 1
        name = f"<cell {self._num_cells}>"
        linecache.cache[name] = (len(source), None, source.splitlines(keepends=True), name)
        namespace = sys.modules["__main__"].__dict__
        exec(compile(source, name, "exec"), namespace)
        return namespace

    def _answer(self, predict: Callable[[Sequence[Any]], list[float]], inputs: list[list[float]]) -> list[float]:
        """Return what the function says here."""
        import numpy as np

        return predict([np.array(numbers) for numbers in inputs])


def _name_of_deploy(version: int) -> str:
    return {1: FIRST_DEPLOY, 2: SECOND_DEPLOY}.get(version, LATER_DEPLOY)


def make_inputs(num_doubles: int, num_inputs: int) -> list[list[float]]:
    """Return inputs no two of which are equal; the first number of each counts them."""
    rng = random.Random(0)
    return [[float(i), *(rng.random() for _ in range(num_doubles - 1))] for i in range(num_inputs)]


# ----------------------------------------------------------------------------------------------------- asking over HTTP


def wait_for_answer(address: str, numbers: list[float], right: float) -> None:
    """Return when the application gives the right answer; the version before gives another one."""
    deadline_s = time.monotonic() + ANSWER_TIMEOUT_S
    while not is_right(output := ask(address, [numbers])[0], right):
        if time.monotonic() > deadline_s:
            raise TimeoutError(f"The answer is {output} in place of {right}.")


def ask(address: str, inputs: list[list[float]]) -> list[Any]:
    """Return the outputs that one connection gets, with ``None`` for a default output."""
    with contextlib.closing(http.client.HTTPConnection(address, timeout=ANSWER_TIMEOUT_S)) as client:
        return [_ask(client, numbers) for numbers in inputs]


def _ask(client: http.client.HTTPConnection, numbers: list[float]) -> Any:
    client.request("POST", f"/{APP}/predict", json.dumps({"input": numbers}))
    reply = client.getresponse()
    text = reply.read()
    if reply.status != http.client.OK:
        raise RuntimeError(f"A query was answered with {reply.status}: {text!r}")
    answer = json.loads(text)
    return None if answer["default"] else answer["output"]


def is_right(output: Any, right: float) -> bool:
    return output is not None and math.isclose(float(output), right, rel_tol=1e-9)


# --------------------------------------------------------------------------------------------------------------- memory


def settled_memory_mb() -> float:
    """Return the memory of the cluster when two looks in a row see the same; idle work may go on for a while."""
    deadline_s = time.monotonic() + SETTLE_TIMEOUT_S
    size_mb = memory_mb(cluster_pids())
    while True:
        time.sleep(SETTLE_S)
        before_mb, size_mb = size_mb, memory_mb(cluster_pids())
        if abs(size_mb - before_mb) <= SETTLED_SHARE * size_mb or time.monotonic() > deadline_s:
            return size_mb


def memory_mb(pids: Iterable[int]) -> float:
    """Return the proportional set size of processes, together."""
    return sum(map(pss_bytes, pids)) / 1e6


def is_of_replicas(pid: int) -> bool:
    """Return whether a process is a replica, or one that forks replicas."""
    with contextlib.suppress(OSError):
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
        return any(module in command for module in MODULES_OF_REPLICAS)
    return False


def pss_bytes(pid: int) -> int:
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    return 0  # it has ended


def cluster_pids() -> set[int]:
    """Return the processes that descend from this one, or have inherited its mark, which also daemons have."""
    import psutil

    this = psutil.Process()
    found = {child.pid for child in this.children(recursive=True)}
    mark = f"{MARK}={os.environ[MARK]}".encode() if MARK in os.environ else None
    for process in psutil.process_iter():
        with contextlib.suppress(OSError):
            if mark and mark in Path(f"/proc/{process.pid}/environ").read_bytes().split(b"\0"):
                found.add(process.pid)
    ended = psutil.STATUS_ZOMBIE
    return {pid for pid in found - {this.pid} if _status(pid) not in (None, ended)}


def _status(pid: int) -> str | None:
    import psutil

    try:
        return psutil.Process(pid).status()
    except psutil.Error:
        return None


# ------------------------------------------------------------------------------------------------------------ the whole


def run(options: argparse.Namespace) -> list[Measured]:
    """Take one cluster from its start to its end."""
    began_s = time.perf_counter()
    from clipper_nb import ClipperConnection, DockerContainerManager, LocalContainerManager

    imported = Measured(IMPORT, (time.perf_counter() - began_s) * 1000)
    name = f"loop-{os.getpid()}"
    ports = dict.fromkeys(("clipper_query_port", "clipper_management_port", "clipper_rpc_port"), 0)
    manager = (DockerContainerManager if options.docker else LocalContainerManager)(name, **ports)
    notebook = Notebook(MODELS[options.model], ClipperConnection(manager), pause_s=options.pause_s)
    try:
        if options.docker:
            notebook.measure_bare_run(manager)
        use(notebook, options)
    finally:
        manager.stop_all(graceful=False)
        if options.docker:
            manager.remove_images()
    return [imported, *notebook.measured]


def use(notebook: Notebook, options: argparse.Namespace) -> None:
    """Do what people do: deploy, edit and deploy again, look back, scale, and stop."""
    newest = 1 + options.num_edits
    notebook.start()
    notebook.weigh(0)
    for version in range(1, newest + 1):
        notebook.deploy(version)
    notebook.switch(newest)
    notebook.keep_current_version_only()
    notebook.ask_all(newest)
    notebook.weigh(1)
    notebook.scale(options.num_replicas)
    notebook.ask_all(newest)
    notebook.weigh(options.num_replicas)
    notebook.stop()
    if left := cluster_pids():
        raise RuntimeError(f"stop_all() left the processes {sorted(left)}.")


def main() -> None:
    """Measure, and write what was measured."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", choices=MODELS)
    parser.add_argument("output", type=Path)
    parser.add_argument("--docker", action="store_true")
    parser.add_argument("--num-edits", type=int, default=5)
    parser.add_argument("--num-replicas", type=int, default=8)
    parser.add_argument("--pause-s", type=float, default=2.0)
    options = parser.parse_args()
    measured = run(options)
    options.output.write_text(json.dumps([vars(one) for one in measured]))


if __name__ == "__main__":
    main()
