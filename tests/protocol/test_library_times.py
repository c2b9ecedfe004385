"""Times and durations of every library keep their nanoseconds, alone, in columns, and in what is nested."""

from __future__ import annotations

import datetime as dt
import json
from typing import Any

import numpy as np
import pytest

from clipper_nb.protocol.frame_rows import find_columns, rows_as_text
from clipper_nb.protocol.library_times import iso_time
from clipper_nb.protocol.outputs import encode_outputs

TICKS = [1_704_067_200_123_456_789, -1, 1_704_067_200_000_000_000, None]
"""Nanoseconds since 1970: two that microseconds cannot hold, one that they can, and a missing one."""
TIMES = ["2024-01-01T00:00:00.123456789", "1969-12-31T23:59:59.999999999", "2024-01-01T00:00:00", None]
IN_BERLIN = ["2024-01-01T01:00:00.123456789+01:00", "1970-01-01T00:59:59.999999999+01:00",
             "2024-01-01T01:00:00+01:00", None]  # fmt: skip
IN_UTC = [time and time + "Z" for time in TIMES]
SPANS = [1, -1_500_000_000, None]
DURATIONS = ["PT0.000000001S", "-PT1.5S", None]
CLOCKS = [3_661_000_000_001, 86_399_000_000_000, None]
OF_DAY = ["01:01:01.000000001", "23:59:59", None]


def sent(value: Any) -> Any:
    """Return what a client gets, and make sure that it is the same inside another output."""
    alone, inside = (json.loads(encode_outputs([each], num_inputs=1)[0]) for each in (value, {"in": value}))
    assert inside == {"in": alone}
    return alone


def in_batch(column: Any) -> Any:
    return [json.loads(output) for output in encode_outputs(column, num_inputs=len(column), text_outputs="text")]


def test_times_of_numpy_and_pandas() -> None:
    pd = pytest.importorskip("pandas")
    ticks = np.array([tick if tick is not None else np.datetime64("NaT", "s").astype(int) for tick in TICKS])
    naive = pd.Series(ticks.astype("datetime64[ns]"))
    for column in (ticks.astype("datetime64[ns]"), naive, pd.DatetimeIndex(naive)):
        assert sent(column) == in_batch(column) == TIMES
    assert sent(naive.dt.tz_localize("UTC")) == IN_UTC
    assert sent(naive.dt.tz_localize("UTC").dt.tz_convert("Europe/Berlin")) == IN_BERLIN
    assert sent(pd.to_timedelta(SPANS)) == DURATIONS
    assert sent(pd.Timestamp(TICKS[0], tz="UTC")) == IN_UTC[0]
    assert sent(naive.to_frame("t"))[:2] == [{"t": time} for time in TIMES[:2]]


def polars_columns(pl: Any) -> dict[str, tuple[Any, list[Any]]]:
    ticks, spans, clocks = (pl.Series(values, dtype=pl.Int64) for values in (TICKS, SPANS, CLOCKS))
    times = ticks.cast(pl.Datetime("ns"))
    return {
        "naive": (times, TIMES),
        "UTC": (ticks.cast(pl.Datetime("ns", "UTC")), IN_UTC),
        "zone": (ticks.cast(pl.Datetime("ns", "Europe/Berlin")), IN_BERLIN),
        "duration": (spans.cast(pl.Duration("ns")), DURATIONS),
        "time of day": (clocks.cast(pl.Time), OF_DAY),
        "list": (times.implode(), [TIMES]),
        "struct": (pl.DataFrame({"t": times}).to_struct("s"), [{"t": time} for time in TIMES]),
        "array": (times.reshape((2, 2)), [TIMES[:2], TIMES[2:]]),
        "no time": (pl.Series(["Time", None], dtype=pl.Enum(["Time"])), ["Time", None]),
        "micros": (ticks.cast(pl.Datetime("ns")).cast(pl.Datetime("us")).head(1), ["2024-01-01T00:00:00.123456"]),
    }


def test_times_of_polars() -> None:
    pl = pytest.importorskip("polars")
    for name, (column, expected) in polars_columns(pl).items():
        assert sent(column) == in_batch(column) == expected, name
        frame = pl.DataFrame({"c": column})
        assert sent(frame) == in_batch(frame) == [{"c": each} for each in expected], name
        assert [json.loads(row)["c"] for row in rows_as_text(find_columns(frame) or [])] == expected, name


def test_times_of_arrow() -> None:
    pa, pd = pytest.importorskip("pyarrow"), pytest.importorskip("pandas")
    clocks = pa.array(CLOCKS, pa.time64("ns"))
    for column, expected in (
        (pa.array(TICKS, pa.timestamp("ns")), TIMES),
        (pa.array(TICKS, pa.timestamp("ns", "Europe/Berlin")), IN_BERLIN),
        (pa.array(SPANS, pa.duration("ns")), DURATIONS),
        (clocks, OF_DAY),
        (clocks.dictionary_encode(), OF_DAY),
        (pa.ListArray.from_arrays([0, 1, 3], clocks), [OF_DAY[:1], OF_DAY[1:]]),
        (pa.StructArray.from_arrays([clocks], ["t"]), [{"t": clock} for clock in OF_DAY]),
        (pa.array([1, None], pa.time64("us")), ["00:00:00.000001", None]),
    ):
        table = pa.table({"c": column})
        assert sent(column) == in_batch(pa.chunked_array([column])) == expected
        assert in_batch(table) == sent(table.to_batches()[0]) == [{"c": each} for each in expected]
        assert sent(column[0]) == expected[0]
    assert sent(pd.Series(clocks, dtype=pd.ArrowDtype(clocks.type))) == OF_DAY


def test_utc_is_z_and_offsets_stay() -> None:
    utc, india = dt.timezone.utc, dt.timezone(dt.timedelta(hours=5, minutes=30))
    assert iso_time(dt.datetime(2024, 2, 29, 12, tzinfo=utc)) == "2024-02-29T12:00:00Z"
    assert iso_time(dt.datetime(2024, 2, 29, 12, tzinfo=utc), 7) == "2024-02-29T12:00:00.000000007Z"
    assert iso_time(dt.time(1, 2, 3, 4, tzinfo=india), 50) == "01:02:03.000004050+05:30"
