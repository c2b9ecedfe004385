"""What changed between two configurations, told and made again."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from clipper_nb.protocol.application_tokens import ApplicationToken
from clipper_nb.protocol.differences import (
    Difference,
    apply_difference,
    changed_fields,
    decode_difference,
    encode_difference,
    find_difference,
)
from clipper_nb.protocol.names import ModelId
from clipper_nb.protocol.records import Claim, Configuration
from clipper_nb.protocol.route import link_to, make_route
from tests.support.records import make_application, make_version

NAMES = st.sampled_from(["a", "b", "c"])
IDS = st.builds(ModelId, NAMES, st.sampled_from(["1", "2"]))
WEIGHTS = st.dictionaries(st.sampled_from(["a", "a:1", "b:2"]), st.sampled_from([1.0, 2.5]), min_size=1)
CONFIGURATIONS = st.builds(
    Configuration,
    revision=st.integers(0, 9),
    applications=st.dictionaries(NAMES, st.builds(make_application, NAMES, slo_micros=st.integers(1, 2))),
    versions=st.dictionaries(IDS, st.builds(make_version, NAMES, registered_at=st.sampled_from([1.0, 2.0]))),
    current_versions=st.dictionaries(NAMES, st.sampled_from(["1", "2"])),
    routes=st.dictionaries(NAMES, st.builds(link_to, NAMES) | st.builds(make_route, WEIGHTS)),
    num_replicas=st.dictionaries(IDS, st.integers(0, 2)),
    claims=st.dictionaries(IDS, st.builds(Claim, NAMES, NAMES, NAMES, NAMES)),
    tokens=st.dictionaries(
        st.sampled_from(["a:x", "a:y"]),
        st.builds(ApplicationToken, NAMES, NAMES, NAMES, st.just(1.0), st.sampled_from([None, 2.0])),
    ),
)


@settings(deadline=None)
@given(CONFIGURATIONS, CONFIGURATIONS)
def test_difference_makes_one_configuration_of_the_other(before, after):
    told = decode_difference(encode_difference(find_difference(before, after)))
    assert told == find_difference(before, after)
    assert apply_difference(before, told, revision=after.revision) == after


def test_changed_fields_are_the_new_the_changed_and_the_gone():
    assert changed_fields({"a": 1, "b": 2, "c": 3}, {"a": 1, "b": 5, "d": 4}) == {"b": 5, "d": 4, "c": None}
    assert changed_fields({"a": 1, "b": 2}, {"a": 1}) == {"b": None}
    assert changed_fields({"a": 1}, {"a": 1}) == {}


def test_unchanged_parts_are_not_in_the_difference():
    configuration = Configuration(applications={"a": make_application("a")}, routes={"a": link_to("m")})
    assert find_difference(configuration, configuration) == Difference()
    assert encode_difference(Difference()) == "{}"
    assert encode_difference(Difference(num_replicas={ModelId("m", "1"): 0})) == '{"num_replicas":{"m:1":0}}'


def test_unchanged_record_is_the_same_object():
    before = Configuration(applications={"a": make_application("a")}, routes={"a": link_to("m")})
    after = apply_difference(before, Difference(applications={"b": make_application("b")}), revision=1)
    assert after.routes is before.routes
    assert after.applications["a"] is before.applications["a"]


class Incomparable:
    """Stands for a record: comparing many of them takes long."""

    def __eq__(self, other):
        raise AssertionError("compared")

    __hash__ = None


def test_records_that_are_the_same_object_are_not_compared():
    many = {str(number): Incomparable() for number in range(1000)}
    assert list(changed_fields(many, {**many, "new": Incomparable()})) == ["new"]
