"""Tests of what the caller names of the notebook's surroundings: environment variables and files."""

import pytest

from clipper_nb.cluster.new_version import make_new_version
from clipper_nb.cluster.surroundings import LARGE_BYTES, check_environment_variables, check_files, copy_files
from clipper_nb.errors import InvalidRequestError

NOTEBOOK = {"T": "0.9", "TZ": "Asia/Tokyo"}
SECRET = "a value that nobody may see"


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    (tmp_path / "notebook" / "data" / "deep").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "notebook")
    (tmp_path / "notebook" / "words.txt").write_text("a b")
    (tmp_path / "notebook" / "data" / "deep" / "more.txt").write_text("c")
    return tmp_path / "notebook"


@pytest.mark.parametrize(
    ("chosen", "values"),
    [
        (None, {"TZ": "Asia/Tokyo"}),
        (["T"], {"T": "0.9", "TZ": "Asia/Tokyo"}),
        (("T",), {"T": "0.9", "TZ": "Asia/Tokyo"}),
        ({"T": "0.5", "TZ": "UTC"}, {"T": "0.5", "TZ": "UTC"}),
        ({}, {"TZ": "Asia/Tokyo"}),
    ],
)
def test_variables_are_named_or_given(chosen, values):
    assert check_environment_variables(chosen, NOTEBOOK).values == values


@pytest.mark.parametrize("chosen", ["T", ["NOT_SET"], [1], {"T": 1}, 5])
def test_other_variables_are_refused(chosen):
    with pytest.raises(InvalidRequestError):
        check_environment_variables(chosen, NOTEBOOK)


def test_what_the_caller_gives_replaces_what_code_reads(monkeypatch):
    monkeypatch.setenv("T", "0.9")
    monkeypatch.setenv("U", SECRET)

    new = make_new_version("net", 1, "doubles", environment_variables={"T": "0.5"}).with_variables(["T", "U", "V"])

    assert {name: new.environment()[name] for name in ("T", "U")} == {"T": "0.5", "U": SECRET}
    assert "V" not in new.environment()
    assert SECRET not in f"{new!r}{new.registration()!r}"


def test_files_are_copied_with_their_folders(here, tmp_path):
    (here / "link.txt").symlink_to(here / "words.txt")
    (here / "data" / "empty").mkdir()

    names = check_files(["./words.txt", "data/", "link.txt", "words.txt"])
    copy_files(names, tmp_path / "model")

    assert names == ("words.txt", "data", "link.txt")
    files = tmp_path / "model" / "files"
    assert (files / "words.txt").read_text() == (files / "link.txt").read_text() == "a b"
    assert not (files / "link.txt").is_symlink()
    assert (files / "data" / "deep" / "more.txt").read_text() == "c"
    assert (files / "data" / "empty").is_dir()


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ("words.txt", "must be a list"),
        (["/etc/passwd"], "relative paths"),
        (["../other"], "relative paths"),
        (["data/../../other"], "relative paths"),
        (["."], "relative paths"),
        ([""], "relative paths"),
        (["missing.txt"], "there is no 'missing.txt'"),
        ([1], "paths"),
    ],
)
def test_other_files_are_refused(files, words):
    with pytest.raises(InvalidRequestError, match=words):
        check_files(files)


def test_large_files_travel_only_on_request(here):
    with open(here / "large.bin", "wb") as file:
        file.truncate(LARGE_BYTES + 1)

    with pytest.raises(InvalidRequestError, match="allow_large=True"):
        check_files(["large.bin"])
    assert check_files(["large.bin"], allow_large=True) == ("large.bin",)


def test_large_files_are_refused_where_the_deployer_says_so(here):
    with open(here / "large.bin", "wb") as file:
        file.truncate(LARGE_BYTES + 1)

    with pytest.raises(InvalidRequestError, match="allow_large=True"):
        make_new_version("net", 1, "doubles", files=["large.bin"], allow_large=False)
    assert make_new_version("net", 1, "doubles", files=["large.bin"]).files == ("large.bin",)
