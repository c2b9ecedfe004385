"""Saves the model in MLflow's format and starts ``mlflow models serve``, which does not batch, with two workers.

As in https://mlflow.org/docs/latest/ml/deployment/deploy-model-locally/.
"""

import os
import sys
from pathlib import Path

folder = Path("model")
if not folder.exists():
    import mlflow.pyfunc
    from workloads import load_model

    model = load_model(os.environ["BENCHMARK_WORKLOAD"])

    class Peer(mlflow.pyfunc.PythonModel):
        def predict(self, context, model_input, params=None):
            return model(model_input)

    mlflow.pyfunc.save_model(folder, python_model=Peer(), pip_requirements=["mlflow", "numpy", "scikit-learn"])

os.execv(
    Path(sys.executable).with_name("mlflow"),
    [
        "mlflow", "models", "serve", "--model-uri", str(folder), "--env-manager", "local",
        "--host", "127.0.0.1", "--port", sys.argv[1], "--workers", os.environ["BENCHMARK_WORKERS"],
    ],
)  # fmt: skip
