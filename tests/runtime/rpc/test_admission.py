"""Who may serve: what a stranger says, also what a replica said before it, is not believed."""

from __future__ import annotations

from dataclasses import replace
from itertools import count

import pytest
from msgspec import structs

from clipper_nb.protocol.clipper_containers import ALL, CONTAINERLESS, FOREIGN, ClipperContainers
from clipper_nb.protocol.input_types import InputType
from clipper_nb.protocol.names import ModelId
from clipper_nb.protocol.provenance import Provenance
from clipper_nb.protocol.records import CONTAINERLESS_IMAGE, Claim, Configuration, ModelVersion
from clipper_nb.protocol.replica_proof import make_credentials, prove
from clipper_nb.protocol.rpc import ContainerHeartbeat, FrontendHeartbeat, FrontendSockets, NewContainer
from clipper_nb.runtime.rpc.admission import NO_TOKEN, WRONG_PROOF, Admission, NotAdmittedError
from clipper_nb.runtime.rpc.peers import UNIX, ContainerNetwork, Peer
from clipper_nb.runtime.rpc.sessions import Disconnect, ReplicaJoined, ReplicaLost, Send, Sessions

SECRET = "the cluster's secret"
VICTIM = ModelId("victim", "1")
REGISTERED = ModelVersion(
    *VICTIM, InputType.DOUBLES, "c-victim:1", (), -1, 0.0, provenance=Provenance({"python": "3.11"})
)  # fmt: skip
CONFIGURATION = Configuration(versions={VICTIM: REGISTERED})


class Frontend:
    """A frontend's sessions, and what a container does with it."""

    def __init__(self, choice: str = FOREIGN, configuration: Configuration = CONFIGURATION, **options) -> None:
        self.admission = Admission(SECRET, ClipperContainers(choice))
        self.admission.apply(configuration)
        numbers = count()
        self.sessions = Sessions(
            admission=self.admission, make_challenge=lambda: next(numbers).to_bytes(32, "big"), **options
        )

    def ask(self, identity: bytes, *, can_prove: bool = True) -> bytes:
        """Send a heartbeat, and return the challenge."""
        [event] = self.sessions.receive(identity, ContainerHeartbeat(can_prove), now_s=0.0)
        assert isinstance(event, Send)
        assert isinstance(event.message, FrontendHeartbeat)
        return event.message.challenge

    def join(self, identity: bytes, name: str = "victim_1-0a", model_id: ModelId = VICTIM):
        """Join as a replica with its token; return its first message and what followed."""
        message = first_message(self.ask(identity), name, model_id)
        return message, self.sessions.receive(identity, message, now_s=0.0)

    def is_refused(self, identity: bytes, message: NewContainer) -> str:
        with pytest.raises(NotAdmittedError) as refused:
            self.sessions.receive(identity, message, now_s=0.0)
        assert self.sessions.get(identity) is None
        return refused.value.reason


def first_message(challenge: bytes, name: str = "victim_1-0a", model_id: ModelId = VICTIM, **claimed) -> NewContainer:
    token = make_credentials(SECRET, model_id, name).token
    claim = replace(NewContainer(*model_id, InputType.DOUBLES, 2, name), **claimed)
    return replace(claim, proof=prove(token, challenge, claim))


def test_replica_with_its_token_joins():
    [joined] = Frontend().join(b"replica")[1]
    assert isinstance(joined, ReplicaJoined)
    assert joined.session.replica.model_id == VICTIM


def test_replay_of_anothers_first_message_is_refused():
    frontend = Frontend()
    said, _ = frontend.join(b"replica")
    assert frontend.is_refused(b"spy", said) == WRONG_PROOF  # without having been challenged
    frontend.ask(b"spy")
    assert frontend.is_refused(b"spy", said) == WRONG_PROOF
    frontend.sessions.lose(b"replica")
    frontend.ask(b"spy")
    assert frontend.is_refused(b"spy", said) == WRONG_PROOF


def test_first_message_is_good_once_on_its_own_connection():
    frontend = Frontend()
    said, _ = frontend.join(b"replica")
    frontend.sessions.lose(b"replica")
    assert frontend.is_refused(b"replica", said) == WRONG_PROOF


def test_another_models_replica_cannot_serve_the_victim():
    frontend = Frontend()
    spy = ModelId("spy", "1")
    claimed = first_message(frontend.ask(b"spy"), "spy_1-0a", spy, model_name="victim")
    assert frontend.is_refused(b"spy", claimed) == WRONG_PROOF
    assert frontend.is_refused(b"spy", NewContainer(*VICTIM, InputType.DOUBLES)) == NO_TOKEN


def test_container_without_a_token_gets_no_challenge():
    """One that was written for Clipper would read it as its next message."""
    assert Frontend().ask(b"from Clipper", can_prove=False) == b""


def test_challenge_stays_until_it_is_answered():
    """Heartbeats that waited for a frontend are all answered before the first answer is."""
    frontend = Frontend()
    first = frontend.ask(b"replica")
    assert len(first) == 32
    assert frontend.ask(b"replica") == first
    frontend.sessions.receive(b"replica", first_message(first), now_s=0.0)
    frontend.sessions.lose(b"replica")
    assert frontend.ask(b"replica") != first


def test_challenges_of_two_connections_differ():
    frontend = Frontend()
    assert frontend.ask(b"one") != frontend.ask(b"two")


