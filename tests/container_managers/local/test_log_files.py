"""Logs are bounded without the help of the processes that write them, and their end is read across the parts."""

from __future__ import annotations

import stat
import subprocess
import sys

from clipper_nb.container_managers.local.log_files import log_parts, open_log, read_tail, remove_log, rotate_log
from clipper_nb.protocol.load_report import describe_load_failure, format_load_failure, parse_load_failure


def write_lines(log, first, last):
    for number in range(first, last):
        log.write(b"line %06d\n" % number)
    log.flush()


def test_log_is_private(tmp_path):
    with open_log(tmp_path / "a.log"):
        pass
    assert stat.S_IMODE((tmp_path / "a.log").stat().st_mode) == 0o600


def test_log_that_is_not_full_is_left_alone(tmp_path):
    (tmp_path / "a.log").write_bytes(b"x" * 100)
    assert not rotate_log(tmp_path / "a.log", largest_size_bytes=100)
    assert not rotate_log(tmp_path / "missing.log", largest_size_bytes=100)
    assert log_parts(tmp_path / "a.log") == [tmp_path / "a.log"]


def test_unaware_process_continues_in_the_new_log_part(tmp_path):
    path = tmp_path / "a.log"
    writer = "import sys\nfor line in sys.stdin: print('wrote', line.strip(), flush=True)\nprint('end')"
    with open_log(path) as log:
        process = subprocess.Popen([sys.executable, "-c", writer], stdin=subprocess.PIPE, stdout=log, text=True)
    with process:
        process.stdin.write("before\n" * 50)
        process.stdin.flush()
        while path.stat().st_size < 50 * len("wrote before\n"):
            pass
        assert rotate_log(path, largest_size_bytes=20)
        process.communicate("after\n", timeout=30)
    assert path.read_text() == "wrote after\nend\n"  # at its beginning: no hole
    assert read_tail(path, 3) == "wrote before\nwrote after\nend"


def test_rotation_loses_no_line_and_drops_the_oldest_part(tmp_path):
    path = tmp_path / "a.log"
    with open_log(path) as log:
        for number in range(5):
            write_lines(log, number * 100, (number + 1) * 100)
            assert not rotate_log(path, largest_size_bytes=1200)
            log.write(b"full\n")
            log.flush()
            assert rotate_log(path, largest_size_bytes=1200)
    assert [part.name for part in log_parts(path)] == ["a.log", "a.log.1", "a.log.2"]
    assert {stat.S_IMODE(part.stat().st_mode) for part in log_parts(path)} == {0o600}
    assert sorted(part.name for part in tmp_path.iterdir()) == ["a.log", "a.log.1", "a.log.2"]
    assert read_tail(path, 3).splitlines() == ["line 000498", "line 000499", "full"]


def test_end_of_a_far_too_large_log_is_kept(tmp_path):
    path = tmp_path / "a.log"
    with open_log(path) as log:
        write_lines(log, 0, 10_000)
    assert rotate_log(path, largest_size_bytes=1200)
    assert [part.stat().st_size for part in log_parts(path)] == [0, 2400]
    assert read_tail(path, 1) == "line 009999"


def test_load_failure_is_read_across_a_log_rotation(tmp_path):
    path = tmp_path / "a.log"
    report = format_load_failure(describe_load_failure(ModuleNotFoundError("No module named 'x'", name="x"))).encode()
    with open_log(path) as log:
        write_lines(log, 0, 100)
        log.write(report[:40])
        log.flush()
        assert rotate_log(path, largest_size_bytes=1000)
        log.write(report[40:] + b"\n")
    assert parse_load_failure(read_tail(path, 40)).missing_module == "x"
    assert rotate_log(path, largest_size_bytes=150)
    assert parse_load_failure(read_tail(path, 40)).missing_module == "x"


def test_full_disk_makes_the_log_empty(tmp_path, monkeypatch):
    path = tmp_path / "a.log"
    path.write_bytes(b"x" * 100)
    (tmp_path / "a.log.copy").mkdir()  # the copy cannot be written
    monkeypatch.setattr("pathlib.Path.unlink", lambda *_, **__: None)
    assert rotate_log(path, largest_size_bytes=10)
    assert path.stat().st_size == 0


def test_log_is_removed_with_its_parts(tmp_path):
    for name in ("a.log", "a.log.1", "a.log.2", "b.log"):
        (tmp_path / name).write_text("")
    remove_log(tmp_path / "a.log")
    remove_log(tmp_path / "a.log")
    assert [path.name for path in tmp_path.iterdir()] == ["b.log"]


def test_tail_of_a_missing_log_is_empty(tmp_path):
    assert read_tail(tmp_path / "a.log", 10) == ""
