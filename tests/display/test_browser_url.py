"""URLs for the browser that shows the notebook."""

from __future__ import annotations

import pytest

from clipper_nb.display.browser_url import browser_url, hub_hosts


def test_names_of_a_hub_are_those_of_its_urls(monkeypatch: pytest.MonkeyPatch) -> None:
    assert hub_hosts() == ()
    monkeypatch.setenv("JUPYTERHUB_PUBLIC_URL", "https://Hub.example.org:8443/user/ann/")
    monkeypatch.setenv("JUPYTERHUB_HOST", "https://hub.example.org")
    assert hub_hosts() == ("hub.example.org",)


def test_on_a_hub_links_go_through_the_proxy_which_speaks_http(monkeypatch: pytest.MonkeyPatch) -> None:
    assert browser_url("http://127.0.0.1:1337") == "http://127.0.0.1:1337"
    monkeypatch.setenv("JUPYTERHUB_SERVICE_PREFIX", "/user/ann/")
    assert browser_url("http://127.0.0.1:1337") == "/user/ann/proxy/1337"
    assert browser_url("https://127.0.0.1:1337") == "https://127.0.0.1:1337"
