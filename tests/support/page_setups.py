"""What blocks of the documentation presuppose: by page, and by the beginning of the block before which it is made."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np

from clipper_nb import ClipperConnection
from clipper_nb.deployers.python import create_endpoint, deploy_python_closure
from tests.support.onnx_models import linear_model
from tests.support.page_blocks import CHECKOUT
from tests.support.page_runner import Setup

SLO_MICROS = 20_000_000


def _start_again(values: dict[str, Any]) -> None:
    """The page stopped its cluster, and goes on as if it had not."""
    conn: ClipperConnection = values["conn"]
    conn.start_clipper(query_token=False)
    _sums(conn)


def _sums(conn: ClipperConnection) -> None:
    conn.register_application("sums", "doubles", "-1", SLO_MICROS)
    for version in {"1", "2"} - {model.partition(":")[2] for model in conn.get_all_models() if "sum-model" in model}:
        deploy_python_closure(conn, "sum-model", version, "doubles", lambda inputs: [x.sum() for x in inputs])
    conn.set_model_version("sum-model", 1)
    conn.link_model_to_app("sums", "sum-model")


def _digits(values: dict[str, Any]) -> None:
    """A forest that knows digits, and one version of it that serves already."""
    from sklearn.datasets import load_digits
    from sklearn.ensemble import RandomForestClassifier

    x, y = load_digits(return_X_y=True)
    forest = RandomForestClassifier(10, random_state=0).fit(x, y)
    values.update(forest=forest, X=x, X_test=x[y == 7][:20])
    create_endpoint(values["conn"], "digits", "doubles", forest)


def _digits_again(values: dict[str, Any]) -> None:
    create_endpoint(values["conn"], "digits", "doubles", values["forest"], slo_micros=SLO_MICROS)


def _several_models(values: dict[str, Any]) -> None:
    """An application ``digits`` with a model ``digits-net``, and further models for it."""
    conn, forest = values["conn"], values["forest"]
    conn.delete_application("digits")
    conn.register_application("digits", "doubles", "-1", SLO_MICROS)
    for name in ("forest", "svm", "digits-net"):
        deploy_python_closure(conn, name, 1, "doubles", forest.predict)
    conn.link_model_to_app("digits", "digits-net")
    values.update(better=lambda inputs: forest.predict(inputs))


def _kept(values: dict[str, Any]) -> None:
    values["conn"].stop_all(keep=True)


def _resumed(values: dict[str, Any]) -> None:
    """The cluster runs again, and a function of the page's text is there."""
    values["conn"].start_clipper(query_token=False)
    forest = values["forest"]

    def classify(inputs: list[Any]) -> Any:
        return forest.predict(inputs)

    values.update(classify=classify)


def _onnx_digits(values: dict[str, Any]) -> None:
    linear_model(Path("digits.onnx"), np.eye(64, 10, dtype="float32"))
    values["pixels"] = [0.5] * 64


def _own_manager(values: dict[str, Any]) -> None:
    from clipper_nb.testing import RecordingContainerManager

    values["MyContainerManager"] = RecordingContainerManager


def _examples(values: dict[str, Any]) -> None:
    os.symlink(CHECKOUT / "examples", "examples")


def _served_sums(values: dict[str, Any]) -> None:
    _sums(values["conn"])


def _unlinked(values: dict[str, Any]) -> None:
    values["conn"].unlink_model_from_app("sums", "sum-model")


def _linked(values: dict[str, Any]) -> None:
    values["conn"].link_model_to_app("sums", "sum-model")


def _no_sums(values: dict[str, Any]) -> None:
    values["conn"].delete_application("sums")


SETUPS: dict[str, dict[str, Setup]] = {
    "README.md": {
        "from dataclasses import dataclass": _start_again,
        "from clipper_nb.deployers.python import create_endpoint\n\ndigits = ": _digits,
        "from clipper_nb.client import Client": _digits_again,
        'conn.set_traffic("digits", {"digits-net:1": 1})': _several_models,
        "conn.start_clipper(query_token=True)": _kept,
        "from clipper_nb.deployers.python import closure_report": _resumed,
    },
    "docs/frameworks.md": {"from clipper_nb.deployers.onnx": _onnx_digits},
    "docs/own-model-container.md": {"from clipper_nb import ClipperConnection, LocalContainerManager": _examples},
    "docs/protocol.md": {
        '$ curl -s -H "Authorization: Bearer $CLIPPER_QUERY_TOKEN"': _served_sums,
        '$ curl -s http://$QUERY/sums/predict -d \'{"input": [1.0, 2.0]}\'\n{"query_id":0,"output":-1': _unlinked,
        "$ curl -s http://$QUERY/v2/": _linked,
        '$ curl -s -H "Authorization: Bearer $TOKEN"': _no_sums,
    },
    "docs/testing.md": {"from clipper_nb.testing import ContainerManagerContract": _own_manager},
}
