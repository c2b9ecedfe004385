"""The model in a FastAPI application: no batching, each worker process has a model of its own.

Deployment as in https://fastapi.tiangolo.com/deployment/server-workers/; a plain ``def``, since a prediction blocks,
and no response model, which would be validated for nothing.
"""

import os
import sys

import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel
from workloads import load_model


class Query(BaseModel):
    input: list[float]


app = FastAPI()
model = load_model(os.environ["BENCHMARK_WORKLOAD"])


@app.post("/predict")
def predict(query: Query):
    return {"output": model([query.input])[0]}


if __name__ == "__main__":
    uvicorn.run(
        "server:app",
        port=int(sys.argv[1]),
        workers=int(os.environ["BENCHMARK_WORKERS"]),
        loop="uvloop",
        http="httptools",
        access_log=False,
        log_level="warning",
    )
