"""A replica that begins again with the variables of its file, as if it had had them all along."""

import json
import os
import subprocess
import sys

PROGRAM = (
    "import json, os, sys; from clipper_nb.runtime.model_container.variables_file import begin_with_variables; "
    "begin_with_variables(); print(json.dumps([sys.argv[1:], sys.flags.hash_randomization, dict(os.environ)]))"
)


def begin(**variables):
    finished = subprocess.run(
        [sys.executable, "-c", PROGRAM, "an argument"], env={**os.environ, **variables}, capture_output=True, text=True,
        check=True, timeout=30,
    )  # fmt: skip
    return json.loads(finished.stdout)


def test_variables_are_there_from_the_beginning(tmp_path):
    file = tmp_path / "variables"
    file.write_text(json.dumps({"PYTHONHASHSEED": "0", "WORD": "näive \n", "HOME": "/elsewhere", "LIMIT": "1"}))
    arguments, is_random, variables = begin(
        CLIPPER_VARIABLES_FILE=str(file), CLIPPER_CONTAINER_VARIABLES="LIMIT OTHER", LIMIT="2", HOME="/tmp"
    )
    assert (arguments, is_random) == (["an argument"], 0)
    assert (variables["WORD"], variables["HOME"], variables["LIMIT"]) == ("näive \n", "/elsewhere", "2")
    assert "CLIPPER_VARIABLES_FILE" not in variables


def test_program_without_a_file_goes_on():
    arguments, _, variables = begin(WORD="its own")
    assert (arguments, variables["WORD"]) == (["an argument"], "its own")
