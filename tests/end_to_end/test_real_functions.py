"""Twelve functions as people write them, deployed with no list of packages: they predict as in the notebook."""

from __future__ import annotations

import atexit
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from IPython.core.interactiveshell import InteractiveShell
from traitlets.config import Config

from clipper_nb import ClipperConnection
from clipper_nb.deployers.python import closure_report, create_endpoint
from tests.support.selection import ON_KUBERNETES

pytestmark = [pytest.mark.cluster, pytest.mark.slow]

SLO_MICROS = 20_000_000

BOTH = ("local", "docker")
EMBEDDED = ("local",)

HOUSE_FEATURES = '''
"""Features of houses; a module beside the notebook."""

import pandas as pd

ROOM_M2 = 25.0


def features(rows):
    frame = pd.DataFrame(rows)
    frame["rooms"] = (frame["m2"] / ROOM_M2).round()
    frame["built"] = pd.to_datetime(frame["built"])
    frame["decade"] = frame["built"].dt.year // 10 * 10
    return frame.groupby(frame.index).agg({"rooms": "sum", "decade": "max"}).sum(axis=1)
'''


@dataclass(frozen=True)
class RealFunction:
    """One function, as the cells that make it.

    Attributes
    ----------
    cells : tuple of str
        The last one defines ``predict``.
    input_type : str
    inputs : str
        An expression in the notebook.
    kinds : tuple of str
        The container managers that it is tried on.
    differs_on_docker : bool
        What is special in its image, no other one here has: it is always tried there.
    needs : tuple of str
        Distributions that its report names, all of them: on the embedded cluster nobody would miss one.
    system_packages : tuple of str
        What no Python package brings.
    """

    cells: tuple[str, ...]
    input_type: str = "doubles"
    inputs: str = "list(X[:8])"
    kinds: tuple[str, ...] = EMBEDDED
    differs_on_docker: bool = False
    needs: tuple[str, ...] = ()
    system_packages: tuple[str, ...] = ()


DATA = "import numpy as np\nfrom sklearn.datasets import load_diabetes\nX, y = load_diabetes(return_X_y=True)"

