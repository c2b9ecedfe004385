"""Deploys an edited function again and again in a running Ray, and writes the milliseconds until its answer came.

As ``server.py`` does it, yet with the proxy that Ray Serve has by default, and each time with another function: what
one does who works on it in a notebook. ``python redeploy.py PORT FILE NUM_DEPLOYS``.
"""

import http.client
import json
import os
import sys
import time
from pathlib import Path

import ray
from ray import serve
from ray.serve.schema import LoggingConfig
from workloads import FOREST, load_model, make_inputs

QUIET = LoggingConfig(enable_access_log=False, log_level="WARNING")


def make_application(edit: int) -> serve.Application:
    """Return the application as it is after an edit: one replica, which answers with this number added."""

    @serve.deployment(num_replicas=1, logging_config=QUIET)
    class Edited:
        def __init__(self) -> None:
            self.model = load_model(os.environ["BENCHMARK_WORKLOAD"])

        async def __call__(self, request):
            return {"output": self.model([(await request.json())["input"]])[0] + edit}

    return Edited.bind()


def ask(port: int, body: str) -> int | None:
    client = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        client.request("POST", "/", body, {"Content-Type": "application/json"})
        reply = client.getresponse()
        text = reply.read()
        return json.loads(text)["output"] if reply.status == http.client.OK else None
    finally:
        client.close()


def main() -> None:
    port, output, num_deploys = int(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
    ray.init(include_dashboard=False, num_cpus=2, _temp_dir=os.getcwd(), logging_level="WARNING")
    serve.start(http_options={"host": "127.0.0.1", "port": port}, logging_config=QUIET)
    [numbers] = make_inputs(FOREST, 1, 1)
    [right] = load_model(FOREST.name)([numbers])
    body = json.dumps({"input": numbers})
    took_ms = []
    for number in range(num_deploys):
        edit = 100 * number
        began_s = time.perf_counter()
        serve.run(make_application(edit), route_prefix="/")
        while ask(port, body) != right + edit:
            time.sleep(0.001)
        took_ms.append((time.perf_counter() - began_s) * 1000)
    output.write_text(json.dumps(took_ms))


if __name__ == "__main__":
    main()
