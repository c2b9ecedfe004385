"""Which requests are admitted, by their heads alone."""

from __future__ import annotations

import pytest

from clipper_nb.runtime.http.guard import AccessRules, Admitted, Guard, Rejected, Verdict, is_known_host

RULES = AccessRules(
    allowed_hosts=("models.example.org", "*.lab.example", "c-query_frontend-0"), allow_origins=("https://app.example",)
)


def check(*headers: tuple[str, str], method: bytes = b"POST", target: bytes = b"/app/predict") -> Verdict:
    return Guard(RULES).check(method, target, [(name.encode(), value.encode()) for name, value in headers])


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1", "127.0.0.1:1337", "10.1.2.3:80", "[::1]", "[::1]:1337", "[fe80::1]:1",
        "localhost", "LOCALHOST:1337", "localhost.:1337", "app.localhost:1337",
        "models.example.org", "Models.Example.Org:443", "a.lab.example", "a.b.lab.example", "c-query_frontend-0:1337",
    ],
)  # fmt: skip
def test_addresses_localhost_and_named_hosts_are_known(host: str) -> None:
    assert isinstance(check(("Host", host)), Admitted)


@pytest.mark.parametrize(
    "host",
    [
        "evil.example", "evil.example:1337", "localhost.evil.example", "127.0.0.1.evil.example", "lab.example",
        "xlab.example", "models.example.org.evil.example", "", "a b", "[evil]", "[::1]evil", "localhost@evil.example",
        "localhost:1337:1", "notlocalhost", "2130706433", "::1",
    ],
)  # fmt: skip
def test_any_other_name_is_misdirected_and_gets_advice(host: str) -> None:
    verdict = check(("Host", host))
    assert isinstance(verdict, Rejected)
    assert verdict.status == 421
    assert "start_clipper(allowed_hosts=[" in verdict.cause


def test_advice_names_the_host_without_its_port() -> None:
    verdict = check(("Host", "evil.example:1337"))
    assert isinstance(verdict, Rejected)
    assert "allowed_hosts=['evil.example']" in verdict.cause


def test_long_name_is_shortened_in_the_error() -> None:
    verdict = check(("Host", "x" * 5000))
    assert isinstance(verdict, Rejected)
    assert len(verdict.cause) < 500


def test_server_in_the_target_counts_too() -> None:
    assert isinstance(check(("Host", "localhost"), target=b"http://evil.example/metrics"), Rejected)
    assert isinstance(check(("Host", "localhost"), target=b"HTTP://127.0.0.1:1337/metrics"), Admitted)


def test_client_of_http_1_0_may_have_no_host() -> None:
    assert check() == Admitted()


def test_star_allows_every_name() -> None:
    assert is_known_host("evil.example", ["*"])
    assert not is_known_host("evil.example", [])


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://localhost:8888", "https://app.example:444"])
def test_pages_of_other_servers_are_forbidden(origin: str) -> None:
    verdict = check(("Host", "localhost:1337"), ("Origin", origin))
    assert isinstance(verdict, Rejected)
    assert verdict.status == 403
    assert f"allow_origins=['{origin}']" in verdict.cause


def test_page_of_the_frontend_itself_may_ask() -> None:
    assert check(("Host", "localhost:1337"), ("Origin", "http://LOCALHOST:1337")) == Admitted()


def test_allowed_origin_may_read_the_reply() -> None:
    verdict = check(("Host", "localhost"), ("Origin", "https://app.example"))
    assert verdict == Admitted(b"Access-Control-Allow-Origin: https://app.example\r\nVary: Origin\r\n")


def test_preflight_of_an_allowed_origin_says_what_it_may_send() -> None:
    verdict = check(("Host", "localhost"), ("Origin", "https://app.example"), method=b"OPTIONS")
    assert b"Access-Control-Allow-Methods: GET, POST\r\n" in verdict.headers
    assert (
        b"Access-Control-Allow-Headers: Authorization, Content-Type, Inference-Header-Content-Length\r\n"
        in verdict.headers
    )


def test_star_allows_every_page_also_one_of_a_file() -> None:
    guard = Guard(AccessRules(allow_origins=("*",)))
    verdict = guard.check(b"POST", b"/app/predict", [(b"Host", b"localhost"), (b"Origin", b"null")])
    assert b"Access-Control-Allow-Origin: null\r\n" in verdict.headers
