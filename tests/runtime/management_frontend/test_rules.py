"""What may be changed in the configuration, and how."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from clipper_nb.errors import (
    ApplicationNotFoundError,
    ClaimLostError,
    ClipperException,
    ExistsError,
    InvalidRequestError,
    ModelNotFoundError,
    NotFoundError,
    VersionClaimedError,
    VersionExistsError,
)
from clipper_nb.protocol.application_tokens import ApplicationToken, digest_of
from clipper_nb.protocol.input_types import InputType
from clipper_nb.protocol.names import ModelId
from clipper_nb.protocol.records import Claim, Configuration
from clipper_nb.runtime.management_frontend import rules, traffic_rules
from tests.support.examples import examples
from tests.support.records import make_application, make_configuration, make_version

DIGITS = make_application()
V1 = make_version(registered_at=1.0)
V2 = make_version(version="2", registered_at=2.0)
LINKED = make_configuration(V1, V2, applications=(DIGITS,), links={"digits": "digits-net"})


# --- applications


def test_application_is_added():
    changed = rules.register_application(Configuration(), DIGITS)
    assert changed.applications == {"digits": DIGITS}
    assert rules.find_application(changed, "digits") is DIGITS


def test_application_name_that_is_taken_is_refused():
    with pytest.raises(ExistsError, match="'digits' already exists"):
        rules.register_application(LINKED, make_application(slo_micros=5))


def test_removed_application_loses_its_link():
    """An application registered anew under the name is a new one."""
    changed = rules.unregister_application(LINKED, "digits")
    assert changed.applications == {}
    assert changed.routes == {}
    assert changed.versions == LINKED.versions


def test_unknown_application_is_named_with_the_known_ones():
    for change in (
        lambda: rules.find_application(LINKED, "digit"),
        lambda: rules.unregister_application(LINKED, "digit"),
        lambda: traffic_rules.link_model(LINKED, "digit", "digits-net"),
        lambda: traffic_rules.unlink_model(LINKED, "digit", "digits-net"),
    ):
        with pytest.raises(ApplicationNotFoundError, match=r"'digit' exists\. Applications: digits\."):
            change()


# --- tokens of applications

TOKEN = ApplicationToken("digits", "site", digest_of("secret"), created_at=5.0)
WITH_TOKEN = rules.create_token(LINKED, TOKEN)


def test_token_is_created_listed_and_revoked():
    older = replace(TOKEN, name="older", created_at=1.0)
    both = rules.create_token(WITH_TOKEN, older)
    assert rules.find_tokens(both, "digits") == [older, TOKEN]
    assert rules.revoke_token(both, "digits", "older") == WITH_TOKEN
    assert rules.revoke_token(WITH_TOKEN, "digits", "site") == LINKED


def test_token_of_a_known_name_or_an_unknown_application_fails():
    with pytest.raises(ExistsError, match=r"revoke_token\('digits', 'site'\) first"):
        rules.create_token(WITH_TOKEN, replace(TOKEN, digest=digest_of("another")))
    with pytest.raises(NotFoundError, match=r"no token with name 'x'\. Tokens: site\."):
        rules.revoke_token(WITH_TOKEN, "digits", "x")
    with pytest.raises(NotFoundError, match=r"no token with name 'site'\. Tokens: none\."):
        rules.revoke_token(LINKED, "digits", "site")
    for change in (
        lambda: rules.create_token(LINKED, replace(TOKEN, application_name="digit")),
        lambda: rules.revoke_token(WITH_TOKEN, "digit", "site"),
        lambda: rules.find_tokens(WITH_TOKEN, "digit"),
    ):
        with pytest.raises(ApplicationNotFoundError, match="'digit' exists"):
            change()


def test_tokens_go_with_their_application():
    """An application registered anew under the name has none."""
    assert rules.unregister_application(WITH_TOKEN, "digits").tokens == {}


def test_no_repr_shows_a_digest():
    assert TOKEN.digest not in repr(WITH_TOKEN)


# --- versions


def test_new_version_becomes_current():
    changed = rules.register_version(make_configuration(V1), V2)
    assert changed.current_versions == {"digits-net": "2"}
    assert set(changed.versions) == {("digits-net", "1"), ("digits-net", "2")}


def test_version_is_immutable():
    with pytest.raises(ExistsError, match="already has a version '1'"):
        rules.register_version(LINKED, make_version(input_type=InputType.STRINGS, batch_size=5))


def test_version_that_a_linked_application_cannot_use_is_refused():
    with pytest.raises(InvalidRequestError, match="linked to application 'digits', which takes strings"):
        rules.register_version(LINKED, make_version(version="3", input_type=InputType.DOUBLES))


def test_version_of_another_input_type_is_fine_without_a_link():
    doubles = make_version(version="3", input_type=InputType.DOUBLES)
    changed = rules.register_version(make_configuration(V1, applications=(DIGITS,)), doubles)
    assert changed.current_versions == {"digits-net": "3"}


def test_version_is_removed_and_the_current_one_stays():
    changed = rules.unregister_version(LINKED, ModelId("digits-net", "1"))
    assert set(changed.versions) == {("digits-net", "2")}
    assert changed.current_versions == {"digits-net": "2"}


def test_model_whose_current_version_is_removed_has_none():
    """Which of the others should serve is for a person to say."""
    changed = rules.unregister_version(LINKED, ModelId("digits-net", "2"))
    assert changed.current_versions == {}
    assert changed.routes == LINKED.routes


def test_current_version_is_set():
    changed = rules.set_current_version(LINKED, ModelId("digits-net", "1"))
    assert changed.current_versions == {"digits-net": "1"}


def test_linked_model_cannot_switch_to_another_input_type():
    doubles = make_version(version="3", input_type=InputType.DOUBLES)
    before = make_configuration(
        V1, doubles, applications=(DIGITS,), links={"digits": "digits-net"}, current={"digits-net": "1"}
    )
    with pytest.raises(InvalidRequestError, match="a version that takes doubles cannot serve it"):
        rules.set_current_version(before, ModelId("digits-net", "3"))


@pytest.mark.parametrize(
    "change", [rules.find_version, rules.unregister_version, rules.set_current_version], ids=lambda f: f.__name__
)
def test_unknown_version_is_named_with_the_known_ones(change):
    with pytest.raises(ModelNotFoundError, match=r"and version '3' exists\. Versions: 1, 2\."):
        change(LINKED, ModelId("digits-net", "3"))
    with pytest.raises(ModelNotFoundError, match=r"No model with name 'other' exists\. Models: digits-net\."):
        change(LINKED, ModelId("other", "1"))


# --- all together

names = st.sampled_from(["a", "b"])
versions = st.sampled_from(["1", "2"])
targets = st.sampled_from(["a", "b", "a:1", "a:2", "b:1"])
input_types = st.sampled_from([InputType.STRINGS, InputType.DOUBLES])


class AnyChanges(RuleBasedStateMachine):
    """Whatever is asked for in whatever order, the configuration makes sense afterwards."""

    def __init__(self):
        super().__init__()
        self.configuration = Configuration()

    def change(self, rule_function, *args):
        before = self.configuration
        copies = [dict(mapping) for mapping in _mappings(before)]
        try:
            self.configuration = rule_function(before, *args)
        except ClipperException:
            pass
        assert [dict(mapping) for mapping in _mappings(before)] == copies, "the configuration before was changed"

    @rule(name=names, input_type=input_types)
    def register_application(self, name, input_type):
        self.change(rules.register_application, make_application(name, input_type))

    @rule(name=names)
    def unregister_application(self, name):
        self.change(rules.unregister_application, name)

    @rule(name=names, model_name=names)
    def link_model(self, name, model_name):
        self.change(traffic_rules.link_model, name, model_name)

    @rule(name=names, model_name=names)
    def unlink_model(self, name, model_name):
        self.change(traffic_rules.unlink_model, name, model_name)

    @rule(name=names, weights=st.dictionaries(targets, st.integers(1, 3), min_size=1))
    def set_traffic(self, name, weights):
        self.change(traffic_rules.set_traffic, name, weights)

    @rule(name=names, version=versions, input_type=input_types)
    def register_version(self, name, version, input_type):
        self.change(rules.register_version, make_version(name, version, input_type))

    @rule(name=names, version=versions)
    def unregister_version(self, name, version):
        self.change(rules.unregister_version, ModelId(name, version))

    @rule(name=names, version=versions)
    def set_current_version(self, name, version):
        self.change(rules.set_current_version, ModelId(name, version))

    @invariant()
    def current_versions_are_registered(self):
        assert self.configuration.versions.keys() >= {ModelId(*pair) for pair in self._current()}

    @invariant()
    def links_begin_at_an_application(self):
        assert self.configuration.applications.keys() >= self.configuration.routes.keys()

    @invariant()
    def linked_models_take_what_their_application_takes(self):
        for name, route in self.configuration.routes.items():
            for target in route.targets:
                version = self.configuration.version_of(target)
                if version is not None:
                    assert version.input_type == self.configuration.applications[name].input_type

    @invariant()
    def versions_with_a_share_are_registered(self):
        named = {target.resolve({}) for route in self.configuration.routes.values() for target in route.targets}
        assert self.configuration.versions.keys() >= named - {None}

    @invariant()
    def records_are_filed_under_their_names(self):
        assert all(name == record.name for name, record in self.configuration.applications.items())
        assert all(model_id == record.model_id for model_id, record in self.configuration.versions.items())

    def _current(self):
        return self.configuration.current_versions.items()


def _mappings(configuration):
    return (
        configuration.applications,
        configuration.versions,
        configuration.current_versions,
        configuration.routes,
    )


TestAnyChanges = AnyChanges.TestCase
TestAnyChanges.settings = examples(60, stateful_step_count=30)


def test_version_is_the_newest_though_the_clock_was_set_back():
    """A roll-back offers the version before the current one."""
    changed = rules.register_version(LINKED, make_version(version="3", registered_at=0.5))
    changed = rules.register_version(changed, make_version(version="4", registered_at=0.5))
    assert [each.version for each in changed.versions_of("digits-net")] == ["1", "2", "3", "4"]
    later = rules.register_version(LINKED, make_version(version="3", registered_at=7.0))
    assert later.versions[ModelId("digits-net", "3")].registered_at == 7.0


# --- claims and numbers of replicas


NEW = ModelId("digits-net", "3")
CLAIM = Claim("mine", "digits-net", "3", "process 1 on a")
OTHER = Claim("other", "digits-net", "3", "process 2 on b")
CLAIMED = rules.claim_version(LINKED, CLAIM, is_new=True)


def test_claimed_version_is_its_holders_alone():
    with pytest.raises(VersionClaimedError, match=r"digits-net:3 is being deployed or scaled by process 1 on a\."):
        rules.claim_version(CLAIMED, OTHER, is_new=True)
    with pytest.raises(VersionClaimedError):
        rules.register_version(CLAIMED, make_version(version="3"))
    with pytest.raises(VersionClaimedError):
        rules.register_version(CLAIMED, make_version(version="3"), claim_id="other")
    assert rules.claim_version(CLAIMED, CLAIM, is_new=True) == CLAIMED


def test_registering_ends_the_claim_and_says_how_many_replicas():
    changed = rules.register_version(CLAIMED, make_version(version="3"), num_replicas=2, claim_id="mine")
    assert changed.claims == {}
    assert changed.num_replicas == {NEW: 2}
    assert changed.current_versions == {"digits-net": "3"}


def test_version_is_registered_without_becoming_current_if_asked():
    changed = rules.register_version(LINKED, make_version(version="3"), becomes_current=False)
    assert changed.current_versions == LINKED.current_versions
    assert NEW in changed.versions


def test_lost_claim_registers_nothing():
    """Its holder was taken for dead, and its replicas may be gone."""
    released = rules.release_claim(CLAIMED, NEW, "mine")
    assert released.claims == {}
    with pytest.raises(ClaimLostError, match="digits-net:3 was stopped by another caller"):
        rules.register_version(released, make_version(version="3"), claim_id="mine")


def test_request_under_a_replaced_claim_is_refused():
    """One that is still on its way when its caller has given up."""
    replaced = rules.claim_version(CLAIMED, OTHER, is_new=True, replaces="mine")
    assert replaced.claims == {NEW: OTHER}
    with pytest.raises(VersionClaimedError):
        rules.register_version(replaced, make_version(version="3"), claim_id="mine")
    registered = rules.register_version(CLAIMED, make_version(version="3"), claim_id="mine")
    with pytest.raises(VersionExistsError):
        rules.claim_version(registered, OTHER, is_new=True, replaces="mine")


def test_only_the_callers_own_claim_is_released():
    assert rules.release_claim(CLAIMED, NEW, "other") is CLAIMED
    assert rules.release_claim(LINKED, NEW, "mine") is LINKED


def test_version_is_claimed_for_a_deploy_or_for_a_scale():
    registered = Claim("mine", "digits-net", "1", "process 1 on a")
    with pytest.raises(VersionExistsError, match="Version '3' is free"):
        rules.claim_version(LINKED, registered, is_new=True)
    assert rules.claim_version(LINKED, registered, is_new=False).claims == {V1.model_id: registered}
    with pytest.raises(ModelNotFoundError):
        rules.claim_version(LINKED, CLAIM, is_new=False)


def test_claimed_version_is_scaled_only_by_its_claim_holder():
    assert rules.set_num_replicas(LINKED, V1.model_id, 3, None).num_replicas == {V1.model_id: 3}
    claimed = rules.claim_version(LINKED, Claim("mine", "digits-net", "1", "p"), is_new=False)
    assert rules.set_num_replicas(claimed, V1.model_id, 3, "mine").num_replicas == {V1.model_id: 3}
    with pytest.raises(VersionClaimedError):
        rules.set_num_replicas(claimed, V1.model_id, 3, None)
    with pytest.raises(ClaimLostError):
        rules.set_num_replicas(LINKED, V1.model_id, 3, "mine")
    with pytest.raises(ModelNotFoundError):
        rules.set_num_replicas(LINKED, NEW, 3, None)


def test_unregistering_ends_claims_and_removes_the_number():
    assert rules.unregister_version(CLAIMED, NEW) == LINKED
    scaled = rules.set_num_replicas(LINKED, V1.model_id, 3, None)
    claimed = rules.claim_version(scaled, Claim("mine", "digits-net", "1", "p"), is_new=False)
    changed = rules.unregister_version(claimed, V1.model_id)
    assert (changed.claims, changed.num_replicas) == ({}, {})
