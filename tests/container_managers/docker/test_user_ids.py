"""User ids of containers are compared with the accounts of this machine, if the engine is here and maps none."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from clipper_nb.container_managers.docker.user_ids import check_ids, choose_user_ids, find_owners
from clipper_nb.errors import ClusterStartError, InvalidRequestError
from clipper_nb.images.user_ids import MAPPED, UNUSED, UserIds

HERE, ELSEWHERE = "http+docker://localhost", "http://engine:2375"


def _engine(options: tuple[str, ...] = ("name=seccomp,profile=default",), url: str = HERE) -> Any:
    client = SimpleNamespace(info=lambda: {"SecurityOptions": list(options)}, api=SimpleNamespace(base_url=url))
    return SimpleNamespace(client=client)


def test_ids_that_no_account_has_are_chosen() -> None:
    assert choose_user_ids(_engine(), None) == UNUSED
    assert choose_user_ids(_engine(), UserIds(1_900_000_000, 16)) == UserIds(1_900_000_000, 16)


@pytest.mark.parametrize("option", ["name=userns", "name=rootless"])
def test_engine_that_maps_ids_decides_which_there_are(option: str) -> None:
    assert choose_user_ids(_engine((option,)), None) == MAPPED
    assert choose_user_ids(_engine((option,)), UserIds(500, 16)) == UserIds(500, 16)
    with pytest.raises(InvalidRequestError, match="maps user ids"):
        choose_user_ids(_engine((option,)), UNUSED)


def test_id_of_an_account_is_refused_by_its_name() -> None:
    with pytest.raises(ClusterStartError, match=r"user nobody \(65534\).*container_user_ids=range\("):
        choose_user_ids(_engine(), UserIds(65_530, 16))
    assert choose_user_ids(_engine(url=ELSEWHERE), UserIds(65_530, 16)) == UserIds(65_530, 16)


@pytest.mark.parametrize(
    ("line", "is_taken"),
    [("alice:2013265000:65536", True), ("2000:2013266943:1", True), ("alice:2013266944:65536", False),
     ("alice:100000:65536", False), ("# alice", False), ("alice:many:65536", False), ("alice:2013265000:920", False)],
)  # fmt: skip
def test_subordinate_ids_of_an_account_are_taken_too(tmp_path: Path, line: str, is_taken: bool) -> None:
    path = tmp_path / "subuid"
    path.write_text(f"root:1:2\n{line}\n")
    found = find_owners(UNUSED, [path, tmp_path / "missing"])
    assert bool(found) is is_taken
    if is_taken:
        owner, _, numbers = line.partition(":")
        assert found == [f"{owner} (subuid: {numbers})"]


@pytest.mark.parametrize(
    ("engine", "asked", "state", "words"),
    [(_engine(), None, "ok", "2013265920 to 2013266943, which no account has"),
     (_engine(("name=userns",)), None, "ok", "maps user ids"),
     (_engine(url=ELSEWHERE), None, "ok", "accounts elsewhere are not checked"),
     (_engine(), UserIds(65_530, 16), "problem", "user nobody")],
)  # fmt: skip
def test_doctor_tells_whose_ids_containers_have(engine: Any, asked: UserIds | None, state: str, words: str) -> None:
    finding = check_ids(engine, engine.client.info(), asked)
    assert finding.state == state
    assert words in finding.found
