"""The last answered queries are kept, and nothing that is large or that is somebody else's with them."""

from __future__ import annotations

import gc
import weakref

from clipper_nb.protocol.query_history import NUM_KEPT_QUERIES
from clipper_nb.runtime.batching.query import Query
from clipper_nb.runtime.http.waiting_bytes import WaitingBytes
from clipper_nb.runtime.query_frontend.journal import Journal
from clipper_nb.runtime.query_frontend.large_request import LargeRequests
from clipper_nb.runtime.query_frontend.predict_endpoint import PredictEndpoint
from clipper_nb.runtime.turns import Turns
from tests.support.predictor_bench import LINKED, Bench


class Client:
    """Sends requests to an endpoint, and gets the replies."""

    def __init__(self) -> None:
        self.replies: list[tuple[int, bytes]] = []

    def respond(self, status: int, body: bytes) -> None:
        self.replies.append((status, body))


class Endpoint:
    def __init__(self) -> None:
        self.bench = Bench(LINKED)
        self.journal = Journal()
        loop, predictor = self.bench.loop, self.bench.predictor
        large = LargeRequests(predictor, loop, Turns(loop.call_soon, loop.time), WaitingBytes(1_000_000), self.journal)
        self.endpoint = PredictEndpoint(predictor, loop.time, large, self.journal)

    def ask(self, client: Client, body: bytes) -> None:
        self.endpoint.answer("digits", body, self.bench.loop.time(), client.respond)
        self.bench.loop.end_turn()


def make_query(query_id: int) -> Query:
    return Query(query_id, 0.0, 1.0, None)


def test_query_is_found_by_its_id() -> None:
    journal = Journal()
    kept = make_query(7)
    journal.record(make_query(3), "app", None, 0.0)
    journal.record(kept, "app", None, 0.0)
    assert journal.find(7) is kept
    assert journal.find(5) is None


def test_oldest_queries_make_room() -> None:
    journal = Journal()
    for query_id in range(NUM_KEPT_QUERIES + 2):
        journal.record(make_query(query_id), "app", None, 0.0)
    assert [journal.find(query_id) for query_id in (0, 1)] == [None, None]
    assert None not in [journal.find(query_id) for query_id in (2, NUM_KEPT_QUERIES + 1)]


def test_answered_query_is_kept_with_what_happened_to_it() -> None:
    endpoint = Endpoint()
    replica = endpoint.bench.join()
    endpoint.ask(Client(), b'{"input": "a"}')
    endpoint.bench.loop.advance(0.01)
    endpoint.bench.answer(replica, "A")
    query = endpoint.journal.find(0)
    assert query is not None
    assert query.sending is not None
    assert (query.application_name, str(query.model_id), query.reason) == ("digits", "digits-net:1", None)
    assert (query.sending.batch_size, query.sending.replica_id) == (1, replica.replica_id)
    assert query.arrived_s <= query.sending.sent_s < query.answered_s


def test_default_output_is_kept_with_its_reason() -> None:
    endpoint = Endpoint()
    endpoint.ask(Client(), b'{"input": "a"}')
    query = endpoint.journal.find(0)
    assert query is not None
    assert (query.reason, query.sending) == ("no_ready_replica", None)


def test_each_input_of_a_batch_is_kept() -> None:
    endpoint = Endpoint()
    endpoint.ask(Client(), b'{"input_batch": ["a", "b"]}')
    assert [endpoint.journal.find(query_id) is None for query_id in range(3)] == [False, False, True]


def test_kept_query_keeps_neither_output_nor_client() -> None:
    endpoint = Endpoint()
    replica = endpoint.bench.join()
    clients = [Client(), Client()]
    endpoint.ask(clients[0], b'{"input": "a"}')
    endpoint.bench.answer(replica, "A" * 1000)
    endpoint.ask(clients[1], b'{"input_batch": ["b", "c"]}')
    endpoint.bench.answer(replica, "B", *(["C"] if len(replica.batches[-1]) == 2 else []))
    for batch in replica.batches[2:]:
        endpoint.bench.answer(replica, *batch)
    assert [len(client.replies) for client in clients] == [1, 1]
    left = [weakref.ref(client) for client in clients]
    clients.clear()
    gc.collect()
    assert [client() for client in left] == [None, None]
    query = endpoint.journal.find(0)
    assert query is not None
    assert (query.output, query.computation) == ("", None)
