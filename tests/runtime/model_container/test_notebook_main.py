"""Tests of the replica's ``__main__``; each runs a process of its own, since a process has one."""

import subprocess
import sys

import cloudpickle
import pytest

from clipper_nb.protocol.environment import MODEL_PATH
from clipper_nb.protocol.model_folder import FILES_FOLDER, FUNCTION_FILE, SETUP_FILE

_REPLICA = """
import pathlib, sys
from clipper_nb.runtime.model_container.notebook_main import become_notebook
from clipper_nb.runtime.model_container.setting_up import set_up
from clipper_nb.runtime.model_container.python_model import load_function
if __name__ == "__main__":
    become_notebook()
    folder = pathlib.Path(sys.argv[1])
    set_up(folder)
    print(load_function(folder)([1.0, 2.0]))
"""
_CELL = """
import multiprocessing, pickle
from concurrent.futures import ProcessPoolExecutor

class Clip:
    def __call__(self, x):
        return min(x, 1.5)

def twice(x):
    return 2 * x

def logger(x):
    return "mine"

clip = Clip()
"""


def _answer(tmp_path, cell, function, setup=None):
    """Return what a replica prints that loads *function*, defined by *cell* in a notebook's ``__main__``."""
    notebook = {"__name__": "__main__"}
    exec(f"{_CELL}\n{cell}", notebook)
    for name, file in ((function, FUNCTION_FILE), (setup, SETUP_FILE)):
        if name is not None:
            (tmp_path / file).write_bytes(cloudpickle.dumps(notebook[name]))
    script = tmp_path / "replica.py"
    script.write_text(_REPLICA)
    finished = subprocess.run(
        [sys.executable, str(script), str(tmp_path)], env={MODEL_PATH: str(tmp_path), "PYTHONPATH": ":".join(sys.path)},
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert finished.returncode == 0, finished.stderr
    return finished.stdout.strip()


@pytest.mark.parametrize(
    "body",
    [
        "return pickle.loads(pickled)(xs[1])",
        "return [Clip()(x) for x in xs][1]",
        "return pickle.loads(pickle.dumps(clip))(xs[1])",
    ],
)
def test_class_of_a_cell_is_found_in_main(tmp_path, body):
    pickled = b"c__main__\nClip\n)R."
    cell = f"pickled = {pickled!r}\nother = clip\ndef serve(xs):\n    used = clip\n    {body}"

    assert _answer(tmp_path, cell, "serve") == "1.5"


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["fork", "spawn"])
def test_function_of_a_cell_runs_in_child_processes(tmp_path, kind):
    cell = f"""
def serve(xs):
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context({kind!r})) as pool:
        return list(pool.map(twice, xs)) + list(pool.map(clip, xs))
"""

    assert _answer(tmp_path, cell, "serve") == "[2.0, 4.0, 1.0, 1.5]"


@pytest.mark.slow
def test_joblib_finds_the_notebook(tmp_path):
    cell = """
import joblib
def serve(xs):
    joblib.dump(clip, "clip.joblib")
    return joblib.Parallel(2)(joblib.delayed(twice)(x) for x in xs), joblib.load("clip.joblib")(xs[1])
"""

    (tmp_path / FILES_FOLDER).mkdir()
    assert _answer(tmp_path, cell, "serve") == "([2.0, 4.0], 1.5)"


def test_names_of_the_notebook_do_not_meet_those_of_the_replica(tmp_path):
    assert _answer(tmp_path, "def serve(xs): return logger(xs), 'folder' in globals()", "serve") == "('mine', False)"


def test_setup_runs_first_with_the_files_that_travelled(tmp_path):
    (tmp_path / FILES_FOLDER / "data").mkdir(parents=True)
    (tmp_path / FILES_FOLDER / "data" / "words.txt").write_text("a b")
    cell = """
import decimal
def prepare():
    global words
    words = open("data/words.txt").read().split()
    decimal.getcontext().prec = 5
def serve(xs):
    return len(words), decimal.getcontext().prec
"""

    assert _answer(tmp_path, cell, "serve", setup="prepare") == "(2, 5)"
