"""Which versions containers without a token may serve."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from clipper_nb.errors import ClipperException
from clipper_nb.protocol.clipper_containers import ALL, CONTAINERLESS, FOREIGN, NONE, ClipperContainers, format_choice
from clipper_nb.protocol.input_types import InputType
from clipper_nb.protocol.names import ModelId
from clipper_nb.protocol.provenance import Provenance
from clipper_nb.protocol.records import CONTAINERLESS_IMAGE, Claim, Configuration, ModelVersion

OURS = ModelVersion(
    "ours", "1", InputType.DOUBLES, "c-ours:1", (), -1, 0.0, provenance=Provenance({"python": "3.11"})
)  # fmt: skip
FOREIGN_IMAGE = replace(OURS, name="foreign", image="my-mean:1", provenance=Provenance())
OUTSIDE = replace(FOREIGN_IMAGE, name="outside", image=CONTAINERLESS_IMAGE)
CONFIGURATION = Configuration(
    versions={version.model_id: version for version in (OURS, FOREIGN_IMAGE, OUTSIDE)},
    claims={
        ModelId("coming", "1"): Claim("c", "coming", "1", "p", has_foreign_image=True),
        ModelId("ours-coming", "1"): Claim("c", "ours-coming", "1", "p"),
        ModelId("ours", "1"): Claim("c", "ours", "1", "p", has_foreign_image=True),
    },
)
NAMES = ["ours", "foreign", "outside", "coming", "ours-coming", "unknown"]


@pytest.mark.parametrize(
    ("choice", "may_serve"),
    [
        (NONE, []),
        (ALL, NAMES),
        (CONTAINERLESS, ["outside"]),
        (FOREIGN, ["foreign", "outside", "coming"]),
        ("ours:1,unknown:1,outside:2", ["ours", "unknown"]),
    ],
)
def test_choice_names_versions(choice, may_serve):
    containers = ClipperContainers(choice)
    assert [name for name in NAMES if containers.may_serve(ModelId(name, "1"), CONFIGURATION)] == may_serve
    assert containers.are_expected(CONFIGURATION) == bool(may_serve)


@pytest.mark.parametrize(
    ("choice", "are_expected"), [(CONTAINERLESS, False), (FOREIGN, False), (ALL, True), ("m:1", True)]
)
def test_containers_are_expected_once_one_may_come(choice, are_expected):
    only_ours = Configuration(versions={OURS.model_id: OURS})
    assert ClipperContainers(choice).are_expected(only_ours) is are_expected


@pytest.mark.parametrize(
    ("accepted", "choice"), [(True, ALL), (False, NONE), ([], NONE), (["m:1"], "m:1"), (("m:1", "n:2.0"), "m:1,n:2.0")]
)
def test_argument_becomes_a_choice(accepted, choice):
    assert format_choice(accepted) == choice


@pytest.mark.parametrize("accepted", [["m"], ["M:1"], ["m:"], ["m:1,n:1"], [3], [None], ["all"]])
def test_what_is_no_version_is_refused(accepted):
    with pytest.raises(ClipperException):
        format_choice(accepted)
