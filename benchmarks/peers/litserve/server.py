"""The model behind LitServe: one API server, one worker with batches of at most 64 and its queue on ZeroMQ.

As in https://lightning.ai/docs/litserve/features/batching; ``fast_queue`` is what LitServe recommends from 100 requests
per second on.
"""

import os
import sys

import litserve
from workloads import load_model


class Api(litserve.LitAPI):
    def setup(self, device):
        self.model = load_model(os.environ["BENCHMARK_WORKLOAD"])

    def decode_request(self, request):
        return request["input"]

    def batch(self, inputs):
        return inputs

    def predict(self, batch):
        return self.model(batch)

    def unbatch(self, outputs):
        return outputs

    def encode_response(self, output):
        return {"output": output}


if __name__ == "__main__":
    api = Api(max_batch_size=64, batch_timeout=0.001)
    server = litserve.LitServer(api, accelerator="cpu", workers_per_device=1, fast_queue=True)
    server.run(
        host="127.0.0.1", port=int(sys.argv[1]), num_api_servers=1, log_level="warning", generate_client_file=False
    )
