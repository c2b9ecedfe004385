"""The model as a custom runtime of MLServer (https://docs.seldon.ai/mlserver/user-guide/custom)."""

import os

import numpy as np
from mlserver import MLModel
from mlserver.codecs import NumpyCodec
from mlserver.types import InferenceRequest, InferenceResponse
from workloads import load_model


class ModelRuntime(MLModel):
    async def load(self) -> bool:
        self.model = load_model(os.environ["BENCHMARK_WORKLOAD"])
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        inputs = NumpyCodec.decode_input(payload.inputs[0])
        outputs = np.asarray(self.model(inputs), dtype=np.float64)
        return InferenceResponse(model_name=self.name, outputs=[NumpyCodec.encode_output("output", outputs)])
