"""Every exception takes facts and makes a sentence a person can act on."""

from __future__ import annotations

import inspect
import pickle
import re

import pytest

from clipper_nb import errors
from clipper_nb.errors import ClipperException


def tree_in_docstring():
    """Return child → parent as the module's docstring draws it."""
    parents, stack = {}, []
    for line in errors.__doc__.splitlines():
        drawn = re.match(r"((?:│|├─|└─| )*)([A-Z]\w+(?:  [A-Z]\w+)*)(  |$)", line)
        if drawn is None or not re.fullmatch(r"(\w+(Error|Exception)\s*)+", drawn[2]):
            continue
        depth = len(drawn[1]) // 3
        del stack[depth:]
        for name in drawn[2].split():
            parents[name] = stack[-1] if stack else "Exception"
        stack.append(drawn[2].split()[-1])
    return parents


CLASSES = {
    name: value
    for name, value in vars(errors).items()
    if inspect.isclass(value) and issubclass(value, Exception) and value.__module__ == errors.__name__
}


def test_docstring_draws_the_tree_as_it_is():
    actual = {name: value.__base__.__name__ for name, value in CLASSES.items()}
    assert tree_in_docstring() == actual


@pytest.mark.parametrize("name", sorted(CLASSES))
def test_every_error_of_ours_has_one_base_class(name):
    assert issubclass(CLASSES[name], ClipperException)


@pytest.mark.parametrize(
    ("exc", "sentence"),
    [
        (errors.ClipperException("It is so."), "It is so."),
        (
            errors.UnconnectedException("get_query_addr()"),
            "get_query_addr() needs a cluster: call start_clipper() or connect() first.",
        ),
        (errors.InvalidNameError("version", 1.5, "use text."), "1.5 is not a valid version: use text."),
        (errors.ApplicationNotFoundError("x"), "No application with name 'x' exists."),
        (
            errors.ApplicationNotFoundError("x", []),
            "No application with name 'x' exists. There are no applications yet.",
        ),
        (errors.ApplicationNotFoundError("x", ["a"]), "No application with name 'x' exists. Applications: a."),
        (errors.ModelNotFoundError("x"), "No model with name 'x' exists."),
        (errors.ModelNotFoundError("x", known=["a", "b"]), "No model with name 'x' exists. Models: a, b."),
        (
            errors.ModelNotFoundError("x", "1", ["2"]),
            "No model with name 'x' and version '1' exists. Versions: 2.",
        ),
        (errors.ImageNotFoundError("x:1", "Build it."), "There is no image 'x:1'. Build it."),
        (errors.ClusterStartError("It ended."), "It ended."),
        (errors.ClusterStartError("It ended.", "last line\n\n"), "It ended.\nEnd of its log:\nlast line"),
        (errors.ImageBuildError("pip failed.", "  \n"), "pip failed."),
        (
            errors.ReplicaStartError("m:1", "ended with status 3", hint="Install it.", log_tail="oops"),
            "A replica of m:1 ended with status 3. Install it.\nEnd of its log:\noops",
        ),
        (
            errors.StartTimeoutError("m:1", num_ready=1, num_replicas=2, waited_s=60.04),
            "1 of 2 replicas of m:1 were ready after 60.0 s. If the model needs longer to load, pass timeout_s=.",
        ),
        (errors.ManagementError(500, "x" * 1000), "The management frontend answered with status 500: " + "x" * 500),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
def test_facts_become_a_sentence(exc, sentence):
    assert str(exc) == sentence
    assert exc.msg == sentence


def test_long_list_of_names_is_cut():
    names = [f"model-{number}" for number in range(12)]
    sentence = str(errors.ModelNotFoundError("x", known=names))
    assert sentence.endswith("model-8, model-9, ….")


def test_facts_stay_on_the_exception():
    started = errors.ReplicaStartError("m:1", "ended", exit_status=-9, log_tail="oops")
    assert (started.model_id, started.exit_status, started.log_tail) == ("m:1", -9, "oops")
    late = errors.StartTimeoutError("m:1", num_ready=1, num_replicas=2, waited_s=60.0, log_tail="oops")
    assert (late.model_id, late.num_ready, late.num_replicas) == ("m:1", 1, 2)
    assert (late.waited_s, late.log_tail) == (60.0, "oops")
    name = errors.InvalidNameError("version", 1.5, "use text.")
    assert (name.what, name.value, name.rule) == ("version", 1.5, "use text.")
    missing = errors.ModelNotFoundError("m", "1")
    assert (missing.name, missing.version) == ("m", "1")
    answer = errors.ManagementError(500, "body")
    assert (answer.status, answer.body) == (500, "body")
    prediction = errors.PredictionError("no", "ValueError", "Traceback")
    assert (prediction.exception_type, prediction.traceback_text) == ("ValueError", "Traceback")


def test_plain_error_can_be_sent_to_another_process():
    """A notebook may deploy from a pool of workers."""
    copy = pickle.loads(pickle.dumps(errors.ExistsError("taken")))
    assert type(copy) is errors.ExistsError
    assert copy.msg == "taken"
