"""A runtime of MLServer that takes tensors of any kind: the length of each row or text, or the sum of doubles."""

import numpy as np
from mlserver import MLModel
from mlserver.codecs import NumpyCodec
from mlserver.types import InferenceRequest, InferenceResponse


class TensorRuntime(MLModel):
    async def load(self) -> bool:
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        rows = self.decode(payload.inputs[0], default_codec=NumpyCodec)
        outputs = np.array([float(len(row) if isinstance(row, bytes | str) else np.size(row)) for row in rows])
        return InferenceResponse(
            id=payload.id, model_name=self.name, outputs=[NumpyCodec.encode_output("output", outputs)]
        )
