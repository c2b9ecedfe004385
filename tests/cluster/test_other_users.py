"""When a cluster asks for a token by default: from given facts, and from what this machine says."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from clipper_nb.cluster.other_users import Account, MachineFacts, _read_accounts, find_other_users, observe_machine

ROOT = Account("root", 0, "/root", "/bin/bash")
DAEMON = Account("daemon", 1, "/usr/sbin", "/usr/sbin/nologin")
GDM = Account("gdm", 120, "/var/lib/gdm3", "/bin/false")
ANN = Account("ann", 1000, "/home/ann", "/bin/bash")
BOB = Account("bob", 1001, "/home/bob", "/usr/bin/zsh")
NOBODY = Account("nobody", 65534, "/nonexistent", "/bin/sh")
DYNAMIC = Account("service", 61184, "/", "/bin/sh")
HOMES = frozenset({"/home/ann", "/home/bob", "/"})

LAPTOP = MachineFacts(1000, (ROOT, DAEMON, GDM, NOBODY, DYNAMIC, ANN), HOMES, logged_in=("ann", "ann", "root", "gdm"))
CONTAINER = MachineFacts(0, (ROOT, ANN), HOMES, is_container=True)


@pytest.mark.parametrize(
    "facts",
    [
        LAPTOP,
        CONTAINER,
        MachineFacts(0, (ROOT, DAEMON)),
        MachineFacts(12345, (ROOT,)),  # an id without an account, as containers may be given one
        replace(LAPTOP, user_id=0, variables={"SUDO_UID": "1000", "SUDO_USER": "ann"}),
        replace(LAPTOP, accounts=(*LAPTOP.accounts, replace(BOB, shell="/usr/sbin/nologin"))),
        replace(LAPTOP, accounts=(*LAPTOP.accounts, replace(BOB, home="/home/gone"))),
        replace(LAPTOP, variables={"JUPYTERHUB_USER": ""}),
    ],
)
def test_machine_of_ones_own_needs_no_token(facts: MachineFacts) -> None:
    assert find_other_users(facts) is None


@pytest.mark.parametrize(
    ("facts", "why"),
    [
        (replace(LAPTOP, accounts=(*LAPTOP.accounts, BOB)), "bob has an account on this machine"),
        (replace(LAPTOP, accounts=(*LAPTOP.accounts, BOB), logged_in=("bob",)), "bob is logged in on this machine"),
        (replace(LAPTOP, logged_in=("ann", "eve@directory")), "eve@directory is logged in on this machine"),
        (replace(LAPTOP, user_id=0), "ann is logged in on this machine"),
        (replace(CONTAINER, logged_in=("ann",)), "ann is logged in on this machine"),
        (replace(CONTAINER, variables={"JUPYTERHUB_API_TOKEN": "x"}), "JupyterHub runs this notebook"),
        (replace(LAPTOP, variables={"SUDO_UID": "what"}, user_id=0), "ann is logged in on this machine"),
    ],
)
def test_other_people_need_a_token(facts: MachineFacts, why: str) -> None:
    assert find_other_users(facts) == why


def test_accounts_are_read_and_broken_lines_left_out(tmp_path: Path) -> None:
    path = tmp_path / "passwd"
    path.write_text("root:x:0:0:root:/root:/bin/bash\n\nbroken\n+::::::\nann:x:1000:1000:Ann,,,:/home/ann:/bin/bash\n")
    assert _read_accounts(path) == [ROOT, ANN]
    assert _read_accounts(tmp_path / "none") == []


def test_this_machine_can_be_observed() -> None:
    facts = observe_machine({"JUPYTERHUB_USER": "ann"})
    assert find_other_users(facts) == "JupyterHub runs this notebook"
    assert any(account.user_id == 0 for account in facts.accounts)
