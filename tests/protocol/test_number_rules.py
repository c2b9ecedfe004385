"""The rules on numbers: one sentence in the notebook and at the management frontend."""

from __future__ import annotations

import asyncio
import math

import numpy as np
import pytest

from clipper_nb.clients.management_client import ManagementClient
from clipper_nb.errors import InvalidRequestError
from clipper_nb.protocol import rest
from clipper_nb.protocol.names import ModelId
from clipper_nb.protocol.number_rules import BATCH_SIZE, HANG_TIMEOUT, SLO_MICROS, checked
from clipper_nb.runtime.management_frontend.service import ManagementService
from clipper_nb.runtime.state.memory_store import MemoryStore

NO_NUMBERS = [None, "1", [1], True, False, 1j, b"1"]


@pytest.mark.parametrize("seconds", [None, 1, 0.25, 1e9])
def test_hang_timeout_is_positive_or_none(seconds):
    HANG_TIMEOUT.check(seconds)


@pytest.mark.parametrize("seconds", [0, -1.0, math.inf, math.nan, True, "30", [30]])
def test_other_hang_timeout_is_refused(seconds):
    with pytest.raises(InvalidRequestError, match="hang_timeout_s must be a number of seconds above 0, or None"):
        HANG_TIMEOUT.check(seconds)


@pytest.mark.parametrize("batch_size", [-1, 1, 4096])
def test_batch_size_is_a_maximum_or_adapts(batch_size):
    BATCH_SIZE.check(batch_size)


@pytest.mark.parametrize("batch_size", [*NO_NUMBERS, 0, -2, 1.0, -1.0, math.inf])
def test_other_batch_size_is_refused(batch_size):
    with pytest.raises(InvalidRequestError, match=r"batch_size \(or -1 to adapt to the SLO\)"):
        BATCH_SIZE.check(batch_size)


def test_whole_number_of_numpy_is_told_what_to_pass():
    with pytest.raises(InvalidRequestError, match=r"it is np.int64\(8\)\. Pass int\(8\)\."):
        BATCH_SIZE.check(np.int64(8))


@pytest.mark.parametrize("slo_micros", [*NO_NUMBERS, 0, -1, 2**31, 1e5])
def test_slo_has_bounds_and_the_sentence_says_what_to_send(slo_micros):
    with pytest.raises(InvalidRequestError) as info:
        SLO_MICROS.check(slo_micros)
    assert str(info.value) == (
        "slo_micros (the latency SLO) must be a whole number, from 1 to 2147483647; "
        f"it is {slo_micros!r}. 100 ms is 100000."
    )


def test_record_without_a_rule_is_fine():
    record = rest.ModelName("anything")
    assert checked(record) is record


async def _ask_service(ask):
    await ask(ManagementService(MemoryStore()))


@pytest.mark.parametrize(
    ("in_notebook", "at_frontend"),
    [
        (
            lambda client: client.register_application("a", "doubles", "", 0),
            lambda service: service.register_application(rest.AddApplication("a", "doubles", "", 0)),
        ),
        (
            lambda client: client.register_model(rest.AddModel("m", "1", "doubles", batch_size=0)),
            lambda service: service.register_version(rest.AddModel("m", "1", "doubles", batch_size=0)),
        ),
        (
            lambda client: client.set_num_replicas(ModelId("m", "1"), -1),
            lambda service: service.set_num_replicas(rest.NumReplicas("m", "1", -1)),
        ),
    ],
    ids=["SLO", "batch size", "number of replicas"],
)
def test_both_ends_refuse_by_the_same_sentence(in_notebook, at_frontend):
    """The notebook's end asks nobody: nothing listens at the address."""
    with pytest.raises(InvalidRequestError) as here:
        in_notebook(ManagementClient("127.0.0.1:1", "token"))
    with pytest.raises(InvalidRequestError) as there:
        asyncio.run(_ask_service(at_frontend))
    assert str(here.value) == str(there.value)
