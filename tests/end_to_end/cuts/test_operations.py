"""No call that changes something is forgotten."""

from __future__ import annotations

from clipper_nb import ClipperConnection
from tests.end_to_end.cuts.lifecycle import LIFECYCLES
from tests.end_to_end.cuts.operations import OPERATIONS

_SAME_AS = {
    "delete_application": "unregister_application",
    "deploy_version": "deploy_python_closure",
    "build_and_deploy_model": "deploy_python_closure",
    "deploy_image": "deploy_model",
    "register_version": "register_model",
}
_CHANGES_NOTHING = {
    "build_model", "connect", "dashboard", "doctor", "export_configuration", "export_monitoring", "fetch_model",
    "inspect_instance", "logs", "new_version", "check_new_model_version", "predict", "predict_batch",
    "predict_dataframe", "records", "shadow_report", "test_predict_function", "why",
}  # fmt: skip
"""Of what the cluster serves: an image alone is the user's, and so are files."""


def test_each_call_that_changes_something_is_cut() -> None:
    methods = {
        name
        for name, value in vars(ClipperConnection).items()
        if callable(value) and not name.startswith(("_", "get_"))
    }
    cut = {name.partition(",")[0] for name in (*OPERATIONS, *LIFECYCLES)}
    assert set(_SAME_AS.values()) <= cut
    assert methods - cut - _CHANGES_NOTHING - _SAME_AS.keys() == set(), "cut these in operations.py"
    assert (_CHANGES_NOTHING | _SAME_AS.keys()) - methods == set()
