"""The model as a BentoML service with adaptive batching, two workers and no access log.

As in https://docs.bentoml.com/en/latest/get-started/adaptive-batching.html.
"""

import os

import bentoml
import numpy as np
from workloads import load_model


@bentoml.service(
    workers=int(os.environ["BENCHMARK_WORKERS"]), traffic={"timeout": 60}, logging={"access": {"enabled": False}}
)
class Peer:
    def __init__(self) -> None:
        self.model = load_model(os.environ["BENCHMARK_WORKLOAD"])

    @bentoml.api(batchable=True, max_batch_size=64)
    def predict(self, inputs: np.ndarray) -> np.ndarray:
        return np.asarray(self.model(inputs), dtype=np.float64)
