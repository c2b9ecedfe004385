"""The engine's output while it builds: the step that runs, what it wrote, the images that it made."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from clipper_nb.images.build_log import BuildLog
from tests.images.sample_builds import SAMPLES, read_sample


def test_step_and_its_output_are_those_of_the_last_instruction():
    log, _, _ = read_sample("no-such-package")
    assert log.step.startswith('RUN ["python", "-m", "pip", "install"')
    assert log.of_step.splitlines()[1:] == [
        "ERROR: Could not find a version that satisfies the requirement clipper-nb-no-such-package==0.0.1 "
        "(from versions: none)",
        "ERROR: No matching distribution found for clipper-nb-no-such-package==0.0.1",
    ]


def test_build_output_is_shown_without_bookkeeping_and_colours():
    for path in SAMPLES.iterdir():
        _, shown, _ = read_sample(path.stem)
        assert shown
        assert shown[0].startswith("Step 1/")
        assert not [line for line in shown if "\x1b" in line or "--->" in line or "intermediate" in line]


def test_finished_step_images_exclude_the_base_image():
    log, _, _ = read_sample("disk-full")
    assert log.made_images == ["4dda72c1188e", "df6e1bc3deae"]


def test_cached_images_do_not_count_as_built():
    log = BuildLog()
    list(log.add("Step 1/4 : FROM debian\n ---> aaaaaaaaaaaa\n"))
    list(log.add("Step 2/4 : USER root\n ---> Using cache\n ---> bbbbbbbbbbbb\n"))
    list(log.add("Step 3/4 : COPY a b\n ---> cccccccccccc\n"))
    list(log.add("Step 4/4 : RUN true\n ---> Running in dddddddddddd\n"))
    assert log.made_images == ["cccccccccccc"]


def test_image_below_a_step_is_that_of_the_step_before():
    log = BuildLog()
    list(log.add("Step 1/3 : FROM debian\n ---> aaaaaaaaaaaa\n"))
    list(log.add("Step 2/3 : USER root\n ---> Using cache\n ---> bbbbbbbbbbbb\n"))
    list(log.add("Step 3/3 : COPY a b\n ---> cccccccccccc\n"))
    assert log.image_below["COPY a b"] == "bbbbbbbbbbbb"


def test_only_the_end_of_a_long_step_is_kept():
    log = BuildLog()
    list(log.add("Step 1/1 : RUN noisy\n" + "".join(f"{number}\n" for number in range(10_000))))
    assert log.of_step.splitlines()[-1] == "9999"
    assert len(log.of_step) < 10_000


def test_line_without_an_end_counts():
    log = BuildLog()
    assert list(log.add("Step 1/1 : RUN a\nalmost")) == ["Step 1/1 : RUN a"]
    assert log.of_step == "Step 1/1 : RUN a\nalmost"


@settings(deadline=None)
@given(st.data())
def test_output_may_come_in_any_pieces(data):
    text = "Step 1/2 : FROM a\n ---> aaaaaaaaaaaa\nStep 2/2 : RUN b\n ---> Running in cccccccccccc\none\ntwo\nthree\n"
    cuts = sorted(data.draw(st.sets(st.integers(0, len(text)), max_size=8)))
    log, shown = BuildLog(), []
    for start, end in zip([0, *cuts], [*cuts, len(text)], strict=True):
        shown.extend(log.add(text[start:end]))
    assert shown == ["Step 1/2 : FROM a", "Step 2/2 : RUN b", "one", "two", "three"]
    assert log.of_step == "Step 2/2 : RUN b\none\ntwo\nthree"
