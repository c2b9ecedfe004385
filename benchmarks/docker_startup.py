"""How long one waits on Docker: for a cluster, a first and a second deploy. Run it with ``make bench``.

A bare ``docker run`` of the same image is measured beside it, because that is the engine's and nobody can be faster. It
prints medians over several runs beside their targets, and exits with 0 whatever they are: a busy machine is no bug.
"""

from __future__ import annotations

import os
from collections import defaultdict

from measuring import Samples, print_machine, print_ratio, print_row, timed

from clipper_nb import ClipperConnection, DockerContainerManager
from clipper_nb.deployers.python import deploy_python_closure

NUM_CLUSTERS = 3
PACKAGES = ["msgpack"]  # small, so that the first deploy measures us and not the network

BARE_RUN = "docker run of the model's base image, until its Python has ended"
BARE_DETACHED = "docker run --detach of it, as the reference"
START = "start_clipper(), images present"
FIRST_DEPLOY = "first deploy, with a package to install"
SECOND_DEPLOY = "second deploy: an edited function, the same packages"
SCALE = "set_num_replicas() from 1 to 3"
STOP = "stop_all() with 3 replicas and the version before"

TARGETS_MS = {START: 8000, SECOND_DEPLOY: 6000}


def measure_cluster(samples: Samples, run: int) -> None:
    """Take one cluster from its start to its end."""
    manager = DockerContainerManager(
        f"bench-{os.getpid()}-{run}", clipper_query_port=0, clipper_management_port=0, clipper_rpc_port=0
    )
    image = manager.build_base_image()
    manager.make_image_builder().build_base("frontend")
    measure_bare_runs(samples, manager, image)
    conn = ClipperConnection(manager)
    with timed(samples, START):
        conn.start_clipper()
    try:
        with timed(samples, FIRST_DEPLOY):
            deploy_python_closure(
                conn, "sum", 1, "doubles", lambda inputs: [x.sum() for x in inputs], pkgs_to_install=PACKAGES
            )
        with timed(samples, SECOND_DEPLOY):
            deploy_python_closure(
                conn, "sum", 2, "doubles", lambda inputs: [2 * x.sum() for x in inputs], pkgs_to_install=PACKAGES
            )
        with timed(samples, SCALE):
            conn.set_num_replicas("sum", 3)
    finally:
        with timed(samples, STOP):
            conn.stop_all()
        manager.remove_images()


def measure_bare_runs(samples: Samples, manager: DockerContainerManager, image: str) -> None:
    """Run containers without a cluster."""
    containers = manager.docker_client.containers
    with timed(samples, BARE_RUN):
        containers.run(image, ["python", "-c", "pass"], remove=True)
    with timed(samples, BARE_DETACHED):
        container = containers.run(image, ["sleep", "60"], detach=True)
    container.remove(force=True)


def main() -> None:
    """Measure and print."""
    print_machine()
    samples: Samples = defaultdict(list)
    for run in range(NUM_CLUSTERS):
        measure_cluster(samples, run)
    for name in (BARE_RUN, BARE_DETACHED, START, FIRST_DEPLOY, SECOND_DEPLOY, SCALE, STOP):
        print_row(samples, name, TARGETS_MS.get(name))
    print_ratio(samples, START, BARE_DETACHED, "start_clipper() of three containers, as a multiple of one docker run")
    print_ratio(samples, SECOND_DEPLOY, BARE_DETACHED, "second deploy, as a multiple of it")


if __name__ == "__main__":
    main()
