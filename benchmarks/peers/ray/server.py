"""The model as a Ray Serve deployment: one replica with batches of at most 64, at most 5 ms to fill one.

With what Ray calls its high throughput mode (HAProxy in front, throughput-optimized replicas; set by ``servers.py``,
since every process reads it from its environment) and without access log and dashboard. As in
https://docs.ray.io/en/latest/serve/advanced-guides/dyn-req-batch.html and .../performance.html.
"""

import os
import sys

import ray
from ray import serve
from ray.serve.schema import LoggingConfig
from workloads import load_model

QUIET = LoggingConfig(enable_access_log=False, log_level="WARNING")


@serve.deployment(num_replicas=1, max_ongoing_requests=1024, logging_config=QUIET)
class Peer:
    def __init__(self) -> None:
        self.model = load_model(os.environ["BENCHMARK_WORKLOAD"])

    @serve.batch(max_batch_size=64, batch_wait_timeout_s=0.005)
    async def predict(self, inputs: list) -> list:
        return self.model(inputs)

    async def __call__(self, request):
        return {"output": await self.predict((await request.json())["input"])}


if __name__ == "__main__":
    ray.init(include_dashboard=False, num_cpus=2, _temp_dir=os.getcwd(), logging_level="WARNING")
    serve.start(http_options={"host": "127.0.0.1", "port": int(sys.argv[1])}, logging_config=QUIET)
    serve.run(Peer.bind(), route_prefix="/", blocking=True)
