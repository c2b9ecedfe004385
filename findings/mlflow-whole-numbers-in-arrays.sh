#!/bin/bash
# mlflow 3.17.2 refuses an array of doubles if all its numbers happen to be whole.
# Seen: a model whose signature has Array(double) takes [1, 2.5] and [1.0, 2.0], and refuses [1, 2]: "Can not safely convert int64
# to float64", for "column ." without its name. A scalar double takes 1 as well as 1.5. From JSON, where 1 and 1.0 are one number,
# the same client works or fails by the values that it happens to send.
# Expected: [1, 2] is taken as a scalar is, or both are refused.
# Who is hurt: who sends embeddings or measurements as lists; a rounded one is refused in production.
# Instead: send every number with a fraction (JavaScript cannot), or declare a Tensor, which is converted.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q mlflow-skinny==3.17.2 numpy==2.4.6 pandas==2.3.3
cd "$folder"
seen=$("$folder/venv/bin/python" -W ignore - 2> /dev/null <<'PYTHON'
import json

import mlflow
import pandas as pd
from mlflow.exceptions import MlflowException
from mlflow.models import ModelSignature
from mlflow.types import ColSpec, DataType, Schema
from mlflow.types.schema import Array


class Model(mlflow.pyfunc.PythonModel):
    def predict(self, context, model_input, params=None):
        return [str(value) for value in model_input["x"]]


def answers(name, type_, texts):
    signature = ModelSignature(Schema([ColSpec(type_, "x")]), Schema([ColSpec(DataType.string)]))
    mlflow.pyfunc.save_model(name, python_model=Model(), signature=signature, pip_requirements=[])
    model = mlflow.pyfunc.load_model(name)
    for text in texts:
        try:
            yield model.predict(pd.DataFrame({"x": [json.loads(text)]}))[0]
        except MlflowException as exc:
            yield str(exc).rpartition(". ")[2]


arrays = answers("arrays", Array(DataType.double), ["[1, 2.5]", "[1.0, 2.0]", "[1, 2]"])
scalars = answers("scalars", DataType.double, ["1.5", "1"])
print(mlflow.__version__, *arrays, *scalars, sep=" | ")
PYTHON
)
echo "version | [1, 2.5] | [1.0, 2.0] | [1, 2] | 1.5 | 1"
echo "$seen"
[ "$seen" = "3.17.2 | [1.0, 2.5] | [1.0, 2.0] | Can not safely convert int64 to float64. | 1.5 | 1.0" ] ||
    { echo "The behaviour has changed." >&2; exit 1; }
