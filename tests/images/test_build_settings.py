"""What of the notebook's environment reaches a build: pip's index and proxies, and the way to them. (no engine)"""

from __future__ import annotations

import subprocess
import sys

import pytest

from clipper_nb.images.build_settings import network_settings
from clipper_nb.images.install_steps import PIP


def _settings(**variables: str) -> dict:
    return network_settings(variables)


def test_unset_variables_are_not_passed():
    assert _settings(HOME="/root", PIP_INDEX_URL="") == {"buildargs": {}, "network_mode": None}


def test_pip_and_proxy_settings_are_passed_in_both_spellings():
    variables = {
        "PIP_INDEX_URL": "https://pypi.example/simple", "PIP_EXTRA_INDEX_URL": "https://more.example/simple",
        "PIP_TRUSTED_HOST": "pypi.example", "PIP_RETRIES": "1", "PIP_DEFAULT_TIMEOUT": "5",
        "HTTP_PROXY": "http://proxy.example:3128", "https_proxy": "http://proxy.example:3128", "no_proxy": "localhost",
    }  # fmt: skip
    assert _settings(**variables, AWS_SECRET_ACCESS_KEY="x") == {"buildargs": variables, "network_mode": None}


@pytest.mark.parametrize(
    "address",
    ["http://127.0.0.1:3128", "http://localhost", "https://LOCALHOST:8080/simple/", "127.0.0.1:3128", "localhost:3128",
     "http://user:secret@127.0.0.1:3128/", "http://[::1]:3128", "socks5h://127.0.1.1:1080",
     "https://pypi.example/simple http://localhost:3141/simple"],
)  # fmt: skip
@pytest.mark.parametrize("name", ["PIP_EXTRA_INDEX_URL", "HTTPS_PROXY", "http_proxy"])
def test_loopback_address_uses_the_host_network(name, address):
    assert _settings(**{name: address})["network_mode"] == "host"


def test_settings_with_a_password_are_passed_in_hiding():
    public, secret = "https://pypi.example/simple", "https://me:pass-word@pypi.example/simple https://token@b.example"
    [passed] = [_settings(PIP_INDEX_URL=public, PIP_EXTRA_INDEX_URL=secret, PIP_RETRIES="1")["buildargs"]]
    hidden = passed.pop("ftp_proxy")
    assert passed == {"PIP_INDEX_URL": public, "PIP_RETRIES": "1"}
    assert "pass-word" not in hidden
    assert _run_pip(hidden) == f"['pip', 'list'] {secret}"


@pytest.mark.parametrize("proxy", ["", "http://proxy.example:3128"])
def test_pip_runs_without_hidden_settings(proxy):
    assert _run_pip(proxy) == "['pip', 'list'] None"


_WITHOUT_PIP = """
import runpy, sys
runpy.run_module = lambda *args, **options: print(sys.argv[:2], os.environ.get("PIP_EXTRA_INDEX_URL"))
"""
"""pip itself is asked in ``test_package_indexes.py``."""


def _run_pip(ftp_proxy: str) -> str:
    program = f"import os\nos.environ['ftp_proxy'] = {ftp_proxy!r}\n{_WITHOUT_PIP}{PIP.command[2]}"
    command = [sys.executable, "-c", program, "pip", "list"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


@pytest.mark.parametrize(
    "address",
    ["http://proxy.example:3128", "proxy.example:3128", "http://localhost.example/", "https://pypi.example/127.0.0.1/",
     "http://10.127.0.1:3128", "http://127.0.0.1.example/"],
)  # fmt: skip
def test_any_other_address_needs_no_network_of_the_hosts(address):
    assert _settings(PIP_INDEX_URL=address)["network_mode"] is None


def test_no_proxy_does_not_choose_the_host_network():
    assert _settings(NO_PROXY="localhost,127.0.0.1", no_proxy="localhost")["network_mode"] is None
