"""MLServer with its adaptive batching: one inference worker, batches of at most 64, at most 5 ms to fill one.

Settings as in https://docs.seldon.ai/mlserver/user-guide/adaptive-batching and .../parallel-inference.
"""

import json
import os
import socket
import sys
from pathlib import Path


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


settings = {
    "host": "127.0.0.1",
    "http_port": int(sys.argv[1]),
    "grpc_port": free_port(),
    "debug": False,
    "metrics_endpoint": None,
    "parallel_workers": 1,
}
model_settings = {
    "name": "model",
    "implementation": os.environ.get("BENCHMARK_RUNTIME", "runtime.ModelRuntime"),
    "max_batch_size": 64,
    "max_batch_time": 0.005,
}
Path("settings.json").write_text(json.dumps(settings))
Path("model-settings.json").write_text(json.dumps(model_settings))
os.execv(Path(sys.executable).with_name("mlserver"), ["mlserver", "start", "."])
