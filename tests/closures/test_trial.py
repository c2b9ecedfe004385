"""Tests of a function's trial in the notebook."""

import sys

import pytest

from clipper_nb.closures.trial import try_function


def _halve(inputs):
    inputs[0] /= 2
    return inputs


@pytest.mark.skipif(sys.version_info < (3, 11), reason="exceptions have notes from Python 3.11 on")
def test_function_that_changes_its_inputs_is_told_to_copy_them():
    with pytest.raises(ValueError, match="read-only") as raised:
        try_function({"input": [1.0]}, _halve, "doubles")

    assert "x.copy()" in "".join(raised.value.__notes__)