REAL_FUNCTIONS = {
    "scikit-learn pipeline": RealFunction(
        (
            DATA,
            "from sklearn.pipeline import make_pipeline\n"
            "from sklearn.preprocessing import StandardScaler, PolynomialFeatures\n"
            "from sklearn.linear_model import Ridge\n"
            "model = make_pipeline(StandardScaler(), PolynomialFeatures(2), Ridge()).fit(X, y)",
            "def predict(inputs):\n    return model.predict(np.stack(inputs)).tolist()",
        ),
        kinds=BOTH,
        needs=("numpy", "scikit-learn"),
    ),
    "xgboost": RealFunction(
        (
            DATA,
            "import xgboost as xgb\nmodel = xgb.XGBRegressor(n_estimators=20, n_jobs=1).fit(X, y)",
            "def predict(inputs):\n    return [float(p) for p in model.predict(np.stack(inputs))]",
        ),
        needs=("numpy", "scikit-learn", "xgboost-cpu"),  # the model's class derives from scikit-learn's
    ),
    "lightgbm": RealFunction(
        (
            DATA,
            "import lightgbm as lgb\n"
            "booster = lgb.train({'verbose': -1, 'num_threads': 1}, lgb.Dataset(X, y), num_boost_round=20)",
            "def predict(inputs):\n    return list(booster.predict(np.stack(inputs)))",
        ),
        kinds=BOTH,
        differs_on_docker=True,
        needs=("lightgbm", "numpy"),
        system_packages=("libgomp1",),
    ),
    "statsmodels": RealFunction(
        (
            DATA,
            "import statsmodels.api as sm\nresults = sm.OLS(y, sm.add_constant(X)).fit()",
            "def predict(inputs):\n    rows = sm.add_constant(np.stack(inputs), has_constant='add')\n"
            "    return results.predict(rows).tolist()",
        ),
        needs=("numpy", "statsmodels"),
    ),
    "pandas features in a module beside the notebook": RealFunction(
        (
            "import json\nimport house_features",
            "def predict(inputs):\n    return house_features.features([json.loads(x) for x in inputs]).tolist()",
        ),
        input_type="strings",
        inputs="""['{"m2": 120, "built": "1987-03-01"}', '{"m2": 61.5, "built": "2011-10-30"}']""",
        kinds=BOTH,
        differs_on_docker=True,
        needs=("pandas",),
    ),
    "a package imported in the function alone": RealFunction(
        (
            "def predict(inputs):\n    from scipy.special import logsumexp\n\n"
            "    return [float(logsumexp(x)) for x in inputs]",
        ),
        inputs="[[1.0, 2.0], [3.0, 4.5, -1.0]]",
        kinds=BOTH,
        needs=("scipy",),
    ),
    "text without a library": RealFunction(
        (
            "import re, collections, unicodedata\nWORD = re.compile(r'\\w+')\nSTOP = frozenset({'the', 'a', 'of'})",
            "def words(text):\n"
            "    return [w for w in WORD.findall(unicodedata.normalize('NFKC', text).lower()) if w not in STOP]",
            "def predict(inputs):\n    return [collections.Counter(words(x)).most_common(2) for x in inputs]",
        ),
        input_type="strings",
        inputs="""["The cat of the cat's house", "Ünï ünï a b", ""]""",
        kinds=BOTH,
    ),
    "Pillow": RealFunction(
        (
            "import io\nfrom PIL import Image, ImageOps",
            "def png(color):\n    file = io.BytesIO()\n    Image.new('RGB', (9, 5), color).save(file, 'png')\n"
            "    return file.getvalue()",
            "def predict(inputs):\n    images = [Image.open(io.BytesIO(bytes(x))) for x in inputs]\n"
            "    return [[*i.size, *ImageOps.invert(i).resize((2, 2)).getpixel((0, 0))] for i in images]",
        ),
        input_type="bytes",
        inputs="[png('red'), png((10, 20, 30))]",
        kinds=BOTH,
        needs=("pillow",),
    ),
    "torch": RealFunction(
        (
            "import torch\nfrom torch import nn\ntorch.manual_seed(0)",
            "class Net(nn.Module):\n    def __init__(self):\n        super().__init__()\n"
            "        self.layers = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))\n\n"
            "    def forward(self, x):\n        return self.layers(x).softmax(-1)",
            "net = Net().eval()",
            "def predict(inputs):\n    with torch.no_grad():\n"
            "        return net(torch.stack([torch.as_tensor(x, dtype=torch.float32) for x in inputs])).tolist()",
        ),
        inputs="[[0.1, 0.2, 0.3, 0.4], [1.0, -1.0, 0.5, 2.0]]",
        needs=("torch",),
    ),
    "a class of the notebook whose methods call each other": RealFunction(
        (
            "class Base:\n    scale = 3\n\n    def scaled(self, x):\n        return self.scale * x",
            "class Model(Base):\n    def __init__(self, offset):\n        self.offset = offset\n\n"
            "    def _one(self, x):\n        return float(self.scaled(x).sum() + self._shift())\n\n"
            "    def _shift(self):\n        return self.offset\n\n"
            "    def scaled(self, x):\n        return super().scaled(x) + 1\n\n"
            "    def predict(self, inputs):\n        return [self._one(x) for x in inputs]",
            "predict = Model(offset=0.5).predict",
        ),
        inputs="[[1.0, 2.0], [5.0]]",
        kinds=BOTH,
    ),
    "a recursive closure": RealFunction(
        (
            "def make(depth):\n    def tree(x, level):\n"
            "        return x if level == depth else [tree(x, level + 1), tree(x + 1, level + 1)]\n\n"
            "    def predict(inputs):\n        return [tree(int(x[0]), 0) for x in inputs]\n\n    return predict",
            "predict = make(3)",
        ),
        input_type="ints",
        inputs="[[1], [7]]",
        kinds=BOTH,
    ),
    "a dataclass and an enum of a cell": RealFunction(
        (
            "import enum\nfrom dataclasses import dataclass, asdict, field",
            "class Risk(enum.Enum):\n    LOW = 'low'\n    HIGH = 'high'\n\n"
            "    @classmethod\n    def of(cls, x):\n        return cls.HIGH if x > 0.5 else cls.LOW",
            "@dataclass(frozen=True)\nclass Answer:\n    score: float\n    risk: Risk\n"
            "    notes: list = field(default_factory=list)",
            "def predict(inputs):\n    answers = [Answer(float(x[0]), Risk.of(x[0])) for x in inputs]\n"
            "    return [{**asdict(a), 'risk': a.risk.name, 'same': a.risk is Risk(a.risk.value)} for a in answers]",
        ),
        inputs="[[0.2], [0.9]]",
        kinds=BOTH,
    ),
}  # fmt: skip


