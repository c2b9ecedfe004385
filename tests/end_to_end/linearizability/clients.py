"""Clients of the management frontend that ask at random, all at once, and write down what they are told."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Hashable
from typing import Any

from clipper_nb import ClipperConnection
from clipper_nb.clients.management_client import ManagementClient
from clipper_nb.errors import (
    ClipperException,
    ExistsError,
    InvalidRequestError,
    NotFoundError,
    StateUnavailableError,
)
from clipper_nb.protocol.names import ModelId
from clipper_nb.protocol.rest import AddModel
from tests.end_to_end.linearizability.admin_model import DONE, EXISTS, INVALID, NOT_FOUND, AdminState
from tests.end_to_end.linearizability.history import UNKNOWN, Call

_APPLICATIONS, _MODELS, _VERSIONS = ("a", "b"), ("m", "n"), ("1", "2", "3")
_TYPES = ("doubles", "doubles", "doubles", "strings")  # mostly alike, so that most links fit
_LONGEST_PAUSE_S = 0.02
_PAUSE_AFTER_FAILURE_S = 0.2
_NOTHING_HAPPENED = None


def run_clients(conn: ClipperConnection, *, num_clients: int, calls_each: int, seed: int) -> list[Call]:
    """Return what all clients were told."""
    history: list[Call] = []
    chances = [random.Random(f"{seed}-{number}") for number in range(num_clients)]
    threads = [
        threading.Thread(target=_ask_at_random, args=(conn, f"client {number}", calls_each, chance, history))
        for number, chance in enumerate(chances)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return history


def read_state(conn: ClipperConnection) -> AdminState:
    """Return what there is, while nobody changes it."""
    client = _client(conn)
    try:
        return AdminState(*_read_applications(client), *_read_versions(client))
    finally:
        client.close()


def _client(conn: ClipperConnection) -> ManagementClient:
    return ManagementClient.at(conn.get_admin_addr(), conn.cm.get_admin_token())


def _ask_at_random(
    conn: ClipperConnection, name: str, num_calls: int, chance: random.Random, history: list[Call]
) -> None:
    client = _client(conn)
    for _ in range(num_calls):
        time.sleep(chance.uniform(0, _LONGEST_PAUSE_S))
        operation, *arguments = _choose(chance)
        started_s = time.monotonic()
        result = _ask(client, operation, arguments)
        if result is not _NOTHING_HAPPENED:
            history.append(Call(name, operation, tuple(arguments), result, started_s, time.monotonic()))
        if result in (_NOTHING_HAPPENED, UNKNOWN):
            time.sleep(_PAUSE_AFTER_FAILURE_S)
    client.close()


def _choose(chance: random.Random) -> list[str]:
    application, model, version = chance.choice(_APPLICATIONS), chance.choice(_MODELS), chance.choice(_VERSIONS)
    return chance.choice(
        [
            ["register_application", application, chance.choice(_TYPES)],
            ["unregister_application", application],
            ["link", application, model],
            ["unlink", application, model],
            ["register_version", model, version, chance.choice(_TYPES)],
            ["register_version", model, version, chance.choice(_TYPES)],
            ["unregister_version", model, version],
            ["set_current", model, version],
            ["read_applications"],
            ["read_versions"],
        ]
    )


def _ask(client: ManagementClient, operation: str, arguments: list[str]) -> Hashable:
    """Return what the client was told, or ``None`` when that is that nothing happened."""
    is_read = operation.startswith("read_")
    try:
        answer = _CALLS[operation](client, *arguments)
    except ExistsError:
        return EXISTS
    except NotFoundError:
        return NOT_FOUND
    except InvalidRequestError:
        return INVALID
    except StateUnavailableError as exc:
        return _NOTHING_HAPPENED if is_read or "othing was changed" in exc.msg else UNKNOWN
    except ClipperException:
        return _NOTHING_HAPPENED if is_read else UNKNOWN
    return answer if is_read else DONE


def _register_version(client: ManagementClient, model: str, version: str, input_type: str) -> None:
    client.register_model(AddModel(model, version, input_type))


def _read_applications(client: ManagementClient) -> tuple[frozenset, frozenset]:
    found = client.get_applications()
    return (
        frozenset((one.name, one.input_type) for one in found),
        frozenset((one.name, model) for one in found for model in one.linked_models),
    )


def _read_versions(client: ManagementClient) -> tuple[frozenset, frozenset]:
    found = client.get_models()
    return (
        frozenset((one.name, one.version, one.input_type) for one in found),
        frozenset((one.name, one.version) for one in found if one.is_current),
    )


_CALLS: dict[str, Any] = {
    "register_application": lambda client, name, kind: client.register_application(name, kind, "default", 1_000_000),
    "unregister_application": lambda client, name: client.unregister_application(name),
    "link": lambda client, application, model: client.link_model(application, model),
    "unlink": lambda client, application, model: client.unlink_model(application, model),
    "register_version": _register_version,
    "unregister_version": lambda client, model, version: client.unregister_model(ModelId(model, version)),
    "set_current": lambda client, model, version: client.set_model_version(ModelId(model, version)),
    "read_applications": _read_applications,
    "read_versions": _read_versions,
}