def test_newer_connection_of_a_replica_replaces_the_older():
    frontend = Frontend()
    [before] = frontend.join(b"before")[1]
    lost, disconnect, joined = frontend.join(b"after")[1]
    assert (lost, disconnect) == (ReplicaLost(before.session), Disconnect(b"before"))
    assert isinstance(joined, ReplicaJoined)
    assert [session.identity for session in frontend.sessions.all()] == [b"after"]
    frontend.join(b"another", "victim_1-0b")
    assert len(frontend.sessions.all()) == 2


def test_replica_that_left_may_come_back():
    frontend = Frontend()
    frontend.join(b"before")
    frontend.sessions.lose(b"before")
    assert len(frontend.join(b"after")[1]) == 1


def test_clipper_container_of_a_version_without_an_image_joins():
    outside = structs.replace(REGISTERED, image=CONTAINERLESS_IMAGE, provenance=Provenance())
    frontend = Frontend(CONTAINERLESS, Configuration(versions={VICTIM: outside}))
    [joined] = frontend.sessions.receive(b"c", NewContainer(*VICTIM, InputType.DOUBLES), now_s=0.0)
    assert isinstance(joined, ReplicaJoined)


FOREIGN_VERSION = structs.replace(REGISTERED, image="my-mean:1", provenance=Provenance())
OUTSIDE_VERSION = structs.replace(FOREIGN_VERSION, image=CONTAINERLESS_IMAGE)
CONTAINER, HOST, ELSEWHERE = Peer("172.20.0.5"), Peer("172.20.0.1"), Peer("10.0.0.7")
PROVEN = Peer("172.21.0.5")


@pytest.mark.parametrize(
    ("version", "choice", "admitted"),
    [
        (FOREIGN_VERSION, FOREIGN, {CONTAINER}),
        (None, FOREIGN, {CONTAINER}),
        (OUTSIDE_VERSION, FOREIGN, {CONTAINER, HOST, ELSEWHERE}),
        (FOREIGN_VERSION, "victim:1", {CONTAINER, HOST, ELSEWHERE}),
        (FOREIGN_VERSION, ALL, {CONTAINER, HOST, ELSEWHERE}),
        (REGISTERED, FOREIGN, set()),
    ],
    ids=["deployed", "while it is deployed", "registered", "named", "all", "ours"],
)
def test_container_without_a_token_comes_from_its_place(version, choice, admitted):
    networks = ContainerNetwork("172.20.0.0/16 172.20.0.1"), ContainerNetwork("172.21.0.0/16 172.21.0.1")
    admission = Admission(SECRET, ClipperContainers(choice), *networks)
    claims = {VICTIM: Claim("c", *VICTIM, "p", has_foreign_image=True)}
    admission.apply(Configuration(versions={VICTIM: version} if version else {}, claims=claims))
    peers = (CONTAINER, PROVEN, HOST, ELSEWHERE, UNIX)
    assert {peer for peer in peers if admission.may_lack_proof(VICTIM, peer)} == admitted


def test_without_a_known_network_any_address_is_its_place():
    admission = Admission(SECRET, ClipperContainers(FOREIGN))
    admission.apply(Configuration(versions={VICTIM: FOREIGN_VERSION}))
    assert admission.may_lack_proof(VICTIM, ELSEWHERE)
    assert not admission.may_lack_proof(VICTIM, UNIX)


def test_refusal_says_where_the_container_is():
    frontend = Frontend(FOREIGN, Configuration(versions={VICTIM: FOREIGN_VERSION}), find_peer=lambda identity: UNIX)
    with pytest.raises(NotAdmittedError, match="it came from a Unix socket"):
        frontend.sessions.receive(b"c", NewContainer(*VICTIM, InputType.DOUBLES), now_s=0.0)


def test_stranger_in_a_deploy_is_expelled_if_it_was_ours():
    claimed = Configuration(claims={VICTIM: Claim("c", *VICTIM, "p", has_foreign_image=True)})
    frontend = Frontend(FOREIGN, claimed)
    [joined] = frontend.sessions.receive(b"spy", NewContainer(*VICTIM, InputType.DOUBLES), now_s=0.0)
    frontend.join(b"replica")
    assert frontend.sessions.expel_unwelcome() == []
    frontend.admission.apply(CONFIGURATION)
    assert frontend.sessions.expel_unwelcome() == [ReplicaLost(joined.session), Disconnect(b"spy")]
    assert [session.identity for session in frontend.sessions.all()] == [b"replica"]


def test_without_a_secret_nobody_has_to_prove_anything():
    admission = Admission(None, ClipperContainers(FOREIGN))
    admission.check(NewContainer(*VICTIM, InputType.DOUBLES), b"", UNIX)
    assert admission.expects_clipper_containers


def test_refusal_says_what_lets_the_container_in_and_no_secret():
    frontend = Frontend()
    with pytest.raises(NotAdmittedError, match="accept_clipper_containers") as refused:
        frontend.sessions.receive(b"c", NewContainer(*VICTIM, InputType.DOUBLES), now_s=0.0)
    assert SECRET not in str(refused.value)


def test_replica_is_told_of_all_sockets_beside_its_own():
    _, [told, _joined] = Frontend(frontend_sockets=("0.sock", "1.sock")).join(b"replica")
    assert told == Send(b"replica", FrontendSockets(("0.sock", "1.sock")))
