"""Outputs by exact input and model version, bounded in bytes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clipper_nb.protocol.names import ModelId
from clipper_nb.runtime.query_frontend.prediction_cache import PredictionCache, cache_key, key_prefix
from tests.support.examples import examples
from tests.support.fake_replica import MODEL_ID
from tests.support.queries import make_computation

OTHER_ID = ModelId("digits-net", "2")
LARGE = 1_000_000


def key_of(model_id, payload):
    """Return the cache's key of an input."""
    return cache_key(key_prefix(model_id, 0), payload)


def output_of(cache, model_id, payload):
    """Return the output that *cache* has for an input."""
    return cache.find_output(key_of(model_id, payload), payload)


def in_flight_of(cache, model_id, payload):
    """Return the computation of an input that others may join."""
    return cache.find_in_flight(key_of(model_id, payload), payload)


def compute(cache, payload, output, model_id=MODEL_ID):
    """Let a computation be made and end with *output*."""
    computation = make_computation(payload)
    computation.model_id = model_id
    cache.watch(key_of(model_id, payload), computation)
    if output is not None:
        computation.succeed(output)
    return computation


def test_output_is_kept_for_exactly_its_input_and_version():
    cache = PredictionCache(LARGE)
    compute(cache, b"a", "A")
    assert output_of(cache, MODEL_ID, b"a") == "A"
    assert output_of(cache, MODEL_ID, b"A") is None
    assert output_of(cache, MODEL_ID, b"") is None
    assert output_of(cache, OTHER_ID, b"a") is None


def test_inputs_with_one_digest_are_two_inputs():
    """Exactness does not rest on the digest: what is found by it is compared."""
    cache = PredictionCache(LARGE)
    key = key_of(MODEL_ID, b"a")
    first, second = make_computation(b"a"), make_computation(b"b")
    cache.watch(key, first)
    assert cache.find_in_flight(key, b"b") is None
    cache.watch(key, second)
    first.succeed("A")
    second.succeed("B")
    assert (cache.find_output(key, b"a"), cache.find_output(key, b"b")) == ("A", None)
    assert len(cache) == 1


def test_empty_output_is_an_output():
    cache = PredictionCache(LARGE)
    compute(cache, b"", "")
    assert output_of(cache, MODEL_ID, b"") == ""


def test_computation_under_way_can_be_joined_until_it_ends():
    cache = PredictionCache(LARGE)
    computation = compute(cache, b"a", None)
    assert in_flight_of(cache, MODEL_ID, b"a") is computation
    assert in_flight_of(cache, OTHER_ID, b"a") is None
    assert output_of(cache, MODEL_ID, b"a") is None
    computation.succeed("A")
    assert in_flight_of(cache, MODEL_ID, b"a") is None


@pytest.mark.parametrize("end", ["fail", "abandon"])
def test_computation_without_an_output_leaves_nothing(end):
    """The next query with this input must be computed."""
    cache = PredictionCache(LARGE)
    computation = compute(cache, b"a", None)
    computation.fail("It raised.") if end == "fail" else computation.abandon()
    assert in_flight_of(cache, MODEL_ID, b"a") is None
    assert output_of(cache, MODEL_ID, b"a") is None
    assert len(cache) == 0


def test_cache_of_size_zero_is_off():
    cache = PredictionCache(0)
    computation = compute(cache, b"a", None)
    assert not cache.is_on
    assert in_flight_of(cache, MODEL_ID, b"a") is None
    computation.succeed("A")
    assert output_of(cache, MODEL_ID, b"a") is None
    assert (len(cache), cache.size_bytes) == (0, 0)


def test_least_recently_used_output_goes_first():
    cache = PredictionCache(1200)  # three entries and their overhead
    for payload in (b"a", b"b", b"c"):
        compute(cache, payload, "X")
    assert len(cache) == 3
    output_of(cache, MODEL_ID, b"a")
    compute(cache, b"d", "X")
    found = [payload for payload in (b"a", b"b", b"c", b"d") if output_of(cache, MODEL_ID, payload)]
    assert found == [b"a", b"c", b"d"]
    assert cache.evictions == 1


def test_inputs_count_too():
    cache = PredictionCache(10_000)
    compute(cache, b"x" * 9_000, "X")
    compute(cache, b"y" * 9_000, "X")
    assert output_of(cache, MODEL_ID, b"x" * 9_000) is None
    assert output_of(cache, MODEL_ID, b"y" * 9_000) == "X"


@pytest.mark.parametrize(("payload", "output"), [(b"x" * 2_000, "X"), (b"x", "X" * 2_000), (b"x", "é" * 500)])
def test_entry_that_is_larger_than_the_cache_drives_nothing_out(payload, output):
    cache = PredictionCache(1000)
    compute(cache, b"a", "A")
    compute(cache, payload, output)
    assert output_of(cache, MODEL_ID, payload) is None
    assert output_of(cache, MODEL_ID, b"a") == "A"
    assert cache.evictions == 0


def test_reregistered_version_shares_no_cache_entries():
    """Under the same name it is another model."""
    cache = PredictionCache(LARGE)
    compute(cache, b"a", "A")
    compute(cache, b"b", None)
    again = key_prefix(MODEL_ID, 1)
    assert cache.find_output(cache_key(again, b"a"), b"a") is None
    assert cache.find_in_flight(cache_key(again, b"b"), b"b") is None
    assert output_of(cache, MODEL_ID, b"a") == "A"


steps = st.one_of(
    st.tuples(st.just("start"), st.integers(0, 5), st.sampled_from([MODEL_ID, OTHER_ID])),
    st.tuples(st.just("end"), st.integers(0, 20), st.text(max_size=300)),
    st.tuples(st.just("fail"), st.integers(0, 20), st.none()),
    st.tuples(st.just("look"), st.integers(0, 5), st.sampled_from([MODEL_ID, OTHER_ID])),
)


@examples(150)
@given(st.integers(1, 2000), st.lists(steps, max_size=40))
def test_cache_never_outgrows_its_size_or_returns_other_outputs(limit_bytes, sequence):
    cache = PredictionCache(limit_bytes)
    running, outputs = [], {}
    for step, number, value in sequence:
        if step == "start" and in_flight_of(cache, value, b"%d" % number) is None:
            running.append(compute(cache, b"%d" % number, None, value))
        elif step in ("end", "fail") and running:
            computation = running.pop(number % len(running))
            key = (computation.model_id, computation.payload)
            is_watched = in_flight_of(cache, *key) is computation
            if step == "fail":
                computation.fail("It raised.")
                continue
            if is_watched and output_of(cache, *key) is None:
                outputs[key] = value
            computation.succeed(value)
        elif step == "look":
            found = output_of(cache, value, b"%d" % number)
            assert found in (None, outputs.get((value, b"%d" % number)))
        assert 0 <= cache.size_bytes <= limit_bytes
        kept = [key for key in outputs if output_of(cache, *key) is not None]
        assert len(kept) == len(cache)
        assert all(output_of(cache, *key) == outputs[key] for key in kept)
        assert cache.size_bytes >= sum(len(key[1]) + len(outputs[key]) for key in kept)