@pytest.fixture
def shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[InteractiveShell]:
    """A notebook's shell, with a module of the user's own beside the notebook."""
    (tmp_path / "house_features.py").write_text(HOUSE_FEATURES)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "house_features", raising=False)
    monkeypatch.setitem(sys.modules, "__main__", sys.modules["__main__"])  # the shell puts its own there
    config = Config()
    config.HistoryManager.enabled = False
    shell = InteractiveShell(config=config)
    yield shell
    atexit.unregister(shell.atexit_operations)
    shell.atexit_operations()
    sys.modules.pop("house_features", None)


def test_twelve_functions_exist_and_nine_run_on_docker() -> None:
    assert len(REAL_FUNCTIONS) == 12
    assert sum("docker" in function.kinds for function in REAL_FUNCTIONS.values()) == 9


def _marks(kind: str, function: RealFunction) -> list[pytest.MarkDecorator]:
    if kind != "docker":
        return []
    return [pytest.mark.docker, *([pytest.mark.also_on_docker] if function.differs_on_docker else [])]


@pytest.mark.same_on_docker
@pytest.mark.parametrize(
    ("kind", "name"),
    [
        pytest.param(kind, name, marks=_marks(kind, function))
        for kind in BOTH
        for name, function in REAL_FUNCTIONS.items()
        if kind in function.kinds
    ]
    + [
        pytest.param("kubernetes", name, marks=ON_KUBERNETES.marks)
        for name, function in REAL_FUNCTIONS.items()
        if "docker" in function.kinds
    ],
    indirect=["kind"],
    scope="module",
)
def test_deployed_function_predicts_as_in_the_notebook(
    name: str, kind: str, shared: ClipperConnection, shell: InteractiveShell
) -> None:
    function = REAL_FUNCTIONS[name]
    for cell in function.cells:
        shell.run_cell(cell, store_history=True).raise_error()
    predict, inputs = shell.user_ns["predict"], shell.ev(function.inputs)
    assert sorted(closure_report(predict).requirements.direct) == list(function.needs)
    endpoint = "-".join(name.lower().split())
    create_endpoint(
        shared, endpoint, function.input_type, predict, slo_micros=SLO_MICROS, system_packages=function.system_packages
    )
    answers = shared.predict_batch(endpoint, inputs)
    assert [answer.reason for answer in answers] == [None] * len(inputs)
    assert [answer.output for answer in answers] == _approximately(predict(_as_the_model_sees(function, inputs)))
    assert shared.get_model_source(endpoint, 1).system_packages == list(function.system_packages)
    shared.stop_models([endpoint])


def _as_the_model_sees(function: RealFunction, inputs: list[Any]) -> list[Any]:
    dtypes = {"doubles": np.float64, "ints": np.int32}
    dtype = dtypes.get(function.input_type)
    return inputs if dtype is None else [np.asarray(value, dtype) for value in inputs]


def _approximately(value: Any) -> Any:
    """Return what equals the same, but for the last digits of numbers; tuples are lists in JSON."""
    if isinstance(value, (list, tuple)):
        return [_approximately(item) for item in value]
    if isinstance(value, dict):
        return {name: _approximately(item) for name, item in value.items()}
    return pytest.approx(value, rel=1e-6) if isinstance(value, float) else value
