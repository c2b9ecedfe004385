"""A framework that is missing is named with what installs it."""

from __future__ import annotations

import pytest

from clipper_nb.deployers.frameworks.libraries import import_framework
from clipper_nb.errors import DeploymentError


def test_missing_framework_says_what_to_install() -> None:
    with pytest.raises(DeploymentError, match=r"ONNX models needs not_there: pip install 'clipper-nb\[onnx\]'\. Mod"):
        import_framework("not_there.inner", extra="onnx", what="ONNX models")
